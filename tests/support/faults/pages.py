# SPDX-License-Identifier: Apache-2.0
"""Sends one request to the agent with a fault: python -m support.faults.pages (forking.py)."""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from html import unescape
from importlib import import_module
from importlib.metadata import entry_points
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import Any, Final
from urllib.parse import quote

from starlette.testclient import TestClient

from support.faults.forking import Request, serve
from xca_login.testing.parties import party
from xca_login.testing.tokens import signed
from xca_plugin import cards, enveloped
from xca_plugin.agent.files import parser, parser_process
from xca_plugin.agent.process.app import create_app
from xca_plugin.agent.process.settings import Settings
from xca_plugin.agent.process.state import AgentState

SITE: Final = "https://portal.example.gov.tw"
Answer = Any
"""A response of httpx, or of the package that Starlette uses in its place."""
CONTENT: Final = b"content"
SIGNED: Final[list[tuple[str, bytes, str]]] = []
"""A file, its signature and the root certificate of its signer, made once: name, content and role."""
_FORM: Final = {"Accept": "text/html", "Accept-Language": "en"}


class Person:
    """Uses the agent's pages.

    Args:
        client: the agent.
        request: the request to this process: card, pin and new_pin, and the site.
        arm: arms the fault; it is called before the one request that is tried.
    """

    def __init__(self, client: TestClient, request: Request, arm: Callable[[], None]) -> None:
        self._client, self._said, self._arm = client, request, arm
        self._headers = _FORM | {"Origin": str(client.base_url)}

    def word(self) -> Answer:
        fields = {"token": self._token("/", '/word"'), "word": "whale"}
        return self._send("/word", fields)

    def change_sites(self, action: str) -> Answer:
        fields = {"token": self._token("/sites", "/sites"), "action": action, "site": self._said["site"]}
        return self._send("/sites", fields)

    def add_site(self) -> Answer:
        path = f"/addDomain?domain={self._said['site'].partition('//')[2]}"
        return self._send(
            "/addDomain", {"token": self._token(path, "/addDomain"), "site": self._said["site"]}
        )

    def switch_blind_on(self) -> Answer:
        """Switch blind requests on in the popup of a site."""
        hashed = {"func": "MakeSignature", "signatureType": "RAW", "tbs": b64encode(bytes(32)).decode()}
        asked = {"site": SITE, "request": json.dumps(hashed | {"pin": self._said["pin"]})}
        headers = {"Origin": str(self._client.base_url)}
        question = self._client.post("/popup", json=asked, headers=headers).json()["consent"]
        self._arm()
        return self._client.post("/popup", json=asked | {"switchOn": question["ticket"]}, headers=headers)

    def ask_as_site(self) -> Answer:
        self._arm()
        return self._client.get("/pkcs11info", headers={"Origin": SITE})

    def change_pin(self) -> Answer:
        said = self._said
        fields = {
            "card": said["card"],
            "secret": said["pin"],
            "new_pin": said["new_pin"],
            "again": said["new_pin"],
        }
        return self._send("/change-pin", {"token": self._token("/change-pin", "/change-pin"), **fields})

    def upload(self) -> Answer:
        token = self._upload_token("/files/encrypt")
        self._arm()
        return self._upload("/files/encrypt", token, "", "a.txt", b"content")

    def file_job(self, path: str) -> Answer:
        """Do a job with files to its end, and return the page of its results."""
        token, job = self._upload_token(path), ""
        for name, content, role in self._files(path):
            job = self._upload(path, token, job, name, content, role).json()["job"]
        page = self._client.get(f"{path}?job={job}", headers=_FORM).text
        form = page[page.index(f'action="{path}"') :]
        fields = {"token": _value(form, "token"), "job": job, "card": self._said["card"], "trust": "file"}
        self._arm()
        answer = self._client.post(
            path, data=fields | {"secret": self._said["pin"]}, headers=self._headers, follow_redirects=True
        )
        while 'class="working"' in answer.text:
            answer = self._client.get(str(answer.url), headers=_FORM)
        return answer

    def _files(self, path: str) -> list[tuple[str, bytes, str]]:
        """Return the files of a job: name, content and role."""
        if path == "/files/verify":
            return SIGNED
        if path == "/files/sign":
            return [("a.txt", CONTENT, "content")]
        wanted = {"card": self._said["card"], "label": "cert2", "form": "pem"}
        certificate = self._client.get("/certificate", params=wanted).content
        if path == "/files/encrypt":
            return [("a.txt", CONTENT, "content"), ("cert2.pem", certificate, "recipient")]
        encrypted = BytesIO()
        with NamedTemporaryFile() as recipient, TemporaryFile() as content:
            recipient.write(certificate)
            recipient.flush()
            content.write(CONTENT)
            content.seek(0)
            enveloped.encrypt(content, encrypted, enveloped.recipients_in([Path(recipient.name)]))
        return [("a.txt.p7e", encrypted.getvalue(), "content")]

    def _upload(
        self, path: str, token: str, job: str, name: str, content: bytes, role: str = "content"
    ) -> Answer:
        headers = {
            "Origin": str(self._client.base_url),
            "Content-Type": "application/octet-stream",
            "Accept-Language": "en",
            "X-Name": quote(name),
            "X-Token": token,
        }
        query = {"page": path, "role": role, "job": job}
        return self._client.post("/files/upload", params=query, content=content, headers=headers)

    def _upload_token(self, path: str) -> str:
        found = re.search('data-token="([^"]*)"', self._client.get(path, headers=_FORM).text)
        assert found
        return found[1]

    def _token(self, path: str, action: str) -> str:
        page = self._client.get(path, headers=_FORM).text
        return _value(page[page.index(f'action="{action}') :], "token")

    def _send(self, path: str, fields: Mapping[str, str]) -> Answer:
        self._arm()
        return self._client.post(path, data=dict(fields), headers=self._headers, follow_redirects=True)


async def _answer(question: bytes) -> bytes:
    """Answer what the agent would ask a process of its own: the faults are in this one."""
    return json.dumps(parser_process.answered(json.loads(question))).encode()


def _value(html: str, name: str) -> str:
    found = re.search(f'name="{name}" value="([^"]*)"', html)
    assert found, html
    return unescape(found[1])


def run(request: Request, arm: Callable[[], None], disarm: Callable[[], None]) -> int:
    """Send the request; print the status and the text of the answer, JSON."""
    state = AgentState.create(Settings.load())
    with TestClient(create_app(state), base_url=state.settings.origins()[0]) as client:
        person = Person(client, request, arm)
        do: Callable[..., Answer] = getattr(person, request["do"])
        answer = do(*request["with"])
        disarm()
    print(json.dumps({"status": answer.status_code, "text": _words(answer.text)}))
    return 0


def _signed() -> list[tuple[str, bytes, str]]:
    root = party("root", ca=True)
    signature = signed(party("signer", root), CONTENT)
    return [
        ("a.txt", CONTENT, "content"),
        ("a.txt.p7s", signature, "content"),
        ("root.pem", root.pem, "root"),
    ]


def _words(text: str) -> str:
    main = text.partition("<main")[2] or text
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", main)))


if __name__ == "__main__":
    for name in (
        *("encodings.utf_8_sig", "xca_plugin.cms", "xca_plugin.hicos", "xca_plugin.pdf_verification"),
        *("xca_plugin.verification", "xca_plugin.verification_report"),
    ):
        import_module(name)
    SIGNED[:] = _signed()
    vars(parser)["_answer"] = _answer
    vars(cards)["entry_points"] = entry_points().select  # else each run reads those of all distributions
    serve(run)
