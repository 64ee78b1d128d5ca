// SPDX-License-Identifier: Apache-2.0
// Live updates and comfort for the agent's pages. They work without it.

// --- pages that show cards follow the changes

const live = document.querySelector("[data-live]");
let stream;
let refreshing = Promise.resolve();

// The control in a new region that corresponds to one in the old region.
function counterpart(control, region) {
  const alike = control.id ? (each) => each.id === control.id : (each) => each.outerHTML === control.outerHTML;
  return [...region.querySelectorAll(control.localName)].find(alike);
}

// Replaces the regions that differ from the page as it is now. Regions with a key are compared by the key alone.
async function refresh() {
  const answer = await fetch(live.dataset.from ?? location.href);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  let changed = false;
  for (const region of document.querySelectorAll("[data-region]")) {
    const other = fresh.getElementById(region.id);
    const differs = region.dataset.key === undefined ? other.outerHTML !== region.outerHTML : other.dataset.key !== region.dataset.key;
    if (!differs) continue;
    const focused = region.contains(document.activeElement) && counterpart(document.activeElement, other);
    region.replaceWith(other);
    prepare(other);
    if (focused) focused.focus();
    else other.querySelector("#result")?.focus();
    changed = true;
  }
  live.dataset.version = fresh.querySelector("[data-live]").dataset.version;
  if (changed) {
    const news = document.getElementById("news");
    news.textContent = news.dataset.changed;
  }
}

function listen() {
  const stopped = document.getElementById("stopped");
  stream = new EventSource(`/events?of=${live.dataset.live}`);
  stream.onopen = () => (stopped.hidden = true);
  stream.onerror = () => (stopped.hidden = false);
  stream.addEventListener("message", (event) => {
    // One after the other: what is older must not come later.
    refreshing = refreshing.then(() => event.data !== live.dataset.version && refresh()).catch(() => {});
  });
}

// Only a visible page listens: a browser allows few connections to one host.
function listenWhenSeen() {
  stream?.close();
  if (document.visibilityState === "visible") listen();
}

// --- forms

function complain(field, what) {
  const error = document.getElementById(`${field.id}-error`);
  field.setAttribute("aria-invalid", String(Boolean(what)));
  error.textContent = what;
  error.hidden = !what;
}

function clear(form) {
  for (const field of form.querySelectorAll("[data-secret]")) field.value = "";
}

function showWorking(form) {
  const working = form.querySelector("[data-working]");
  working.textContent = working.dataset.working;
  return working;
}

async function send(form) {
  const body = new URLSearchParams(new FormData(form));
  clear(form);
  document.querySelectorAll("button").forEach((button) => (button.disabled = true));
  const working = showWorking(form);
  stream?.close(); // the answer will tell how the card is
  try {
    const answer = await fetch(form.action, { method: "POST", body });
    location.replace(answer.url);
  } catch {
    working.textContent = "";
    document.getElementById("stopped").textContent = working.dataset.lost;
    document.getElementById("stopped").hidden = false;
  }
}

// What is wrong with a field; nothing if all is well.
function fault(field) {
  if (!field.validity.valid) return field.dataset.mismatch;
  const other = document.getElementById(field.dataset.sameAs);
  return other && other.value !== field.value ? field.dataset.different : "";
}

function prepareForm(form) {
  const fields = () => [...form.querySelectorAll("[data-mismatch]")]; // a region in the form may be replaced
  form.noValidate = true; // the browser's own messages may be in another language
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    for (const field of fields()) complain(field, fault(field));
    const wrong = fields().find(fault);
    if (wrong) wrong.focus();
    else send(form);
  });
  form.addEventListener("reset", () => {
    for (const field of fields()) complain(field, "");
    fields()[0]?.focus(); // none at a reader with a keypad
  });
}

// A PIN that the agent makes. It is shown until the person says that it is written down, and fills the fields.
function prepareMade(part) {
  const form = part.closest("form");
  const [button, notice, output, noted] = ["button", ".notice", "output", "input"].map((name) => part.querySelector(name));
  const fields = ["new_pin", "again"].map((name) => form.elements[name]);
  const shows = fields.map((field) => form.querySelector(`[data-shows=${field.id}]`));
  const set = (pin) => {
    output.textContent = pin;
    notice.hidden = !pin;
    noted.checked = false;
    noted.disabled = false;
    noted.required = Boolean(pin);
    fields.forEach((field) => {
      field.value = pin;
      field.type = "password";
      field.readOnly = Boolean(pin);
      complain(field, "");
    });
    shows.forEach((show) => (show.hidden = Boolean(pin)));
  };
  part.hidden = false;
  button.addEventListener("click", async () => {
    const answer = await fetch("/made-pin", { method: "POST", body: new URLSearchParams({ card: form.elements.card.value }) }).catch(() => null);
    set(answer?.ok ? await answer.text() : "");
    if (answer?.ok) noted.focus();
    complain(fields[0], answer?.ok ? "" : notice.dataset.failed);
  });
  noted.addEventListener("change", () => {
    output.textContent = "••••••";
    noted.disabled = true; // it is not shown again
    complain(noted, "");
    form.querySelector("button.main").focus();
  });
  form.addEventListener("reset", () => set(""));
}

function prepareShow(button) {
  const field = document.getElementById(button.dataset.shows);
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = field.type === "password";
    field.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
  });
}

function prepare(part) {
  part.querySelectorAll("form[data-pin-action]").forEach(prepareForm);
  part.querySelectorAll("[data-shows]").forEach(prepareShow);
  part.querySelectorAll("[data-made]").forEach(prepareMade);
  part.querySelectorAll("[data-choose]").forEach((choice) => choice.addEventListener("change", () => choice.form.requestSubmit()));
  part.querySelectorAll("form[data-checks]").forEach((form) => form.addEventListener("submit", () => showWorking(form)));
  part.querySelectorAll("[data-print]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => print());
  });
}

prepare(document);
document.getElementById("result")?.focus(); // for browsers in which autofocus works for fields only
if (live) {
  listenWhenSeen();
  document.addEventListener("visibilitychange", listenWhenSeen);
}

// Nothing that was typed outlives the page, neither in the back/forward cache nor in what a browser restores.
addEventListener("pagehide", () => {
  stream?.close();
  document.querySelectorAll("form[data-pin-action]").forEach((form) => form.reset());
});
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
