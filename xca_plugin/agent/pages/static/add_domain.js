// SPDX-License-Identifier: Apache-2.0
// Shows the question whether to trust a site. If this window asked something before, it first says so.
"use strict";

(() => {
  const question = document.querySelector("[data-part=question]");
  const changed = document.querySelector("[data-part=changed]");
  if (!question) {
    return;
  }
  const show = (part) => {
    for (const each of [question, changed]) {
      each.hidden = each !== part;
    }
    restartConsentDelay(fitPopup());
  };
  document.querySelector("[data-part=go-on]").onclick = () => show(question);
  document.querySelector("[data-part=changed-refuse]").onclick = () => window.close();
  show(windowHasAsked() ? changed : question);
})();
