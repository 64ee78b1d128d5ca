# SPDX-License-Identifier: Apache-2.0
"""The rules of an issuer: deadlines, fees, addresses, labels and wordings, each with where it is known from.

They are data: issuers/common.toml, above it the issuer's own file, above that a file of the operator. A value
is a table such as `acceptance = { days = 90, source = "…" }`. A file may leave out what one below it says,
and nothing else: an unknown key, another unit or type, or a missing source is an error with file and key.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Final, NamedTuple, TypeAlias, get_args, get_origin, get_type_hints

from xca_centre.errors import BadIssuerRules
from xca_centre.i18n import text
from xca_centre.life import application, certificate, payment
from xca_centre.life.certificate import CertificateState, CertificateTable, Lapse, Reason, Standing
from xca_common.errors import os_reason
from xca_common.i18n import CHINESE, Text

_MOST_BYTES: Final = 1 << 20
_COMMON: Final = "common"
# A sentence that says which language it is in: so gettext's rules decide that, as for all others.
_LANGUAGE: Final = text("en")


class Issuer(StrEnum):
    """The issuers whose rules come with this package."""

    XCA = "xca"
    """組織及團體憑證管理中心."""
    GCA = "gca"
    """政府憑證管理中心."""
    TEST = "test"
    """Nobody's: as XCA, with names and a policy that cannot be taken for real ones."""


@dataclass(frozen=True)
class Days:
    """A time in calendar days."""

    days: Annotated[int, range(36501)]


@dataclass(frozen=True)
class WorkingDays:
    """A time in days on which the authorities work."""

    working_days: Annotated[int, range(251)]


@dataclass(frozen=True)
class Weeks:
    """A time in weeks."""

    weeks: Annotated[int, range(5201)]


@dataclass(frozen=True)
class Months:
    """A time in calendar months. None: 0."""

    months: Annotated[int, range(1201)]


@dataclass(frozen=True)
class Years:
    """A time in calendar years."""

    years: Annotated[int, range(1, 31)]


@dataclass(frozen=True)
class DaysBefore:
    """Moments before a deadline, the earliest first."""

    days_before: tuple[int, ...]

    def __post_init__(self) -> None:
        if list(self.days_before) != sorted(set(self.days_before), reverse=True) or not all(
            0 < days < 3651 for days in self.days_before
        ):
            raise ValueError("days_before: each is smaller than the one before it")


@dataclass(frozen=True)
class Fee:
    """An amount in New Taiwan dollars. Free of charge: 0."""

    ntd: Annotated[int, range(1_000_001)]


@dataclass(frozen=True)
class Wording:
    """What an issuer says, in both languages. Braces stand for a fact."""

    zh: str
    en: str

    def __call__(self, language: str | None = None) -> str:
        """Return it in a language (zh_TW, en), by default the one being spoken, else the environment's."""
        return self.zh if _LANGUAGE(language) == CHINESE else self.en

    def __str__(self) -> str:
        """Return it in the language being spoken, else the environment's."""
        return self()

    def format(self, **facts: object) -> "Wording":
        """Return it with these facts in it."""
        return Wording(self.zh.format(**facts), self.en.format(**facts))


Said: TypeAlias = Text | Wording | str
"""A sentence in both languages, or somebody's words."""


@dataclass(frozen=True)
class Ground:
    """Why somebody asks for a revocation, as the form has it, and what the revocation list says then."""

    zh: str
    en: str
    reason: Reason

    @property
    def said(self) -> Wording:
        """What the form has."""
        return Wording(self.zh, self.en)


Oid: TypeAlias = Annotated[str, r"[0-2](\.(0|[1-9][0-9]*))+"]
Base: TypeAlias = Annotated[str, r"https?://[a-z0-9.:-]+"]
OneLine: TypeAlias = Annotated[str, r"\S(.*\S)?"]


@dataclass(frozen=True)
class About:
    """Who issues.

    Attributes:
        name: as its pages have it.
        contact_line: the telephone that errors name.
        website: where people find it.
    """

    name: Wording
    contact_line: OneLine
    website: OneLine


@dataclass(frozen=True)
class Deadlines:
    """What ends when. deadlines.py counts them.

    Attributes:
        acceptance: from the issue, for activation and acceptance.
        lapse: what becomes of certificates that were not accepted.
        reissue_block: from the lapse; the organisation gets no card meanwhile.
        renewal_window: before notAfter, for a renewal with the old card.
        name_change: from the change, to ask for the revocation; then the centre revokes.
        revocation: from its approval, until it is done.
        suspension: likewise, of a suspension or resumption by letter.
        payment_slip: from its issue, for a payment.
        ticket: from its approval, to use a ticket for a new user code.
        acceptance_reminders: mails before the end of the acceptance.
        expiry_reminders: mails before notAfter.
        delivery_from, delivery_to: how long a card takes, as applicants are told.
    """

    acceptance: Days
    lapse: Lapse
    reissue_block: Months
    renewal_window: Days
    name_change: Weeks
    revocation: WorkingDays
    suspension: WorkingDays
    payment_slip: Days
    ticket: Days
    acceptance_reminders: DaysBefore
    expiry_reminders: DaysBefore
    delivery_from: Weeks
    delivery_to: Months


@dataclass(frozen=True)
class Calendar:
    """What the holidays that are known in advance do not say. Both lists may be empty.

    Attributes:
        days_off: on which the authorities do not work, such as after a typhoon.
        working_days: on which they do, such as a Saturday that makes up for another day.
    """

    days_off: tuple[date, ...]
    working_days: tuple[date, ...]


@dataclass(frozen=True)
class Fees:
    """What costs how much."""

    card: Fee
    certificate: Fee
    """Of a certificate without a card."""


@dataclass(frozen=True)
class Profile:
    """What certificates and lists say of the issuer.

    Attributes:
        country, organisation, unit: the issuer's distinguished name; all its generations have it.
        policy: OID of the certificate policy.
        validity: of a certificate.
        repository: scheme and host under which it publishes.
        repository_name: of the issuer in its paths.
    """

    country: Annotated[str, "[A-Z]{2}"]
    organisation: OneLine
    unit: OneLine
    policy: Oid
    validity: Years
    repository: Base
    repository_name: Annotated[str, "[A-Za-z0-9]+"]


@dataclass(frozen=True)
class Practice:
    """What an issuer allows, and how much of it.

    Attributes:
        primary_cards: valid primary cards (正卡) that an organisation may have.
        primary_cards_while_renewing: likewise, while the old one may be renewed.
        reset_pin_while_suspended, reset_pin_while_expired: whether the user code resets the PIN then.
        secondary_card_lists_all: whether a secondary card (附卡) shows all certificates of the organisation.
        certificates_without, applications_without, payments_without: transitions that it does not offer, each
            "STATE EVENT ROLE".
    """

    primary_cards: Annotated[int, range(1, 1001)]
    primary_cards_while_renewing: Annotated[int, range(1, 1001)]
    reset_pin_while_suspended: bool
    reset_pin_while_expired: bool
    secondary_card_lists_all: bool
    certificates_without: tuple[str, ...]
    applications_without: tuple[str, ...]
    payments_without: tuple[str, ...]


@dataclass(frozen=True)
class Labels:
    """What the states of certificates are called, on every page.

    Attributes:
        issued: not accepted yet.
        valid: also after a suspension (復用).
        held: suspended.
        revoked: for whatever reason.
        superseded: certificates for the same keys took their place.
        expired: past their last day.
    """

    issued: Wording
    valid: Wording
    held: Wording
    revoked: Wording
    superseded: Wording
    expired: Wording

    def of(self, standing: Standing) -> Wording:
        """Return what a standing is called."""
        state = standing.state
        name = "held" if state is CertificateState.HELD_UNACCEPTED else state.value
        found: Wording = getattr(self, name)
        return found


@dataclass(frozen=True)
class Menu:
    """The thirteen functions for certificates and cards, in the order of the issuer's page."""

    activate: Wording
    accept_certificate: Wording
    reset_pin: Wording
    change_pin: Wording
    reset_user_code: Wording
    query: Wording
    revoke: Wording
    suspend_or_resume: Wording
    change_contact: Wording
    show_card: Wording
    list_certificates: Wording
    list_expiring: Wording
    write_email: Wording


@dataclass(frozen=True)
class Grounds:
    """The grounds on which a holder asks for a revocation."""

    not_needed: Ground
    lost: Ground
    changed: Ground
    key_exposed: Ground


@dataclass(frozen=True)
class Wordings:
    """Sentences that the issuer's pages and letters have.

    Attributes:
        call: whom to call; {line}.
        fill_in_correctly: above the form of an application.
        suspend_first: above the form of a revocation.
        activation_done: after an activation.
        activate_in_time: on the page of the activation; {days}.
        letter_lapse: on the letter with the card; {days}, {months}.
        keep_pin, user_code_forgotten, user_code_locked, pin_lost: the other notes of that page.
        user_code_form, pin_form: beside the fields.
        delivery: how long a card takes; {weeks}, {months}.
    """

    call: Wording
    fill_in_correctly: Wording
    suspend_first: Wording
    activation_done: Wording
    activate_in_time: Wording
    letter_lapse: Wording
    keep_pin: Wording
    user_code_forgotten: Wording
    user_code_locked: Wording
    pin_lost: Wording
    user_code_form: Wording
    pin_form: Wording
    delivery: Wording


@dataclass(frozen=True)
class Terms:
    """The terms of use (用戶約定條款) that an applicant agrees to.

    Attributes:
        version: names them; who agreed to others agrees anew.
        data, codes, acceptance, purpose, report, fee, contact: the clauses, in their order. `acceptance` has
            {days} in braces.
    """

    version: Annotated[str, r"[A-Za-z0-9.-]{1,32}"]
    data: Wording
    codes: Wording
    acceptance: Wording
    purpose: Wording
    report: Wording
    fee: Wording
    contact: Wording

    def clauses(self, days: int) -> list[Wording]:
        """Return the clauses in their order.

        Args:
            days: for the acceptance.
        """
        acceptance = self.acceptance.format(days=days)
        return [self.data, self.codes, acceptance, self.purpose, self.report, self.fee, self.contact]


@dataclass(frozen=True)
class IssuerRules:
    """All rules of an issuer. `sources` tells of each where it is known from, by its key."""

    about: About
    deadlines: Deadlines
    calendar: Calendar
    fees: Fees
    profile: Profile
    practice: Practice
    labels: Labels
    menu: Menu
    grounds: Grounds
    wordings: Wordings
    terms: Terms
    sources: Mapping[str, str]

    @cached_property
    def certificates(self) -> CertificateTable:
        """The transitions of a certificate here."""
        return certificate.TABLE.without(self.practice.certificates_without)

    @cached_property
    def applications(self) -> application.ApplicationTable:
        """The transitions of an application here."""
        return application.TABLE.without(self.practice.applications_without)

    @cached_property
    def payments(self) -> payment.PaymentTable:
        """The transitions of a payment slip here."""
        return payment.TABLE.without(self.practice.payments_without)


class _Value(NamedTuple):
    value: Any
    source: str
    file: Traversable | Path


class _Wrong(Exception):
    def __init__(self, key: str, detail: Text) -> None:
        super().__init__(key)
        self.key = key
        self.detail = detail


def load(issuer: Issuer, own: Path | None = None) -> IssuerRules:
    """Return the rules of an issuer.

    Args:
        issuer: whose.
        own: a file of the operator, with what is different here.

    Raises:
        BadIssuerRules: a file cannot be read, or something in it is wrong.
    """
    folder = files(__package__) / "issuers"
    values: dict[str, _Value] = {}
    for file in (folder / f"{_COMMON}.toml", folder / f"{issuer}.toml", own):
        if file is not None:
            values.update(_read(file, values))
    missing = next((key for key in _KINDS if key not in values), None)
    if missing is not None:
        raise BadIssuerRules(path=str(folder / f"{issuer}.toml"), key=missing, detail=text("it is missing"))
    sources = {key: found.source for key, found in values.items()}
    rules: IssuerRules = _built(IssuerRules, values, "", sources=sources)
    for name in ("certificates", "applications", "payments"):
        try:
            getattr(rules, name)
        except KeyError as error:
            key = f"practice.{name}_without"
            detail = text("there is no transition “{name}”").format(name=error.args[0])
            raise BadIssuerRules(path=str(values[key].file), key=key, detail=detail) from None
    return rules


def _read(file: Traversable | Path, below: Mapping[str, _Value]) -> dict[str, _Value]:
    try:
        with file.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise _Wrong("-", text("it has more than {size} MiB").format(size=_MOST_BYTES >> 20))
        document = tomllib.loads(data.decode())
        return {
            key: _Value(_leaf(key, table, below.get(key)), _source(key, table), file)
            for key, table in _tables(document, "")
        }
    except OSError as error:
        raise BadIssuerRules(path=str(file), key="-", detail=os_reason(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = text("it is no TOML ({detail})").format(detail=error)
        raise BadIssuerRules(path=str(file), key="-", detail=detail) from None
    except _Wrong as error:
        raise BadIssuerRules(path=str(file), key=error.key, detail=error.detail) from None


def _tables(document: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Find the tables of single values."""
    for name, table in document.items():
        key = prefix + name
        if key not in _KINDS and key not in _SECTIONS:
            raise _Wrong(key, text("there is no such key"))
        if not isinstance(table, dict):
            raise _Wrong(key, text("it has to be a table"))
        if key in _KINDS:
            yield key, table
        else:
            yield from _tables(table, f"{key}.")


def _source(key: str, table: Mapping[str, Any]) -> str:
    source = table["source"]
    if type(source) is not str or not source.strip():
        raise _Wrong(f"{key}.source", text("it has to be a text"))
    return source


def _leaf(key: str, table: Mapping[str, Any], below: _Value | None) -> Any:
    kind = _KINDS[key]
    is_whole = kind not in _VALUES
    parts = {"value": kind} if is_whole else _hints(kind)
    for name in sorted(table.keys() ^ {*parts, "source"}):
        raise _Wrong(
            f"{key}.{name}",
            text("it is missing") if name not in table else text("there is no such key"),
        )
    found = {name: _typed(f"{key}.{name}", table[name], hint) for name, hint in parts.items()}
    if is_whole:
        return found["value"]
    try:
        value = kind(**found)
    except ValueError:
        raise _Wrong(key, text("the numbers have to be positive, and descend")) from None
    if isinstance(value, Wording):
        _check_braces(key, value, below.value if below else value)
    return value


def _check_braces(key: str, wording: Wording, below: Wording) -> None:
    try:
        known = _braces(below.zh) | _braces(below.en)
        unknown = sorted((_braces(wording.zh) | _braces(wording.en)) - known)
    except ValueError:
        raise _Wrong(key, text("its braces are wrong")) from None
    if unknown:
        raise _Wrong(key, text("nothing is known for {names} in braces").format(names=unknown))


def _braces(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


def _typed(key: str, value: Any, hint: Any) -> Any:
    """Return a value as what a field's annotation says."""
    if get_origin(hint) is Annotated:
        hint, limit = get_args(hint)
        value = _typed(key, value, hint)
        if isinstance(limit, range) and value not in limit:
            said = text("it has to be between {least} and {most}")
            raise _Wrong(key, said.format(least=limit[0], most=limit[-1]))
        if isinstance(limit, str) and not re.fullmatch(limit, value):
            raise _Wrong(key, text("it has another form than such a value has"))
        return value
    if get_origin(hint) is tuple:
        if type(value) is not list:
            raise _Wrong(key, text("it has to be a list"))
        return tuple(_typed(key, each, get_args(hint)[0]) for each in value)
    if issubclass(hint, StrEnum):
        if type(value) is not str or value not in list(hint):
            names = [str(each) for each in hint]
            raise _Wrong(key, text("it has to be one of {names}").format(names=names))
        return hint(value)
    # A number is no truth value here, nor a moment a day, though Python thinks so.
    if type(value) is not hint:
        raise _Wrong(key, _WRONG_TYPE[hint]())
    if hint is str and not value.strip():
        raise _Wrong(key, text("it has to be a text"))
    return value


_WRONG_TYPE: Final[Mapping[type, Callable[[], Text]]] = {
    int: lambda: text("it has to be a whole number"),
    str: lambda: text("it has to be a text"),
    bool: lambda: text("it has to be true or false"),
    date: lambda: text("it has to be a day, such as 2026-01-31"),
}
_VALUES: Final = (Days, WorkingDays, Weeks, Months, Years, DaysBefore, Fee, Wording, Ground)


def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _kinds(section: type, prefix: str) -> Iterator[tuple[str, Any]]:
    """Find the key and the type of each value of a section."""
    for name, hint in _hints(section).items():
        if is_dataclass(hint) and hint not in _VALUES:
            assert isinstance(hint, type)  # noqa: S101  # for mypy
            yield from _kinds(hint, f"{prefix}{name}.")
        elif name != "sources":
            yield prefix + name, hint


_KINDS: Final[dict[str, Any]] = dict(_kinds(IssuerRules, ""))
_SECTIONS: Final = {".".join(key.split(".")[:end]) for key in _KINDS for end in range(1, key.count(".") + 1)}


def _built(section: Any, values: Mapping[str, _Value], prefix: str, **more: object) -> Any:
    made = {
        name: values[prefix + name].value
        if prefix + name in values
        else _built(hint, values, f"{prefix}{name}.")
        for name, hint in _hints(section).items()
        if name not in more
    }
    return section(**made, **more)
