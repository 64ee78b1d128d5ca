# SPDX-License-Identifier: Apache-2.0
"""What a page shows of the cards: a look at all of them, and the one that is meant."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from xca_common.errors import XcaError
from xca_common.single_flight import Shared
from xca_plugin import errors, pcsc
from xca_plugin.agent.pages.events import CardChanges
from xca_plugin.agent.process.card_worker import Desk
from xca_plugin.i18n import text
from xca_plugin.model import Card

_READERS_SECONDS: Final = 3.0
_Readers = tuple[Sequence[pcsc.Reader], XcaError | None]


@dataclass(frozen=True)
class Look:
    """What is there.

    Attributes:
        cards: every card.
        readers: every reader of the computer (PC/SC), with or without a card.
        card: the one that is meant; None while several are there and none was chosen.
        situation: why there is no card to show, or not the one that is meant.
        version: what all this is as of, see events.
    """

    version: str
    cards: Sequence[Card] = ()
    readers: Sequence[pcsc.Reader] = ()
    card: Card | None = None
    situation: XcaError | None = None


def desk_of(request: Request) -> Desk:
    """Return the place where the agent's cards are."""
    desk: Desk = request.app.state.desk
    return desk


async def look(request: Request, number: str | None = None) -> Look:
    """Look at the cards for a page; the only one is meant unless another number is given."""
    changes: CardChanges = request.app.state.card_changes
    version = changes.version  # before the look, so that no change between goes unnoticed
    readers, problem = await _readers_in_time(request)
    try:
        cards, slots = await desk_of(request).ask(lambda cards: (cards.detect(), cards.readers()))
    except XcaError as error:
        return Look(version, (), readers, None, _mute(readers) or error)
    if not cards:
        return Look(version, (), readers, None, _mute(readers) or _nothing(bool(slots or readers), problem))
    if number:
        named = next((card for card in cards if card.number == number), None)
        return Look(version, cards, readers, named, None if named else errors.CardNotFound(number=number))
    return Look(version, cards, readers, cards[0] if len(cards) == 1 else None)


async def _readers_in_time(request: Request) -> _Readers:
    """Look at the readers, but not for longer than a page may take: their daemon may hang."""
    shared: Shared[_Readers] = request.app.state.reader_look
    try:
        async with asyncio.timeout(_READERS_SECONDS):
            return await shared.result(_readers)
    except TimeoutError:
        return (), errors.ReaderFault(detail=text("no answer"))


def _readers() -> _Readers:
    try:
        return pcsc.readers(), None
    except XcaError as problem:
        return (), problem


def _mute(readers: Sequence[pcsc.Reader]) -> XcaError | None:
    mute = [reader.name for reader in readers if reader.contents is pcsc.Contents.MUTE]
    return errors.CardMute(name=mute[0]) if mute else None


def _nothing(reader: bool, problem: XcaError | None) -> XcaError:
    if reader:
        return errors.NoCard()
    return errors.NoReader() if problem is None or isinstance(problem, errors.NoReaderSupport) else problem
