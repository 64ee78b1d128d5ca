// SPDX-License-Identifier: Apache-2.0
// Windows that sites open are as small as a stamp: makes room for all of a question, so that nobody agrees to what lies
// below the edge.
"use strict";

function makeRoom() {
  const WIDTH = 480; // pixels
  const fit = () => {
    const frame = window.outerHeight - window.innerHeight;
    window.resizeTo(WIDTH, Math.min(document.body.offsetHeight + frame, screen.availHeight));
  };
  if (window.outerWidth === WIDTH) {
    fit();
    return;
  }
  window.addEventListener("resize", fit, { once: true }); // the lines break anew first
  window.resizeTo(WIDTH, window.outerHeight);
}

if (document.querySelector("[data-room]")) {
  makeRoom();
}
