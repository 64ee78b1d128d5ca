# SPDX-License-Identifier: Apache-2.0
"""What earlier checks saw, for the later ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from xca_common.pki.certificate import Certificate
from xca_plugin.model import Card, Event
from xca_plugin.pcsc import Reader


class CardSource(Protocol):
    """What the checks ask for: Cards itself, or what asks Cards in another thread."""

    def readers(self) -> Sequence[str]:
        """As Cards.readers."""

    def detect(self) -> Sequence[Card]:
        """As Cards.detect."""

    def certificates(self, card: Card) -> Sequence[Certificate]:
        """As Cards.certificates."""

    def history(self) -> Sequence[Event]:
        """As Cards.history, of all cards."""


@dataclass
class Observations:
    """What earlier checks saw.

    Attributes:
        cards: the facade that is asked.
        works: the module and its inner module do.
        stand_in: the card store knows cards: SoftHSM stands in, no reader is needed.
        readers: the readers, None: they cannot be looked at.
        present: the cards.
    """

    cards: CardSource
    works: bool = False
    stand_in: bool = False
    readers: Sequence[Reader] | None = None
    present: Sequence[Card] = ()
