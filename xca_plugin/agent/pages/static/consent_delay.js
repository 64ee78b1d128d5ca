// SPDX-License-Identifier: Apache-2.0
// Nobody agrees to a window that came only just now: a click or a key that was meant for another window does nothing.
// The button of [data-hesitate] counts once its window has been in front, unchanged, for a moment. Only the agreement
// waits; typing, moving, selecting and scrolling go on.
"use strict";

const hesitate = (() => {
  const PAUSE = 500; // milliseconds
  const button = document.querySelector("[data-hesitate]");
  let pause = null;

  const waits = () => button.ariaDisabled === "true"; // not disabled: that would take the focus away
  const stop = () => {
    clearTimeout(pause);
    button.ariaDisabled = "true";
  };
  const start = () => {
    stop();
    if (document.hasFocus()) {
      pause = setTimeout(() => (button.ariaDisabled = "false"), PAUSE);
    }
  };

  // What is pressed too early counts neither then nor when it is let go. A key that repeats was pressed before.
  const press = (event) => (waits() || event.repeat) && stop();
  const release = () => waits() && start();
  const presses = (event) => ["Enter", " "].includes(event.key);

  if (button) {
    for (const change of ["focus", "blur", "resize"]) {
      addEventListener(change, start);
    }
    addEventListener("pointerdown", press, true);
    for (const end of ["pointerup", "pointercancel"]) {
      addEventListener(end, release, true);
    }
    addEventListener("keydown", (event) => presses(event) && press(event), true);
    addEventListener("keyup", (event) => presses(event) && release(), true);
    // Clicks, Enter in a field, Space: all of them submit.
    const hold = (event) => {
      if (waits()) {
        event.preventDefault();
        event.stopImmediatePropagation();
      }
    };
    addEventListener("submit", hold, true);
    start();
    button.disabled = false; // in the page it is, lest anybody agrees before this script runs
  }
  return start;
})();
