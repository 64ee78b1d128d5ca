# SPDX-License-Identifier: Apache-2.0
"""The agent as a running program: its sockets on the loopback addresses, and who else may hold its port."""

import asyncio
import errno
import logging
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import h11
import psutil
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from xca_plugin import errors
from xca_plugin.agent.app import create_app
from xca_plugin.agent.settings import Settings
from xca_plugin.i18n import Text, text

HEAD_SECONDS: Final = 5.0
"""Seconds in which the head of a request has to arrive."""

_NO_IPV6: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


_LOOPBACK: Final = {
    "127.0.0.1": (Path("/proc/net/tcp"), "0100007F"),
    "::1": (Path("/proc/net/tcp6"), "0" * 24 + "01000000"),
}


class WaryProtocol(H11Protocol):
    """uvicorn's own protocol, for the same user alone, and not waiting for ever for the rest of a head."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Give a new connection its time, or end it."""
        super().connection_made(transport)
        if _is_own(transport):
            self._watch()
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Give the next request its time, until its head is complete."""
        super().data_received(data)
        self._watch()

    def _watch(self) -> None:
        if self.conn.their_state is h11.IDLE:
            self._deadline = self._deadline or self.loop.call_later(HEAD_SECONDS, self.transport.close)
        elif self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Server(uvicorn.Server):
    """Tells when it can be reached; from then on signals end it in good order."""

    def __init__(self, configuration: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(configuration)
        self._tell = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell()


def run(settings: Settings, listening: Callable[[str], None]) -> None:
    """Serve until the process is told to end (SIGTERM, SIGINT).

    Args:
        settings: port 0 takes any free one.
        listening: told the agent's address when it can be reached.

    Raises:
        PortTaken: another program listens there.
    """
    sockets = _listen(settings.port)
    settings = replace(settings, port=sockets[0].getsockname()[1])
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    configuration = uvicorn.Config(
        create_app(settings),
        http=WaryProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
    )
    with suppress(KeyboardInterrupt):
        _Server(configuration, lambda: listening(settings.origins()[0])).run(sockets)


def _listen(port: int) -> list[socket.socket]:
    """Bind the port on 127.0.0.1 and, where there is IPv6, on ::1; nowhere else."""
    sockets: list[socket.socket] = []
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            sockets.append(socket.create_server((address, port), family=family, backlog=1024))
        except OSError as error:
            if sockets and error.errno in _NO_IPV6:
                break
            for bound in sockets:
                bound.close()
            if error.errno != errno.EADDRINUSE:
                raise
            raise errors.PortTaken(port=port, holder=_holder(port)) from error
        # Accepted connections inherit it. Without it every answer's body waits 40 ms for the head's receipt.
        sockets[-1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port = sockets[0].getsockname()[1]
    return sockets


def _is_own(transport: Any) -> bool:
    """Tell whether the other end of a connection belongs to this program's user, or to root (proc(5))."""
    client, server = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    if not client or client[0] not in _LOOPBACK:
        return False
    table, address = _LOOPBACK[client[0]]
    ends = f"{address}:{client[1]:04X} {address}:{server[1]:04X}"
    _, _, rest = table.read_text(encoding="ascii").partition(f" {ends} ")
    fields = rest.split(maxsplit=5)  # state, queues, timer, retransmissions, user
    return len(fields) > 4 and int(fields[4]) in (os.getuid(), 0)


def _holder(port: int) -> Text | str:
    """Say which program listens on a port; the system tells only its owner and root."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
            try:
                name = psutil.Process(connection.pid).name()
            except psutil.Error:
                continue
            return text("{name} (process {pid})").having(name=name, pid=connection.pid)
    return text("a program of another user")
