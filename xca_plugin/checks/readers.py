# SPDX-License-Identifier: Apache-2.0
"""Checks of the card readers and of the cards in them."""

from collections.abc import Iterator

from xca_common.errors import XcaError
from xca_plugin import errors, pcsc
from xca_plugin.checks.finding import CheckAnswer, failed, passed, skipped
from xca_plugin.checks.observations import Observations
from xca_plugin.i18n import plural, text


def reader_daemon(seen: Observations) -> Iterator[CheckAnswer]:
    """Check that pcscd runs. Without it, only cards of the stand-in can be used."""
    try:
        seen.readers = pcsc.readers()
    except errors.NoReaderSupport as error:
        yield skipped(error.message, error)
    except XcaError as error:
        if not seen.stand_in:
            raise
        yield skipped(error.message, text("Cards of the stand-in need no reader."))
    else:
        yield passed(text("It is running."))


def readers(seen: Observations) -> Iterator[CheckAnswer]:
    """Check each reader and the card in it."""
    if seen.readers is None:
        yield skipped(text("They cannot be looked at."))
    elif not seen.readers:
        if not seen.stand_in:
            raise errors.NoReader
        yield skipped(errors.NoReader().message)
    for reader in seen.readers or ():
        said = text("{name}: {contents}").format(name=reader.name, contents=reader.says)
        if reader.contents is pcsc.Contents.MUTE:
            yield failed(said, errors.CardMute(name=reader.name))
        elif reader.contents is pcsc.Contents.UNAVAILABLE:
            yield failed(said, errors.ReaderFault(detail=reader.name))
        else:
            yield passed(said)


def cards(seen: Observations) -> Iterator[CheckAnswer]:
    """Check that the module shows a card."""
    if not seen.works:
        yield skipped(text("The module does not work; it is needed to see a card."))
        return
    try:
        seen.present = seen.cards.detect()
    except errors.StoreUnreadable as error:
        yield skipped(error.message)  # an earlier check failed for that
        return
    if not seen.present:
        missing = seen.cards.missing()
        if isinstance(missing, (errors.NoReaderDaemon, errors.NoReader)) and not seen.stand_in:
            yield skipped(missing.message)  # an earlier check failed for that
            return
        raise missing
    if seen.number is not None:
        seen.present = [card for card in seen.present if card.number == seen.number]
        if not seen.present:
            raise errors.CardNotFound(number=seen.number)
    found = plural("{count} card is here: {numbers}", "{count} cards are here: {numbers}", "count")
    numbers = [card.number for card in seen.present]
    yield passed(found.format(count=len(seen.present), numbers=numbers))
