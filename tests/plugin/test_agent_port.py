# SPDX-License-Identifier: Apache-2.0
"""Another program listens on the agent's port and gives harmful answers."""

import time
from collections.abc import Callable
from contextlib import suppress
from socket import create_server, socket
from threading import Thread

import pytest

from xca_plugin import agent_port, errors


def nested(client: socket) -> None:
    """Answer JSON that is nested deeper than a parser goes."""
    body = b"[" * 1000
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def slow(client: socket) -> None:
    """Send one byte of an answer that never ends, again and again."""
    client.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(600):
        client.sendall(b"x")
        time.sleep(0.1)


@pytest.mark.parametrize("answer", [nested, slow])
def test_port_of_a_program_that_answers_oddly_is_taken(
    answer: Callable[[socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_port, "_SECONDS", 1.0)
    with create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client, suppress(OSError):
                client.recv(1000)
                answer(client)

        thread = Thread(target=serve)
        thread.start()
        started = time.monotonic()
        with pytest.raises(errors.PortTaken):
            agent_port.agent_at(server.getsockname()[1])
        assert time.monotonic() - started < 30
        thread.join()
