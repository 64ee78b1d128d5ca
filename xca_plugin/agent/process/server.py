# SPDX-License-Identifier: Apache-2.0
"""Runs the agent: sockets, limits, log and the HTTP server."""

import asyncio
import os
import resource
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from xca_plugin.agent.process import log
from xca_plugin.agent.process.app import create_app
from xca_plugin.agent.process.settings import Settings
from xca_plugin.agent.process.socket_owner import owner_of
from xca_plugin.agent.process.state import AgentState
from xca_plugin.agent_port import listen

HEAD_SECONDS: Final = 5.0
"""Seconds in which the head of a request has to arrive."""

_LOOPBACK: Final = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}


class LocalProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol, with two more rules.

    Only programs of the agent's own user, and of root, are answered. The head of a request has to arrive in
    HEAD_SECONDS.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        """Start the time limit of a new connection; abort a connection of another user."""
        if _is_own(transport):
            super().connection_made(transport)
            self._set_time_limit()
        else:
            transport.set_protocol(asyncio.Protocol())  # what it sends is not read
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Stop the time limit when a head is complete; start it for the next request."""
        super().data_received(data)
        self._set_time_limit()

    def _set_time_limit(self) -> None:
        if self.conn.their_state is h11.IDLE:
            self._deadline = self._deadline or self.loop.call_later(HEAD_SECONDS, self.transport.close)
        elif self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Server(uvicorn.Server):
    """A server that calls `started` once it listens. From then on it ends in good order on a signal."""

    def __init__(self, configuration: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(configuration)
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started()


def run(settings: Settings, listening: Callable[[str], None]) -> None:
    """Serve until the process is told to end (SIGTERM, SIGINT).

    Args:
        settings: port 0 takes any free one.
        listening: called with the agent's address once it listens.

    Raises:
        PortTaken: another program listens there.
        FileProblem: the log cannot be written.
    """
    sockets = listen(settings.port)
    settings = replace(settings, port=sockets[0].getsockname()[1])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # With the usual soft limit, the connections of one program could use up all file descriptors.
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    log.start(settings)
    state = AgentState.create(settings)
    configuration = uvicorn.Config(
        create_app(state),
        http=LocalProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
    )

    def started() -> None:
        listening(settings.origins()[0])
        _tell_systemd()

    with suppress(KeyboardInterrupt):
        _Server(configuration, started).run(sockets)
    if not state.card_worker.stopped:
        os._exit(1)  # at its end Python would wait for the worker's thread


def _tell_systemd() -> None:
    """Tell systemd that the agent listens, if it waits for that (sd_notify(3))."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
            notifier.sendto(b"READY=1", address.replace("@", "\0", 1) if address[0] == "@" else address)


def _is_own(transport: asyncio.Transport) -> bool:
    """Tell whether the other end of a connection belongs to the agent's user or to root."""
    client, server = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    if not client or client[0] not in _LOOPBACK:
        return False
    try:
        owner = owner_of(_LOOPBACK[client[0]], client[:2], server[:2])
    except OSError:  # no file descriptor is left: in doubt the connection is refused
        return False
    return owner is not None and owner.user in (os.getuid(), 0) and owner.inode != 0
