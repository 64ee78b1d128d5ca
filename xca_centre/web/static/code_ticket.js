// SPDX-License-Identifier: Apache-2.0
// Hands the ticket to the local component, which asks for the card's new user code; nothing of that comes here.

import { LoginError, resetUserCode } from "/login/xca-login.js";

import { tell } from "./words.js";

const form = document.querySelector("form[data-link]");
const button = form.querySelector("[data-set]");
const words = form.querySelector("[data-words]");
const done = document.querySelector("[data-done]");

async function ticket() {
  const headers = { Accept: "application/json" };
  const request = { method: "POST", headers, body: new URLSearchParams(new FormData(form)), redirect: "error" };
  const answer = await fetch(form.action, request).catch(() => null);
  const said = await answer?.json().catch(() => null);
  if (answer?.ok && said) {
    return said.ticket;
  }
  throw new Error(said?.detail ?? form.dataset.unreachable);
}

button.addEventListener("click", async () => {
  words.textContent = "";
  if (!form.reportValidity()) {
    return;
  }
  button.disabled = true;
  try {
    await resetUserCode({ ticket, component: form.dataset.component });
    form.reset();
    form.hidden = true;
    done.hidden = false;
    done.setAttribute("role", "status");
  } catch (error) {
    if (error instanceof LoginError) {
      tell(words, error);
    } else {
      words.textContent = error.message; // what the centre answered
    }
  }
  button.disabled = false;
});
