// SPDX-License-Identifier: Apache-2.0
// Carries one request from the site that opened this window to the agent, and its answer back. It speaks before the
// rest of the window is there.
"use strict";

(() => {
  const FAILED = { ret_code: 0x7600000d, last_error: 0, message: "元件沒有回應" };

  const { hello, answers } = document.currentScript.dataset;
  const ready = new Promise((resolve) => document.addEventListener("DOMContentLoaded", resolve));
  const site = { window: window.opener, origin: null, request: null };
  const element = (id) => document.getElementById(id);
  let refusal = null; // what to answer if the person closes the window

  function show(id) {
    for (const part of ["working", "alone", "consent"]) {
      element(part).hidden = part !== id;
    }
  }

  function finish(answer) {
    refusal = null;
    // A page without an origin (a file, a sandbox) can only be answered openly; it is never told more than a refusal.
    site.window.postMessage(answer, site.origin === "null" ? "*" : site.origin);
    for (const field of document.querySelectorAll("input")) {
      field.value = "";
    }
    window.close();
  }

  async function carry(agreement) {
    let reply = {};
    try {
      const response = await fetch("/popup", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ site: site.origin, request: site.request, ...agreement }),
      });
      reply = await response.json();
    } catch {
      // The agent ended; the answer below says so.
    }
    if (reply.consent) {
      await ready;
      ask(reply.consent, reply.refusal);
    } else {
      finish(reply.answer || JSON.stringify({ ...FAILED, ...reply, func: answerName() }));
    }
  }

  // The name of the answer, which pages wait for, where the agent could not give one.
  function answerName() {
    try {
      const { func } = JSON.parse(site.request);
      return JSON.parse(answers)[func] ?? func ?? "";
    } catch {
      return "";
    }
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
    const asked = {
      pin: question.pin,
      "new-pin": question.newPin,
      again: question.newPin,
      "last-try": question.lastTry,
      "for-a-while": question.forAWhile,
    };
    for (const [field, isAsked] of Object.entries(asked)) {
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
    makeRoom();
    element(question.pin ? "pin" : "title").focus({ preventScroll: true }); // who asks, and for what, comes first
    hesitate();
  }

  if (!site.window) {
    ready.then(() => show("alone"));
    return;
  }
  window.addEventListener("message", (event) => {
    if (event.source === site.window && site.request === null && typeof event.data === "string") {
      site.origin = event.origin;
      site.request = event.data;
      carry({});
    }
  });
  // Not pagehide: what a closing window says then no longer arrives.
  // Only if it is the person who closes it: a site whose button is pressed once more leads its window here again, and
  // would take this for the answer to its new request.
  window.addEventListener("beforeunload", () => {
    if (refusal !== null && document.hasFocus()) {
      finish(refusal);
    }
  });
  site.window.postMessage(JSON.stringify({ func: hello }), "*");
})();
