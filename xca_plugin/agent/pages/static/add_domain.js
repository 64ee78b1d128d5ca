// SPDX-License-Identifier: Apache-2.0
// Shows the question whether to trust a site. If it may take the place of another question, the window first says so.
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
  document.querySelector("[data-part=changed-refuse]").onclick = () => shownQuestion.end().then(() => window.close());
  // Which site opened the window is unknown: a site can hide that.
  shownQuestion.begin("").then((replaces) => {
    document.querySelector("[data-part=question-name]").value = shownQuestion.name;
    show(replaces ? changed : question);
  });
})();
