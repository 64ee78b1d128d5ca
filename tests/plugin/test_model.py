# SPDX-License-Identifier: Apache-2.0
"""Certificates of organisation cards, as they are read."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from support.odd_certificates import odd_ones
from xca_plugin import Certificate, card_text
from xca_plugin.validity import early, expired

# The whole value of subjectDirectoryAttributes: a school's secondary card, a company's primary card.
SCHOOL = (
    "30453015060760867601640201310a0608608676016403020b3016060760867601640202310b13097365636f6e64617279"
    "3014060760867601640266310906076086766f868d20"
)
COMPANY = (
    "30463017060760867601640201310c060a608676016403020201013014060760867601640202310913077072696d617279"
    "3015060760867601640265310a0c083030303030303030"
)
START = datetime(2015, 9, 1, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def der(key: rsa.RSAPrivateKey, holder: str, attributes: str | None) -> bytes:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "TW"),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "臺北市"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, holder),
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "測試")]))
        .public_key(key.public_key())
        .serial_number(0xABCDEF)
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=2192))
        .add_extension(
            x509.KeyUsage(True, False, False, False, False, False, False, False, False), critical=True
        )
    )
    if attributes:
        oid = x509.ObjectIdentifier("2.5.29.9")
        extension = x509.UnrecognizedExtension(oid, bytes.fromhex(attributes))
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_certificate_of_a_school_gives_its_holder(key: rsa.RSAPrivateKey) -> None:
    certificate = Certificate.parse("cert1", "SIGN", der(key, "國立臺灣大學", SCHOOL))
    assert certificate.holder == "C=TW,L=臺北市,O=國立臺灣大學"
    assert certificate.issuer == "OU=測試"
    assert certificate.serial == "abcdef"
    assert (certificate.not_before, certificate.not_after) == (START, START + timedelta(days=2192))
    assert certificate.key_usage == ("digital_signature",)
    assert (certificate.organisation_oid, certificate.tax_id) == ("2.16.886.111.100000", None)
    assert certificate.rank == "secondary"


def test_certificate_of_a_company_gives_its_holder(key: rsa.RSAPrivateKey) -> None:
    certificate = Certificate.parse("cert1", "SIGN", der(key, "某公司", COMPANY))
    assert (certificate.organisation_oid, certificate.tax_id) == (None, "00000000")
    assert certificate.rank == "primary"


def test_certificate_that_tells_less_gives_what_it_tells(key: rsa.RSAPrivateKey) -> None:
    certificate = Certificate.parse("cert1", "SIGN", der(key, "某社團", None))
    assert (certificate.organisation_oid, certificate.tax_id, certificate.rank) == (None, None, None)


def test_name_cannot_pass_for_more_than_one_attribute(key: rsa.RSAPrivateKey) -> None:
    certificate = Certificate.parse("cert1", "SIGN", der(key, "A,O=B", None))
    assert certificate.holder == r"C=TW,L=臺北市,O=A\,O\=B"


def test_certificate_in_pem_is_the_same(key: rsa.RSAPrivateKey) -> None:
    certificate = Certificate.parse("cert1", "SIGN", der(key, "國立臺灣大學", SCHOOL))
    loaded = x509.load_pem_x509_certificate(certificate.pem.encode())
    assert loaded.public_bytes(serialization.Encoding.DER) == certificate.der
    assert loaded.fingerprint(hashes.SHA256()).hex() == certificate.sha256


@pytest.mark.parametrize("damage", [b"", b"\x30\x03\x02\x01\x01", b"not a certificate"])
def test_bytes_that_are_no_certificate_are_refused(damage: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Certificate.parse("cert1", "SIGN", damage)


def test_certificate_that_is_cut_off_is_refused(key: rsa.RSAPrivateKey) -> None:
    whole = der(key, "國立臺灣大學", SCHOOL)
    for length in (10, 200, len(whole) - 1):
        with pytest.raises(ValueError, match=r".+"):
            Certificate.parse("cert1", "SIGN", whole[:length])


@pytest.mark.parametrize(("name", "odd"), odd_ones().items(), ids=odd_ones())
def test_odd_certificate_is_read_or_a_value_error(name: str, odd: bytes) -> None:
    try:
        certificate = Certificate.parse("cert1", "SIGN", odd)
    except ValueError:
        return
    assert certificate.not_before < certificate.not_after
    assert card_text.validity(certificate)
    assert certificate.public_key
    assert (expired(certificate), early(certificate)) == (False, False)


@pytest.mark.parametrize("zone", ["Asia/Taipei", "America/Los_Angeles"])
def test_times_at_the_ends_of_the_calendar_are_told_in_every_zone(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert card_text.moment(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)).startswith("9999-12-31")
        assert card_text.moment(datetime(1, 1, 1, tzinfo=UTC)).startswith("0001-01-01")
    finally:
        monkeypatch.undo()
        time.tzset()
