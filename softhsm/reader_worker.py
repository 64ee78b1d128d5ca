# SPDX-License-Identifier: Apache-2.0
"""The process inside a virtual reader's namespaces: it runs the daemon, a client of it, and the card.

softhsm.virtual_reader starts it by its path. A request is a JSON line on stdin; a line on stdout ends it.
Usage: reader_worker.py DAEMON DRIVER
"""

import ctypes
import fcntl
import json
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

_PORT = 0x8C82
_READER = b"XCA Virtual Reader 00 00"
_SECONDS = 10.0
_POWER_OFF, _POWER_ON, _RESET, _ATR = b"\x00", b"\x01", b"\x02", b"\x04"
_INSTRUCTION_NOT_SUPPORTED = b"\x6d\x00"
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


def _card(reader: socket.socket, atr: bytes) -> None:
    """Answer as a card until the reader closes the connection.

    vpcd's frames are a length of two bytes and as many bytes; a frame of one byte controls power and reset.
    """
    stream = reader.makefile("rb")
    while True:
        # Without it the kernel acknowledges after 40 ms, and the driver waits for that.
        reader.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        header = stream.read(2)
        if len(header) < 2:
            return
        frame = stream.read(int.from_bytes(header))
        if frame in (_POWER_OFF, _POWER_ON, _RESET):
            continue
        answer = atr if frame == _ATR else _INSTRUCTION_NOT_SUPPORTED
        reader.sendall(len(answer).to_bytes(2) + answer)


def _start(command: list[str]) -> tuple[subprocess.Popen[bytes], _Client]:
    daemon = subprocess.Popen(command, stdout=sys.stderr, stderr=sys.stderr)  # noqa: S603
    client = _Client(daemon)
    client.wait(_EMPTY)
    return daemon, client


def _main(program: str, driver: str) -> None:
    command = [program, *_configure(program, driver)]
    daemon, client = _start(command)
    print(flush=True)
    card: socket.socket | None = None
    for line in sys.stdin:
        request = json.loads(line)
        if card is not None:
            card.shutdown(socket.SHUT_RDWR)
            card.close()
            card = None
        if "restart" in request:
            daemon, client = _start(command)
        elif "stop" in request:
            daemon.terminate()
            daemon.wait()
            print(flush=True)
            continue
        if "insert" in request:
            card = socket.create_connection(("127.0.0.1", _PORT))
            atr = bytes.fromhex(request["insert"])
            threading.Thread(target=_card, args=(card, atr), daemon=True).start()
        client.wait(_EMPTY if card is None else _PRESENT)
        print(flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
