# SPDX-License-Identifier: Apache-2.0
"""The web server of the demonstration: on this machine alone, for one person."""

from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = 30  # seconds, for a request to arrive

    def log_message(self, *_: object) -> None:
        """Say nothing: the terminal is the person's."""


class Server:
    """A web server with a free port of 127.0.0.1.

    Attributes:
        origin: of its pages.
    """

    def __init__(self, server: _Server) -> None:
        self._server = server
        self.origin = f"http://127.0.0.1:{server.server_port}"

    def serve(self, app: "WSGIApplication") -> None:
        """Answer requests from now on, in threads; what was asked before waits until then."""
        self._server.set_app(app)
        Thread(target=self._server.serve_forever, name="demo site", daemon=True).start()


@contextmanager
def listening() -> Iterator[Server]:
    """Listen until the end of the block.

    Raises:
        OSError: there is no free port.
    """
    server = _Server(("127.0.0.1", 0), _Handler)
    try:
        yield Server(server)
    finally:
        server.server_close()
