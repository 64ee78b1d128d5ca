# SPDX-License-Identifier: Apache-2.0
"""The directory of certificates: what anybody may find (憑證查詢及下載), and what an organisation is shown.

Anybody who has a complete card number or serial number is told the state of the certificates. What they say,
and the certificates themselves, are given out when their holder has accepted them and wants them published.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Final

from sqlalchemy import Connection

from xca_centre import certificate_sets, deadlines
from xca_centre.certificate_sets import CertificateSet, IssuedCertificate
from xca_centre.errors import FormIncomplete, NoSuchCertificates
from xca_centre.i18n import text
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.certificate import CertificateState, Standing
from xca_common import taipei
from xca_common.i18n import Text
from xca_common.pki.certificate import Certificate

PRIMARY: Final = "primary"
_CARD: Final = re.compile("[A-Z]{2}[A-Z0-9]{14}")
_SERIAL: Final = re.compile("[0-9A-F]{1,40}")
_ALIVE: Final = frozenset({CertificateState.VALID, CertificateState.HELD})


@dataclass(frozen=True)
class Question:
    """What is looked for.

    Attributes:
        serial: serial number, hexadecimal, complete; None: of any.
        card: card number, complete; None: of any.
        state: None: in any.
        issued_from, issued_to: the first and the last day of issue; None: whenever.
    """

    serial: str | None = None
    card: str | None = None
    state: CertificateState | None = None
    issued_from: date | None = None
    issued_to: date | None = None

    @classmethod
    def read(cls, fields: Mapping[str, str]) -> "Question":
        """Read what was typed, under the names of the attributes. One of the two numbers has to be there.

        Raises:
            FormIncomplete: something is missing or wrong.
        """
        problems: dict[str, Text] = {}
        typed = {name: "".join(value.split()) for name, value in fields.items()}
        serial = typed.get("serial", "").upper() or None
        card = typed.get("card", "").upper() or None
        if serial is None and card is None:
            problems["card"] = text("the card number or the serial number is missing")
        if serial is not None and not _SERIAL.fullmatch(serial):
            problems["serial"] = text("a serial number has hexadecimal digits, 40 at most")
        if card is not None and not _CARD.fullmatch(card):
            problems["card"] = text("a card number has 16 characters: two letters, then digits or letters")
        state = typed.get("state") or None
        if state is not None and state not in list(CertificateState):
            problems["state"] = text("there is no such state")
        days: dict[str, date | None] = {}
        for name in ("issued_from", "issued_to"):
            try:
                days[name] = date.fromisoformat(typed[name]) if typed.get(name) else None
            except ValueError:
                problems[name] = text("a day is written as 2026-01-31")
        if problems:
            raise FormIncomplete(count=len(problems), problems=problems, reasons=[*problems.values()])
        return cls(serial, card, CertificateState(state) if state else None, **days)


@dataclass(frozen=True)
class Entry:
    """A certificate, as the directory has it at a moment.

    Attributes:
        issued: the certificate.
        set: what it moves together with.
        standing: how it stands; one that is past its end has expired, whether that was noted yet or not.
    """

    issued: IssuedCertificate
    set: CertificateSet
    standing: Standing

    @property
    def is_open(self) -> bool:
        """Whether anybody may see what it says, and download it."""
        return self.set.is_published and self.set.accepted is not None

    @cached_property
    def read(self) -> Certificate:
        """What it says."""
        return Certificate.parse("", "", self.issued.der)


def search(connection: Connection, question: Question, now: datetime) -> Sequence[Entry]:
    """Return what is found, the newest first.

    Args:
        connection: for reading.
        question: what is looked for.
        now: the present.
    """
    found: Sequence[CertificateSet]
    if question.serial is not None:
        try:
            found = [certificate_sets.of_serial(connection, question.serial)]
        except NoSuchCertificates:
            return []
    else:
        found = certificate_sets.of_card(connection, question.card or "")
    entries = [entry for each in found for entry in _entries(connection, each, now)]
    return [entry for entry in entries if _answers(entry, question)]


def public(connection: Connection, serial: str, now: datetime) -> Entry:
    """Return a certificate that anybody may download.

    Raises:
        NoSuchCertificates: there is none of this serial number, or it is not published.
    """
    if _SERIAL.fullmatch(serial.upper()):
        for entry in search(connection, Question(serial=serial.upper()), now):
            if entry.is_open:
                return entry
    raise NoSuchCertificates


def of_organisation(
    connection: Connection, rules: IssuerRules, own: CertificateSet, now: datetime
) -> Sequence[Entry]:
    """Return the certificates that the holder of some may see: those of the organisation, or his card's.

    Args:
        connection: for reading.
        rules: the issuer's; they say whether a secondary card (附卡) shows all.
        own: the certificates of who asks.
        now: the present.
    """
    found = certificate_sets.of_organisation(connection, own.organisation)
    if own.rank != PRIMARY and not rules.practice.secondary_card_lists_all:
        found = [each for each in found if each.card == own.card and (each.card or each.id == own.id)]
    return [entry for each in found for entry in _entries(connection, each, now)]


def expiring(entries: Sequence[Entry], rules: IssuerRules, now: datetime) -> Sequence[Entry]:
    """Return those that expire soon: that can be renewed now."""
    return [
        entry
        for entry in entries
        if entry.standing.state in _ALIVE
        and deadlines.renewal_opens(entry.set.not_after, rules) <= now <= entry.set.not_after
    ]


def _entries(connection: Connection, found: CertificateSet, now: datetime) -> Sequence[Entry]:
    is_past = now > found.not_after and not found.standing.is_over
    standing = Standing(CertificateState.EXPIRED) if is_past else found.standing
    return [Entry(each, found, standing) for each in certificate_sets.certificates_of(connection, found.id)]


def _answers(entry: Entry, question: Question) -> bool:
    """Tell whether an entry is what is looked for."""
    day = taipei.day(entry.set.issued)
    serial = question.serial.lstrip("0") if question.serial is not None else None
    return (
        serial in (None, entry.issued.serial)
        and question.card in (None, entry.set.card)
        and question.state in (None, entry.standing.state)
        and (question.issued_from is None or question.issued_from <= day)
        and (question.issued_to is None or day <= question.issued_to)
    )
