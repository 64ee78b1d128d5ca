# SPDX-License-Identifier: Apache-2.0
"""The files of the virtual card: ISO/IEC 7816-15 below the folder 5015, with certificates of the test PKI."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from pkcs11_shim import rules
from xca_common.pki import authority, distinguished_name, profile

NUMBER = "5843000000091349"
"""CK_TOKEN_INFO.serialNumber: OpenSC shows the bytes of the serial number in hexadecimal."""
SIGN_FILE, KEYX_FILE = 0x4B01, 0x4B02
PIN, USER_CODE = 1, 2
"""What VERIFY and the others call the two secrets (P2)."""

_APPLICATION = bytes.fromhex("3F005015")
_SEQUENCE, _INTEGER, _BITS, _OCTETS, _ENUMERATED, _UTF8, _BOOLEAN = 0x30, 0x02, 0x03, 0x04, 0x0A, 0x0C, 0x01
_LABEL = 0x80
_CLASS_ATTRIBUTES, _PRIVATE_KEYS, _CERTIFICATES, _SECRETS = 0xA1, 0xA0, 0xA4, 0xA8
# Bits of PinFlags, ISO/IEC 7816-15, 8.9.2.
_CASE_SENSITIVE, _INITIALIZED, _NEEDS_PADDING, _UNBLOCKING, _SO_PIN = 0, 4, 5, 6, 7


@dataclass(frozen=True)
class Keys:
    """The two key pairs of a card and the certificates on it.

    Attributes:
        private: private keys, by the files that hold them.
        certificates: label, CKA_ID and certificate; those of the CAs come last.
    """

    private: dict[int, rsa.RSAPrivateKey]
    certificates: Sequence[tuple[str, str, x509.Certificate]]


def make_keys(folder: Path) -> Keys:
    """Make key pairs and their certificates by a new test PKI, which is kept in an empty folder."""
    ca = authority.Authority.create(folder, profile.TEST_POLICY)
    attributes = authority.directory_attributes(
        profile.SCHOOL, "secondary", organisation_oid="2.16.886.111.100000"
    )
    holder = authority.Subject(distinguished_name.parse("C=TW,L=臺北市,O=國立臺灣大學"), attributes)
    validity = authority.validity(datetime.now(UTC), 6)
    private = {
        file: rsa.generate_private_key(public_exponent=65537, key_size=2048)
        for file in (SIGN_FILE, KEYX_FILE)
    }
    held = [
        (label, identifier, ca.certify(private[file].public_key(), usage, holder, *validity))
        for label, identifier, file, usage in (
            ("cert1", "SIGN", SIGN_FILE, authority.SIGNING),
            ("cert2", "KEYX", KEYX_FILE, authority.ENCRYPTION),
        )
    ]
    return Keys(private, [*held, ("CA Cert", "CACert", ca.certificate), ("ROOT CA Cert", "ROOT", ca.root)])


def card_files(keys: Keys, *, user_code_is_so_pin: bool, label: str = rules.CARD_LABEL) -> dict[int, bytes]:
    """Return the files by file identifier.

    Args:
        keys: the keys and certificates.
        user_code_is_so_pin: the AODF flags the user code soPin, and C_Login(CKU_SO) verifies it. Else it is
            flagged unblockingPin: C_Login(CKU_SO) takes anything, and C_InitPIN verifies it.
        label: the token's label.
    """
    certificates = {0x4301 + at: held for at, held in enumerate(keys.certificates)}
    private = [("SIGN", SIGN_FILE, [2]), ("KEYX", KEYX_FILE, [1, 5])]
    files = {
        0x5031: b"".join(
            _tlv(kind, _tlv(_SEQUENCE, _tlv(_OCTETS, _path(file))))
            for kind, file in ((_PRIVATE_KEYS, 0x4402), (_CERTIFICATES, 0x4403), (_SECRETS, 0x4401))
        ),
        0x5032: _tlv(
            _SEQUENCE,
            _tlv(_INTEGER, b"\0"),
            _tlv(_OCTETS, bytes.fromhex(NUMBER)),
            _text("Chunghwa TeleCom Co., Ltd."),
            _tlv(_LABEL, label.encode()),
            _bits(1, 2),  # loginRequired, prnGeneration
        ),
        0x4401: _secret("PIN", PIN, [], unblocked_by=USER_CODE)
        + _secret("User code", USER_CODE, [_SO_PIN if user_code_is_so_pin else _UNBLOCKING]),
        0x4402: b"".join(_private_key(identifier, file, usage) for identifier, file, usage in private),
        0x4403: b"".join(
            _certificate(name, identifier, file) for file, (name, identifier, _) in certificates.items()
        ),
    }
    return files | {file: held[2].public_bytes(Encoding.DER) for file, held in certificates.items()}


def _secret(label: str, reference: int, more_flags: list[int], unblocked_by: int | None = None) -> bytes:
    """Return an entry of the AODF: a secret of 6 to 8 characters, which OpenSC fills up with FF."""
    unblocking = b"" if unblocked_by is None else _identifier(unblocked_by)
    return _tlv(
        _SEQUENCE,
        _tlv(_SEQUENCE, _text(label), _bits(0, 1), unblocking),
        _tlv(_SEQUENCE, _identifier(reference)),
        _tlv(
            _CLASS_ATTRIBUTES,
            _tlv(
                _SEQUENCE,
                _bits(_CASE_SENSITIVE, _INITIALIZED, _NEEDS_PADDING, *more_flags),
                _tlv(_ENUMERATED, b"\1"),  # ascii-numeric: OpenSC sends the characters as they are
                *(_tlv(_INTEGER, bytes([length])) for length in (6, 8, 8)),
                _tlv(0x80, bytes([reference])),
                _tlv(_OCTETS, b"\xff"),
            ),
        ),
    )


def _private_key(identifier: str, file: int, usage: list[int]) -> bytes:
    return _tlv(
        _SEQUENCE,
        _tlv(_SEQUENCE, _text(identifier), _bits(0), _identifier(PIN)),
        _tlv(
            _SEQUENCE,
            _tlv(_OCTETS, identifier.encode()),
            _bits(*usage),
            _bits(0, 2, 3, 4),  # sensitive, alwaysSensitive, neverExtractable, cardGenerated
            _tlv(_INTEGER, b"\0"),
        ),
        _tlv(_CLASS_ATTRIBUTES, _tlv(_SEQUENCE, _file_path(file), _tlv(_INTEGER, (2048).to_bytes(2)))),
    )


def _certificate(label: str, identifier: str, file: int) -> bytes:
    is_authority = b"" if label.startswith("cert") else _tlv(_BOOLEAN, b"\xff")
    return _tlv(
        _SEQUENCE,
        _tlv(_SEQUENCE, _text(label)),
        _tlv(_SEQUENCE, _tlv(_OCTETS, identifier.encode()), is_authority),
        _tlv(_CLASS_ATTRIBUTES, _tlv(_SEQUENCE, _file_path(file))),
    )


def _path(file: int) -> bytes:
    return _APPLICATION + file.to_bytes(2)


def _file_path(file: int) -> bytes:
    return _tlv(_SEQUENCE, _tlv(_OCTETS, _path(file)))


def _identifier(number: int) -> bytes:
    return _tlv(_OCTETS, bytes([number]))


def _text(text: str) -> bytes:
    return _tlv(_UTF8, text.encode())


def _bits(*numbers: int) -> bytes:
    """Return a BIT STRING in which these bits are set; bit 0 is the first."""
    size = max(numbers) + 1
    value = sum(1 << (size - 1 - number) for number in numbers)
    unused = -size % 8
    return _tlv(_BITS, bytes([unused]), (value << unused).to_bytes((size + unused) // 8))


def _tlv(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content
