# SPDX-License-Identifier: Apache-2.0
"""CheckEnvir and GetUserCert: readers, cards and certificates, as JSON or as a bitmap. No PIN is needed."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from asn1crypto import x509  # type: ignore[import-untyped]

from pkcs11_shim import rules
from xca_common.errors import XcaError
from xca_common.pki.certificate import Certificate
from xca_plugin.agent.component import bitmap
from xca_plugin.agent.component.result_codes import Code, Refusal, failure, page_safe, success, to_json
from xca_plugin.cards import Cards, named_readers
from xca_plugin.model import Card, CardState, Key

ANSWER_NAME: Final = "pkcs11info"
"""The name of these answers."""
HELPER_VERSION: Final = "2.3.2"
"""The value of `version`, which pages show."""

SERVER_VERSION: Final = "1.3.4.99999"
"""Pages compare it as a string with the lowest version that they take. It passes all known comparisons."""
_NAME: Final = "xca-plugin"

# CK_SLOT_INFO.flags and CK_TOKEN_INFO.flags (PKCS#11 2.40, section 3.2).
_SLOT_EMPTY: Final = 0x06  # removable device, hardware
_SLOT_FULL: Final = 0x07
_TOKEN: Final = 0x405  # random numbers, login required, token initialised
_PIN_INITIALIZED: Final = 0x08
_BY_TRIES_LEFT: Final = {2: 0x10000, 1: 0x30000, 0: 0x40000}  # count low; and final try; locked
# The rest of CK_TOKEN_INFO as real cards show it: 0, and CK_UNAVAILABLE_INFORMATION of 32 bits.
_COUNTS: Final = dict.fromkeys(
    ("ulMaxSessionCount", "ulSessionCount", "ulMaxRwSessionCount", "ulRwSessionCount"), 0
) | dict.fromkeys(
    ("ulTotalPublicMemory", "ulFreePublicMemory", "ulTotalPrivateMemory", "ulFreePrivateMemory"), 0xFFFFFFFF
)

# asn1crypto's name to the name that pages know, in the order of the bits (RFC 5280, section 4.2.1.3).
_USAGES: Final = {
    "digital_signature": "digitalSignature",
    "non_repudiation": "nonRepudiation",
    "key_encipherment": "keyEncipherment",
    "data_encipherment": "dataEncipherment",
    "key_agreement": "keyAgreement",
    "key_cert_sign": "keyCertSign",
    "crl_sign": "cRLSign",
    "encipher_only": "encipherOnly",
    "decipher_only": "decipherOnly",
}
_READ_AT_MOST: Final = 900
"""Bytes of a bitmap that every page reads: some draw it on a canvas of 300 pixels."""
# Members that no page reads.
_UNREAD: Final = frozenset(_COUNTS) | {
    *("cryptokiVersion", "libraryDescription", "libraryVersion", "manufacturerID"),
    *("hardwareVersion", "firmwareVersion", "utcTime", "ulMinPinLen", "ulMaxPinLen"),
}
# An escaped separator in a value of a DN becomes its wide form: pages split a DN at every comma.
_ESCAPED: Final = re.compile(r"\\(.)")


def versions() -> dict[str, Any]:
    """Return the agent's versions, which anybody may know."""
    own = version(_NAME)
    return {
        "serverVersion": SERVER_VERSION,
        "version": HELPER_VERSION,
        "installedModule": [{"version": SERVER_VERSION}],
        "agent": {"name": _NAME, "version": own},
    }


def card_information(cards: Cards, *, certificates: bool = False) -> dict[str, Any]:
    """Return the answer to CheckEnvir or, with certificates, to GetUserCert.

    Raises:
        XcaError: as Cards.detect and Cards.certificates.
    """
    detected = cards.detect()
    present = {card.reader: card for card in detected}
    slots = [
        _slot(number, reader, present.get(reader), cards if certificates else None)
        for number, reader in enumerate(numbered_readers(cards, detected))
    ]
    return success(
        ANSWER_NAME,
        **versions(),
        cryptokiVersion=2.4,
        flags=0,
        libraryDescription=_NAME,
        libraryVersion=0.1,
        manufacturerID=_NAME,
        slots=slots,
    )


def versions_alone(error: XcaError | Refusal) -> dict[str, Any]:
    """Return the answer that tells an error and the agent's versions, and nothing of readers and cards."""
    return {**failure(ANSWER_NAME, error), **versions(), "slots": []}


def numbered_readers(cards: Cards, detected: Sequence[Card]) -> list[str]:
    """Return the readers in the order of their slotID. SoftHSM's slot for a new token is no reader."""
    filled = {card.reader for card in detected}
    return named_readers(cards.readers(), filled)


def as_bitmap(answer: Mapping[str, Any]) -> bytes:
    """Return an answer as a bitmap.

    A long answer leaves out the members that no page reads. If it is still long, it also leaves out readers
    without a card. An answer that does not fit even then is replaced by an error.
    """
    brief = _without_unread(answer)
    filled = {**brief, "slots": [slot for slot in brief.get("slots", ()) if slot["token"]]}
    forms = [to_json(form) for form in (answer, brief, filled)]
    text = next((form for form in forms if len(form) <= _READ_AT_MOST), forms[-1])
    if len(text) > bitmap.CAPACITY:
        text = to_json(versions_alone(Refusal(Code.TOO_LARGE)))
    return bitmap.encode(text)


def _without_unread(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_unread(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    return {name: _without_unread(member) for name, member in value.items() if name not in _UNREAD}


def _slot(number: int, reader: str, card: Card | None, cards: Cards | None) -> dict[str, Any]:
    token = None
    if card is not None:
        token = _token(card)
        if cards is not None:
            on_card = cards.certificates(card)
            token["certs"] = [_certificate(certificate) for certificate in on_card]
            token["keys"] = [_key(certificate) for certificate in on_card if certificate.id in list(Key)]
    return {
        "slotDescription": page_safe(reader),
        "slotID": number,
        "flags": _SLOT_FULL if card else _SLOT_EMPTY,
        "manufacturerID": "unKnow",
        "hardwareVersion": 0,
        "firmwareVersion": 0,
        "token": token,
    }


def _token(card: Card) -> dict[str, Any]:
    flags = _TOKEN
    if card.state is CardState.ACTIVE:
        flags |= _PIN_INITIALIZED
        if card.pin_tries is not None:
            flags |= _BY_TRIES_LEFT.get(card.pin_tries, 0)
    return {
        "serialNumber": page_safe(card.number),
        "label": rules.CARD_LABEL,
        "manufacturerID": rules.CARD_MANUFACTURER,
        "model": page_safe(card.model),
        "flags": flags,
        "ulMinPinLen": card.pin_min,
        "ulMaxPinLen": card.pin_max,
        **_COUNTS,
        "hardwareVersion": 1,
        "firmwareVersion": 1,
        "utcTime": "",
    }


def _certificate(certificate: Certificate) -> dict[str, Any]:
    validity = x509.Certificate.load(certificate.der)["tbs_certificate"]["validity"]
    return {
        "certb64": base64.b64encode(certificate.der).decode(),
        "label": page_safe(certificate.label),
        "id": base64.b64encode(certificate.id.encode()).decode(),
        "subjectDN": distinguished_name(certificate.holder),
        "issuerDN": distinguished_name(certificate.issuer),
        "subjectCN": page_safe(certificate.common_name),
        "sn": certificate.serial.upper(),
        "thumbprint": hashlib.sha1(certificate.der, usedforsecurity=False).hexdigest().upper(),
        "signatureAlgorithm": certificate.signature_algorithm,
        "notBefore": page_safe(validity["not_before"].chosen.contents.decode("ascii", "replace")),
        "notAfter": page_safe(validity["not_after"].chosen.contents.decode("ascii", "replace")),
        "notBeforeT": int(certificate.not_before.timestamp()),
        "notAfterT": int(certificate.not_after.timestamp()),
        "usage": "|".join(known for name, known in _USAGES.items() if name in certificate.key_usage),
        "subjectID": page_safe(_subject_id(certificate)),
        "holderRank": page_safe(certificate.rank or ""),
        "email": page_safe(certificate.email),
    }


def distinguished_name(name: str) -> str:
    """Return a DN whose values hold no comma or equals sign: pages split it there."""
    return page_safe(_ESCAPED.sub(lambda found: chr(ord(found[1]) + 0xFEE0), name))


def _key(certificate: Certificate) -> dict[str, str]:
    return {
        "id": base64.b64encode(certificate.id.encode()).decode(),
        "keyb64": base64.b64encode(certificate.public_key).decode(),
    }


def _subject_id(certificate: Certificate) -> str:
    return certificate.organisation_oid or certificate.tax_id or certificate.citizen_id or ""
