// SPDX-License-Identifier: Apache-2.0
// Lets pages use an organisation IC card, through the local component on the holder's computer: this project's or the
// vendor's. It logs the holder in, reads cards, signs statements, opens envelopes, registers keys and opens cards (開卡).
//
//   <script type="module" src="/login/xca-login.js"></script>
//   <button data-xca-login="/login" data-next="/bids">…</button> <output data-xca-login-words></output>
//
// or, in the handler of a click: await logIn(). Types and meanings are in xca-login.d.ts.

const COMPONENT = "http://localhost:61161";
const CARD_MANAGEMENT = "/CardManagement/CMCPopForm";
const HELLO_SECONDS = 15;
const ANSWER_SECONDS = 170;
const PROBE_SECONDS = 30; // the person may be answering the browser's question
const LOOK_MILLISECONDS = 300;
const OLDEST = [1, 3, 4]; // serverVersion of the vendor's components that open windows for every function
const HELLOS = ["getTbs", "CMCAtn"];
const PERMISSIONS = ["loopback-network", "local-network-access"];

// What the component's codes (ret_code, as an unsigned number) mean here.
const MEANINGS = new Map([
  [0x76000031, "site_unknown"],
  [0x7600000f, "site_unknown"],
  [0x76000006, "card_missing"],
  [0x76100003, "reader_missing"],
  [0x76000998, "pin_needed"],
  [0x76000999, "refused"],
  [0x7600000e, "component_old"],
  [0x76100006, "pin_wrong"],
  [0x76400001, "not_opened"],
  [0x76400002, "not_opened"],
  [0x76400003, "not_opened"],
  [0x81000225, "card_closed"],
  [0x81000226, "card_open"],
]);
const ARGUMENTS_MISSING = 0x77301000; // and the 255 numbers above it
const PIN_LOCKED = 0xa4; // last_error (PKCS#11, CKR_PIN_LOCKED)
// last_error
const TRIES_LEFT = new Map([
  [0x80000001, 1],
  [0x80000002, 2],
]);

const WORDS = {
  busy: {
    "zh-TW": ["本機元件的視窗已開啟。", "請在該視窗完成操作，或關閉該視窗。"],
    en: ["A window of the local component is open.", "Finish what it asks there, or close that window."],
  },
  popup_blocked: {
    "zh-TW": ["瀏覽器封鎖了本機元件的視窗。", "請點選網址列上的彈出式視窗圖示，選擇「一律允許」，再操作一次。"],
    en: [
      "The browser blocked the window of the local component.",
      "Click the icon for pop-ups in the address bar, choose “Always allow”, and do it again.",
    ],
  },
  component_absent: {
    "zh-TW": ["本機元件沒有回應。", "請安裝並啟動本機元件，再操作一次。如瀏覽器詢問是否允許存取區域網路，請按「允許」。"],
    en: [
      "The local component does not answer.",
      "Install and start it. If the browser asks about your local network, click “Allow”. Then do it again.",
    ],
  },
  network_denied: {
    "zh-TW": [
      "瀏覽器不允許本網站連線至您電腦上的本機元件。",
      "請點選網址左側的圖示，開啟網站設定，將「本機網路」或「裝置上的應用程式」改為「允許」，再操作一次。",
    ],
    en: [
      "The browser does not let this site reach the local component on your computer.",
      "Click the icon left of the address, open the site's settings, and allow “Local network” or “Apps on device”. Then do it again.",
    ],
  },
  component_old: {
    "zh-TW": ["本機元件的版本過舊，不支援這項功能。", "請更新本機元件，再操作一次。"],
    en: ["The local component is too old: it does not know this function.", "Update it. Then do it again."],
  },
  function_missing: {
    "zh-TW": ["這個本機元件無法為本網站執行這項功能。", "請改用本專案的本機元件，再操作一次。"],
    en: ["This local component cannot do that for this site.", "Use this project's local component. Then do it again."],
  },
  window_cut: {
    "zh-TW": [
      "視窗在開始前即已關閉，或遭本網站的設定（Cross-Origin-Opener-Policy）隔離。",
      "請再操作一次。如再次發生，請洽本網站的管理單位。",
    ],
    en: [
      "The window was closed before it began, or this site's Cross-Origin-Opener-Policy cut it off.",
      "Do it again. If it happens again, tell the operator of this site.",
    ],
  },
  window_closed: {
    "zh-TW": ["視窗已關閉，尚未完成。", "請再操作一次。"],
    en: ["The window was closed before it was done.", "Do it again."],
  },
  component_slow: {
    "zh-TW": ["本機元件未能及時完成。", "請再操作一次。"],
    en: ["The local component did not finish in time.", "Do it again."],
  },
  site_unknown: {
    "zh-TW": ["本機元件尚未信任本網站。", "請點選下方連結，在本機元件新增本網站，再操作一次。"],
    en: ["The local component does not trust this site yet.", "Follow the link and add this site there. Then do it again."],
  },
  card_missing: {
    "zh-TW": ["讀卡機中沒有可用的卡片。", "請插入卡片，再操作一次。"],
    en: ["There is no card in the reader that can be used.", "Put the card in. Then do it again."],
  },
  reader_missing: {
    "zh-TW": ["找不到讀卡機。", "請接上讀卡機並插入卡片，再操作一次。"],
    en: ["There is no card reader.", "Connect it and put the card in. Then do it again."],
  },
  card_closed: {
    "zh-TW": ["卡片尚未開卡。", "請先開卡，再操作一次。"],
    en: ["The card was not activated yet.", "Activate it (開卡). Then do it again."],
  },
  card_open: {
    "zh-TW": ["卡片已開卡。", "可開始使用卡片。"],
    en: ["The card is active already.", "You can use it."],
  },
  pin_needed: {
    "zh-TW": ["這個本機元件不會詢問 PIN碼。", "請在本網頁輸入 PIN碼。"],
    en: ["This local component does not ask for the PIN itself.", "Type the PIN on this page."],
  },
  pin_wrong: {
    "zh-TW": ["PIN碼錯誤。", "請確認 PIN碼後再輸入。連續輸入錯誤三次會鎖卡。"],
    en: ["The PIN is wrong.", "Make sure of it before you type it again. Three wrong ones in a row lock the card."],
  },
  pin_locked: {
    "zh-TW": ["已鎖卡。", "請以用戶代碼重設 PIN碼。"],
    en: ["The PIN is locked.", "Reset it with the user code (用戶代碼)."],
  },
  refused: {
    "zh-TW": ["您在本機元件的視窗取消，或關閉了視窗。", "請再操作一次，並按「同意」。"],
    en: ["You refused in the window of the local component, or closed it.", "Do it again, and click “Agree” there."],
  },
  not_opened: {
    "zh-TW": [
      "這張卡片或這個本機元件無法解開資料。",
      "請使用登入時的卡片與本專案的本機元件。登記的公開金鑰仍保留，標示為未證明。",
    ],
    en: [
      "This card, or this local component, cannot open it.",
      "Use the card that you logged in with, and this project's component. A registered key stays, shown as not proved.",
    ],
  },
  component_refused: {
    "zh-TW": ["本機元件未完成。", "請再操作一次。"],
    en: ["The local component did not do it.", "Do it again."],
  },
  cancelled: {
    "zh-TW": ["操作已取消。", "請再操作一次。"],
    en: ["It was cancelled.", "Do it again."],
  },
  site_unreachable: {
    "zh-TW": ["無法連線至本網站。", "請檢查網路連線，再操作一次。"],
    en: ["This site cannot be reached.", "Check your network connection. Then do it again."],
  },
};

export class LoginError extends Error {
  constructor(code, words, link = null) {
    super(`${code}: ${words.en.message}`);
    this.name = "LoginError";
    this.code = code;
    this.words = words;
    this.link = link;
    this.triesLeft = null;
  }

  text(language = document.documentElement.lang || navigator.language) {
    const { message, nextStep } = this.words[/^en\b/i.test(language) ? "en" : "zh-TW"];
    return `${message}${/^en\b/i.test(language) ? " " : ""}${nextStep}`;
  }
}

function problem(code, message = null, link = null) {
  const words = {};
  for (const [language, [own, nextStep]] of Object.entries(WORDS[code])) {
    words[language] = { message: message ?? own, nextStep };
  }
  return new LoginError(code, words, link);
}

async function post(address, document, signal) {
  let answer;
  let said;
  try {
    answer = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: document === null ? null : JSON.stringify(document),
      cache: "no-store",
      credentials: "same-origin",
      redirect: "error",
      signal,
    });
    said = answer.status === 204 ? null : await answer.json();
  } catch {
    throw problem(signal?.aborted ? "cancelled" : "site_unreachable");
  }
  if (answer.ok) {
    return said;
  }
  if (typeof said?.code !== "string" || !said.message?.en || !said.next_step?.en) {
    throw problem("site_unreachable");
  }
  const words = {};
  for (const language of ["zh-TW", "en"]) {
    words[language] = { message: said.message[language], nextStep: said.next_step[language] };
  }
  throw new LoginError(said.code, words);
}

// Hand a request to the component's window, and return its answer.
function ask(popup, component, request, { signal, helloSeconds, answerSeconds }) {
  return new Promise((resolve, reject) => {
    let heard = false;
    let closed = 0;
    let limit = setTimeout(() => end(resolve, silence(component, signal)), helloSeconds * 1000);
    const look = setInterval(() => {
      // An answer may still be on its way when its window has closed.
      closed = popup.closed ? closed + 1 : 0;
      if (closed > 2) {
        end(reject, problem(heard ? "window_closed" : "window_cut"));
      }
    }, LOOK_MILLISECONDS);
    const cancel = () => end(reject, problem("cancelled"));
    async function listen(event) {
      if (event.origin !== component || event.source !== popup) {
        return;
      }
      let said = null;
      try {
        said = JSON.parse(event.data);
      } catch {
        return;
      }
      if (!HELLOS.includes(said?.func)) {
        end(resolve, said);
      } else if (!heard) {
        heard = true;
        clearTimeout(limit);
        limit = setTimeout(() => end(reject, problem("component_slow")), answerSeconds * 1000);
        try {
          // The vendor's component decodes it like a form, in which "+" is a blank.
          popup.postMessage(JSON.stringify(await request).replaceAll("+", "%2B"), component);
        } catch (error) {
          end(reject, error);
        }
      }
    }
    function end(settle, value) {
      clearTimeout(limit);
      clearInterval(look);
      window.removeEventListener("message", listen);
      signal?.removeEventListener("abort", cancel);
      settle(value);
    }
    window.addEventListener("message", listen);
    signal?.addEventListener("abort", cancel);
  });
}

// Find out why a window said nothing. A window needs no permission of the browser. A request does, so it is made only now.
async function silence(component, signal) {
  const limits = [AbortSignal.timeout(PROBE_SECONDS * 1000), ...(signal ? [signal] : [])];
  const request = { mode: "no-cors", cache: "no-store", credentials: "omit", signal: AbortSignal.any(limits) };
  const answers = await fetch(`${component}/pkcs11info`, request).then(() => true, () => false);
  if (signal?.aborted) {
    throw problem("cancelled");
  }
  if (answers) {
    throw problem("component_old");
  }
  throw problem((await isDenied()) ? "network_denied" : "component_absent");
}

async function isDenied() {
  for (const name of PERMISSIONS) {
    try {
      if ((await navigator.permissions.query({ name })).state === "denied") {
        return true;
      }
    } catch {
      // The browser has no such permission.
    }
  }
  return false;
}

let current = null;

// Open the component's window, and return the answer to a request, or to what a function returns as one. To be called before
// anything is waited for: browsers open windows in a click alone.
async function use(request, options, address = "/popupForm") {
  const { component = COMPONENT, signal, helloSeconds = HELLO_SECONDS, answerSeconds = ANSWER_SECONDS } = options;
  if (signal?.aborted) {
    throw problem("cancelled");
  }
  if (current !== null) {
    current.focus();
    throw problem("busy");
  }
  const popup = window.open(component + address, "xcaLogin", "popup,width=520,height=640");
  if (popup === null) {
    throw problem("popup_blocked");
  }
  current = popup;
  try {
    const asked = Promise.resolve(typeof request === "function" ? request() : request);
    const failed = new Promise((_, reject) => asked.catch(reject));
    const said = await Promise.race([
      ask(popup, component, asked, { signal, helloSeconds, answerSeconds }),
      failed,
    ]);
    if (said?.ret_code === 0) {
      return said;
    }
    throw meant(said, component);
  } finally {
    current = null;
    popup.close();
  }
}

// Return what an answer means that is no success.
function meant(said, component) {
  const code = typeof said?.ret_code === "number" ? said.ret_code >>> 0 : 0;
  const last = typeof said?.last_error === "number" ? said.last_error >>> 0 : 0;
  let name = MEANINGS.get(code) ?? "component_refused";
  if (code >>> 8 === ARGUMENTS_MISSING >>> 8) {
    name = "function_missing";
  }
  if (name === "component_refused") {
    return problem(name, typeof said?.message === "string" && said.message ? said.message : null);
  }
  if (name === "site_unknown") {
    return problem(name, null, `${component}/addDomain?domain=${encodeURIComponent(location.hostname)}`);
  }
  const error = problem(name === "pin_wrong" && last === PIN_LOCKED ? "pin_locked" : name);
  error.triesLeft = name === "pin_wrong" ? (TRIES_LEFT.get(last) ?? null) : null;
  return error;
}

// The component decodes values once more: in a PIN, "%41" would become another PIN, which costs a try.
function ofCard({ pin, card }) {
  const encodedPin = pin === undefined ? {} : { pin: encodeURIComponent(pin) };
  return { ...encodedPin, ...(card === undefined ? {} : { cardid: card }) };
}

function isBefore(version, oldest) {
  const numbers = String(version).split(".").map(Number);
  const at = oldest.findIndex((least, place) => numbers[place] !== least);
  return at >= 0 && numbers[at] < oldest[at];
}

function componentOf(said) {
  const isOwn = said.agent?.name === "xca-plugin";
  if (!isOwn && isBefore(said.serverVersion, OLDEST)) {
    throw problem("component_old");
  }
  return { kind: isOwn ? "xca" : "vendor", version: String(isOwn ? said.agent.version : said.serverVersion) };
}

export async function findComponent(options = {}) {
  return componentOf(await use({ func: "CheckEnvir" }, options));
}

export async function readCards(options = {}) {
  const said = await use({ func: "GetUserCert" }, options);
  const component = componentOf(said);
  const cards = [];
  for (const { slotDescription, token } of said.slots ?? []) {
    if (typeof token !== "object" || token === null) {
      continue; // an empty reader, or a card of another kind
    }
    const found = (label) => token.certs?.find((one) => one.label === label)?.certb64?.replace(/\s/g, "") ?? null;
    const [signing, encryption] = [found("cert1"), found("cert2")];
    cards.push({ number: token.serialNumber, reader: slotDescription, signing, encryption });
  }
  return { component, cards };
}

function signature(statement, options) {
  return {
    func: "MakeSignature",
    tbs: btoa(statement),
    tbsEncoding: "base64",
    hashAlgorithm: "SHA256",
    signatureType: "PKCS7",
    ...ofCard(options),
  };
}

function decryption(envelope, options) {
  return { func: "DecryptData", cipher: envelope, cipherType: "PKCS7", plainEncoding: "base64", ...ofCard(options) };
}

// Return a member of an answer that is base64.
function member(said, name) {
  if (typeof said[name] !== "string") {
    throw problem("component_refused");
  }
  return said[name].replace(/\s/g, "");
}

export async function sign(statement, options = {}) {
  const asked = typeof statement === "function" ? statement : () => statement;
  const request = async () => signature(await asked(), options);
  return member(await use(request, options), "signature");
}

export async function openEnvelope(envelope, options = {}) {
  let cipher = envelope;
  if (typeof envelope !== "string") {
    cipher = btoa(Array.from(envelope, (byte) => String.fromCharCode(byte)).join(""));
  }
  const plain = atob(member(await use(decryption(cipher, options), options), "plain"));
  return Uint8Array.from(plain, (character) => character.charCodeAt(0));
}

export async function openCard({ card, issuer, ...options } = {}) {
  const said = await use({ func: "openCard", cardid: card, caname: issuer }, options, CARD_MANAGEMENT);
  return { acceptance: typeof said.acceptance === "string" ? said.acceptance.replace(/\s/g, "") : null };
}

export async function resetPin({ card, issuer, ...options } = {}) {
  await use({ func: "resetUserPIN", cardid: card, caname: issuer }, options, CARD_MANAGEMENT);
}

export async function resetUserCode({ ticket, ...options } = {}) {
  const handed = typeof ticket === "function" ? ticket : () => ticket;
  const request = async () => ({ func: "resetUserCode", ticket: await handed() });
  await use(request, options, CARD_MANAGEMENT);
}

export async function changePin({ card, ...options } = {}) {
  await use({ func: "changeUserPINCode", cardid: card }, options);
}

export async function writeCertificate({ card, certificate, ...options } = {}) {
  await use({ func: "writecert", cardid: card, value: certificate }, options);
}

export async function logIn(options = {}) {
  const { path = "/login", signal } = options;
  const request = async () => signature((await post(`${path}/begin`, null, signal)).statement, options);
  const token = member(await use(request, options), "signature");
  return await post(`${path}/finish`, { token }, signal);
}

export async function registerKey(options = {}) {
  const { path = "/login", card, signal } = options;
  const { component, cards } = await readCards(options);
  let refusal = problem("card_missing");
  for (const { number, signing, encryption } of cards) {
    if (signing === null || encryption === null || (card !== undefined && card !== number)) {
      continue;
    }
    try {
      const key = await post(`${path}/register`, { signing, encryption }, signal);
      return { ...key, component };
    } catch (error) {
      if (error.code !== "card_different") {
        throw error;
      }
      refusal = error; // the card that logged in may be in another reader
    }
  }
  throw refusal;
}

export async function proveKey(options = {}) {
  const { path = "/login", signal } = options;
  const request = async () => decryption((await post(`${path}/prove`, null, signal)).envelope, options);
  const nonce = atob(member(await use(request, options), "plain"));
  return await post(`${path}/proved`, { nonce }, signal);
}

export async function logOut({ path = "/login" } = {}) {
  await post(`${path}/logout`, null);
}

const pageIsEnglish = () => /^en\b/i.test(document.documentElement.lang || navigator.language);
const make = (name, ...more) => Object.assign(document.createElement(name), ...more);

// Show something in a dialog of the page, with a button to go on; return the dialog.
function showDialog(content) {
  const dialog = make("dialog");
  const form = make("form", { method: "dialog" });
  form.append(content, " ", make("button", { textContent: pageIsEnglish() ? "Go on" : "繼續" }));
  dialog.append(form);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

// Ask for the PIN on the page: the vendor's component leaves that to sites. What is typed is kept nowhere.
function askPin(act) {
  const label = make("label", { textContent: pageIsEnglish() ? "PIN of the card: " : "卡片的 PIN碼：" });
  const pin = make("input", { type: "password", autocomplete: "off", required: true, maxLength: 8 });
  label.append(pin);
  showDialog(label).addEventListener("submit", () => act(pin.value)); // a click: it may open a window
}

// Tell what the site says about a login before the page is left. The Escape key goes on, too.
function tell(notice, go) {
  showDialog(make("p", { textContent: notice[pageIsEnglish() ? "en" : "zh-TW"] })).addEventListener("close", go);
}

const BUTTONS = { xcaLogin: logIn, xcaLogout: logOut, xcaRegister: registerKey, xcaProve: proveKey };

function listenTo(button, name, words) {
  async function act(pin) {
    const { [name]: path, next, component } = button.dataset;
    try {
      const detail = await BUTTONS[name]({ path, component, pin });
      const go = () => location.assign(next ?? "/");
      if (name === "xcaLogin" && detail.notice !== null) {
        tell(detail.notice, go);
      } else if (name === "xcaLogin" || name === "xcaLogout" || next !== undefined) {
        go();
      } else {
        button.dispatchEvent(new CustomEvent("xca-done", { detail, bubbles: true }));
      }
    } catch (error) {
      if (error.code === "pin_needed") {
        askPin(act);
        return;
      }
      if (words === null || !(error instanceof LoginError)) {
        throw error;
      }
      words.textContent = error.text();
      if (error.link !== null) {
        const link = document.createElement("a");
        // The component learns from the referrer which scheme and port to trust, whatever the page's own policy is.
        const referrerPolicy = "origin";
        Object.assign(link, { href: error.link, target: "_blank", referrerPolicy, textContent: error.link });
        words.append(" ", link);
      }
    }
  }
  button.addEventListener("click", () => act());
}

const MARKED = "[data-xca-login], [data-xca-logout], [data-xca-register], [data-xca-prove]";
for (const button of document.querySelectorAll(MARKED)) {
  const name = Object.keys(BUTTONS).find((one) => one in button.dataset);
  listenTo(button, name, document.querySelector("[data-xca-login-words]"));
}
