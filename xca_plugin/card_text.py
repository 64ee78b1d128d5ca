# SPDX-License-Identifier: Apache-2.0
"""Facts of a card in words, in the language that is being spoken. xcactl and the agent's pages show them."""

from datetime import date
from typing import Final

from xca_common import i18n, taipei
from xca_common.i18n import Text
from xca_common.pki.certificate import Certificate
from xca_plugin.errors import ReturnValue
from xca_plugin.i18n import _, plural, text
from xca_plugin.model import (
    AcceptanceOutcome,
    Card,
    CardState,
    CertificateState,
    CertificateStatus,
    IssuerContact,
)
from xca_plugin.pcsc import Reader
from xca_plugin.validity import NO_END
from xca_plugin.watch import Change, ChangeKind

SOON_DAYS: Final = 14
"""With fewer days left to activate a card, the deadline is shown as urgent."""

READY_IF_NOT_LOCKED: Final = text(
    "Ready to use, if its PIN is not locked: the card does not say whether it is, or how many tries are left."
)
"""The next step of a card that needs nothing, as far as it tells."""

_STATES: Final = {
    CardState.NOT_ACTIVATED: text("not activated"),
    CardState.LAPSED: text("lapsed"),
    CardState.ACTIVE: text("active"),
}
_RANKS: Final = {"primary": text("primary card"), "secondary": text("secondary card")}
_EVENTS: Final = {
    "issue": text("card issued"),
    "verify-pin": text("login with the PIN"),
    "sign": text("signing"),
    "decrypt": text("decrypting"),
    "verify-user-code": text("login with the user code"),
    "activate": text("activated"),
    "reset-pin": text("PIN reset"),
    "change-pin": text("PIN changed"),
    "change-user-code": text("user code changed"),
    "reset-user-code": text("user code reset by the issuer"),
    "repair": text("card repaired by the issuer"),
}
_RESULTS: Final[dict[int, Text]] = {
    ReturnValue.CKR_OK: text("done"),
    ReturnValue.CKR_PIN_INCORRECT: text("wrong"),
    ReturnValue.CKR_PIN_LOCKED: text("locked"),
    ReturnValue.CKR_PIN_EXPIRED: text("refused: lapsed"),
    ReturnValue.CKR_PIN_LEN_RANGE: text("refused: wrong length"),
    ReturnValue.CKR_PIN_INVALID: text("refused: wrong characters"),
    ReturnValue.CKR_USER_PIN_NOT_INITIALIZED: text("refused: not activated"),
    ReturnValue.CKR_FUNCTION_REJECTED: text("refused: the last try"),
    ReturnValue.CKR_DEVICE_REMOVED: text("not tried: the card had changed"),
}
"""What the return values mean to the holder; any other is a failure of the machine."""
_USAGES: Final = {
    "digital_signature": text("signature"),
    "non_repudiation": text("non-repudiation"),
    "key_encipherment": text("encryption of keys"),
    "data_encipherment": text("encryption"),
    "key_agreement": text("key agreement"),
    "key_cert_sign": text("issuing of certificates"),
    "crl_sign": text("issuing of revocation lists"),
    "encipher_only": text("encryption only"),
    "decipher_only": text("decryption only"),
}
_CHANGES: Final = {
    ChangeKind.CARD_ADDED: text("The card {name} is here: {state}"),
    ChangeKind.CARD_CHANGED: text("The card {name} changed: {state}"),
    ChangeKind.CARD_REMOVED: text("The card {name} is gone."),
    ChangeKind.READER_ADDED: text("The reader {name} is here: {state}"),
    ChangeKind.READER_CHANGED: text("The reader {name}: {state}"),
    ChangeKind.READER_REMOVED: text("The reader {name} is gone."),
    ChangeKind.SOLVED: text("No longer so: {state}"),
}
_STATUSES: Final = {
    CertificateState.NOT_ACCEPTED: text("signed, not accepted yet: the centre does not have the acceptance"),
    CertificateState.VALID: text("valid (有效)"),
    CertificateState.SUSPENDED: text("suspended (停用)"),
    CertificateState.ON_HOLD: text("not accepted yet, or suspended (停用)"),
    CertificateState.REVOKED: text("revoked (廢止)"),
    CertificateState.EXPIRED: text("expired"),
    CertificateState.UNKNOWN: text("unknown"),
}
moment: Final = taipei.moment
"""Returns a time to the second, in Taipei, with the zone's offset from UTC."""


def holder(card: Card) -> str:
    """Return who holds the card, and whether it is a primary or a secondary card."""
    if card.certificate is None:
        return _("(the certificate cannot be read)") if card.certificate_odd else _("(no certificate)")
    name = card.certificate.holder_name or _("(no name)")
    rank = _RANKS.get(card.certificate.rank or "")
    return name if rank is None else text("{holder} ({rank})").format(holder=name, rank=rank)()


def name_and_subject(certificate: Certificate) -> str:
    """Return the name in a certificate, then its subject DN."""
    said = text("{name} ({subject})").format(name=certificate.holder_name, subject=certificate.holder)
    return said() if certificate.holder_name != certificate.holder else certificate.holder


def state(card: Card) -> str:
    """Return the card's state, and which of its secrets are locked."""
    parts = [_STATES[card.state]()]
    if card.state is CardState.ACTIVE and card.pin_tries == 0:
        parts.append(_("PIN locked"))
    if card.user_code_tries == 0:
        parts.append(_("user code locked"))
    return _(", ").join(parts)


def colour(card: Card) -> str:
    """Return the colour for the state: green, yellow or red."""
    if card.state is CardState.LAPSED or 0 in (card.pin_tries, card.user_code_tries):
        return "red"
    return "green" if card.state is CardState.ACTIVE and card.pin_tries != 1 else "yellow"


def tries_colour(left: int | None) -> str:
    """Return the colour for tries that are left: red, yellow, or none."""
    return {0: "red", 1: "yellow"}.get(-1 if left is None else left, "")


def tries(left: int | None, *, count_low: bool = False) -> str:
    """Return how many tries are left; None: unknown.

    Args:
        left: wrong values left.
        count_low: the card says that a wrong value was given since the last right one.
    """
    if left is None and count_low:
        return _("tries left unknown, fewer than all: the last value given was wrong")
    if left is None:
        return _("tries left unknown")
    if left == 0:
        return _("locked")
    if left == 1:
        return _("1 try left: one more wrong value locks it")
    return plural("{left} try left", "{left} tries left", "left").format(left=left)()


def pin_tries(card: Card) -> str:
    """Return how many tries the PIN has left, if it is set."""
    if card.state is not CardState.ACTIVE:
        return _("not set yet")
    return tries(card.pin_tries, count_low=card.pin_count_low)


def user_code_tries(card: Card) -> str:
    """Return how many tries the user code has left."""
    return tries(card.user_code_tries, count_low=card.user_code_count_low)


def certificate_status(status: CertificateStatus) -> str:
    """Return how a card's certificates stand with their centre."""
    said = _STATUSES[status.state]
    if status.since is not None:
        said = text("{state}, since {day}").format(state=said, day=taipei.day(status.since))
    refused = status.acceptance is not None and status.acceptance.outcome is AcceptanceOutcome.REFUSED
    detail = status.acceptance.detail if refused and status.acceptance else status.detail
    return said() if detail is None else text("{what}: {detail}").format(what=said, detail=detail)()


def status_colour(status: CertificateStatus) -> str:
    """Return the colour for how certificates stand: green, yellow or red."""
    if status.state is CertificateState.VALID:
        return "green"
    bad = (CertificateState.SUSPENDED, CertificateState.REVOKED, CertificateState.EXPIRED)
    return "red" if status.state in bad else "yellow"


def day(when: date) -> str:
    """Return a date."""
    return i18n.day(when)()


def validity(certificate: Certificate) -> str:
    """Return the first and the last day of a certificate's validity, in Taipei."""
    start = day(taipei.day(certificate.not_before))
    if certificate.not_after == NO_END:
        return text("from {start}, without end").format(start=start)()
    end = day(taipei.day(certificate.not_after))
    return text("from {start} to {end}").format(start=start, end=end)()


def deadline(last: date, days_left: int) -> str:
    """Return the last day on which a card can be activated, and how many days are left."""
    if days_left < 0:
        return text("{day} (past)").format(day=day(last))()
    left = plural("{day} ({days} day left)", "{day} ({days} days left)", "days")
    return left.format(day=day(last), days=days_left)()


def issuer(contact: IssuerContact) -> str:
    """Return how to reach the issuer of a card."""
    facts = {"name": contact.name, "website": contact.website, "telephone": contact.telephone}
    return text("Issuer: {name}, {website}, telephone {telephone}").format(**facts)()


def event(name: str) -> str:
    """Return what was asked of a card, by the name in its history."""
    return _EVENTS[name]() if name in _EVENTS else name


def result(value: int) -> str:
    """Return what a return value of PKCS#11 means."""
    return _RESULTS[value]() if value in _RESULTS else _("failed")


def return_value(value: int) -> str:
    """Return the name of a return value of PKCS#11, or its number."""
    known = {member.value: member.name for member in ReturnValue}
    return known.get(value, f"0x{value:08x}")


def key_usage(certificate: Certificate) -> str:
    """Return what the key of a certificate may be used for."""
    return _(", ").join(_USAGES[each]() if each in _USAGES else each for each in certificate.key_usage)


def change(change: Change) -> str:
    """Return what changed at a card or a reader."""
    subject = change.subject
    if isinstance(subject, Card):
        tries_left = text("{state}; PIN: {pin}; user code: {user_code}").format(
            state=state(subject), pin=pin_tries(subject), user_code=user_code_tries(subject)
        )
        return _CHANGES[change.kind].format(name=subject.number, state=tries_left)()
    if isinstance(subject, Reader):
        return _CHANGES[change.kind].format(name=subject.name, state=subject.says)()
    if change.kind is ChangeKind.PROBLEM:
        return subject.message()
    return _CHANGES[change.kind].format(state=subject.message())()
