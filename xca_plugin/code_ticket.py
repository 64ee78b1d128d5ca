# SPDX-License-Identifier: Apache-2.0
"""Tickets for a new user code (授權票), judged before the person is asked for anything.

The card judges a ticket itself. Here it is judged by what the card holds, so that nobody types a code for
nothing. What only the card knows is left to it: which tickets it took, and for which state it takes this one.
"""

from datetime import UTC, datetime
from pathlib import Path

from xca_common.pki import strict_certificate
from xca_common.pki.malformed import Malformed
from xca_common.pki.ticket import NoTicket, Ticket, TicketUnusable
from xca_plugin import errors
from xca_plugin.cards import Cards
from xca_plugin.model import Card


def read(given: bytes, shown: Path | str) -> Ticket:
    """Return what a ticket says; nobody has said yet that it counts.

    Args:
        given: what was given.
        shown: its file, as the person knows it.

    Raises:
        NotATicket: it is something else.
    """
    try:
        return Ticket.read(given)
    except NoTicket:
        raise errors.NotATicket(path=shown) from None


def check(cards: Cards, card: Card, given: bytes) -> None:
    """Refuse a ticket that a card would not take: by its signer, its last moment and the card that it is for.

    Raises:
        TicketRefused: the card would not take it.
        As Cards.certificates.
    """
    held = cards.certificates(card)
    own = card.certificate
    try:
        issuers = [strict_certificate.load(each.der) for each in held if own and each.holder == own.issuer]
        if own is None or not issuers:
            return  # only the card knows who issued it
        Ticket.verify(given, issuers, datetime.now(UTC)).check_card(card.number, own.der)
    except Malformed:
        return
    except TicketUnusable as error:
        raise errors.TicketRefused(number=card.number, detail=error.detail) from None
