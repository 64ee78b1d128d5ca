// SPDX-License-Identifier: Apache-2.0
// Makes the popup large enough for its whole content, so that nobody agrees to what lies out of sight. Sites open it very
// small.
"use strict";

function fitPopup() {
  const WIDTH = 480; // pixels
  const fit = () => {
    const frame = window.outerHeight - window.innerHeight;
    window.resizeTo(WIDTH, Math.min(document.body.offsetHeight + frame, screen.availHeight));
  };
  if (window.outerWidth === WIDTH) {
    fit();
    return;
  }
  window.addEventListener("resize", fit, { once: true }); // the new width changes the line breaks, and so the height
  window.resizeTo(WIDTH, window.outerHeight);
}

if (document.querySelector("[data-fit-popup]")) {
  fitPopup();
}
