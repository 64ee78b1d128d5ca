# SPDX-License-Identifier: Apache-2.0
"""Web sites' requests over HTTP, as a browser sends them: directly, or through the popup."""

import base64
import json
import subprocess
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from support.agent.agent_process import SECONDS, Agent

SITE = "https://portal.example.gov.tw"
"""A site that tests trust."""
Json = dict[str, Any]

get = partial(httpx.get, timeout=SECONDS)
post = partial(httpx.post, timeout=SECONDS)
options = partial(httpx.options, timeout=SECONDS)


@dataclass(frozen=True)
class SiteClient:
    """A site that sends requests to an agent.

    Attributes:
        agent: the agent.
        origin: the site's.
        http: a client without a past.
    """

    agent: Agent
    origin: str = SITE
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=SECONDS))

    def get(self, path: str) -> httpx.Response:
        return self.http.get(f"{self.agent.url}{path}", headers={"Origin": self.origin})

    def post(self, path: str, body: str | Json = "", **headers: str) -> Json:
        content = body if isinstance(body, str) else f"tbsPackage={json.dumps(body)}"
        response = self.http.post(
            f"{self.agent.url}{path}", content=content.encode(), headers={"Origin": self.origin, **headers}
        )
        assert response.status_code == 200, response.text
        answer: Json = response.json()
        return answer

    def popup(
        self,
        request: str | Json,
        choice: Json | None = None,
        switch_on: str | None = None,
        **agreement: object,
    ) -> Json:
        """Send what the popup sends: the request, and what the person chose, switched on or agreed to."""
        said: Json = {
            "site": self.origin,
            "request": request if isinstance(request, str) else json.dumps(request),
        }
        if choice:
            said["choice"] = choice
        if switch_on:
            said["switchOn"] = switch_on
        if agreement:
            said["agreement"] = agreement
        response = self.http.post(f"{self.agent.url}/popup", json=said, headers={"Origin": self.agent.url})
        assert response.status_code == 200, response.text
        answer: Json = response.json()
        return answer

    def ask(self, request: Json, **agreement: object) -> Json:
        """Send a request through the popup; if it asks, the person agrees."""
        reply = self.popup(request)
        if "consent" in reply:
            consent = reply["consent"]
            reply = self.popup(
                request, None, None, ticket=consent["ticket"], number=consent["number"], **agreement
            )
        answer: Json = json.loads(reply["answer"])
        return answer


def openssl(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    """Run OpenSSL as a server would; it must succeed."""
    done = subprocess.run(["openssl", *map(str, arguments)], input=stdin, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def certificate(answer: Json, folder: Path) -> Path:
    path = folder / "cert.pem"
    path.write_bytes(openssl("x509", "-inform", "DER", stdin=base64.b64decode(answer["certb64"])))
    return path


def public_key(answer: Json, folder: Path) -> Path:
    path = folder / "key.pem"
    path.write_bytes(openssl("x509", "-in", certificate(answer, folder), "-pubkey", "-noout"))
    return path


def verify(answer: Json, hash_name: str, content: bytes, folder: Path) -> None:
    """Verify RSASSA-PKCS1-v1_5 as servers do."""
    assert (answer["ret_code"], answer["last_error"], answer["func"]) == (0, 0, "sign"), answer
    signature = folder / "signature"
    signature.write_bytes(base64.b64decode(answer["signature"]))
    openssl(
        "dgst", f"-{hash_name}", "-verify", public_key(answer, folder), "-signature", signature, stdin=content
    )
