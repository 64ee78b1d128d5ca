# SPDX-License-Identifier: Apache-2.0
"""Card readers (PC/SC) and what is in them, through pyscard: the extra `pcsc`.

Nothing is sent to a card: the readers' daemon (pcscd) knows its answer to reset. This asks the daemon itself,
because pyscard's own monitors end with the daemon and never come back.
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
    """What is in a reader."""

    EMPTY = "empty"
    CARD = "card"
    """A card that answered to reset."""
    MUTE = "mute"
    """A card that does not answer: upside down, dirty, or broken."""
    UNAVAILABLE = "unavailable"
    """Not known: the reader itself does not work."""


KNOWN_CARDS: Final = {
    bytes.fromhex("3BB813008131FA524348544D4F494341A5"): text("first-generation card of the GPKI (CHTMOICA)"),
    bytes.fromhex("3BD8960081B1FE451F0743485447504B494ADD"): text(
        "second-generation card of the GPKI (CHTGPKIJ)"
    ),
    bytes.fromhex("3B8B80010031C1640840213000900057"): text("contactless card of MOICA"),
}
"""Cards that HiCOS drives, by their answer to reset (ISO/IEC 7816-3), from the list of pcsc-tools."""
_CONTENTS: Final = {
    Contents.EMPTY: text("empty"),
    Contents.CARD: text("a card of another kind"),
    Contents.MUTE: text("a card that does not answer; is it upside down?"),
    Contents.UNAVAILABLE: text("the reader does not work"),
}


@dataclass(frozen=True)
class Reader:
    """A reader as it was when it was looked at.

    Attributes:
        name: as the daemon names it.
        contents: what is in it.
        atr: the card's answer to reset; empty when there is none.
    """

    name: str
    contents: Contents
    atr: bytes = b""

    @property
    def card(self) -> Text | None:
        """The kind of the card, None for one that is not known."""
        return KNOWN_CARDS.get(self.atr)

    @property
    def says(self) -> Text:
        """What is in it, in words."""
        return self.card or _CONTENTS[self.contents]


def readers() -> Sequence[Reader]:
    """Return the readers as they are now.

    Raises:
        As Daemon.readers.
    """
    with closing(Daemon()) as daemon:
        return daemon.readers()


class Daemon:
    """The readers' daemon, for who asks it again and again: it may stop and come back in between."""

    def __init__(self) -> None:
        self._scard: Any = None
        self._context: int | None = None

    def readers(self) -> Sequence[Reader]:
        """Return the readers as they are now, in the daemon's order.

        Raises:
            NoReaderSupport: the extra is not installed.
            NoReaderDaemon: the daemon does not answer.
            ReaderFault: it refuses, or fails.
        """
        try:
            from smartcard import scard  # slow to load, rarely needed
        except ImportError as error:
            raise errors.NoReaderSupport from error
        self._scard = scard
        with suppress(_DaemonError):
            return self._readers()
        # The daemon that was asked before has ended, or a reader was pulled out just now.
        self.close()
        try:
            return self._readers()
        except _DaemonError as error:
            self.close()
            if error.result in (scard.SCARD_E_NO_SERVICE, scard.SCARD_E_SERVICE_STOPPED):
                raise errors.NoReaderDaemon from error
            raise errors.ReaderFault(detail=scard.SCardGetErrorMessage(error.result)) from error

    def close(self) -> None:
        """Let go of the daemon; the next look connects to the one that runs then."""
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
        # Who claims to know nothing is told the states as they are, without waiting.
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
    """Take an answer of winscard apart: the result of the call, and what it returned."""
    result, value = answer
    if result:
        raise _DaemonError(result)
    return value
