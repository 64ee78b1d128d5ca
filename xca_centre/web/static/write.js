// SPDX-License-Identifier: Apache-2.0
// Has the local component write new certificates to the card; its window asks for the PIN.

import { writeCertificate } from "/login/xca-login.js";
import { tell } from "./words.js";

const { card, component } = document.querySelector("[data-write]").dataset;

for (const button of document.querySelectorAll("[data-certificate]")) {
  const words = button.closest("section").querySelector("[data-words]");
  button.addEventListener("click", async () => {
    words.textContent = "";
    try {
      await writeCertificate({ card, certificate: button.dataset.certificate, component });
      words.textContent = words.dataset.done;
    } catch (error) {
      tell(words, error);
    }
  });
}
