# SPDX-License-Identifier: Apache-2.0
"""The socket that a web server listens at."""

import socket


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket for uvicorn, also for several processes.

    Connections inherit TCP_NODELAY. On the socket that uvicorn makes for several processes it is missing, and
    the body of each answer waits 40 ms for the ACK of the head.

    Args:
        host: an address of this machine.
        port: 0: any that is free.

    Raises:
        OSError: another program has the port, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.create_server((host, port), family=family, backlog=2048)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made
