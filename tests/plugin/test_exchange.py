# SPDX-License-Identifier: Apache-2.0
"""Questions over HTTP: limited in time, whatever the server does."""

import socket
import threading
import time
from contextlib import suppress

import pytest

from xca_plugin.exchange import Unanswered, exchange

SECONDS = 0.2


@pytest.mark.parametrize(
    ("begun", "slow"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", b"x", id="body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x", id="one header"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X: x\r\n", id="headers"),
        pytest.param(b"", b"H", id="status line"),
    ],
)
def test_answer_that_comes_bit_by_bit_holds_neither_the_program_nor_its_thread(
    begun: bytes, slow: bytes
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, suppress(OSError):  # the asker goes
                connection.recv(4096)
                connection.sendall(begun)
                for _ in range(500):
                    connection.sendall(slow)
                    time.sleep(SECONDS / 10)

        server = threading.Thread(target=serve)
        server.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        with pytest.raises(Unanswered):
            exchange(address, None, {}, most=1000, seconds=SECONDS, through_proxy=False)
        server.join(5)
        assert not server.is_alive()  # the connection was closed long before the last byte
