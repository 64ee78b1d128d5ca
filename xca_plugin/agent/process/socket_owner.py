# SPDX-License-Identifier: Apache-2.0
"""Who owns the other end of a connection on this computer (sock_diag(7), proc(5))."""

import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_NLM_F_REQUEST: Final = 1
_ANY_STATE: Final = 0xFFFFFFFF
_NO_COOKIE: Final = 0xFFFFFFFF
_HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_REQUEST: Final = struct.Struct("=BBBBI")  # inet_diag_req_v2 up to the ends: family, protocol, 0, 0, states
_ENDS: Final = struct.Struct("!HH16s16s")  # inet_diag_sockid: ports, addresses
_INTERFACE: Final = struct.Struct("=III")  # the rest of inet_diag_sockid: interface, cookie
_ANSWER: Final = struct.Struct("=4x48x12xII")  # inet_diag_msg: user, inode


class Owner(NamedTuple):
    """The owner of a socket.

    Attributes:
        user: the user's id. A socket that is closed already has 0 here, as if it were root's.
        inode: the socket's inode; 0: the socket is closed.
    """

    user: int
    inode: int


def owner_of(family: int, source: tuple[str, int], destination: tuple[str, int]) -> Owner | None:
    """Return the owner of one TCP socket; None: there is no such socket.

    The kernel looks up this one socket. /proc/net/tcp lists all of them: with many that takes seconds.

    Args:
        family: socket.AF_INET or socket.AF_INET6.
        source: address and port of the socket.
        destination: address and port of its peer.

    Raises:
        OSError: the kernel cannot be asked, for example because no file descriptor is left.
    """
    addresses = [socket.inet_pton(family, end[0]).ljust(16, b"\0") for end in (source, destination)]
    request = (
        _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, _ANY_STATE)
        + _ENDS.pack(source[1], destination[1], *addresses)
        + _INTERFACE.pack(0, _NO_COOKIE, _NO_COOKIE)
    )
    head = _HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(1.0)  # it answers at once
        kernel.sendto(head + request, (0, 0))
        answer = kernel.recv(8192)
    if _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        return None  # NLMSG_ERROR with ENOENT
    return Owner(*_ANSWER.unpack_from(answer, _HEADER.size))


def program_of(owner: Owner) -> str | None:
    """Return the name and the process of the program that has a socket; None: it is not seen.

    This reads the list of open files of each of the user's processes, which takes some milliseconds.
    """
    link = f"socket:[{owner.inode}]"
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is not ours to look into
            if process.stat().st_uid == owner.user and _has_open(process, link):
                name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                return f"{name} ({process.name})"
    return None


def _has_open(process: Path, link: str) -> bool:
    for entry in (process / "fd").iterdir():
        with suppress(OSError):  # it was closed meanwhile
            if str(entry.readlink()) == link:
                return True
    return False
