# SPDX-License-Identifier: Apache-2.0
"""The process inside a virtual reader's namespaces: it runs the daemon and waits for what PC/SC shows.

softhsm.virtual_reader starts it by its path. Standard input is a socket. A request is a line with one word
there, and one byte answers it. The answer to "insert" carries the file descriptor of a new connection to the
driver; softhsm.virtual_reader plays the card on it.
Usage: reader_worker.py DAEMON DRIVER
"""

import ctypes
import fcntl
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

_PORT = 0x8C82
_READER = b"XCA Virtual Reader 00 00"
_SECONDS = 10.0
_DONE = b"."
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1  # netdevice(7)
_SCOPE_SYSTEM, _EMPTY, _PRESENT = 2, 0x10, 0x20  # winscard.h, pcsclite.h


class _ReaderState(ctypes.Structure):
    """SCARD_READERSTATE (pcsclite.h)."""

    _fields_ = (
        ("reader", ctypes.c_char_p),
        ("user_data", ctypes.c_void_p),
        ("current", ctypes.c_ulong),
        ("event", ctypes.c_ulong),
        ("atr_length", ctypes.c_ulong),
        ("atr", ctypes.c_ubyte * 33),
    )


def _configure(program: str, driver: str) -> list[str]:
    """Bring up the network and return the daemon's options."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    configuration = Path("/run/readers")
    configuration.mkdir()
    (configuration / "reader.conf").write_text(
        'FRIENDLYNAME "XCA Virtual Reader"\n'
        f"DEVICENAME /dev/null:{_PORT:#x}\n"
        f"LIBPATH {driver}\n"
        f"CHANNELID {_PORT:#x}\n"
    )
    # There is no polkit in these namespaces, and a daemon that asks it would serve nobody.
    usage = subprocess.run([program, "--help"], capture_output=True, text=True)  # noqa: S603
    polkit = ["--disable-polkit"] if "--disable-polkit" in usage.stdout else []
    return ["--foreground", "--config", str(configuration), *polkit]


class _Client:
    """A PC/SC client that waits for states of the reader."""

    def __init__(self, daemon: subprocess.Popen[bytes]) -> None:
        self._library = ctypes.CDLL("libpcsclite.so.1")
        self._context = ctypes.c_long()
        deadline = time.monotonic() + _SECONDS
        while self._library.SCardEstablishContext(_SCOPE_SYSTEM, None, None, ctypes.byref(self._context)):
            if daemon.poll() is not None or time.monotonic() > deadline:
                sys.exit("pcscd does not answer")
            time.sleep(0.01)

    def wait(self, wanted: int) -> None:
        """Wait until the reader is in a state."""
        state = _ReaderState(reader=_READER)
        while not state.event & wanted:
            state.current = state.event
            result = self._library.SCardGetStatusChange(
                self._context, ctypes.c_ulong(int(_SECONDS * 1000)), ctypes.byref(state), ctypes.c_ulong(1)
            )
            if result:
                sys.exit(f"SCardGetStatusChange: {result & 0xFFFFFFFF:#x}")


def _start(command: list[str]) -> tuple[subprocess.Popen[bytes], _Client]:
    daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr)  # noqa: S603
    client = _Client(daemon)
    client.wait(_EMPTY)
    return daemon, client


def _main(program: str, driver: str) -> None:
    control = socket.socket(fileno=sys.stdin.fileno())
    command = [program, *_configure(program, driver)]
    daemon, client = _start(command)
    control.sendall(_DONE)
    for line in control.makefile():
        match line.strip():
            case "insert":
                with socket.create_connection(("127.0.0.1", _PORT)) as card:
                    socket.send_fds(control, [_DONE], [card.fileno()])
            case "present":
                client.wait(_PRESENT)
                control.sendall(_DONE)
            case "empty":
                client.wait(_EMPTY)
                control.sendall(_DONE)
            case "stop":
                daemon.terminate()
                daemon.wait()
                control.sendall(_DONE)
            case "start":
                daemon, client = _start(command)
                control.sendall(_DONE)


if __name__ == "__main__":
    _main(*sys.argv[1:])
