# SPDX-License-Identifier: Apache-2.0
"""What earlier checks saw, for the later ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from xca_plugin.cards import Cards
from xca_plugin.model import Card
from xca_plugin.pcsc import Reader


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

    cards: Cards
    works: bool = False
    stand_in: bool = False
    readers: Sequence[Reader] | None = None
    present: Sequence[Card] = ()
