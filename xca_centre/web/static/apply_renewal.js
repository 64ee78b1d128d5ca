// SPDX-License-Identifier: Apache-2.0
// Has the old card sign the application for its successor, and sends the form with the signature.

import { LoginError, sign } from "/login/xca-login.js";

import { tell } from "./words.js";

async function statementOf(address) {
  const answer = await fetch(address, {
    method: "POST",
    headers: { Accept: "application/json", "Content-Type": "application/x-www-form-urlencoded" },
    redirect: "error",
  });
  const said = await answer.json();
  if (!answer.ok) {
    throw new Error(said.detail);
  }
  return said.statement;
}

for (const form of document.querySelectorAll("form[data-renewal]")) {
  const button = form.querySelector("button");
  const words = form.querySelector("output");
  button.addEventListener("click", async () => {
    words.textContent = "";
    try {
      const { renewal, component } = form.dataset;
      form.elements.token.value = await sign(() => statementOf(renewal), { component });
      form.submit();
    } catch (error) {
      if (error instanceof LoginError) {
        tell(words, error);
      } else {
        words.textContent = error.message; // what the centre answered, or that it cannot be reached
      }
    }
  });
}
