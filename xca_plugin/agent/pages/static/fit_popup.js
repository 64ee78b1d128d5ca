// SPDX-License-Identifier: Apache-2.0
// Makes the popup large enough for its whole content, as far as the screen allows. Sites open it very small.
"use strict";

// Changes the window's size; the promise tells whether it has that size then. Tabs and some window managers change none.
function resizePopup(width, height) {
  const LONGEST = 1500; // milliseconds
  // All of it stays on the screen.
  const [left, top] = [screen.availLeft ?? 0, screen.availTop ?? 0];
  const [right, bottom] = [left + screen.availWidth, top + screen.availHeight];
  if (screenX + width > right || screenY + height > bottom) {
    moveTo(Math.max(left, Math.min(screenX, right - width)), Math.max(top, Math.min(screenY, bottom - height)));
  }
  return new Promise((resolve) => {
    const hasSize = () => Math.abs(outerWidth - width) <= 1 && Math.abs(outerHeight - height) <= 1;
    if (hasSize()) {
      resolve(true);
      return;
    }
    const done = () => resolve(hasSize());
    addEventListener("resize", () => hasSize() && done());
    setTimeout(done, LONGEST);
    resizeTo(width, height);
  });
}

async function fitPopup() {
  const WIDTH = 480; // pixels
  const width = Math.min(WIDTH, screen.availWidth);
  if (await resizePopup(width, outerHeight)) { // the width changes the line breaks, and so the height
    document.body.classList.add("measured"); // without the limits of the present window
    const height = document.body.offsetHeight + outerHeight - innerHeight;
    document.body.classList.remove("measured");
    await resizePopup(width, Math.min(height, screen.availHeight));
  }
}
