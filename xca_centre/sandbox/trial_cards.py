# SPDX-License-Identifier: Apache-2.0
"""Cards of a running sandbox that live quickly, for tests: applied for, reviewed, made, accepted, held."""

import secrets
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from xca_centre import applications, case_number, certificate_sets, officers, orders, settings
from xca_centre.application_form import ApplicationForm
from xca_centre.applications import Officer
from xca_centre.centre import Centre
from xca_centre.life.application import ApplicationState
from xca_centre.life.certificate import CertificateEvent
from xca_centre.life.transitions import Actor, Role
from xca_centre.sandbox.parts import Parts
from xca_centre.sandbox.setting_up import (
    Sandbox,
    accept,
    activate,
    digits,
    open_officers_cards,
    set_up,
)
from xca_centre.user_codes import UserCodes
from xca_common.secret import Secret
from xca_login.errors import ProgramFailed

_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1
_ORGANISATIONS: Final = 20
_BANK: Final = Actor(Role.PAYMENT_PROVIDER, "test")
_FIELDS: Final = {
    "rank": "secondary",
    "applicant_email": "wang@school.example.tw",
    "contact_name": "王小明",
    "contact_title": "承辦人",
    "contact_email": "wang@school.example.tw",
    "contact_address": "測試市明湖區測試路一段 1 號",
    "contact_phone": "02-0000-0000",
    "contact_fax": "",
    "secure_email": "",
    "published": "yes",
}
_MADE: Final = (ApplicationState.ISSUED, ApplicationState.MAILED, ApplicationState.CLOSED)


@dataclass(frozen=True)
class TrialCard:
    """A card, as far as it has come.

    Attributes:
        application: id of its application.
        case_number: in five groups.
        organisation: the OID of its holder.
        user_code: that was chosen with the application.
        number: card number; "": it is not made yet.
        pin: its PIN; "": it is not activated yet.
        signing: its certificate for signatures (cert1), in DER; empty: it is not made yet.
        encryption: its certificate for encryption (cert2), likewise.
    """

    application: UUID
    case_number: str
    organisation: str
    user_code: str
    number: str = ""
    pin: str = ""
    signing: bytes = b""
    encryption: bytes = b""


class TrialCentre:
    """A running centre whose cards live quickly. Each of its acts is what the pages do, without a browser.

    Attributes:
        origin: of its pages; its lists and OCSP are there, too.
        environment: variables for programs that use its cards.
        cards: the folder of its cards, as softhsm.Environment takes it.
        authorities: a folder with the certificates of the CAs and of the root, in DER.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        """Take a sandbox that runs; running() does."""
        self._sandbox = sandbox
        self._centre = Centre(settings.read(sandbox.folder))
        self._codes = UserCodes(self._centre.database, applications.tell_locked)
        self._applied = 0
        self.origin: Final = sandbox.origin
        self.environment: Final = sandbox.variables
        self.cards: Final[Path] = sandbox.cards
        self.authorities: Final[Path] = self._centre.certificates

    @classmethod
    @contextmanager
    def running(cls, folder: Path) -> "Iterator[TrialCentre]":
        """Run a centre in a folder until the end of the block.

        Raises:
            ProgramMissing, ProgramFailed, CentreError, OSError: as of sandbox.run().
        """
        sandbox = set_up(folder, lambda _: None)
        with Parts.running(sandbox, with_component=False):
            centre = cls(sandbox)
            with closing(centre._centre.database):
                open_officers_cards(sandbox, centre._centre)
                yield centre

    def move_clock(self, by: timedelta) -> None:
        """Move the centre's clock ahead, for all of its tests. Cards keep the time of this computer.

        Raises:
            ClockNotMoved: it would go back.
        """
        self._sandbox.clock.move(by)

    def apply(self, organisation: str | None = None) -> TrialCard:
        """Apply for a secondary card, and pay for it.

        Args:
            organisation: its OID; None: the next of the 20 that are invented.
        """
        oid = organisation or f"2.16.886.111.{990001 + self._applied % _ORGANISATIONS}"
        self._applied += 1
        code, rules = secrets.token_hex(5), self._centre.rules
        form = ApplicationForm.read({**_FIELDS, "consent": rules.terms.version}, rules.terms.version)
        chosen = self._codes.choose(Secret(code), self._centre.producer.public_key())
        with self._centre.database.change() as change:
            case = applications.submit(change, rules, oid, form, chosen)
            slip = applications.fetch_slip(change, rules, case.id, Actor(Role.APPLICANT, case.case_number))
            applications.pay(change, rules, slip.number, slip.due, change.now, _BANK)
        return TrialCard(case.id, case_number.shown(case.case_number), oid, code)

    def review(self, card: TrialCard) -> TrialCard:
        """Have the letter arrive, and both reviews passed: the card is being made from now on."""
        first, second = self._officers()
        rules = self._centre.rules
        with self._centre.database.change() as change:
            applications.receive(change, rules, card.application, first)
        with self._centre.database.change() as change:
            applications.pass_first(change, rules, card.application, first)
        with self._centre.database.change() as change:
            applications.approve(change, rules, card.application, second)
        return card

    def wait_until_made(self, card: TrialCard) -> TrialCard:
        """Wait until a card that was reviewed is made: not activated, as it comes to its holder.

        Raises:
            ProgramFailed: it was not made in a minute.
        """
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline:
            with self._centre.database.read() as connection:
                if applications.read(connection, card.application).state in _MADE:
                    order = orders.of_application(connection, card.application)
                    one, other = certificate_sets.certificates_of(connection, order.certificates)
                    return replace(card, number=order.card or "", signing=one.der, encryption=other.der)
            time.sleep(_LOOK_SECONDS)
        raise ProgramFailed(name="xca-centre worker", detail="-")

    def accept(self, card: TrialCard) -> TrialCard:
        """Activate a card that is made, and accept its certificates: they are valid.

        Raises:
            ProgramFailed: xcactl failed.
        """
        pin = digits()
        activate(self._sandbox, card.number, card.user_code, pin)
        accept(self._sandbox, self._centre, card.number, pin)
        return replace(card, pin=pin)

    def suspend(self, card: TrialCard) -> TrialCard:
        """Suspend the certificates of a card, as its holder.

        Raises:
            Refused: it cannot be done now.
        """
        self._happen(card, CertificateEvent.SUSPEND)
        return card

    def resume(self, card: TrialCard) -> TrialCard:
        """Resume them, as the holder.

        Raises:
            Refused: as suspend().
        """
        self._happen(card, CertificateEvent.RESUME)
        return card

    def _happen(self, card: TrialCard, event: CertificateEvent) -> None:
        with self._centre.database.change() as change:
            (issued,) = certificate_sets.of_card(change.connection, card.number)
            by = Actor(Role.HOLDER, card.number)
            certificate_sets.change_state(change, issued.id, event, by, self._centre.rules)

    def _officers(self) -> tuple[Officer, Officer]:
        with self._centre.database.read() as connection:
            first, second = (officers.find(connection, each.id) for each in self._sandbox.officers)
        acting = first.acting(Role.FIRST_REVIEWER), second.acting(Role.SECOND_REVIEWER)
        assert acting[0] is not None  # noqa: S101  # the sandbox begins with them
        assert acting[1] is not None  # noqa: S101
        return acting[0], acting[1]
