# SPDX-License-Identifier: Apache-2.0
"""Web sites of other origins, with pages that speak the vendor's protocol."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# What a page of a site has: a button for a window that carries one request, a picture with the information.
PAGE = """<!doctype html><meta charset="utf-8"><title>site</title>
<button id="go">go</button>
<script>
let base = new URLSearchParams(location.search).get("agent");
window.answers = [];
window.helloAfter = null;
window.doneAfter = null;
function ask(path, request) {
  // As a click: the window must not be opened later than that.
  const go = document.getElementById("go");
  let clicked = 0;
  go.onclick = () => {
    clicked = performance.now();
    const popup = window.open(base + path, "ChtPopupForm", "height=200,width=200,left=100,top=20");
    window.blocked = popup === null;
    window.popup = popup;
    window.listen();
  };
  window.listen = () => {
    const listen = (event) => {
      if (event.origin !== base) { return; }
      const said = JSON.parse(event.data);
      if (said.func === "getTbs" || said.func === "CMCAtn") {
        window.helloAfter = performance.now() - clicked;
        event.source.postMessage(JSON.stringify(request).replace(/\\+/g, "%2B"), "*");
      } else {
        window.doneAfter = performance.now() - clicked;
        window.answers.push(said);
        window.removeEventListener("message", listen);
      }
    };
    window.removeEventListener("message", window.listening);
    window.listening = listen;
    window.addEventListener("message", listen);
  };
}
function information() {
  return new Promise((resolve) => {
    const image = new Image();
    image.crossOrigin = "Anonymous";
    image.onerror = () => resolve(null);
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = 2000; canvas.height = 1;
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0);
      const data = context.getImageData(0, 0, 2000, 1).data;
      let text = "";
      for (let at = 0; at < data.length && data[at + 2] !== 0; at += 4) {
        text += String.fromCharCode(data[at + 2], data[at + 1], data[at]);
      }
      resolve(JSON.parse(text));
    };
    image.src = base + "/p11Image.bmp?" + Date.now();
  });
}
function addDomain(host) {
  const go = document.getElementById("go");
  go.onclick = () => {
    window.popup = window.open(
      base + "/addDomain?domain=" + (host || location.hostname), "addDomain", "height=400,width=400");
    window.addEventListener("message", (event) => {
      if (event.origin === base && JSON.parse(event.data).ret_code === 0) { location.reload(); }
    });
  };
}
function get(path, init) {
  return fetch(base + path, init).then((answer) => answer.json()).catch(() => null);
}
if (location.hash === "#at-once") {
  ask("/popupForm", {func: "CheckEnvir"});
  document.getElementById("go").onclick();
}
</script>
"""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a browser that has gone is no error
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def site(page: str = PAGE, **headers: str) -> Iterator[str]:
    """Serve one page at every path of a free port; the value is its origin, http://127.0.0.1:PORT."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
