# SPDX-License-Identifier: Apache-2.0
"""The issuer revokes the certificates of a card (廢止), suspends them (停用), and resumes them (復用).

The CRL of the test PKI (RFC 5280, section 5) is the record: every change signs the next one. With it go OCSP
responses (RFC 6960) about both certificates of the card. They are files; nothing serves them. Certificates
name two lists, a partition and the complete one; with so few cards the complete list is both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.x509 import ocsp

from pkcs11_shim import rules
from softhsm.environment import Environment
from softhsm.errors import BadValueError, IssuerError
from softhsm.i18n import text
from softhsm.inner import InnerModule
from softhsm.issuer import find
from softhsm.making import ENCRYPTION_KEY, SIGNING_KEY
from xca_common import atomic_file, taipei
from xca_common.pki.authority import Authority

REASONS: Final = tuple(
    flag.value
    for flag in (
        x509.ReasonFlags.cessation_of_operation,
        x509.ReasonFlags.key_compromise,
        x509.ReasonFlags.affiliation_changed,
        x509.ReasonFlags.superseded,
    )
)
"""Why a certificate may be revoked for good, as RFC 5280, section 5.3.1 names it."""

_HOLD: Final = x509.ReasonFlags.certificate_hold
_VALID: Final = timedelta(days=7)
_Entry = x509.RevokedCertificate | None
_Change = Callable[[_Entry], x509.ReasonFlags | None]


class CertificateStatus(StrEnum):
    """What the CRL says against the certificates of a card."""

    SUSPENDED = "suspended"
    REVOKED = "revoked"


@dataclass(frozen=True)
class Published:
    """The CRL and the OCSP responses about a card's certificates; they hold for seven days.

    Attributes:
        crl: the complete CRL of the issuing CA, in DER.
        ocsp: OCSP responses in DER, by the label of the certificate (cert1, cert2).
        has_changed: they say something else of a certificate than was published before.
    """

    crl: Path
    ocsp: dict[str, Path]
    has_changed: bool


def revoke(environment: Environment, number: str, reason: str = REASONS[0]) -> Published:
    """Revoke both certificates of a card for good (憑證廢止).

    Args:
        environment: where.
        number: card number.
        reason: one of REASONS.

    Raises:
        BadValueError: there is no such reason, or they are revoked already.
        NoSuchCardError: there is no card of this number.
        IssuerError: SoftHSM or the environment fails.
        StoreError: the card store cannot be used.
        OSError: the environment cannot be written.
    """
    _check_reason(reason)

    def change(entry: _Entry) -> x509.ReasonFlags | None:
        _check_not_final(entry, number)
        return x509.ReasonFlags(reason)

    return _publish(environment, number, change)


def check_revocable(environment: Environment, number: str, reason: str) -> None:
    """Check what `revoke` checks, and change nothing: for who asks a person first.

    Raises:
        As revoke.
    """
    find(environment, number)
    _check_reason(reason)
    with environment.store.lock(exclusive=True):
        _, previous = _authority(environment)
        entries = {entry.serial_number: entry for entry in previous or ()}
        for certificate in _certificates(environment, number).values():
            _check_not_final(entries.get(certificate.serial_number), number)


def _check_reason(reason: str) -> None:
    if reason not in REASONS:
        said = text("reason '{reason}': must be one of {reasons}")
        raise BadValueError(said.format(reason=reason, reasons=REASONS))


def suspend(environment: Environment, number: str) -> Published:
    """Suspend both certificates of a card (憑證停用): revoked with certificateHold.

    Raises:
        As revoke.
    """

    def change(entry: _Entry) -> x509.ReasonFlags | None:
        _check_not_final(entry, number)
        return _HOLD

    return _publish(environment, number, change)


def resume(environment: Environment, number: str) -> Published:
    """Resume the suspended certificates of a card (憑證復用).

    Raises:
        As revoke.
    """

    def change(entry: _Entry) -> x509.ReasonFlags | None:
        _check_not_final(entry, number)
        return None

    return _publish(environment, number, change)


def publish(environment: Environment, number: str) -> Published:
    """Write a new CRL and new OCSP responses without a change of the card's certificates.

    Raises:
        As revoke, but for BadValueError.
    """
    return _publish(environment, number, lambda entry: _reason(entry) if entry else None)


def statuses(environment: Environment) -> dict[str, CertificateStatus]:
    """Return what the CRL says against the certificates of cards, by the card number; often it says nothing.

    The OCSP responses of a card tell the serial numbers of its certificates, so SoftHSM is not started: every
    change writes responses before it writes the CRL.

    Raises:
        IssuerError: the CRL or a response is damaged.
    """
    found = {}
    try:
        if (crl := _last_crl(environment)) is None:
            return {}
        for path in environment.copies.glob("*/*.ocsp"):
            serial = ocsp.load_der_ocsp_response(path.read_bytes()).serial_number
            if entry := crl.get_revoked_certificate_by_serial_number(serial):
                is_held = _reason(entry) is _HOLD
                found[path.parent.name] = (
                    CertificateStatus.SUSPENDED if is_held else CertificateStatus.REVOKED
                )
    except (OSError, ValueError) as error:
        raise _damaged(environment, error) from None
    return found


def _publish(environment: Environment, card: str, change: _Change) -> Published:
    find(environment, card)
    with environment.store.lock(exclusive=True):
        authority, previous = _authority(environment)
        certificates = _certificates(environment, card)
        now = datetime.now(UTC).replace(microsecond=0)
        entries = {entry.serial_number: entry for entry in previous or ()}
        has_changed = False
        for certificate in certificates.values():
            former = entries.pop(certificate.serial_number, None)
            reason = change(former)
            has_changed |= reason is not (_reason(former) if former else None)
            if reason:
                since = former.revocation_date_utc if former and _reason(former) is reason else now
                entries[certificate.serial_number] = authority.revoked(certificate, since, reason)
        # The responses first: after a kill in between, the CRL is unchanged and the call can be repeated.
        answers = authority.responses(
            [(certificate, entries.get(certificate.serial_number)) for certificate in certificates.values()],
            now,
            now + _VALID,
        )
        responses = dict(zip(certificates, answers, strict=True))
        published = Published(
            environment.pki / "complete.crl",
            {label: environment.copies / card / f"{label}.ocsp" for label in responses},
            has_changed,
        )
        for label, response in responses.items():
            atomic_file.write(published.ocsp[label], response)
        number = 1
        if previous is not None:
            number += previous.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        crl = authority.revocation_list(number, entries.values(), now, now + _VALID)
        atomic_file.write(published.crl, crl)
    return published


def _authority(environment: Environment) -> tuple[Authority, x509.CertificateRevocationList | None]:
    """Return the issuing CA and the last CRL that it signed, if there is one."""
    try:
        return Authority.load(environment.pki), _last_crl(environment)
    except (OSError, ValueError) as error:
        raise _damaged(environment, error) from None


def _last_crl(environment: Environment) -> x509.CertificateRevocationList | None:
    crl = environment.pki / "complete.crl"
    return x509.load_der_x509_crl(crl.read_bytes()) if crl.exists() else None


def _damaged(environment: Environment, error: Exception) -> IssuerError:
    said = text("{path}: the test PKI is damaged ({error}); make a new environment")
    return IssuerError(said.format(path=environment.pki, error=error))


def _certificates(environment: Environment, card: str) -> dict[str, x509.Certificate]:
    """Return the certificates of a card's keys, by their labels."""
    with InnerModule(environment.inner_module, environment.inner_configuration) as inner:
        keys = [SIGNING_KEY, ENCRYPTION_KEY]
        answer = inner.ask("certificates", label=rules.INNER_LABEL + card, ids=keys)["certificates"]
    return {label: x509.load_der_x509_certificate(bytes.fromhex(der)) for label, der in answer.items()}


def _reason(entry: x509.RevokedCertificate) -> x509.ReasonFlags:
    return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason


def _check_not_final(entry: _Entry, number: str) -> None:
    if entry is not None and _reason(entry) is not _HOLD:
        said = text("{number} was revoked for good on {day}; issue another card")
        raise BadValueError(said.format(number=number, day=taipei.day(entry.revocation_date_utc)))
