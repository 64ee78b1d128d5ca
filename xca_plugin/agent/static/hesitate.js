// SPDX-License-Identifier: Apache-2.0
// A button that counts only once its window has been in front for a moment: a click that was meant for another
// window must not agree to anything.
"use strict";

function hesitate(button) {
  const PAUSE = 500; // milliseconds
  let pause = null;
  const wait = () => {
    clearTimeout(pause);
    button.disabled = true;
    if (document.hasFocus()) {
      pause = setTimeout(() => {
        button.disabled = false;
      }, PAUSE);
    }
  };
  window.onfocus = wait;
  window.onblur = wait;
  // Whoever clicks or presses Enter before, does not mean it.
  document.onpointerdown = () => button.disabled && wait();
  document.onkeydown = (event) => button.disabled && [" ", "Enter"].includes(event.key) && wait();
  wait();
}

for (const button of document.querySelectorAll("[data-hesitate]")) {
  hesitate(button);
}
