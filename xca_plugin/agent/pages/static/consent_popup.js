// SPDX-License-Identifier: Apache-2.0
// Carries one request from the site that opened this popup to the agent, and the answer back. Its first message is sent
// before the rest of the popup has loaded: sites wait for it.
"use strict";

(() => {
  const OWN_PAGE_MILLISECONDS = 160_000; // sites wait for 170 seconds
  const BETWEEN_LOOKS = 1000; // milliseconds
  const FAILED = { ret_code: 0x7600000d, message: "元件沒有回應" };

  const { firstWord, answerNames } = document.currentScript.dataset;
  const ready = new Promise((resolve) => document.addEventListener("DOMContentLoaded", resolve));
  const site = { window: window.opener, origin: null, request: null };
  const SCREENS = ["working", "no-opener", "changed", "choice", "blind-off", "blind", "own-page", "told", "consent"];
  const element = (part) => document.querySelector(`[data-part="${part}"]`);
  let refusal = null; // the answer if the person closes the popup
  let choice = {}; // the card that the person chose
  let isFirst = true;

  function show(screen) {
    for (const part of SCREENS) {
      element(part).hidden = part !== screen;
    }
  }

  // Shows a screen with a question. What has the focus then is in view at its top.
  function showQuestion(screen, focused) {
    show(screen);
    element(focused).focus({ preventScroll: true });
    restartConsentDelay(fitPopup());
  }

  function showText(part, text) {
    element(part).textContent = text;
  }

  // An origin breaks only at its dots: each part of it is an element. The template site_macros.html does the same.
  function showSite(part, origin) {
    const LONGEST = 30; // characters of a part in the usual size
    const parts = origin.split(/(?<=\.)/).map((text) => {
      const span = document.createElement("span");
      span.textContent = text;
      return span;
    });
    element(part).classList.toggle("narrow", parts.some((span) => span.textContent.length > LONGEST));
    element(part).replaceChildren(...parts);
  }

  // If nobody answered the question, it counts for a while longer.
  async function finish(answer, isAnswered = true) {
    refusal = null;
    if (!isFirst) {
      show("working");
    }
    if (!isFirst && isAnswered) {
      await shownQuestion.end(); // before the site opens its next window
    }
    answerSite(answer);
    window.close();
  }

  function answerSite(answer) {
    // A page without an origin (a file, a sandbox) can only be answered with "*". The agent gives it nothing but refusals.
    site.window.postMessage(answer, site.origin === "null" ? "*" : site.origin);
    for (const field of document.querySelectorAll("input")) {
      field.value = "";
    }
  }

  async function post(answered) {
    const response = await fetch("/popup", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ site: site.origin, request: site.request, ...choice, ...answered }),
    });
    return response.json();
  }

  async function carry(answered) {
    let reply = {};
    try {
      reply = await post(answered);
    } catch {
      // The agent has ended. The answer below says so.
    }
    if (reply.consent) {
      await ready;
      await begin(reply.consent, reply.refusal);
    } else {
      await finish(reply.answer || JSON.stringify({ ...FAILED, ...reply, func: answerName() }));
    }
  }

  // The name of the answer, which pages wait for, when the agent did not answer.
  function answerName() {
    try {
      const { func } = JSON.parse(site.request);
      return JSON.parse(answerNames)[func] ?? func ?? "";
    } catch {
      return "";
    }
  }

  // One question at a time: if the site may have put this one in the place of another, the person is told first.
  async function begin(question, refused) {
    refusal = refused;
    const replaces = isFirst && (await shownQuestion.begin(site.origin));
    isFirst = false;
    const next = question.told ? tell : question.ownPage ? showOwnPage : question.cards ? askForCard : question.blindness ? askToSwitchOn : ask;
    if (!replaces) {
      next(question, refused);
      return;
    }
    element("go-on").onclick = () => next(question, refused);
    element("changed-refuse").onclick = () => finish(refused);
    showQuestion("changed", "changed-title");
  }

  // The site is refused. The person reads why, and then the site is told.
  function tell(question, refused) {
    showSite("told-site", question.site);
    showText("told-why", question.told);
    element("told-close").onclick = () => finish(refused);
    showQuestion("told", "told-title");
  }

  // The person does on a page of the agent what the site asks for; the site is told when it is done.
  function showOwnPage(question, refused) {
    showSite("own-page-site", question.site);
    showText("wanted", question.wanted);
    showText("own-page-go", question.button);
    element("own-page-go").href = question.ownPage;
    element("own-page-refuse").onclick = () => finish(refused);
    showQuestion("own-page", "own-page-title");
    const end = performance.now() + OWN_PAGE_MILLISECONDS;
    const look = async () => {
      const reply = await post({ since: question.since }).catch(() => ({}));
      if (refusal === null) {
        return; // the site has its answer
      }
      if (reply.answer || performance.now() > end) {
        const isDone = Boolean(reply.answer) && JSON.parse(reply.answer).ret_code === 0;
        finish(reply.answer || refused, isDone);
      } else {
        setTimeout(look, BETWEEN_LOOKS);
      }
    };
    setTimeout(look, BETWEEN_LOOKS);
  }

  // Blind requests are switched on for a site on a screen of their own, which is only offered.
  function askToSwitchOn(question, refused) {
    showSite("blind-off-site", question.site);
    showSite("blind-site", question.site);
    showText("blind-off-request", question.title);
    showText("blindness", question.blindness);
    for (const part of ["blind-off-refuse", "blind-refuse"]) {
      element(part).onclick = () => finish(refused);
    }
    // Without a ticket only the administrator can switch them on.
    for (const part of ["blind-own", "blind-more"]) {
      element(part).hidden = !question.ticket;
    }
    element("blind-enforced").hidden = Boolean(question.ticket);
    element("blind-more").onclick = () => showQuestion("blind", "blind-title");
    element("switch-on").onclick = () => {
      refusal = null;
      show("working");
      carry({ switchOn: question.ticket });
    };
    showQuestion("blind-off", "blind-off-title");
  }

  // The person chooses a card, and is then asked for consent to use it.
  function askForCard(question, refused) {
    showSite("choice-site", question.site);
    element("choice-refuse").onclick = () => finish(refused);
    element("cards").replaceChildren(
      ...question.cards.map((card) => {
        const item = document.createElement("li");
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = card.label;
        button.dataset.consentDelay = "";
        button.ariaDisabled = "true";
        button.onclick = () => {
          refusal = null;
          show("working");
          choice = { choice: { number: card.number, remember: element("remember").checked } };
          carry({});
        };
        item.append(button);
        return item;
      }),
    );
    showQuestion("choice", "choice-title");
  }

  function ask(question, refused) {
    showText("title", question.title);
    showText("word", question.word ?? "");
    element("word-line").hidden = !question.word;
    showSite("site", question.site);
    showText("holder", question.holder);
    element("holder-field").hidden = !question.holder;
    element("holder-field").ontoggle = () => restartConsentDelay(fitPopup(), false);
    showText("tries", question.tries);
    showText("keypad", question.keypad);
    element("keypad").hidden = !question.keypad;
    showText("wrong", question.wrong ?? "");
    element("wrong").hidden = !question.wrong;
    const warnings = question.notice ? [question.notice, ...question.warnings] : question.warnings;
    element("warnings").replaceChildren(
      ...warnings.map((warning) => {
        const paragraph = document.createElement("p");
        paragraph.className = "notice soon";
        paragraph.textContent = warning;
        return paragraph;
      }),
    );
    for (const list of ["card", "facts"]) {
      element(list).replaceChildren(
        ...question[list].map(([label, value]) => {
          const [fact, term, description] = ["div", "dt", "dd"].map((name) => document.createElement(name));
          term.textContent = label;
          description.textContent = value;
          fact.append(term, description);
          return fact;
        }),
      );
    }
    element("content").hidden = question.facts.length + warnings.length === 0;
    element("content").scrollTop = 0;
    const fields = {
      pin: question.pin,
      "new-pin": question.newPin,
      again: question.newPin,
      "last-try": question.lastTry,
      "for-a-while": question.forAWhile,
    };
    for (const [field, isAsked] of Object.entries(fields)) {
      element(`${field}-field`).hidden = !isAsked;
      element(field).required = isAsked && field !== "for-a-while";
    }
    for (const field of ["pin", "new-pin"]) {
      element(field).pattern = question.pinPattern;
      element(field).title = question.pinForm;
    }
    element("consent").onsubmit = (event) => {
      event.preventDefault();
      const different = element("new-pin").value !== element("again").value;
      element("different").hidden = !different;
      if (different) {
        restartConsentDelay(fitPopup(), false);
        return;
      }
      refusal = null;
      const agreement = {
        ticket: question.ticket,
        number: question.number,
        pin: element("pin").value,
        newPin: element("new-pin").value,
        forAWhile: element("for-a-while").checked,
        lastTry: element("last-try").checked,
      };
      for (const field of ["pin", "new-pin", "again"]) {
        element(field).value = "";
      }
      if (question.keypad) {
        showText("working", question.keypad);
      }
      show("working");
      carry({ agreement });
    };
    element("refuse").onclick = () => finish(refused);
    showQuestion("consent", question.pin ? "pin" : "title");
  }

  if (!site.window) {
    ready.then(() => show("no-opener"));
    return;
  }
  window.addEventListener("message", (event) => {
    if (event.source === site.window && site.request === null && typeof event.data === "string") {
      site.origin = event.origin;
      site.request = event.data;
      carry({});
    }
  });
  // Not pagehide: a message that is sent then no longer arrives.
  // Only if the person closes the popup: a site whose button is pressed again loads it anew, and would take this message
  // for the answer to its new request.
  window.addEventListener("beforeunload", () => {
    if (refusal !== null && document.hasFocus()) {
      answerSite(refusal);
    }
  });
  site.window.postMessage(JSON.stringify({ func: firstWord }), "*");
})();
