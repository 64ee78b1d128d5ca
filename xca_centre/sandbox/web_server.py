# SPDX-License-Identifier: Apache-2.0
"""The web server of the sandbox's own pages, in the process that the person started."""

from collections.abc import Callable
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from xca_common.web.listening import listening_socket

HOST: Final = "127.0.0.1"


class WebServer:
    """Serves until it is ended, or Ctrl-C is pressed.

    Args:
        port: where it listens.
        make: makes the program for an address.
    """

    def __init__(self, port: int, make: Callable[[str], ASGIApp]) -> None:
        self._port, self._make = port, make
        self._server: uvicorn.Server | None = None

    def serve(self, show: Callable[[str], object]) -> None:
        """Serve.

        Args:
            show: is told the address when it listens.

        Raises:
            OSError: another program has the port.
        """
        with listening_socket(HOST, self._port) as bound:
            address = f"http://{HOST}:{bound.getsockname()[1]}"
            config = uvicorn.Config(
                self._make(address), log_config=None, access_log=False, server_header=False, lifespan="off"
            )
            self._server = uvicorn.Server(config)
            show(address)
            self._server.run(sockets=[bound])

    def end(self) -> None:
        """End it, from another thread."""
        if self._server is not None:
            self._server.should_exit = True
