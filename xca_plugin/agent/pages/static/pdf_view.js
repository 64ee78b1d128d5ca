// SPDX-License-Identifier: Apache-2.0
// Shows the PDFs that are to be signed, page by page, and lets a person place a stamp: by mouse, keys or numbers.

const part = (name) => document.getElementById(name);
const form = document.querySelector("form[data-files]");
const view = part("view");
const sheet = part("sheet");
const picture = part("view-picture");
const box = part("stamp-box");
const chooser = part("view-file");
const STEP = 2; // millimetres that a key moves
const place = Object.fromEntries(["page", "left", "top", "width", "height"].map((name) => [name, part(`stamp-${name}`)]));
let sizes = []; // width and height of each page, in millimetres
let number = 1; // of the page that is shown

const job = () => form.elements.job.value;
const inPdf = () => part("form-pdf").checked;
const isStamped = () => inPdf() && part("stamp-yes").checked;
const value = (name) => Number(place[name].value);
const between = (least, most, wanted) => Math.max(least, Math.min(most, wanted));

// Puts the stamp there, within its page.
function put(left, top, width, height) {
  const [pageWidth, pageHeight] = (sizes[number - 1] ?? [210, 297]).map(Math.floor);
  const size = [between(10, pageWidth, width), between(5, pageHeight, height)];
  const corner = [between(0, pageWidth - size[0], left), between(0, pageHeight - size[1], top)];
  [place.left.value, place.top.value, place.width.value, place.height.value] = [...corner, ...size].map(Math.round);
  draw();
}

function draw() {
  const size = sizes[number - 1];
  part("stamp-choice").hidden = !inPdf();
  part("stamp-fields").hidden = !isStamped();
  box.hidden = !isStamped() || value("page") !== number || !size;
  if (!size) return;
  const [width, height] = size;
  box.style.left = `${(value("left") / width) * 100}%`;
  box.style.top = `${(value("top") / height) * 100}%`;
  box.style.width = `${(value("width") / width) * 100}%`;
  box.style.height = `${(value("height") / height) * 100}%`;
}

function fail(sentence) {
  part("view-error").textContent = sentence;
  part("view-error").hidden = !sentence;
  sheet.hidden = Boolean(sentence);
}

function show(wanted) {
  number = between(1, Math.max(1, sizes.length), wanted);
  const said = view.dataset.page.replace("##", sizes.length).replace("#", number);
  part("view-number").textContent = said;
  part("view-before").disabled = number <= 1;
  part("view-next").disabled = number >= sizes.length;
  picture.alt = `${chooser.selectedOptions[0].textContent}, ${said}`;
  const [width, height] = sizes[number - 1];
  sheet.style.aspectRatio = `${width} / ${height}`;
  picture.src = `/files/picture?${new URLSearchParams({ job: job(), file: chooser.value, page: number })}`;
  draw();
}

async function open() {
  sizes = [];
  fail("");
  draw();
  const asked = chooser.value;
  const answer = await fetch(`/files/pages?${new URLSearchParams({ job: job(), file: asked })}`).catch(() => null);
  const said = await answer?.json().catch(() => null);
  if (asked !== chooser.value) return; // another one was chosen meanwhile
  if (!answer?.ok || !said?.length) {
    fail(said?.title ? `${said.title} ${said.detail}` : view.dataset.failed);
    return;
  }
  sizes = said;
  show(1);
}

// The PDFs among the files that the agent has.
function list() {
  const before = chooser.value;
  const items = [...form.querySelectorAll("#files-content [data-pdf]")];
  chooser.replaceChildren(...items.map((item) => new Option(item.querySelector(".name").textContent, item.dataset.file)));
  view.hidden = !items.length;
  chooser.hidden = items.length < 2;
  if (items.some((item) => item.dataset.file === before)) chooser.value = before;
  else if (items.length) open();
  draw();
}

function follow(event) {
  const { width, height } = sheet.getBoundingClientRect();
  const [pageWidth, pageHeight] = sizes[number - 1];
  const start = { x: event.clientX, y: event.clientY, left: value("left"), top: value("top"), width: value("width"), height: value("height") };
  const resizes = event.target.id === "stamp-corner";
  const move = (now) => {
    const x = ((now.clientX - start.x) / width) * pageWidth;
    const y = ((now.clientY - start.y) / height) * pageHeight;
    if (resizes) put(start.left, start.top, start.width + x, start.height + y);
    else put(start.left + x, start.top + y, start.width, start.height);
  };
  const end = () => {
    box.removeEventListener("pointermove", move);
    box.removeEventListener("pointerup", end);
    box.removeEventListener("pointercancel", end);
  };
  box.setPointerCapture(event.pointerId);
  box.addEventListener("pointermove", move);
  box.addEventListener("pointerup", end);
  box.addEventListener("pointercancel", end);
}

const STEPS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

box.addEventListener("pointerdown", follow);
box.addEventListener("keydown", (event) => {
  const step = STEPS[event.key];
  if (!step) return;
  event.preventDefault();
  const [x, y] = step;
  if (event.shiftKey) put(value("left"), value("top"), value("width") + x, value("height") + y);
  else put(value("left") + x, value("top") + y, value("width"), value("height"));
});
for (const name of ["left", "top", "width", "height"]) {
  place[name].addEventListener("change", () => put(value("left"), value("top"), value("width"), value("height")));
}
place.page.addEventListener("change", () => {
  place.page.value = between(1, Math.max(1, sizes.length), value("page") || 1);
  if (sizes.length) show(value("page"));
});
part("view-before").addEventListener("click", () => show(number - 1));
part("view-next").addEventListener("click", () => show(number + 1));
chooser.addEventListener("change", open);
picture.addEventListener("error", () => fail(view.dataset.failed));
for (const name of ["form-p7s", "form-pdf"]) part(name).addEventListener("change", draw);
part("stamp-yes").addEventListener("change", () => {
  place.page.value = number;
  put(value("left"), value("top"), value("width"), value("height"));
});
form.addEventListener("files", list);
list();
