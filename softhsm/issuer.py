# SPDX-License-Identifier: Apache-2.0
"""The issuer: issues cards, repairs them, sets a new user code if the old one is lost, and removes cards.

A process may be killed at any moment: a card is then either there or not, and the same call made again
completes the work. A card is built in the staging folder. It becomes visible when the folder of its token is
renamed, after its record in the card store and the issuer's copies are on the disk.
"""

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal

from pkcs11_shim import CardRow, StoreWriter, rules
from softhsm.environment import Environment
from softhsm.errors import BadValueError, IssuerError, NoSuchCardError, TicketRefusedError
from softhsm.i18n import text
from softhsm.inner import InnerModule
from softhsm.making import (
    ENCRYPTION_KEY,
    FRESH,
    ISSUED,
    SIGNING_KEY,
    SO_PIN,
    STATE_FILE,
    check_free,
    free_reader,
    keep_fresh,
    on_the_card,
    public_key,
    publish,
    staging_folder,
    withdraw,
)
from xca_common import atomic_file
from xca_common.errors import os_reason
from xca_common.pki import profile
from xca_common.taipei import TAIPEI

ACTIVATION_DAYS: Final = 90
"""Days after the day of issue within which a card must be activated (開卡作業流程說明, 注意事項 1)."""

_TICKETS: Final = "tickets.json"
"""Beside the issuer's copies: the highest counter of a ticket that the card took; whether it is open."""
_REFUSED: Final = text("the card does not take the ticket (授權票): {detail}")
_NUMBER: Final = r"XC[0-9]{14}"
_READER_MAX: Final = 64  # CK_SLOT_INFO.slotDescription


class IssuedCardState(StrEnum):
    """The state of an issued card: it tells what the holder or the issuer can do with it."""

    ISSUED = "issued"
    """未開卡: to be activated."""
    ACTIVE = "active"
    """已開卡: works."""
    LAPSED = "lapsed"
    """Never activated, and the last day for it has passed."""
    PIN_LOCKED = "pin-locked"
    """鎖卡: the PIN must be reset with the user code."""
    USER_CODE_LOCKED = "user-code-locked"
    """The user code must be reset by the issuer; on an activated card the PIN still works."""
    DAMAGED = "damaged"
    """The token file is gone or empty: `repair` puts it back."""
    UNFINISHED = "unfinished"
    """A killed process left a row without a token: `remove` clears it."""


@dataclass(frozen=True)
class IssuedCard:
    """A card of an environment.

    Attributes:
        row: its record in the card store.
        state: its state now.
    """

    row: CardRow
    state: IssuedCardState

    @property
    def number(self) -> str:
        """Card number, 16 characters."""
        return self.row.number


@dataclass(frozen=True, kw_only=True)
class Application:
    """What a holder applied for, and what the issuer adds.

    Attributes:
        holder: subject DN, its parts in the order of the certificate.
        organisation_oid: the organisation's OID.
        rank: `primary` (正卡) or `secondary` (附卡).
        email: address for the certificates, or None.
        years: validity.
        issued_on: day of issue in Taipei, None for today. A day long past makes a lapsed card.
        number: card number (XC and 14 digits), None for a free one.
        reader: name of the reader that the card sits in, None for a new one.
    """

    holder: str = "C=TW,L=臺北市,O=國立臺灣大學"
    organisation_oid: str = "2.16.886.111.100000"
    rank: Literal["primary", "secondary"] = "secondary"
    email: str | None = None
    years: int = 6
    issued_on: date | None = None
    number: str | None = None
    reader: str | None = None


def issue(environment: Environment, user_code: str, application: Application | None = None) -> IssuedCard:
    """Make a card as it comes to its holder: closed, to be activated with the user code.

    Args:
        environment: where.
        user_code: 用戶代碼 that the holder chose.
        application: what the card is to be; a secondary card of a university by default.

    Raises:
        BadValueError: the user code or the application breaks a rule, or the number or the reader is taken.
        IssuerError: SoftHSM or the environment fails.
        StoreError: the card store cannot be used.
        OSError: the environment cannot be written.
    """
    application = application or Application()
    check_user_code(user_code)
    _check_places(application)
    issued = _time_of_issue(application)

    taken = {row.number for row in environment.store.cards()}
    number = application.number or next(n for n in _random_numbers() if n not in taken)
    with staging_folder(environment, number) as staging:
        check_free(environment, number)
        with InnerModule(environment.inner_module, staging / "softhsm2.conf") as inner:
            so_pin, label = secrets.token_hex(16), rules.INNER_LABEL + number
            inner.send(do="make-keys", label=label, so_pin=so_pin)
            # SoftHSM makes the keys while the libraries for certificates load, which takes as long.
            certificates = _Certificates(environment, application, issued)
            moduli = inner.receive()["moduli"]
            inner.ask("write-certificates", label=label, certificates=certificates.objects(moduli))
            keep_fresh(staging, so_pin)
            inner.ask("change-user-code", label=label, old=so_pin, new=user_code)
        day = issued.date()
        publish(
            environment,
            staging,
            number,
            reader=application.reader,
            issued_on=day,
            activate_by=day + timedelta(days=ACTIVATION_DAYS),
        )
    return find(environment, number)


def check_application(environment: Environment, application: Application) -> None:
    """Check an application before its holder is asked for a user code; `issue` checks it too.

    Raises:
        BadValueError: the application breaks a rule, or its number or its reader is taken.
        IssuerError: the environment is damaged.
        StoreError: the card store cannot be used.
    """
    _check_places(application)
    if application.number is not None:
        check_free(environment, application.number)
    free_reader(environment.store.cards(), application.reader)
    _Certificates(environment, application, _time_of_issue(application))


def cards(environment: Environment) -> list[IssuedCard]:
    """Return every card, ordered by number.

    Raises:
        StoreError: the card store cannot be used.
    """
    return [IssuedCard(row, _state(environment, row)) for row in environment.store.cards()]


def find(environment: Environment, number: str) -> IssuedCard:
    """Return one card.

    Raises:
        NoSuchCardError: there is none of this number.
        StoreError: the card store cannot be used.
    """
    row = environment.store.card(number)
    if row is None:
        raise NoSuchCardError(
            text("no card {number} here; `softhsm-card list` shows those there are").format(number=number)
        )
    return IssuedCard(row, _state(environment, row))


def repair(environment: Environment, number: str) -> bool:
    """Put the issuer's copy of the token file back where SoftHSM cannot read the token any more.

    The user code is then the first one again, and no PIN is valid: an activated card shows as PIN locked
    until its holder resets the PIN. Keys and certificates stay.

    Returns:
        Whether there was something to repair.

    Raises:
        NoSuchCardError: there is none of this number.
        IssuerError: the damage is elsewhere.
        StoreError: the card store cannot be used.
        OSError: the environment cannot be written.
    """
    find(environment, number)
    with environment.store.writing() as store:
        with InnerModule(environment.inner_module, environment.inner_configuration) as inner:
            if rules.INNER_LABEL + number in inner.ask("labels")["labels"]:
                return False
        fresh = _copy(environment, number, ISSUED)
        _replace_secrets(environment, store, number, fresh, event="repair")
    return True


def reset_user_code(environment: Environment, number: str, new_user_code: str) -> None:
    """Give a card a new user code without the old one (用戶代碼重設).

    No PIN is valid afterwards: an activated card shows as PIN locked until its holder resets the PIN with the
    new user code. Keys and certificates stay.

    Raises:
        BadValueError: the new user code breaks a rule.
        NoSuchCardError: there is none of this number.
        IssuerError: SoftHSM or the environment fails.
        StoreError: the card store cannot be used.
        OSError: the environment cannot be written.
    """
    check_user_code(new_user_code)
    find(environment, number)
    with staging_folder(environment, number) as staging:
        _set_user_code(environment, number, staging, new_user_code)


def take_ticket(environment: Environment, number: str, ticket: bytes, new_user_code: str) -> None:
    """Do the same as a card does it with a ticket of the centre that issued it (xca_common.pki.ticket).

    The ticket's counter is written down first: no ticket counts twice. One that was written down, and whose
    work was cut off, may finish it. The last day to activate the card stays.

    Raises:
        TicketRefusedError: the ticket does not count, or not for this card as it is.
        BadValueError, NoSuchCardError, IssuerError, StoreError, OSError: as reset_user_code.
    """
    from xca_common.pki import strict_certificate  # slow to load, and needed here alone
    from xca_common.pki.ticket import Ticket, TicketUnusable

    check_user_code(new_user_code)
    find(environment, number)
    with staging_folder(environment, number) as staging:  # nobody else changes the card meanwhile
        with (
            environment.store.lock(exclusive=True),  # a login rewrites the token's file
            InnerModule(environment.inner_module, environment.inner_configuration) as inner,
        ):
            held = inner.ask("certificates", label=rules.INNER_LABEL + number, ids=[SIGNING_KEY, "CACert"])[
                "certificates"
            ]
        card = find(environment, number)
        record = environment.copies / number / _TICKETS
        try:
            issuer = strict_certificate.load(bytes.fromhex(held["CA Cert"]))
            read = Ticket.verify(ticket, [issuer], datetime.now(UTC))
            is_activated = card.row.activated_at is not None
            taken, is_open = _taken(record)
            # What it began may have changed the state that it is for.
            state = read.is_activated if is_open and read.counter == taken else is_activated
            read.check(number, bytes.fromhex(held["cert1"]), is_activated=state)
        except TicketUnusable as error:
            raise TicketRefusedError(_REFUSED.format(detail=error.detail)) from None
        if read.counter < taken or (read.counter == taken and not is_open):
            raise TicketRefusedError(_REFUSED.format(detail=text("it was used already")))
        _note_taken(record, read.counter, is_open=True)
        _set_user_code(environment, number, staging, new_user_code)
        _note_taken(record, read.counter, is_open=False)


def _taken(record: Path) -> tuple[int, bool]:
    """Return the highest counter that a card took, and whether the work for it was cut off."""
    try:
        counter, is_open = json.loads(record.read_bytes())
        return int(counter), bool(is_open)
    except FileNotFoundError:
        return 0, False
    except (ValueError, TypeError) as error:
        said = text("{path}: it is damaged; no ticket can be taken")
        raise IssuerError(said.format(path=record)) from error


def _note_taken(record: Path, counter: int, *, is_open: bool) -> None:
    atomic_file.write(record, json.dumps([counter, is_open]).encode())


def _set_user_code(environment: Environment, number: str, staging: Path, new_user_code: str) -> None:
    """Change the code in a copy, which then replaces the file: the card always has one of the codes."""
    token_file = staging / "tokens" / number / STATE_FILE
    token_file.parent.mkdir(mode=0o700)
    atomic_file.write(token_file, _copy(environment, number, FRESH))
    with InnerModule(environment.inner_module, staging / "softhsm2.conf") as inner:
        so_pin = _copy(environment, number, SO_PIN).decode()
        inner.ask("change-user-code", label=rules.INNER_LABEL + number, old=so_pin, new=new_user_code)
    with environment.store.writing() as store:
        _replace_secrets(environment, store, number, token_file.read_bytes(), event="reset-user-code")


def remove(environment: Environment, number: str) -> None:
    """Take a card away: its token with all keys, its row and history, the issuer's copies.

    Raises:
        NoSuchCardError: there is none of this number.
        IssuerError: another process works on this card.
        StoreError: the card store cannot be used.
        OSError: the environment cannot be written.
    """
    find(environment, number)
    with staging_folder(environment, number) as staging, environment.store.writing() as store:
        withdraw(environment, staging, store, number)


class _Certificates:
    """The certificates of one card, made when its public keys are known."""

    def __init__(self, environment: Environment, application: Application, issued: datetime) -> None:
        from xca_common.pki import authority, distinguished_name  # slow to load, needed by `issue` alone

        try:
            self._authority = authority.Authority.load(environment.pki)
        except (OSError, ValueError) as error:
            said = text("{path}: the test PKI is damaged ({error}); make a new environment")
            raise IssuerError(said.format(path=environment.pki, error=error)) from None
        self._usages = {SIGNING_KEY: authority.SIGNING, ENCRYPTION_KEY: authority.ENCRYPTION}
        try:
            holder = distinguished_name.parse(application.holder)
        except ValueError:
            said = text(
                "holder '{holder}': not a name; write it like C=TW,L=臺北市,O=國立臺灣大學, and a comma in a "
                "value as \\,"
            )
            raise BadValueError(said.format(holder=application.holder)) from None
        try:
            attributes = authority.directory_attributes(
                profile.SCHOOL, application.rank, organisation_oid=application.organisation_oid
            )
            self._subject = authority.Subject(holder, attributes, application.email)
            self._validity = authority.validity(issued, application.years)
        except ValueError as error:
            raise BadValueError(str(error)) from None

    def objects(self, moduli: dict[str, str]) -> list[dict[str, Any]]:
        """Return the request of the worker that writes the certificates of these keys and of the CAs."""
        keys = {key_id: public_key(modulus) for key_id, modulus in moduli.items()}
        signing, encryption = (
            self._authority.certify(keys[key_id], usage, self._subject, *self._validity)
            for key_id, usage in self._usages.items()
        )
        return on_the_card(signing, encryption, self._authority.certificate, self._authority.root)


def _replace_secrets(
    environment: Environment, store: StoreWriter, number: str, token_file: bytes, *, event: str
) -> None:
    """Replace the token file of a card by one whose user code is known and whose PIN is not."""
    target = environment.tokens / number / STATE_FILE
    if not target.parent.is_dir():
        said = text(
            "{number} has no token, only the rest of a card; `softhsm-card remove {number}`, issue another"
        )
        raise IssuerError(said.format(number=number))
    # The record first: after a kill in between the call can be repeated, and no PIN only seems to be valid.
    store.replace_secrets(number, event=event)
    atomic_file.write(target, token_file)


def check_user_code(user_code: str) -> None:
    """Refuse a value that no user code may have.

    Raises:
        BadValueError: wrong length or characters.
    """
    # Checked here, because the issuer does not write through the module, which has the rule.
    allowed = range(rules.CHAR_FIRST, rules.CHAR_LAST + 1)
    if not rules.USER_CODE_MIN <= len(user_code) <= rules.USER_CODE_MAX:
        said = text("user code (用戶代碼): must have {least} to {most} characters; choose another")
        raise BadValueError(said.format(least=rules.USER_CODE_MIN, most=rules.USER_CODE_MAX))
    if not all(ord(character) in allowed for character in user_code):
        raise BadValueError(
            text(
                "user code (用戶代碼): must be ASCII letters, digits and symbols, without blanks; "
                "choose another"
            )
        )


def _check_places(application: Application) -> None:
    """Check the form of the reader's name and of the card number, where they were chosen."""
    reader, number = application.reader, application.number
    if reader is not None and not (reader.isprintable() and 0 < len(reader.strip().encode()) <= _READER_MAX):
        said = text("reader '{reader}': must be a line of 1 to {most} bytes; choose another name")
        raise BadValueError(said.format(reader=reader, most=_READER_MAX))
    if number is not None and not re.fullmatch(_NUMBER, number):
        said = text("card number '{number}': must be XC and 14 digits; leave it out for a free one")
        raise BadValueError(said.format(number=number))


def _time_of_issue(application: Application) -> datetime:
    now = datetime.now(TAIPEI)
    if application.issued_on is None:
        return now
    return datetime.combine(application.issued_on, now.timetz())


def _random_numbers() -> Iterator[str]:
    # Random, so that no running process confuses a new card with a removed one.
    while True:
        yield f"XC{secrets.randbelow(10**6):014d}"


def _copy(environment: Environment, number: str, name: str) -> bytes:
    try:
        return (environment.copies / number / name).read_bytes()
    except OSError as error:
        said = text("no issuer's copy for {number} ({reason}); `softhsm-card remove {number}`, issue another")
        raise IssuerError(said.format(number=number, reason=os_reason(error))) from None


def _state(environment: Environment, row: CardRow) -> IssuedCardState:
    token = environment.tokens / row.number
    if not token.is_dir():
        return IssuedCardState.UNFINISHED
    token_file = token / STATE_FILE
    if not token_file.is_file() or token_file.stat().st_size == 0:
        return IssuedCardState.DAMAGED
    if row.lapsed:
        return IssuedCardState.LAPSED
    if row.activated_at is not None and row.pin_tries == 0:
        return IssuedCardState.PIN_LOCKED
    if row.user_code_tries == 0:
        return IssuedCardState.USER_CODE_LOCKED
    return IssuedCardState.ISSUED if row.activated_at is None else IssuedCardState.ACTIVE
