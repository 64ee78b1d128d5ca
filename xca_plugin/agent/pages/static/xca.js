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

function prepareForm(form) {
  const fields = () => [...form.querySelectorAll("[data-mismatch]")]; // a region in the form may be replaced
  form.noValidate = true; // the browser's own messages may be in another language
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    for (const field of fields()) complain(field, field.validity.valid ? "" : field.dataset.mismatch);
    const wrong = fields().find((field) => !field.validity.valid);
    if (wrong) wrong.focus();
    else send(form);
  });
  form.addEventListener("reset", () => {
    for (const field of fields()) complain(field, "");
    fields()[0].focus();
  });
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
