// SPDX-License-Identifier: Apache-2.0
// Carries one request from the site that opened this popup to the agent, and the answer back. Its first message is sent
// before the rest of the popup has loaded: sites wait for it.
"use strict";

(() => {
  const FAILED = { ret_code: 0x7600000d, message: "元件沒有回應" };

  const { firstWord, answerNames } = document.currentScript.dataset;
  const ready = new Promise((resolve) => document.addEventListener("DOMContentLoaded", resolve));
  const site = { window: window.opener, origin: null, request: null };
  const element = (part) => document.querySelector(`[data-part="${part}"]`);
  let refusal = null; // the answer if the person closes the popup

  function show(id) {
    for (const part of ["working", "no-opener", "choice", "consent"]) {
      element(part).hidden = part !== id;
    }
  }

  function finish(answer) {
    refusal = null;
    // A page without an origin (a file, a sandbox) can only be answered with "*". The agent gives it nothing but refusals.
    site.window.postMessage(answer, site.origin === "null" ? "*" : site.origin);
    for (const field of document.querySelectorAll("input")) {
      field.value = "";
    }
    window.close();
  }

  async function carry(answered) {
    let reply = {};
    try {
      const response = await fetch("/popup", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ site: site.origin, request: site.request, ...answered }),
      });
      reply = await response.json();
    } catch {
      // The agent has ended. The answer below says so.
    }
    if (reply.consent) {
      await ready;
      (reply.consent.cards ? askForCard : ask)(reply.consent, reply.refusal);
    } else {
      finish(reply.answer || JSON.stringify({ ...FAILED, ...reply, func: answerName() }));
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

  // The person chooses a card, and is then asked for consent to use it.
  function askForCard(question, refused) {
    refusal = refused;
    element("choice-site").textContent = question.site;
    element("cards").replaceChildren(
      ...question.cards.map((card) => {
        const item = document.createElement("li");
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = card.label;
        button.onclick = () => {
          refusal = null;
          show("working");
          carry({ choice: { number: card.number, remember: element("remember").checked } });
        };
        item.append(button);
        return item;
      }),
    );
    show("choice");
    fitPopup();
    element("choice-title").focus({ preventScroll: true });
  }

  function ask(question, refused) {
    refusal = refused;
    element("title").textContent = question.title;
    element("site").textContent = question.site;
    element("warnings").replaceChildren(
      ...question.warnings.map((warning) => {
        const paragraph = document.createElement("p");
        paragraph.className = "notice soon";
        paragraph.textContent = warning;
        return paragraph;
      }),
    );
    element("facts").replaceChildren(
      ...question.facts.flatMap(([label, value]) => {
        const term = document.createElement("dt");
        const description = document.createElement("dd");
        term.textContent = label;
        description.textContent = value;
        return [term, description];
      }),
    );
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
      show("working");
      carry({ agreement });
    };
    element("refuse").onclick = () => finish(refused);
    show("consent");
    fitPopup();
    element(question.pin ? "pin" : "title").focus({ preventScroll: true }); // with a PIN field or not, the top of the question stays in view
    restartConsentDelay();
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
      finish(refusal);
    }
  });
  site.window.postMessage(JSON.stringify({ func: firstWord }), "*");
})();
