# SPDX-License-Identifier: Apache-2.0
"""A replica of the vendor's local component, as far as pages of sites see it, with a card in software.

It stands for the closed component on port 61161, and was written from a description of its protocol. What
they have in common: the window speaks first, to any opener. It carries one request to an address of its own
origin, as `tbsPackage=` and JSON, and the answer back. What is sent is decoded like a form, once. The PIN
comes from the page, and nobody is asked. No origin is added to what is signed. EnvelopedData in CBC mode is
opened, AuthEnvelopedData is not known. A card is opened only with the answers of the issuer's server.
"""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any
from urllib.parse import unquote_plus

from support.login_http import serving
from xca_common.pki.encrypted_data import EncryptedData, NotDecryptable
from xca_login.testing.parties import Party
from xca_login.testing.tokens import sign

PIN = "24%41+8"
_HELLO = """<!doctype html><meta charset="utf-8"><script>
const paths = PATHS;
addEventListener("message", async (event) => {
  const path = paths[JSON.parse(event.data).func];
  const answer = await fetch(path, {method: "POST", body: "tbsPackage=" + event.data});
  opener.postMessage(await answer.text(), "*");
  close();
});
opener.postMessage(JSON.stringify({func: "FIRST"}), "*");
</script>"""
_PATHS = {
    "CheckEnvir": "/pkcs11info",
    "GetUserCert": "/pkcs11info?withcert=true",
    "MakeSignature": "/sign",
    "DecryptData": "/decrypt",
    "openCard": "/CardManagement/sendCardCommand",
}
_FIRST_WORDS = {"/popupForm": "getTbs", "/ChtPopupForm": "getTbs", "/CardManagement/CMCPopForm": "CMCAtn"}

Json = dict[str, Any]


@dataclass
class VendorComponent:
    """The component, and the card in its reader.

    Attributes:
        signing, encryption: the card.
        version: serverVersion.
        said: an answer to every request, if it is another than that of the card.
        delay: seconds until a request is answered.
        speaks: whether its windows speak. Those of the oldest do not.
        asked: the requests that it was sent.
        url: its origin.
    """

    signing: Party
    encryption: Party
    version: str = "1.3.4.103349"
    said: Json | None = None
    delay: float = 0
    speaks: bool = True
    asked: list[Json] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str, body: bytes) -> Json:
        sent = unquote_plus(body.decode().removeprefix("tbsPackage="))
        asked = json.loads(sent) if sent else {}
        if asked:
            self.asked.append(asked)
        if self.said is not None:
            return self.said
        match path:
            case "/pkcs11info" | "/pkcs11info?withcert=true":
                return self._information(certificates="?" in path)
            case "/sign" | "/decrypt" if "pin" not in asked:
                return _failure(path, 0x76000998)
            case "/sign" | "/decrypt" if asked["pin"] != PIN:
                return _failure(path, 0x76100006) | {"last_error": -0x7FFFFFFE}
            case "/sign":
                signature = sign(self.signing, base64.b64decode(asked["tbs"]))
                return {"func": "sign", "ret_code": 0, "last_error": 0, "signature": _b64(signature)}
            case "/decrypt":
                return self._decrypt(base64.b64decode(asked["cipher"]))
        return _failure(path, 0x77301009)

    def _information(self, *, certificates: bool) -> Json:
        token: Json = {"serialNumber": "XC00000000012345", "label": "HiCOS PKI Smart Card"}
        if certificates:
            named = {"cert1": self.signing, "cert2": self.encryption}
            token["certs"] = [{"label": label, "certb64": _b64(one.der)} for label, one in named.items()]
        slots = [
            {"slotDescription": "empty", "token": None},
            {"slotDescription": "other", "token": "unknown token"},
            {"slotDescription": "reader", "token": token},
        ]
        return {"func": "pkcs11info", "ret_code": 0, "serverVersion": self.version, "slots": slots}

    def _decrypt(self, cipher: bytes) -> Json:
        data = EncryptedData(BytesIO(cipher))
        recipient = data.recipient(self.encryption.der)
        # id-ct-authEnvelopedData (RFC 5083, section 2) ends with the number 23 of 9.16.1.
        if bytes.fromhex("060b2a864886f70d0109100117") in cipher or recipient is None:
            return _failure("/decrypt", 0x76400001)
        plain = BytesIO()
        try:
            data.open(recipient, self.encryption.key, plain)
        except NotDecryptable:
            return _failure("/decrypt", 0x76400003)
        return {"func": "decrypt", "ret_code": 0, "last_error": 0, "plain": _b64(plain.getvalue())}


def _failure(path: str, code: int) -> Json:
    return {"func": path[1:], "ret_code": code, "message": "失敗", "last_error": 0}


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@contextmanager
def vendor_component(signing: Party, encryption: Party) -> Iterator[VendorComponent]:
    """Serve the replica on a port of its own."""
    component = VendorComponent(signing, encryption)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path in _FIRST_WORDS and component.speaks:
                page = _HELLO.replace("PATHS", json.dumps(_PATHS))
                self._send("text/html", page.replace("FIRST", _FIRST_WORDS[self.path]).encode())
            else:
                self._send("application/json", json.dumps(component.answer(self.path, b"")).encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(component.delay)
            self._send("application/json", json.dumps(component.answer(self.path, body)).encode())

        def _send(self, kind: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(OSError):  # the window was closed meanwhile
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        component.url = f"http://127.0.0.1:{port}"
        yield component
