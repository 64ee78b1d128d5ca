// SPDX-License-Identifier: Apache-2.0
import { logOut, openEnvelope } from "/login/xca-login.js";

document.querySelector("[data-log-out]")?.addEventListener("click", async () => {
  await logOut({ path: "/login" });
  location.reload();
});

document.querySelector("[data-open]")?.addEventListener("click", async ({ target }) => {
  const words = document.querySelector("[data-xca-login-words]");
  try {
    const content = await openEnvelope(target.dataset.open, { component: target.dataset.component });
    words.textContent = new TextDecoder().decode(content);
  } catch (error) {
    words.textContent = error.text();
  }
});
