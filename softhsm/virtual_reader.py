# SPDX-License-Identifier: Apache-2.0
"""A PC/SC reader without hardware: its own pcscd with the driver vsmartcard-vpcd, and a card with any ATR.

It runs in namespaces of its own (unshare(1)). The driver listens on every address, and in a network
namespace nobody else reaches it. The system's own daemon and other virtual readers run beside it.
"""

import json
import os
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from typing import IO, Any, Final, Self, cast

HICOS_ATR: Final = bytes.fromhex("3BD8960081B1FE451F0743485447504B494ADD")
"""Answer to reset of a second-generation card of the GPKI (its historical bytes end with "CHTGPKIJ")."""

_ATR_MAX: Final = 33
_DRIVERS: Final = ("/usr/lib/pcsc/drivers", "/usr/lib64/pcsc/drivers", "/usr/lib/*/pcsc/drivers")
# The reader's folder is mounted as /run/pcscd inside; its socket leads to this daemon from outside.
_ENTER: Final = """
mount -t tmpfs none /run && mkdir /run/pcscd && mount --bind "$1" /run/pcscd || exit
shift
exec "$@"
"""


class NoVirtualReaderError(Exception):
    """This machine lacks a part of the reader or does not allow it. The message says what to do."""


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
        # A socket's path has at most 107 bytes; pytest's folders are longer.
        self._folder = TemporaryDirectory(prefix="xca-reader-")
        self._log = Path(self._folder.name, "log")
        self.variables = {"PCSCLITE_CSOCK_NAME": f"{self._folder.name}/pcscd.comm"}
        namespaces = shlex.split("--user --map-root-user --net --mount --pid --fork --kill-child")
        enter = [unshare, *namespaces, "--", "sh", "-c", _ENTER, "sh", self._folder.name]
        worker = [sys.executable, "-P", str(Path(__file__).with_name("reader_worker.py"))]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [*enter, *worker, daemon, str(drivers[0])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | self.variables,
                text=True,
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

    def insert(self, atr: bytes = HICOS_ATR) -> None:
        """Insert a card and return when PC/SC shows it. A card that is already in is pulled out first.

        The card answers every command with 6D00, "instruction not supported" (ISO/IEC 7816-4, 5.1.3).

        Args:
            atr: its answer to reset, 1 to 33 bytes. Their meaning is not checked.

        Raises:
            ValueError: the length is none of an answer to reset (ISO/IEC 7816-3, 8.1).
            NoVirtualReaderError: the daemon has ended.
        """
        if not 1 <= len(atr) <= _ATR_MAX:
            raise ValueError(f"an ATR has 1 to {_ATR_MAX} bytes, not {len(atr)}")
        self.remove()
        self._ask(insert=atr.hex())

    def insert_upside_down(self) -> None:
        """Insert a card upside down: PC/SC shows a card that does not answer (SCARD_STATE_MUTE).

        Raises:
            NoVirtualReaderError: the daemon has ended.
        """
        self.remove()
        # The driver drops what is longer than any answer to reset; the card is then without one.
        self._ask(insert=bytes(_ATR_MAX + 1).hex())

    def remove(self) -> None:
        """Pull out the card, if there is one, and return when PC/SC shows it.

        Raises:
            NoVirtualReaderError: the daemon has ended.
        """
        self._ask(remove=True)

    def stop_daemon(self) -> None:
        """Pull out the card, if there is one, and end the daemon as an administrator would."""
        self.remove()
        self._ask(stop=True)

    def start_daemon(self) -> None:
        """Start the stopped daemon and return when it answers.

        Raises:
            NoVirtualReaderError: the daemon does not answer.
        """
        self._ask(restart=True)

    def close(self) -> None:
        """End the daemon and remove its folder."""
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def _ask(self, **request: Any) -> None:
        with suppress(BrokenPipeError):  # _receive raises with the reason from its log
            print(json.dumps(request), file=cast(IO[str], self._process.stdin), flush=True)
        self._receive()

    def _receive(self) -> None:
        if not cast(IO[str], self._process.stdout).readline():
            self._process.wait()
            *_, reason = ["no reason given", *self._log.read_text(errors="replace").splitlines()]
            raise NoVirtualReaderError(
                f"no virtual reader: {reason}; allow user namespaces to it (on Ubuntu 24.04 with `sysctl -w "
                "kernel.apparmor_restrict_unprivileged_userns=0`, in Docker with `--privileged`)"
            )
