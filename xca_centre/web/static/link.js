// SPDX-License-Identifier: Apache-2.0
// Puts the secret of a mailed link, which stands behind the # of the address, into the form, and takes it out of the
// address: so it is in no history, and sent to no server before the person presses the button.

const KEPT = "link";
const form = document.querySelector("[data-link]");
const secret = location.hash.slice(1) || sessionStorage.getItem(KEPT + location.pathname) || "";
if (secret) {
  sessionStorage.setItem(KEPT + location.pathname, secret); // the page comes again after a wrong entry
  history.replaceState(null, "", location.pathname + location.search);
}
form.elements.link.value = secret;
form.hidden = !secret;
document.querySelector("[data-link-missing]").hidden = Boolean(secret);
