// SPDX-License-Identifier: Apache-2.0
// Hands the ticket that the person chose to the agent, whose answer leads to the next page.

const form = document.querySelector("form[data-ticket]");
const error = form.querySelector(".error");
const input = form.querySelector("input");

function complain(sentence) {
  error.textContent = sentence;
  error.hidden = !sentence;
}

form.noValidate = true; // the browser's own message may be in another language
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const [file] = input.files;
  complain(file ? "" : error.dataset.missing);
  if (!file) {
    input.focus();
    return;
  }
  try {
    const answer = await fetch(form.dataset.ticket, {
      method: "POST",
      headers: {
        "Content-Type": "application/octet-stream",
        "X-Name": encodeURIComponent(file.name.toWellFormed?.() ?? file.name),
      },
      body: file.slice(0, Number(form.dataset.most)),
    });
    if (!answer.ok) throw new Error(answer.statusText);
    location.assign(answer.url);
  } catch {
    complain(error.dataset.failed);
  }
});
