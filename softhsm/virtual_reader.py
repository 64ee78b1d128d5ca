# SPDX-License-Identifier: Apache-2.0
"""A PC/SC reader without hardware: its own pcscd with the driver vsmartcard-vpcd, and any card in Python.

It runs in namespaces of its own (unshare(1)). The driver listens on every address, and in a network
namespace nobody else reaches it. The system's own daemon and other virtual readers run beside it.
"""

import os
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Final, Self

from xca_common.scratch import scratch_folder

HICOS_ATR: Final = bytes.fromhex("3BD8960081B1FE451F0743485447504B494ADD")
"""Answer to reset of a second-generation card of the GPKI (its historical bytes end with "CHTGPKIJ")."""

Card = Callable[[bytes], bytes]
"""A card: it answers a command APDU with a response APDU (ISO/IEC 7816-4, 5.1).

It runs in a thread. An empty command means power-up or reset; its answer is dropped.
"""

_ATR_MAX: Final = 33
_SOCKET_PATH_MAX: Final = 107
"""Bytes of a socket's path (unix(7)); pytest's folders are longer."""
_INSTRUCTION_NOT_SUPPORTED: Final = b"\x6d\x00"
_POWER_OFF, _POWER_ON, _RESET, _GET_ATR = b"\x00", b"\x01", b"\x02", b"\x04"
_DRIVERS: Final = ("/usr/lib/pcsc/drivers", "/usr/lib64/pcsc/drivers", "/usr/lib/*/pcsc/drivers")
# The reader's folder is mounted as /run/pcscd inside; its socket leads to this daemon from outside.
_ENTER: Final = """
mount -t tmpfs none /run && mkdir /run/pcscd && mount --bind "$1" /run/pcscd || exit
shift
exec "$@"
"""


class NoVirtualReaderError(Exception):
    """This machine lacks a part of the reader or does not allow it. The message says what to do."""


@dataclass
class _Pull:
    """A pull that is to come: at the last of so many commands with an instruction."""

    instruction: int
    count: int
    after_effect: bool


class _Inserted:
    """A card in the reader: it answers on a connection to the driver, in a thread, until it is pulled out.

    A frame is a length of two bytes and as many bytes. A frame of one byte controls power and reset.

    Attributes:
        is_in: whether it is still in.
        pull: the pull that is to come, if any. None again once it has come.
    """

    def __init__(self, connection: socket.socket, card: Card, atr: bytes) -> None:
        self.is_in = True
        self.pull: _Pull | None = None
        self._connection, self._card, self._atr = connection, card, atr
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def remove(self) -> None:
        """Pull it out, and wait until it has answered its last command."""
        self.is_in = False
        with suppress(OSError):  # it has been pulled out
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _serve(self) -> None:
        with self._connection, self._connection.makefile("rb") as stream:
            while True:
                # Without it the kernel acknowledges after 40 ms, and the driver waits for that.
                self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                header = stream.read(2)
                if len(header) < 2:
                    return
                answer = self._answer(stream.read(int.from_bytes(header)))
                if answer is None:
                    self.is_in = False  # before the other end can notice it
                    self._connection.shutdown(socket.SHUT_RDWR)
                    return
                if answer:
                    self._connection.sendall(len(answer).to_bytes(2) + answer)

    def _answer(self, frame: bytes) -> bytes | None:
        """Return what goes to the driver: nothing for a change of power, None when the card is pulled out."""
        if frame == _GET_ATR:
            return self._atr
        if frame == _POWER_OFF:
            return b""
        if frame in (_POWER_ON, _RESET):
            self._card(b"")
            return b""
        pull = self._pull_at(frame)
        if pull and not pull.after_effect:
            return None
        answer = self._card(frame)
        return None if pull else answer

    def _pull_at(self, command: bytes) -> _Pull | None:
        pull = self.pull
        if pull is None or command[1] != pull.instruction:
            return None
        pull.count -= 1
        if pull.count > 0:
            return None
        self.pull = None
        return pull


def _knows_no_command(command: bytes) -> bytes:
    """Answer as a card that knows no command (ISO/IEC 7816-4, 5.1.3)."""
    return _INSTRUCTION_NOT_SUPPORTED


class VirtualReader:
    """A running reader; a context manager that ends it.

    Attributes:
        name: the reader's PC/SC name. A second reader beside it stays empty.
        variables: the environment that leads a PC/SC program to this daemon (PCSCLITE_CSOCK_NAME).
    """

    name = "XCA Virtual Reader 00 00"

    def __init__(self) -> None:
        """Start the daemon and wait until it answers.

        Raises:
            NoVirtualReaderError: it cannot run here.
        """
        unshare = which("unshare")
        # Debian's users do not have /usr/sbin in their PATH.
        daemon = which("pcscd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
        drivers = [
            file for folder in _DRIVERS for file in Path("/").glob(f"{folder[1:]}/serial/libifdvpcd.so")
        ]
        if unshare is None or daemon is None or not drivers:
            raise NoVirtualReaderError(
                "no virtual reader: it needs pcscd, vsmartcard-vpcd and unshare (Debian: apt install pcscd "
                "vsmartcard-vpcd util-linux)"
            )
        self._scratch = ExitStack()
        folder = self._scratch.enter_context(scratch_folder())
        self._log = folder / "log"
        path = f"{folder}/pcscd.comm"
        self.variables = {"PCSCLITE_CSOCK_NAME": path}
        if (excess := len(os.fsencode(path)) - _SOCKET_PATH_MAX) > 0:
            self._scratch.close()
            raise NoVirtualReaderError(
                f"no virtual reader: {path}: {excess} bytes too long for a socket; set TMPDIR to a folder "
                "with a shorter name"
            )
        namespaces = shlex.split("--user --map-root-user --net --mount --pid --fork --kill-child")
        enter = [unshare, *namespaces, "--", "sh", "-c", _ENTER, "sh", str(folder)]
        worker = [sys.executable, "-P", str(Path(__file__).with_name("reader_worker.py"))]
        self._inserted: _Inserted | None = None
        self._control, other_end = socket.socketpair()
        with other_end, self._log.open("w") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [*enter, *worker, daemon, str(drivers[0])],
                stdin=other_end.fileno(),
                stdout=log,
                stderr=log,
                env=os.environ | self.variables,
            )
        try:
            self._receive()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def insert(self, atr: bytes = HICOS_ATR, card: Card = _knows_no_command) -> None:
        """Insert a card and return when PC/SC shows it. A card that is already in is pulled out first.

        Args:
            atr: its answer to reset, 1 to 33 bytes. Their meaning is not checked.
            card: what answers its commands. Without it each answer is 6D00, "instruction not supported".

        Raises:
            ValueError: the length is none of an answer to reset (ISO/IEC 7816-3, 8.1).
            NoVirtualReaderError: the daemon has ended.
        """
        if not 1 <= len(atr) <= _ATR_MAX:
            raise ValueError(f"an ATR has 1 to {_ATR_MAX} bytes, not {len(atr)}")
        self._insert(atr, card)

    def insert_upside_down(self) -> None:
        """Insert a card upside down: PC/SC shows a card that does not answer (SCARD_STATE_MUTE).

        Raises:
            NoVirtualReaderError: the daemon has ended.
        """
        # The driver drops what is longer than any answer to reset; the card is then without one.
        self._insert(bytes(_ATR_MAX + 1), _knows_no_command)

    def pull_at(self, instruction: int, count: int = 1, *, after_effect: bool = False) -> None:
        """Have the card that is in pulled out in the middle of a command.

        It replaces an earlier pull that has not come yet. Another card that is inserted is not pulled out.

        Args:
            instruction: the command's INS byte.
            count: which command with that INS, counted from now; 1 is the next.
            after_effect: the card carries the command out and its answer is lost. Else the command is lost.

        Raises:
            ValueError: no card is in.
        """
        if self._inserted is None:
            raise ValueError("no card is in the reader")
        self._inserted.pull = _Pull(instruction, count, after_effect)

    @property
    def has_card(self) -> bool:
        """Whether a card is in. After a pull it is none; PC/SC shows that a moment later (see remove)."""
        return self._inserted is not None and self._inserted.is_in

    def remove(self) -> None:
        """Pull out the card, if there is one, and return when PC/SC shows it.

        Raises:
            NoVirtualReaderError: the daemon has ended.
        """
        if self._inserted:
            self._inserted.remove()
            self._inserted = None
        self._ask("empty")

    def stop_daemon(self) -> None:
        """Pull out the card, if there is one, and end the daemon as an administrator would.

        Raises:
            NoVirtualReaderError: the daemon has ended by itself.
        """
        self.remove()
        self._ask("stop")

    def start_daemon(self) -> None:
        """Start the stopped daemon and return when it answers.

        Raises:
            NoVirtualReaderError: the daemon does not answer.
        """
        self._ask("start")

    def close(self) -> None:
        """End the daemon and remove its folder."""
        if self._inserted:
            self._inserted.remove()
        self._process.kill()
        self._process.wait()
        self._control.close()
        self._scratch.close()

    def _insert(self, atr: bytes, card: Card) -> None:
        self.remove()
        descriptor = self._ask("insert")
        self._inserted = _Inserted(socket.socket(fileno=descriptor), card, atr)
        self._ask("present")

    def _ask(self, request: str) -> int | None:
        """Return the file descriptor in the answer, if there is one."""
        with suppress(BrokenPipeError):  # _receive raises with the reason from its log
            self._control.sendall(f"{request}\n".encode())
        return self._receive()

    def _receive(self) -> int | None:
        answer, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        if not answer:
            self._process.wait()
            *_, reason = ["no reason given", *self._log.read_text(errors="replace").splitlines()]
            raise NoVirtualReaderError(
                f"no virtual reader: {reason}; allow user namespaces to it (on Ubuntu 24.04 with `sysctl -w "
                "kernel.apparmor_restrict_unprivileged_userns=0`, in Docker with `--privileged`)"
            )
        return descriptors[0] if descriptors else None
