# SPDX-License-Identifier: Apache-2.0
"""The readers and cards that a page shows, read at one moment, and the card that the page is about."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from xca_common.errors import XcaError
from xca_plugin import errors, pcsc
from xca_plugin.agent.process.state import AgentState
from xca_plugin.cards import Cards
from xca_plugin.i18n import text
from xca_plugin.model import Card

_READERS_SECONDS: Final = 3.0


@dataclass(frozen=True)
class CardSnapshot:
    """Readers and cards at one moment.

    Attributes:
        version: the version of CardChanges before readers and cards were read.
        cards: every card.
        readers: every reader of the computer (PC/SC), with or without a card.
        card: the card that the page is about; None: the page names none of several, or one that is absent.
        problem: why there is no card, if that is so.
    """

    version: str
    cards: Sequence[Card] = ()
    readers: Sequence[pcsc.Reader] = ()
    card: Card | None = None
    problem: XcaError | None = None


async def take_snapshot(state: AgentState, card_number: str | None = None) -> CardSnapshot:
    """Read readers and cards. Without a card number the page is about the only card."""
    version = state.card_changes.version  # before reading, so that a change meanwhile is noticed
    readers, reader_problem = await _query_readers(state)
    try:
        cards, slots, absence = await state.card_worker.run(_query_cards)
    except XcaError as error:
        return CardSnapshot(version, (), readers, None, _mute_card(readers) or error)
    if not cards:
        problem = _mute_card(readers) or _no_card(bool(slots or readers), absence, reader_problem)
        return CardSnapshot(version, (), readers, None, problem)
    if card_number:
        card = next((each for each in cards if each.number == card_number), None)
        absent = None if card else errors.CardNotFound(number=card_number)
        return CardSnapshot(version, cards, readers, card, absent)
    return CardSnapshot(version, cards, readers, cards[0] if len(cards) == 1 else None)


def _query_cards(cards: Cards) -> tuple[Sequence[Card], Sequence[str], XcaError | None]:
    """Return the cards, the readers that the module knows, and why none of them holds a card.

    Without a reader it does not ask why: that asks the daemon of the readers, which may hang.
    """
    found, slots = cards.detect(), cards.readers()
    return found, slots, cards.missing() if slots and not found else None


async def _query_readers(state: AgentState) -> tuple[Sequence[pcsc.Reader], XcaError | None]:
    """Return the readers, or why they cannot be read. A daemon that hangs is given _READERS_SECONDS."""
    try:
        async with asyncio.timeout(_READERS_SECONDS):
            return await state.reader_query.run(pcsc.readers), None
    except TimeoutError:
        return (), errors.ReaderFault(detail=text("no answer"))
    except XcaError as error:
        return (), error


def _mute_card(readers: Sequence[pcsc.Reader]) -> XcaError | None:
    mute = [reader.name for reader in readers if reader.contents is pcsc.Contents.MUTE]
    return errors.CardMute(name=mute[0]) if mute else None


def _no_card(has_reader: bool, absence: XcaError | None, reader_problem: XcaError | None) -> XcaError:
    if isinstance(absence, errors.NoCard):
        return absence  # it names what is there instead
    if has_reader:
        return errors.NoCard()
    if reader_problem is None or isinstance(reader_problem, errors.NoReaderSupport):
        return errors.NoReader()
    return reader_problem
