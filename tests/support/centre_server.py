# SPDX-License-Identifier: Apache-2.0
"""A small HTTP server that stands for a centre: it keeps what is posted, and answers as a test says."""

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from support.cli.xcactl import Workspace

Answer = tuple[int, Mapping[str, str], Any]
"""Status, headers, and body (JSON, or bytes)."""

ACCEPTED: Answer = (200, {}, {"outcome": "accepted", "card": "-", "accepted": "-", "state": "valid"})
BUSY: Answer = (
    503,
    {"Retry-After": "120"},
    {"code": "unavailable", "final": False, "detail": "The database is away."},
)


def refused(message: str, chinese: str) -> Answer:
    """The answer of a centre that refuses for good."""
    words = {"message": {"en": message, "zh-TW": chinese}, "next_step": {"en": "Ask.", "zh-TW": "請洽詢。"}}
    return 409, {}, {"code": "certificate_revoked", "final": True, "detail": message, **words}


@dataclass
class CentreServer:
    """The server.

    Attributes:
        origin: its address.
        answer: what each post is answered.
        posts: path, headers and body of each.
    """

    origin: str
    answer: Answer = ACCEPTED
    posts: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)


@contextmanager
def centre_server(tls: ssl.SSLContext | None = None) -> Iterator[CentreServer]:
    """Run the server on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            served.posts.append((self.path, dict(self.headers), body))
            status, headers, said = served.answer
            answer = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "http" if tls is None else "https"
    served = CentreServer(f"{scheme}://127.0.0.1:{server.server_address[1]}")
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


def configure(workspace: Workspace, origin: str, *, issuer: Path, ca: Path | None = None) -> None:
    """Name a centre in the user's configuration."""
    folder = workspace.home / ".config" / "xca"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["[centre]", f"url = {origin}", f"issuer = {issuer}", *([f"ca = {ca}"] if ca else [])]
    (folder / "centre.conf").write_text("".join(f"{line}\n" for line in lines))
