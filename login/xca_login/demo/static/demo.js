// SPDX-License-Identifier: Apache-2.0
import { logOut } from "/login/xca-login.js";

document.querySelector("[data-log-out]")?.addEventListener("click", async () => {
  await logOut({ path: "/login" });
  location.reload();
});
