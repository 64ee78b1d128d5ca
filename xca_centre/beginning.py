# SPDX-License-Identifier: Apache-2.0
"""The beginning of a centre: tokens, CAs, database, and the first two officers with their cards.

It refuses to run twice. Cut off anywhere, it is run again, and goes on: each step that was done is done.
"""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import select

from xca_centre import applications, officers, organisations, sweeps
from xca_centre.authority.hierarchy import Hierarchy, Plan, Record, begin, read_record
from xca_centre.authority.repository import Repository
from xca_centre.authority.token_key import Token
from xca_centre.centre import Centre
from xca_centre.errors import (
    AlreadyBegun,
    HierarchyMissing,
    NotBegun,
    OtherOfficers,
    SchemaMissing,
    StoreUnavailable,
)
from xca_centre.first_cards import FirstCards
from xca_centre.i18n import text
from xca_centre.life.transitions import Actor, Role
from xca_centre.officers import RegisteredOfficer
from xca_centre.organisations import Organisation, OrganisationKind
from xca_centre.settings import SOFTHSM, Settings, TokenSettings, secret
from xca_centre.store.database import Database
from xca_centre.store.journal import Journal
from xca_centre.store.schema import migrate
from xca_centre.store.tables import EVENTS
from xca_centre.user_codes import UserCodes, check_form
from xca_common import atomic_file
from xca_common.folders import make_private
from xca_common.i18n import Text
from xca_common.installed_softhsm import softhsm_configuration
from xca_common.secret import Secret

BEGUN: Final = "centre_begun"
"""The kind of the event with which a centre is begun."""
ROLES: Final = (
    frozenset({Role.FIRST_REVIEWER, Role.OPERATOR}),
    frozenset({Role.SECOND_REVIEWER, Role.OPERATOR}),
)
"""What the first two officers are. Nobody reviews an application alone."""
_BY: Final = Actor(Role.OPERATOR, "beginning")
_PIN_BYTES: Final = 16


@dataclass(frozen=True)
class NewOfficer:
    """One of the first two officers.

    Attributes:
        id: by which events name him.
        name: as people call him.
    """

    id: str
    name: str


@dataclass(frozen=True)
class Beginning:
    """The record of a beginning.

    Attributes:
        authorities: of the CAs.
        officers: the first ones, with their cards.
    """

    authorities: Record
    officers: Sequence[RegisteredOfficer]


@dataclass(frozen=True)
class Ceremony:
    """What is begun, by whom.

    Attributes:
        officers: the first two.
        present: who is there, as the record names them.
        root_pin: asked for once, if the root's token is needed.
        user_code: asked for the user code of an officer's card, if that is not made yet.
        tell: is told what is done.
        bits: bits of the keys of the generations; root_bits: of the root.
    """

    officers: tuple[NewOfficer, NewOfficer]
    present: Sequence[str]
    root_pin: Callable[[], Secret]
    user_code: Callable[[NewOfficer], Secret]
    tell: Callable[[Text], object]
    bits: dict[int, int] = field(default_factory=lambda: {2: 2048, 3: 4096})
    root_bits: int = 4096

    def begin(self, centre: Centre) -> Beginning:
        """Begin a centre, or go on where that was cut off.

        Raises:
            AlreadyBegun: it was begun to its end.
            OtherOfficers: it was begun with others.
            SettingsError, HierarchyError, KeyTokenError, ProducerError, StoreProblem: a part cannot be used.
            OSError: its folder cannot be written.
        """
        settings = centre.settings
        with _locked(settings.folder):
            if is_begun(centre):
                raise AlreadyBegun(path=settings.folder)
            self._prepare(settings)
            migrate(settings.database)
            self._begin_authorities(centre)
            with closing(Database(settings.database, centre.clock, centre.journal)) as database:
                self._begin_officers(centre, database)
                with database.change() as change:
                    sweeps.begin(change)
                    change.event(BEGUN, "centre", _BY, {"issuer": settings.issuer.value})
                return read(centre, database)

    def _prepare(self, settings: Settings) -> None:
        folders = (settings.folder, settings.journal, settings.mail.folder)
        for folder in filter(None, folders):
            make_private(folder)
        if settings.journal is not None:
            Journal.begin(settings.journal)
        if settings.token.module == SOFTHSM and not settings.pin.exists():
            atomic_file.write(settings.pin, secrets.token_hex(_PIN_BYTES).encode())

    def _begin_authorities(self, centre: Centre) -> None:
        settings, rules = centre.settings, centre.rules
        about = rules.profile
        plan = Plan(
            settings.root_name,
            f"C={about.country},O={about.organisation},OU={about.unit}",
            Repository(about.repository, about.repository_name),
            about.policy,
            self.bits,
            self.root_bits,
        )
        try:
            _ = Hierarchy(centre.certificates, centre.token).root_list
            root = centre.root_token(Secret(""))  # it may be away
        except HierarchyMissing:
            self.tell(text("Making the keys of the root and of the CAs"))
            with self.root_pin() as pin:
                root = _token(centre, settings.root, Secret(pin.reveal()))
        own = _token(centre, settings.token, secret(settings.pin))
        begin(centre.certificates, plan, root, own, centre.clock(), self.present)
        root.forget()

    def _begin_officers(self, centre: Centre, database: Database) -> None:
        settings = centre.settings
        authority = Organisation(
            settings.authority_oid,
            settings.authority_name,
            None,
            OrganisationKind.OTHER,
            settings.authority_name,
        )
        with database.read() as connection:
            known = {each.id for each in officers.everybody(connection)}
        if known - {each.id for each in self.officers}:
            raise OtherOfficers(officers=sorted(known))
        with database.change() as change:
            organisations.import_organisations(change, [authority], _BY)
        generation = Hierarchy(centre.certificates, centre.token).current
        cards = FirstCards(database, centre.rules, generation, centre.producer, authority)
        codes = UserCodes(database, applications.tell_locked)
        for officer, roles in zip(self.officers, ROLES, strict=True):
            if officer.id not in known:
                with self.user_code(officer) as code:
                    check_form(code)
                    chosen = codes.choose(code, centre.producer.public_key())
                new = RegisteredOfficer(officer.id, officer.name, roles, None, None, None, True)
                cards.record(new, chosen)
            self.tell(text("Making the card of {name}").format(name=officer.name))
            cards.make(officer.id)


def is_begun(centre: Centre) -> bool:
    """Tell whether a centre was begun to its end.

    Raises:
        StoreProblem: its database cannot be used. One that is not there yet was not begun.
    """
    try:
        database = Database(centre.settings.database, centre.clock)
    except (SchemaMissing, StoreUnavailable):
        return False  # whoever begins is told why it is not there
    with closing(database), database.read() as connection:
        begun = select(EVENTS.c.id).where(EVENTS.c.kind == BEGUN).limit(1)
        return connection.execute(begun).first() is not None


def require_begun(centre: Centre) -> None:
    """See that a centre was begun to its end.

    Raises:
        NotBegun: it was not.
        StoreProblem: its database cannot be used.
    """
    if not is_begun(centre):
        raise NotBegun(path=centre.settings.folder)


def read(centre: Centre, database: Database) -> Beginning:
    """Return the record of a centre's beginning.

    Raises:
        HierarchyMissing, HierarchyDamaged: the CAs were not begun, or a file is damaged.
    """
    first = (
        select(EVENTS.c.subject)
        .where(EVENTS.c.kind == "officer_recorded", EVENTS.c.name == _BY.name)
        .order_by(EVENTS.c.at, EVENTS.c.subject)
    )
    with database.read() as connection:
        found = [officers.find(connection, each) for each in connection.execute(first).scalars()]
    return Beginning(read_record(centre.certificates), found)


def _token(centre: Centre, token: TokenSettings, pin: Secret) -> Token:
    """Return a token; SoftHSM's is made if it is not there."""
    settings = centre.settings
    module, environment = centre.module(token)
    if token.module != SOFTHSM:
        return Token(module, token.label, pin)
    make_private(centre.softhsm_tokens)
    atomic_file.write(centre.softhsm_configuration, softhsm_configuration(centre.softhsm_tokens))
    # Until the token has its PIN, who goes on after a kill needs the same one. Then nobody does.
    path = settings.folder / f"{token.label}.so-pin"
    if not path.exists():
        atomic_file.write(path, secrets.token_hex(_PIN_BYTES).encode())
    made = Token.create(module, token.label, secret(path), pin, environment)
    path.unlink()
    return made


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time begin a centre in a folder; the lock ends with the process."""
    descriptor = os.open(folder / ".beginning", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
