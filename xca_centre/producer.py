# SPDX-License-Identifier: Apache-2.0
"""Who makes the cards: a CardProducer, found at run time among the installed packages.

A package offers one in the entry point group `xca_centre.card_producers`: a function that takes a folder and
returns the producer that works there. The centre imports none of them.
"""

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final, Protocol

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from xca_centre.errors import NoSuchProducer
from xca_common.card_making import CardCertificates, CardDates, CardKeys

GROUP: Final = "xca_centre.card_producers"
"""Entry points of this group are functions of the type Opening."""


class CardProducer(Protocol):
    """Makes one card for each order, step by step, in the order of these methods.

    An order is named by 1 to 64 letters, digits and hyphens. A step that was done may be asked for again,
    with the same values, and changes nothing; one that was interrupted is done anew. So whoever goes on after
    a kill starts with the first step, and the order still has one card. If two ask at once, one of them may
    be told ProducerUnavailable.
    """

    def public_key(self) -> RSAPublicKey:
        """Return the key that user codes are sealed to (sealed_secret.seal).

        Raises:
            ProducerUnavailable: it cannot be had now.
        """

    def make_keys(self, order: str) -> CardKeys:
        """Make a card with its two keys, and choose its number.

        Raises:
            ProducerUnavailable: it cannot be done now.
        """

    def set_user_code(self, order: str, sealed: bytes) -> None:
        """Set the user code of the card. The producer keeps neither the code nor what it was sealed in.

        Raises:
            OrderOutOfStep: the order has no keys yet.
            UserCodeRefused: the code does not open, or breaks a rule of the card.
            ProducerUnavailable: it cannot be done now.
        """

    def write(self, order: str, certificates: CardCertificates) -> None:
        """Write the certificates to the card.

        Raises:
            OrderOutOfStep: the order has no keys yet.
            OtherKeys: they are not for the keys of this card.
            ProducerUnavailable: it cannot be done now.
        """

    def close(self, order: str, dates: CardDates) -> None:
        """Hand the card out: from now on it is its holder's, and the order can have no other.

        Raises:
            OrderOutOfStep: its user code was not set, or its certificates were not written.
            CardNumberTaken: somebody gave its number to another card meanwhile.
            ProducerUnavailable: it cannot be done now.
        """


Opening = Callable[[Path], CardProducer]
"""Opens the producer that works in a folder; it raises ProducerUnavailable if there is none."""


def find_producer(name: str, folder: Path) -> CardProducer:
    """Open an installed producer.

    Args:
        name: of its entry point, such as `softhsm`.
        folder: where it works.

    Raises:
        NoSuchProducer: no package offers it.
        ProducerUnavailable: it does not work in this folder.
    """
    offered = entry_points(group=GROUP)
    if name not in offered.names:
        raise NoSuchProducer(name=name, offered=sorted(offered.names))
    opening: Opening = offered[name].load()
    return opening(folder)
