// SPDX-License-Identifier: Apache-2.0
// Logs the holder of an organisation IC card in, through the local component on the holder's computer.
//
//   <script type="module" src="/login/xca-login.js"></script>
//   <button data-xca-login="/login" data-next="/bids">…</button> <output data-xca-login-words></output>
//
// or, in the handler of a click: await logIn(). Types and meanings are in xca-login.d.ts.

const COMPONENT = "http://localhost:61161";
const HELLO_SECONDS = 15;
const ANSWER_SECONDS = 170;
const LOOK_MILLISECONDS = 300;
const UNKNOWN_SITE = 0x76000031;

const WORDS = {
  busy: {
    "zh-TW": ["登入視窗已開啟。", "請在該視窗完成登入，或關閉該視窗。"],
    en: ["The window of a login is open.", "Finish the login there, or close that window."],
  },
  popup_blocked: {
    "zh-TW": ["瀏覽器封鎖了登入視窗。", "請允許本網站開啟彈出式視窗，再重新登入。"],
    en: ["The browser blocked the window of the login.", "Allow pop-ups of this site. Then log in again."],
  },
  component_absent: {
    "zh-TW": ["本機元件沒有回應。", "請安裝並啟動本機元件，再重新登入。如瀏覽器詢問是否允許存取區域網路，請允許。"],
    en: [
      "The local component does not answer.",
      "Install and start it, and let this site reach the local network if the browser asks. Then log in again.",
    ],
  },
  window_cut: {
    "zh-TW": ["登入視窗在開始前即已關閉，或遭本網站的設定（Cross-Origin-Opener-Policy）隔離。", "請重新登入。如再次發生，請洽本網站的管理單位。"],
    en: [
      "The window was closed before the login began, or this site's Cross-Origin-Opener-Policy cut it off.",
      "Log in again. If it happens again, tell the operator of this site.",
    ],
  },
  window_closed: {
    "zh-TW": ["登入視窗已關閉，尚未登入。", "請重新登入。"],
    en: ["The window was closed, and you are not logged in.", "Log in again."],
  },
  component_slow: {
    "zh-TW": ["本機元件未能及時完成簽署。", "請重新登入。"],
    en: ["The local component did not sign in time.", "Log in again."],
  },
  site_unknown: {
    "zh-TW": ["本機元件尚未信任本網站。", "請在本機元件新增本網站，再重新登入。"],
    en: ["The local component does not trust this site yet.", "Add this site there. Then log in again."],
  },
  component_refused: {
    "zh-TW": ["本機元件未簽署。", "請重新登入。"],
    en: ["The local component did not sign.", "Log in again."],
  },
  cancelled: {
    "zh-TW": ["登入已取消。", "請重新登入。"],
    en: ["The login was cancelled.", "Log in again."],
  },
  site_unreachable: {
    "zh-TW": ["無法連線至本網站。", "請檢查網路連線，再重新登入。"],
    en: ["This site cannot be reached.", "Check your network connection. Then log in again."],
  },
};

export class LoginError extends Error {
  constructor(code, words, link = null) {
    super(`${code}: ${words.en.message}`);
    this.name = "LoginError";
    this.code = code;
    this.words = words;
    this.link = link;
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
function ask(popup, component, request, signal) {
  return new Promise((resolve, reject) => {
    let heard = false;
    let closed = 0;
    let limit = setTimeout(() => end(reject, problem("component_absent")), HELLO_SECONDS * 1000);
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
      if (said?.func !== "getTbs") {
        end(resolve, said);
      } else if (!heard) {
        heard = true;
        clearTimeout(limit);
        limit = setTimeout(() => end(reject, problem("component_slow")), ANSWER_SECONDS * 1000);
        try {
          popup.postMessage(JSON.stringify(await request), component);
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

let current = null;

export async function logIn({ path = "/login", component = COMPONENT, signal = undefined } = {}) {
  if (signal?.aborted) {
    throw problem("cancelled");
  }
  if (current !== null) {
    current.focus();
    throw problem("busy");
  }
  // Before anything is waited for: browsers open windows in a click alone.
  const popup = window.open(`${component}/popupForm`, "xcaLogin", "popup,width=520,height=640");
  if (popup === null) {
    throw problem("popup_blocked");
  }
  current = popup;
  try {
    const begun = post(`${path}/begin`, null, signal);
    const request = begun.then(({ statement }) => ({
      func: "MakeSignature",
      tbs: btoa(statement),
      tbsEncoding: "base64",
      hashAlgorithm: "SHA256",
      signatureType: "PKCS7",
    }));
    const failed = new Promise((_, reject) => request.catch(reject));
    const said = await Promise.race([ask(popup, component, request, signal), failed]);
    if (said?.ret_code === UNKNOWN_SITE) {
      const link = `${component}/addDomain?domain=${encodeURIComponent(location.hostname)}`;
      throw problem("site_unknown", null, link);
    }
    if (said?.ret_code !== 0 || typeof said.signature !== "string") {
      throw problem("component_refused", typeof said?.message === "string" && said.message ? said.message : null);
    }
    return await post(`${path}/finish`, { token: said.signature.replace(/\s/g, "") }, signal);
  } finally {
    current = null;
    popup.close();
  }
}

export async function logOut({ path = "/login" } = {}) {
  await post(`${path}/logout`, null);
}

for (const button of document.querySelectorAll("[data-xca-login]")) {
  const words = document.querySelector("[data-xca-login-words]");
  button.addEventListener("click", async () => {
    const { xcaLogin: path, next, component } = button.dataset;
    try {
      await logIn({ path, component });
      location.assign(next ?? "/");
    } catch (error) {
      if (words === null || !(error instanceof LoginError)) {
        throw error;
      }
      words.textContent = error.text();
      if (error.link !== null) {
        const link = document.createElement("a");
        Object.assign(link, { href: error.link, target: "_blank", textContent: error.link });
        words.append(" ", link);
      }
    }
  });
}
