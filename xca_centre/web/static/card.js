// SPDX-License-Identifier: Apache-2.0
// Pages about a card in the reader: detect it, show what it is, and have the local component do what the page is for.
// The component's window asks for PINs and user codes; nothing of them comes here.

import { changePin, openCard, readCards, resetPin } from "/login/xca-login.js";
import { tell } from "./words.js";

const TRIES = 10; // the acceptance is on its way to the centre
const PAUSE_MILLISECONDS = 500;
const ACTS = { activate: openCard, reset_pin: resetPin, change_pin: changePin };
const AGAINST = { activate: "activation", reset_pin: "pin_reset" };

const page = document.querySelector("[data-card-page]");
const { act, component, facts: factsAddress, issuer, none, strange } = page.dataset;
const one = (name, within = document) => within.querySelector(`[data-card-${name}]`);
const [words, choice, go] = [one("words"), one("choice"), one("go")];
const options = { component };
let cards = [];

function show(facts) {
  for (const place of page.querySelectorAll("[data-fact]")) {
    place.textContent = facts?.[place.dataset.fact] ?? "—";
  }
}

async function ask({ signing }) {
  const answer = await fetch(factsAddress, {
    method: "POST",
    headers: { Accept: "application/json" },
    body: new URLSearchParams({ signing: signing ?? "" }),
  });
  return answer.ok ? await answer.json() : null;
}

async function choose() {
  const card = cards[choice.selectedIndex];
  const facts = await ask(card);
  show(facts ?? { card: card.number });
  const against = facts?.[AGAINST[act]] ?? null;
  words.textContent = facts === null ? strange : against === null ? "" : `${against.message} ${against.next_step}`;
  if (go !== null) {
    go.disabled = facts === null || against !== null;
  }
}

one("detect").addEventListener("click", async () => {
  words.textContent = "";
  try {
    ({ cards } = await readCards(options));
    choice.replaceChildren(...cards.map(({ reader, number }) => new Option(`${reader} (${number})`)));
    choice.disabled = cards.length === 0;
    if (cards.length === 0) {
      show(null);
      words.textContent = none;
    } else {
      await choose();
    }
  } catch (error) {
    tell(words, error);
  }
});

choice.addEventListener("change", choose);

async function accept(acceptance) {
  await fetch("/acceptances", {
    method: "POST",
    headers: { "Content-Type": "application/pkcs7-mime", Accept: "application/json" },
    body: Uint8Array.from(atob(acceptance), (character) => character.charCodeAt(0)),
  });
}

// Tell whether the certificates are accepted: the component may be sending the acceptance itself.
async function isAccepted(card) {
  for (let tried = 0; tried < TRIES; tried += 1) {
    const facts = await ask(card);
    show(facts);
    if (facts?.state === "valid") {
      return true;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MILLISECONDS));
  }
  return false;
}

go?.addEventListener("click", async () => {
  const card = cards[choice.selectedIndex];
  words.textContent = "";
  go.disabled = true;
  try {
    const said = await ACTS[act]({ card: card.number, issuer, ...options });
    let place = one("done");
    if (act === "activate") {
      if (said.acceptance !== null) {
        await accept(said.acceptance);
      }
      place = (await isAccepted(card)) ? place : one("open");
    }
    place.hidden = false;
    place.setAttribute("role", "status");
  } catch (error) {
    go.disabled = false;
    tell(words, error);
  }
});
