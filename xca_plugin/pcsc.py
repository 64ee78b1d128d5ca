# SPDX-License-Identifier: Apache-2.0
"""Card readers (PC/SC) and their contents, through pyscard (the extra `pcsc`).

No command is sent to a card: the daemon (pcscd) knows its answer to reset. This module calls winscard itself,
because pyscard's monitors do not survive a restart of the daemon.
"""

from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from xca_common.i18n import Text
from xca_plugin import errors
from xca_plugin.i18n import text


class Contents(StrEnum):
    """The contents of a reader."""

    EMPTY = "empty"
    CARD = "card"
    """A card that answered to reset."""
    MUTE = "mute"
    """A card that does not answer: upside down, dirty, or broken."""
    UNAVAILABLE = "unavailable"
    """Unknown: the reader itself does not work."""


KNOWN_CARDS: Final = {
    bytes.fromhex("3BB813008131FA524348544D4F494341A5"): text("first-generation card of the GPKI (CHTMOICA)"),
    bytes.fromhex("3BD8960081B1FE451F0743485447504B494ADD"): text(
        "second-generation card of the GPKI (CHTGPKIJ)"
    ),
    bytes.fromhex("3B8B80010031C1640840213000900057"): text("contactless card of MOICA"),
}
"""Cards that HiCOS supports, by answer to reset (ISO/IEC 7816-3); from the list of pcsc-tools."""
_CONTENTS: Final = {
    Contents.EMPTY: text("empty"),
    Contents.CARD: text("a card; its answer to reset does not tell the kind"),
    Contents.MUTE: text("a card that does not answer; is it upside down?"),
    Contents.UNAVAILABLE: text("the reader does not work"),
}


@dataclass(frozen=True)
class Reader:
    """A reader at one moment.

    Attributes:
        name: its PC/SC name.
        contents: its contents.
        atr: the card's answer to reset; empty without one.
    """

    name: str
    contents: Contents
    atr: bytes = b""

    @property
    def card(self) -> Text | None:
        """The kind of the card; None for an unknown one."""
        return KNOWN_CARDS.get(self.atr)

    @property
    def says(self) -> Text:
        """The contents in words."""
        return self.card or _CONTENTS[self.contents]


def readers() -> Sequence[Reader]:
    """Return the readers with their present contents.

    Raises:
        As Daemon.readers.
    """
    with closing(Daemon()) as daemon:
        return daemon.readers()


class Daemon:
    """A connection to the PC/SC daemon that is renewed after the daemon restarts."""

    def __init__(self) -> None:
        self._scard: Any = None
        self._context: int | None = None

    def readers(self) -> Sequence[Reader]:
        """Return the readers with their present contents, in the daemon's order.

        Raises:
            NoReaderSupport: the extra is not installed.
            NoReaderDaemon: the daemon does not answer.
            ReaderFault: the daemon refuses or fails.
        """
        try:
            from smartcard import scard  # slow to load, rarely needed
        except ImportError as error:
            raise errors.NoReaderSupport from error
        self._scard = scard
        with suppress(_DaemonError):
            return self._readers()
        # The daemon ended since the last call, or a reader was just unplugged.
        self.close()
        try:
            return self._readers()
        except _DaemonError as error:
            self.close()
            if error.result in (scard.SCARD_E_NO_SERVICE, scard.SCARD_E_SERVICE_STOPPED):
                raise errors.NoReaderDaemon from error
            raise errors.ReaderFault(detail=scard.SCardGetErrorMessage(error.result)) from error

    def close(self) -> None:
        """Release the connection; the next call of readers() makes a new one."""
        if self._context is not None:
            self._scard.SCardReleaseContext(self._context)
            self._context = None

    def _readers(self) -> Sequence[Reader]:
        scard = self._scard
        if self._context is None:
            self._context = _checked(scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM))
        try:
            names = _checked(scard.SCardListReaders(self._context, []))
        except _DaemonError as error:
            if error.result == scard.SCARD_E_NO_READERS_AVAILABLE:
                return ()
            raise
        # With the state UNAWARE the call returns at once.
        unaware = [(name, scard.SCARD_STATE_UNAWARE) for name in names]
        return [
            Reader(name, self._contents(state), bytes(atr))
            for name, state, atr in _checked(scard.SCardGetStatusChange(self._context, 0, unaware))
        ]

    def _contents(self, state: int) -> Contents:
        if state & self._scard.SCARD_STATE_MUTE:
            return Contents.MUTE
        if state & self._scard.SCARD_STATE_PRESENT:
            return Contents.CARD
        return Contents.EMPTY if state & self._scard.SCARD_STATE_EMPTY else Contents.UNAVAILABLE


class _DaemonError(Exception):
    def __init__(self, result: int) -> None:
        super().__init__(f"{result:#x}")
        self.result = result


def _checked(answer: Sequence[Any]) -> Any:
    """Return the value of a winscard answer.

    Raises:
        _DaemonError: the call failed.
    """
    result, value = answer
    if result:
        raise _DaemonError(result)
    return value
