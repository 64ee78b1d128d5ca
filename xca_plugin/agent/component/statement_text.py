# SPDX-License-Identifier: Apache-2.0
"""Statements of web sites in words: what the person is shown in place of the text that is signed."""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from xca_common.i18n import Text
from xca_common.statement import Statement, StatementKind
from xca_common.taipei import moment
from xca_plugin.agent.component.operation import ConsentFact
from xca_plugin.i18n import text

TITLES: Final[Mapping[StatementKind, Text]] = {
    StatementKind.LOGIN: text("Log in to the site with the card"),
    StatementKind.ACCEPTANCE: text("Accept the certificates on the card"),
    StatementKind.RENEWAL: text("Apply for a new card with the card"),
    StatementKind.REGISTRATION: text("Register the card's certificate for encryption with the site"),
    StatementKind.BID: text("Submit a bid with the card"),
    StatementKind.WITHDRAW: text("Withdraw a bid with the card"),
    StatementKind.OPEN: text("Open the bids of a tender with the card"),
}
"""What the card is used for, by the kind of a statement that is signed."""

_MEANINGS: Final[Mapping[StatementKind, Text]] = {
    StatementKind.LOGIN: text(
        "You log in to this site, and to no other, in the name of the holder of the card."
    ),
    StatementKind.ACCEPTANCE: text(
        "You declare that the card and its certificates are right. They become valid then."
    ),
    StatementKind.RENEWAL: text(
        "You apply for a new card in place of this one, as the form on the site says. This card stays valid."
    ),
    StatementKind.REGISTRATION: text("The site will encrypt to this certificate what only this card opens."),
    StatementKind.BID: text("You submit this bid in the name of the holder of the card."),
    StatementKind.WITHDRAW: text("You withdraw this bid in the name of the holder of the card."),
    StatementKind.OPEN: text("You take part in the opening of the bids, in the role that is named here."),
}
_LABELS: Final[Mapping[str, Text]] = {
    "card": text("Card number"),
    "cert1": text("Certificate for signatures, by its SHA-256 hash"),
    "cert2": text("Certificate for encryption, by its SHA-256 hash"),
    "form": text("Form of the application, by its SHA-256 hash"),
    "version": text("Version of the tender"),
    "tender": text("Tender"),
    "notice": text("Notice of the tender, by its SHA-256 hash"),
    "organisation": text("Organisation"),
    "instrument": text("Authorisation, and its SHA-256 hash"),
    "bond": text("Bid bond"),
    "bid": text("Bid"),
    "sequence": text("Which version of the bid this is"),
    "replaces": text("Replaces the bid with this receipt, by its SHA-256 hash"),
    "recipient": text("Who can open it, by the SHA-256 hash of the key"),
    "file": text("File"),
    "receipt": text("Receipt, by its SHA-256 hash"),
    "list": text("List of the bids, by its SHA-256 hash"),
    "officer": text("Role"),
}


def statement_facts(statement: Statement) -> Sequence[ConsentFact]:
    """Return what a statement that is signed says."""
    facts = [
        ConsentFact(text("What it means"), _MEANINGS[statement.kind]()),
        ConsentFact(text("Site that it is for"), statement.origin),
        ConsentFact(text("Made at, by the clock of the site"), moment(statement.time)),
    ]
    facts += [ConsentFact(_LABELS[key], _SAID.get(key, str)(value)) for key, value in statement.fields]
    return facts


def _file(value: str) -> str:
    """Return the name, the size and the hash of a file."""
    _, size, digest, encoded = value.split(" ")
    try:
        name = base64.urlsafe_b64decode(f"{encoded}{'=' * (-len(encoded) % 4)}").decode()
    except ValueError:
        name = encoded
    return text("{name}, {size} bytes, SHA-256 {digest}").format(name=name, size=int(size), digest=digest)()


def _replaced(value: str) -> str:
    return text("none")() if value == "none" else value


_SAID: Final[Mapping[str, Callable[[str], str]]] = {"file": _file, "replaces": _replaced}
