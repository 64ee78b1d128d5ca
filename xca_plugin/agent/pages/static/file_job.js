// SPDX-License-Identifier: Apache-2.0
// Hands the files of a job to the agent, each by itself, before the form is sent.

const form = document.querySelector("form[data-files]");
const error = document.getElementById("files-error");
const news = document.getElementById("files-news");
const texts = form.dataset;
let sending = Promise.resolve();
let waiting = 0;

function complain(sentence) {
  error.textContent = sentence;
  error.hidden = !sentence;
}

// The job's id, which the agent tells with the first file. It goes into each form and address of this page.
function job() {
  return form.elements.job.value;
}

function keepJob(id) {
  for (const field of document.querySelectorAll("input[name=job]")) field.value = id;
  const here = new URL(location.href);
  here.searchParams.set("job", id);
  here.searchParams.delete("stale");
  history.replaceState(null, "", here);
  const language = document.querySelector("a.language");
  const there = new URL(language.href);
  there.searchParams.set("job", id);
  language.href = there;
}

function send(file, role, item) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    const query = new URLSearchParams({ page: texts.page, role, job: job() });
    const progress = item.querySelector("progress");
    const fail = (sentence) => {
      item.remove();
      complain(`${file.name}: ${sentence}`);
      resolve();
    };
    request.open("POST", `/files/upload?${query}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("X-Name", encodeURIComponent(file.name.toWellFormed?.() ?? file.name));
    request.setRequestHeader("X-Token", texts.token);
    request.responseType = "json";
    request.upload.onprogress = (event) => event.lengthComputable && (progress.value = event.loaded / event.total);
    request.onerror = () => fail(texts.failed);
    request.onload = () => {
      const answer = request.response;
      if (request.status !== 201) {
        fail(answer?.title ? `${answer.title} ${answer.detail}` : texts.failed);
        return;
      }
      keepJob(answer.job);
      item.dataset.file = answer.id;
      if (answer.pdf) item.dataset.pdf = "";
      item.querySelector(".name").textContent = answer.name;
      item.querySelector(".size").textContent = answer.size;
      progress.hidden = true;
      item.querySelector("button").hidden = false;
      news.textContent = `${texts.added} ${answer.name}`;
      form.dispatchEvent(new CustomEvent("files"));
      resolve();
    };
    request.send(file);
  });
}

function add(files, place) {
  complain("");
  const list = place.querySelector(".files");
  const input = place.querySelector("input[type=file]");
  for (const file of input.multiple ? files : files.slice(0, 1)) {
    if (file.size > Number(texts.most)) {
      complain(`${file.name}: ${texts.tooBig}`);
      continue;
    }
    if (!input.multiple) list.querySelectorAll("[data-remove]").forEach((button) => button.click());
    const item = document.getElementById("file-item").content.firstElementChild.cloneNode(true);
    item.querySelector(".name").textContent = file.name;
    item.querySelector("progress").hidden = false;
    item.querySelector("progress").setAttribute("aria-label", file.name);
    item.querySelector("button").hidden = true;
    prepareRemove(item);
    list.append(item);
    waiting += 1;
    sending = sending.then(() => send(file, place.dataset.role, item)).finally(() => (waiting -= 1));
  }
}

function prepareRemove(item) {
  const button = item.querySelector("[data-remove]");
  const name = () => item.querySelector(".name").textContent;
  button.addEventListener("click", async () => {
    const next = (item.nextElementSibling ?? item.previousElementSibling)?.querySelector("[data-remove]");
    (next ?? item.closest("[data-role]").querySelector("input[type=file]")).focus();
    item.remove();
    news.textContent = `${texts.removed} ${name()}`;
    form.dispatchEvent(new CustomEvent("files"));
    await fetch("/files/remove", { method: "POST", body: new URLSearchParams({ job: job(), file: item.dataset.file }) });
  });
}

for (const item of form.querySelectorAll("[data-file]")) prepareRemove(item);
for (const place of form.querySelectorAll("[data-role]")) {
  const input = place.querySelector("input[type=file]");
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // the same file may be chosen again
    add(files, place);
  });
  place.addEventListener("dragover", (event) => {
    event.preventDefault();
    place.classList.add("over");
  });
  place.addEventListener("dragleave", () => place.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    place.classList.remove("over");
    add([...event.dataTransfer.files], place);
  });
}

// A file that is dropped beside its place would replace this page.
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => event.preventDefault());

// Tells whether a file has to be chosen at a place, and none is.
function isMissing(place) {
  const isNeeded = document.getElementById(place.dataset.onlyWith)?.checked ?? true;
  return isNeeded && !place.querySelector("[data-file]");
}

// Before the form's own listeners.
addEventListener(
  "submit",
  (event) => {
    if (event.target !== form) return;
    const missing = [...form.querySelectorAll("[data-missing]")].find(isMissing);
    const sentence = waiting ? texts.busy : (missing?.dataset.missing ?? "");
    complain(sentence);
    if (!sentence) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    (missing ?? form).querySelector("input[type=file]").focus();
  },
  true,
);
