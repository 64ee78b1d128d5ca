// SPDX-License-Identifier: Apache-2.0
// Keeps a person from agreeing by accident: a click or a key that was meant for another window does nothing.
// The buttons [data-consent-delay] work once their page has been in front, unchanged, for PAUSE. Only the agreement is
// delayed; typing, moving, selecting and scrolling are not.
"use strict";

const restartConsentDelay = (() => {
  const PAUSE = 500; // milliseconds
  const buttons = document.querySelectorAll("[data-consent-delay]");
  let timer = null;
  let isDelayed = true;

  const setDelayed = (value) => {
    isDelayed = value;
    for (const button of buttons) {
      button.ariaDisabled = String(value); // not `disabled`, which would take the focus away
    }
  };
  const stop = () => {
    clearTimeout(timer);
    setDelayed(true);
  };
  const start = () => {
    stop();
    if (document.hasFocus()) {
      timer = setTimeout(() => setDelayed(false), PAUSE);
    }
  };

  // A button or key that is pressed too early has no effect, also not when it is released. A key that repeats was pressed
  // earlier.
  const press = (event) => (isDelayed || event.repeat) && stop();
  const release = () => isDelayed && start();
  const isConfirmKey = (event) => ["Enter", " "].includes(event.key);

  if (buttons.length) {
    for (const change of ["focus", "blur", "resize", "hashchange"]) {
      addEventListener(change, start);
    }
    addEventListener("pointerdown", press, true);
    for (const end of ["pointerup", "pointercancel"]) {
      addEventListener(end, release, true);
    }
    addEventListener("keydown", (event) => isConfirmKey(event) && press(event), true);
    addEventListener("keyup", (event) => isConfirmKey(event) && release(), true);
    // A click, Enter in a field and Space all end in a submit event.
    const blockEarly = (event) => {
      if (isDelayed && event.submitter?.matches("[data-consent-delay]") !== false) {
        event.preventDefault();
        event.stopImmediatePropagation();
      }
    };
    addEventListener("submit", blockEarly, true);
    start();
    for (const button of buttons) {
      button.disabled = false; // the HTML has it disabled, so that nobody agrees before this script runs
    }
  }
  return start;
})();
