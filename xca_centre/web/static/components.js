// SPDX-License-Identifier: Apache-2.0
// Tells whether the component is there.
import { findComponent, LoginError } from "/login/xca-login.js";

const button = document.querySelector("#find");
const said = document.querySelector("#found");

button.addEventListener("click", async () => {
  const { component, found, other } = button.dataset;
  try {
    const { kind, version } = await findComponent({ component });
    said.textContent = kind === "xca" ? `${found} ${version}` : other;
  } catch (error) {
    if (!(error instanceof LoginError)) {
      throw error;
    }
    said.textContent = error.text();
  }
});
