# SPDX-License-Identifier: Apache-2.0
"""Acceptance (憑證接受): the holder says that the certificates are right, and from then on they are valid.

It is an act of its own: a card may be open, and its certificates not accepted. The card's key for signatures
signs a statement that names card and certificates. What counts is when that arrives, by the centre's clock;
the time in it is recorded. Whoever got no answer sends it again: once accepted, it is answered alike.
"""

import base64
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final, Self
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from sqlalchemy import Connection

from xca_centre import applications, case_number, certificate_sets, orders, tickets
from xca_centre.certificate_sets import CertificateSet, serial_of
from xca_centre.errors import (
    AcceptanceDiffers,
    AcceptanceForeign,
    AcceptanceMalformed,
    AcceptanceSignatureWrong,
    AcceptanceTooLong,
    AlreadyAccepted,
    CentreError,
    CertificateSuspended,
    NoSuchCertificates,
    NotACard,
    StoreProblem,
)
from xca_centre.i18n import text
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.certificate import CertificateEvent
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.database import Change, Database
from xca_centre.store.events import Facts
from xca_centre.user_codes import UserCodes
from xca_common.secret import Secret
from xca_common.statement import MalformedStatement, Statement, StatementKind
from xca_login.errors import LoginRefused
from xca_login.keys import accepted_key
from xca_login.token import MOST_BYTES, Token

ACCEPTANCE: Final = "acceptance"
"""The kind of the event that keeps what was accepted with: for a dispute, and for nothing else."""

_PASSING: Final = (CertificateSuspended, StoreProblem)


@dataclass(frozen=True)
class SignedAcceptance:
    """An acceptance, and that the key of the certificate in it signed it. Whose that is, is not known yet.

    Attributes:
        token: what was signed, by whom.
        statement: the same, read.
    """

    token: Token
    statement: Statement

    @classmethod
    def read(cls, data: bytes, origin: str) -> Self:
        """Read and verify what was sent, strictly; it takes no database.

        Args:
            data: CMS SignedData, in DER.
            origin: the centre's own, as it is configured.

        Raises:
            AcceptanceRefused: one class for each reason.
        """
        if len(data) > MOST_BYTES:
            raise AcceptanceTooLong(most=MOST_BYTES)
        try:
            token = Token.read(data)
            statement = Statement.parse(token.content)
        except (LoginRefused, MalformedStatement) as error:
            raise AcceptanceMalformed from error
        if statement.kind is not StatementKind.ACCEPTANCE:
            raise AcceptanceMalformed
        for asking in (statement.origin, token.origin or origin):
            if asking != origin:
                raise AcceptanceForeign(origin=asking)
        try:
            token.check_signature(accepted_key(token.certificate))
        except LoginRefused as error:
            raise AcceptanceSignatureWrong from error
        if dict(statement.fields)["cert1"] != _digest(token.certificate):
            raise AcceptanceSignatureWrong
        return cls(token, statement)


def accept(
    database: Database, rules: IssuerRules, origin: str, data: bytes, arrived: datetime
) -> CertificateSet:
    """Accept the certificates of a card with what it signed. A second time changes nothing.

    A stranger's signature takes no lock of the database.

    Args:
        database: the centre's.
        rules: the issuer's.
        origin: the centre's own, as it is configured.
        data: CMS SignedData over a statement of the kind acceptance, in DER.
        arrived: when all of it was here, with a time zone: what waits for the database is not too late.

    Returns:
        The certificates, which are accepted; they may be suspended since.

    Raises:
        AcceptanceRefused: it accepts nothing.
        CertificateRefused, NotOffered: it came too late, or is not possible now.
        StoreProblem: the database does not answer.
    """
    signed = SignedAcceptance.read(data, origin)
    with database.read() as connection:  # what was issued together never changes
        issued, digests = _issued(connection, signed.token.certificate)
    if [value for _, value in signed.statement.fields] != [issued.card, *digests]:
        raise AcceptanceDiffers
    facts = {
        "statement": base64.b64encode(data).decode("ascii"),
        "made": signed.statement.time.isoformat(),
    }
    with database.change() as change:
        return _accept(change, rules, issued.id, Actor(Role.HOLDER, str(issued.card)), facts, arrived)


def accept_by_login(change: Change, rules: IssuerRules, login: bytes, arrived: datetime) -> CertificateSet:
    """Accept the certificates of who is logged in with one of them, and was asked for it.

    Args:
        change: the change that does it.
        rules: the issuer's.
        login: what the card signed to log in, as the centre has verified it: CMS SignedData, in DER.
        arrived: as of accept().

    Raises:
        AcceptanceDiffers: the certificate is another one than that for signatures, or not the centre's.
        CertificateRefused, NotOffered: as accept().
    """
    token = Token.read(login)
    issued, digests = _issued(change.connection, token.certificate)
    if digests[0] != _digest(token.certificate):
        raise AcceptanceDiffers
    facts = {"login": base64.b64encode(token.der).decode("ascii")}
    by = Actor(Role.HOLDER, issued.card or serial_of(token.certificate))
    return _accept(change, rules, issued.id, by, facts, arrived)


def answer_by_code(
    database: Database,
    rules: IssuerRules,
    codes: UserCodes,
    case: str,
    code: Secret,
    network: str,
    *,
    is_accepted: bool,
    arrived: datetime,
) -> CertificateSet:
    """Accept or refuse the certificate of a key that is on no card (非IC卡類憑證接受).

    Args:
        database: the centre's.
        rules: the issuer's.
        codes: judge the code.
        case: the case number, as it was typed.
        code: its user code.
        network: of who asks (user_codes.network_of).
        is_accepted: what the holder answers.
        arrived: as of accept().

    Returns:
        The certificate as it is then.

    Raises:
        UserCodeError: the case number and the code do not belong together, or no more tries are taken.
        NoSuchOrder: the certificate is not issued yet.
        NotACard: the application asked for a card.
        CertificateRefused, NotOffered: as accept().
    """
    proved = codes.prove(lambda change: applications.find_code(change, case), code, network, Role.HOLDER)
    with database.change() as change:
        application = applications.of_code(change.connection, proved)
        order = orders.of_application(change.connection, application.id)
        if order.card is not None:
            raise NotACard().with_step(text("Activate the card, and accept its certificates with it."))
        by = Actor(Role.HOLDER, application.case_number)
        if is_accepted:
            facts = {"case": case_number.shown(application.case_number)}
            return _accept(change, rules, order.certificates, by, facts, arrived)
        certificate_sets.change_state(
            change, order.certificates, CertificateEvent.REFUSE, by, rules, arrived=arrived
        )
        return certificate_sets.find(change.connection, order.certificates)


def is_final(error: CentreError) -> bool:
    """Tell whether an acceptance that was refused will always be; if not, it is to be sent again later."""
    return not isinstance(error, _PASSING)


def _accept(
    change: Change, rules: IssuerRules, issued: UUID, by: Actor, facts: Facts, arrived: datetime
) -> CertificateSet:
    """Bring an acceptance about, and all that follows from it, in one change."""
    with suppress(AlreadyAccepted):
        certificate_sets.change_state(change, issued, CertificateEvent.ACCEPT, by, rules, arrived=arrived)
        change.event(ACCEPTANCE, str(issued), by, facts)
        if (card := certificate_sets.find(change.connection, issued).card) is not None:
            tickets.cancel(change, card, by)
    return certificate_sets.find(change.connection, issued)


def _issued(connection: Connection, certificate: x509.Certificate) -> tuple[CertificateSet, Sequence[str]]:
    """Return the set with a certificate's serial number, and the SHA-256 of each of its certificates."""
    try:
        found = certificate_sets.of_serial(connection, serial_of(certificate))
    except NoSuchCertificates:
        raise AcceptanceDiffers from None
    issued = certificate_sets.certificates_of(connection, found.id)
    return found, [sha256(each.der).hexdigest() for each in issued]


def _digest(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(SHA256()).hex()
