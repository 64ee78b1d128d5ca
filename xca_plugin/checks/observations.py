# SPDX-License-Identifier: Apache-2.0
"""Results of earlier checks that later ones use."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from xca_common.pki.certificate import Certificate
from xca_plugin import errors
from xca_plugin.model import Card, CertificateStatus, Event
from xca_plugin.pcsc import Reader


class CardSource(Protocol):
    """The part of Cards that the checks need. The agent passes one that asks Cards in another thread."""

    def readers(self) -> Sequence[str]:
        """As Cards.readers."""

    def detect(self) -> Sequence[Card]:
        """As Cards.detect."""

    def missing(self) -> errors.CardError:
        """As Cards.missing."""

    def certificates(self, card: Card) -> Sequence[Certificate]:
        """As Cards.certificates."""

    def certificate_status(self, card: Card, *, seconds: float = ...) -> CertificateStatus | None:
        """As Cards.certificate_status."""

    def history(self) -> Sequence[Event]:
        """As Cards.history for all cards."""


@dataclass
class Observations:
    """Results of earlier checks.

    Attributes:
        cards: the facade that the checks ask.
        is_configuration_bad: the module's configuration cannot be read or means nothing.
        works: the module and its inner module work.
        stand_in: the card store holds cards of the stand-in, which need no reader.
        readers: the readers; None: they cannot be looked at.
        present: the cards that are here.
        hosts: hosts that may be asked about revocation, in addition to those of the government's issuers.
        number: the card to look at; None: all of them.
    """

    cards: CardSource
    is_configuration_bad: bool = False
    works: bool = False
    stand_in: bool = False
    readers: Sequence[Reader] | None = None
    present: Sequence[Card] = ()
    hosts: Sequence[str] = ()
    number: str | None = None
