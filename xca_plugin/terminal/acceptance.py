# SPDX-License-Identifier: Apache-2.0
"""Acceptance of certificates (憑證接受) beside what a command is about."""

from collections.abc import Iterable
from typing import Final

from xca_common.errors import XcaError
from xca_common.secret import Secret
from xca_plugin.cards import Cards
from xca_plugin.centre.kept import KeptAcceptances
from xca_plugin.history_note import Purpose
from xca_plugin.i18n import _, text
from xca_plugin.model import Acceptance, AcceptanceOutcome, Card, CertificateState
from xca_plugin.terminal.output import say
from xca_plugin.terminal.prompts import confirm, interactive

_OFFER_SECONDS: Final = 3.0
ACCEPTED: Final = text("The centre has taken the acceptance for the card {number}.")
_KEPT: Final = text(
    "The acceptance for the card {number} is signed and kept; it is sent again whenever this program is used."
)


def deliver_due() -> None:
    """Send what is kept and due, and tell what was answered. Nothing here ends a command."""
    if not KeptAcceptances().waiting():
        return
    try:
        tell(Cards().deliver_acceptances(due=True), kept=False)
    except XcaError:
        return  # xcactl accept --deliver tells it


def sign_acceptance(cards: Cards, card: Card, pin: Secret) -> None:
    """Have the card sign that its certificates are right; the PIN is wiped."""
    with cards.session(card, pin, Purpose.SIGN) as session:
        cards.accept(card, session)


def accept_on_the_way(cards: Cards, card: Card, pin: Secret) -> None:
    """Sign the acceptance and send it, in a command about something else: what fails does not end that."""
    try:
        sign_acceptance(cards, card, pin)
        tell(cards.deliver_acceptances(card.number), kept=True)
    except XcaError as error:
        say(error.message(), err=True, fg="yellow")
        say(_("The certificates are to be accepted all the same: xcactl accept"), err=True)


def offer(cards: Cards, card: Card, pin: Secret) -> None:
    """Where certificates seem not to be accepted, ask the person at the terminal whether they are to be.

    The centre is asked only if one is configured, and not again once the certificates were accepted.
    """
    if not interactive() or card.has_keypad:
        return
    try:
        known = cards.certificate_status(card, seconds=0)
        if known is None or known.acceptance is not None:
            return
        status = cards.certificate_status(card, seconds=_OFFER_SECONDS)
    except XcaError:
        return  # xcactl info tells it
    if status is None or status.state is not CertificateState.ON_HOLD:
        return
    say(_("The certificates on this card are not accepted yet, or suspended (停用)."), err=True)
    said = text("Do you accept them now (憑證接受)? {centre} is told.")
    if confirm(said.format(centre=status.centre)()):
        accept_on_the_way(cards, card, pin)


def tell(delivered: Iterable[Acceptance], *, kept: bool) -> None:
    """Say on stderr what became of acceptances; of those that are still kept only if that is wanted."""
    for each in delivered:
        if each.outcome is AcceptanceOutcome.ACCEPTED:
            say(ACCEPTED.format(number=each.number)(), err=True, fg="green")
        elif each.outcome is AcceptanceOutcome.REFUSED:
            said = text("The centre does not accept the certificates of the card {number}: {detail}")
            say(said.format(number=each.number, detail=each.detail or "-")(), err=True, fg="red")
        elif kept:
            say(_KEPT.format(number=each.number)(), err=True, fg="yellow")
            if each.detail:
                say(str(each.detail), err=True)
