# SPDX-License-Identifier: Apache-2.0
"""What a certificate centre and a producer of cards tell each other about an order: one order is one card."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import Certificate

from xca_common.errors import XcaError
from xca_common.i18n import Text, text

_ORDER: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}")


@dataclass(frozen=True)
class CardKeys:
    """The keys that were made on a card.

    Attributes:
        number: card number, 16 characters.
        signing: public key for `cert1`.
        encryption: public key for `cert2`.
    """

    number: str
    signing: RSAPublicKey
    encryption: RSAPublicKey


@dataclass(frozen=True)
class CardCertificates:
    """The certificates that a card comes with.

    Attributes:
        signing: `cert1`.
        encryption: `cert2`.
        issuer: the CA that issued both.
        root: the root above it.
    """

    signing: Certificate
    encryption: Certificate
    issuer: Certificate
    root: Certificate


@dataclass(frozen=True)
class CardDates:
    """The days of a card, in Taipei.

    Attributes:
        issued_on: 發卡日期.
        activate_by: the last day on which it can be activated.
    """

    issued_on: date
    activate_by: date


def check_order(order: str) -> None:
    """Refuse what names no order.

    Raises:
        ValueError: it is not 1 to 64 ASCII letters, digits and hyphens, the first no hyphen.
    """
    if not _ORDER.fullmatch(order):
        raise ValueError("an order is named by 1 to 64 letters, digits and hyphens")


class ProducerError(XcaError):
    """A producer did not do a step of an order."""


class ProducerUnavailable(ProducerError):
    """It cannot do it now: its place is not there, or is busy. The same step may succeed later."""

    reason: Text | str
    _message = text("The producer of the cards cannot do its part now: {reason}.")
    _next_step = text("Mend what the reason names. An order that has begun goes on by itself.")


class UserCodeRefused(ProducerError):
    """The sealed user code does not open, or breaks a rule of the card: it will never be on the card."""

    order: str
    _message = text("The user code of the order {order} cannot be put on a card.")
    _next_step = text("Return the application, so that its applicant chooses another user code.")


class OrderOutOfStep(ProducerError):
    """A step comes before the one that it stands on."""

    order: str
    _message = text("The order {order} is not as far as this step.")
    _next_step = text("Do the steps of the order from the first one: those that were done change nothing.")


class OtherKeys(ProducerError):
    """The certificates are not for the keys of the order's card."""

    order: str
    _message = text("The certificates are for other keys than those on the card of the order {order}.")
    _next_step = text("Let nobody have the card. Look in the events for what was issued for this order.")


class CardNumberTaken(ProducerError):
    """Another card has the number of the order's card."""

    order: str
    number: str
    _message = text("Another card has the number {number} of the card of the order {order}.")
    _next_step = text("Take the other card away if it is none of the centre's. Then close the order again.")
