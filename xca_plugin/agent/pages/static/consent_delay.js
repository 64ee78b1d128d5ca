// SPDX-License-Identifier: Apache-2.0
// Keeps a person from agreeing by accident, or to what they have not seen. The buttons [data-consent-delay] work once the
// popup has been in front, unchanged, for PAUSE; the box [data-read-first] was scrolled to its end; and the window is large
// enough to show both. Only the agreement is delayed; typing, moving, selecting and scrolling are not.
"use strict";

const restartConsentDelay = (() => {
  const PAUSE = 1000; // milliseconds
  const LEAST = 96; // pixels of the box that have to be seen, unless it holds less
  const ROUNDED = 2; // pixels by which the box may be wrong, because browsers round
  const buttons = () => [...document.querySelectorAll("[data-consent-delay]")]; // scripts add some
  const visible = (selector) => [...document.querySelectorAll(selector)].find((each) => each.checkVisibility());
  let timer = null;
  let settling = null; // the change of the window's size that is waited for
  let isRead = false;
  let isSmall = false;

  const isDelayed = () => buttons().some((button) => button.ariaDisabled === "true"); // not `disabled`, which takes the focus
  const enable = (enabled) => buttons().forEach((button) => (button.ariaDisabled = String(!enabled)));
  const stop = () => {
    clearTimeout(timer);
    enable(false);
  };

  // Without room for head, text and buttons the whole page scrolls, and nobody can agree. To measure it moves the page, so
  // that is done only when the window or what it shows has changed.
  const measure = () => {
    const { scrollY } = window;
    document.body.classList.remove("small");
    const question = visible(".question");
    const text = visible("[data-read-first]");
    const hides = text && text.clientHeight < Math.min(text.scrollHeight, LEAST);
    isSmall = Boolean(question) && (hides || question.getBoundingClientRect().bottom > innerHeight + 1);
    document.body.classList.toggle("small", isSmall);
    scrollTo(0, scrollY);
  };
  const look = () => {
    const text = visible("[data-read-first]");
    if (text) {
      text.tabIndex = text.scrollHeight > text.clientHeight + ROUNDED ? 0 : -1;
    }
    isRead ||= !text || text.scrollTop + text.clientHeight >= text.scrollHeight - ROUNDED;
    document.querySelectorAll("[data-unread]").forEach((hint) => (hint.hidden = isRead));
  };
  const start = () => {
    stop();
    if (!isSmall && !settling) {
      look();
    }
    if (isRead && !isSmall && !settling && document.hasFocus()) {
      timer = setTimeout(() => enable(true), PAUSE);
    }
  };

  // A button or key that is pressed too early has no effect, also not when it is released. A key that repeats was pressed
  // earlier. Any other key makes the delay begin anew: who began to type for another window may still be typing.
  const press = (event) => (isDelayed() || event.repeat) && stop();
  const release = () => isDelayed() && start();
  const isConfirmKey = (event) => ["Enter", " "].includes(event.key);
  const blockEarly = (event) => {
    if (isDelayed() && event.submitter?.matches("[data-consent-delay]") !== false) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  };

  addEventListener("resize", measure);
  for (const change of ["focus", "blur", "resize", "hashchange", "pageshow"]) {
    addEventListener(change, start);
  }
  // Whoever navigates this window to a fragment moves nothing in it.
  addEventListener("hashchange", () => scrollTo(0, 0));
  addEventListener("scroll", start, true);
  addEventListener("pointerdown", press, true);
  for (const end of ["pointerup", "pointercancel"]) {
    addEventListener(end, release, true);
  }
  addEventListener("keydown", (event) => (isConfirmKey(event) ? press(event) : isDelayed() && start()), true);
  addEventListener("keyup", (event) => isConfirmKey(event) && release(), true);
  // A click, Enter in a field and Space all end in a submit event, or in a click on a button that sends nothing.
  addEventListener("submit", blockEarly, true);
  addEventListener("click", (event) => event.target.closest("[data-consent-delay]") && blockEarly(event), true);
  addEventListener("submit", stop); // a second click sends nothing more
  start();
  buttons().forEach((button) => (button.disabled = false)); // the HTML has it disabled, so that nobody agrees before this runs

  // After a change of what is shown; the window is fitted to it until the promise `settled` is kept.
  return (settled, isNew = true) => {
    const focused = document.activeElement;
    isRead &&= !isNew;
    settling = settled;
    document.body.classList.add("fitting");
    start();
    settled.then(() => {
      if (settling === settled) {
        settling = null;
        document.body.classList.remove("fitting");
        measure();
        start();
        const text = visible("[data-read-first]");
        // Page Down and Space scroll it then. Who has moved the focus meanwhile, or begun to type, keeps it.
        if (isNew && text?.tabIndex === 0 && document.activeElement === focused && !focused.value) {
          text.focus({ preventScroll: true });
        }
      }
    });
  };
})();

// The question that this window shows. Whoever opened the window can load it anew, at another of the agent's names too, or
// open another one, and so put one question in the place of another. The window remembers that for one name only, so the
// agent is told as well.
const shownQuestion = (() => {
  const BETWEEN_WORDS = 60_000; // milliseconds; the agent forgets a question of which it hears nothing for 5 minutes
  const name = crypto.getRandomValues(new Uint32Array(4)).join("-"); // made here: the window may go before the agent answers
  let isTold = false;
  let timer = null;
  const json = (message) => new Blob([JSON.stringify(message)], { type: "application/json" });
  const tell = (message) => fetch("/popup/question", { method: "POST", body: json(message), keepalive: true });

  function windowHasAsked() {
    try {
      const hasAsked = sessionStorage.getItem("asked") !== null;
      sessionStorage.setItem("asked", "yes");
      return hasAsked;
    } catch {
      return true; // the browser keeps nothing for this window: in doubt the person is told
    }
  }

  // Also after an answer: what this window said before may arrive late.
  addEventListener("pagehide", () => {
    if (isTold) {
      navigator.sendBeacon("/popup/question", json({ event: "gone", question: name }));
    }
  });

  return {
    name,
    // Before the first question is shown: tells whether it may take the place of another. In doubt it may.
    async begin(site) {
      const hasAsked = windowHasAsked();
      const shown = { event: "shown", question: name, site };
      isTold = true;
      timer = setInterval(() => tell(shown).catch(() => {}), BETWEEN_WORDS);
      try {
        const told = await (await tell(shown)).json();
        return hasAsked || told.replaces !== false;
      } catch {
        return true;
      }
    },
    async end() {
      clearInterval(timer);
      await tell({ event: "answered", question: name }).catch(() => {}); // then the agent has ended
    },
  };
})();
