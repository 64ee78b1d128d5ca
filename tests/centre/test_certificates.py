# SPDX-License-Identifier: Apache-2.0
"""The certificates that the centre issues."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtensionOID
from hypothesis import given
from hypothesis import strategies as st

from support.centre.authority import NAME, NOW, card, issuer, key, school
from xca_centre.authority.certificates import (
    MOST_REQUEST_BYTES,
    certify_again,
    certify_card,
    certify_other,
    holder,
    requested_key,
)
from xca_centre.errors import BadHolder, IssuerEnds, KeyRefused, PossessionUnproved, RequestUnreadable
from xca_common.card_making import CardKeys
from xca_common.pki import profile
from xca_common.pki.addresses import list_addresses, responder_addresses
from xca_common.pki.certificate import Certificate

DER = serialization.Encoding.DER
ORDER = [
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.SUBJECT_DIRECTORY_ATTRIBUTES,
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
]
SDA_OF_A_SCHOOL = (
    "30453015060760867601640201310a0608608676016403020b3016060760867601640202310b13097365636f6e64617279"
    "3014060760867601640266310906076086766f868d20"
)


def request(own: rsa.RSAPrivateKey) -> bytes:
    return x509.CertificateSigningRequestBuilder(NAME).sign(own, hashes.SHA256()).public_bytes(DER)


def usage_of(certificate: x509.Certificate) -> set[str]:
    return set(Certificate.parse("", "", certificate.public_bytes(DER)).key_usage)


def test_certificates_of_a_card_have_the_extensions_of_the_profile_in_its_order() -> None:
    both = card(email="office@school.example")
    for certificate in (both.signing, both.encryption):
        assert [one.oid for one in certificate.extensions] == ORDER
        assert [one.oid for one in certificate.extensions if one.critical] == [ExtensionOID.KEY_USAGE]
    without = [one.oid for one in card().signing.extensions]
    assert without == [oid for oid in ORDER if oid != ExtensionOID.SUBJECT_ALTERNATIVE_NAME]


def test_certificate_of_a_card_names_partition_complete_list_and_responder() -> None:
    certificate = card(sequence=31_234).signing
    assert list_addresses(certificate) == [
        "http://xca.test/repository/XCA/CRL2/CRL_0003.crl",
        "http://xca.test/repository/XCA/CRL2/complete.crl",
    ]
    assert responder_addresses(certificate) == ["http://xca.test/cgi-bin/OCSP2/ocsp_server.exe"]


def test_certificates_of_a_card_carry_the_wire_form_of_the_real_ones() -> None:
    signing, encryption = card().signing, card().encryption
    attributes = signing.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_DIRECTORY_ATTRIBUTES)
    assert attributes.value.public_bytes().hex() == SDA_OF_A_SCHOOL
    for certificate in (signing, encryption):
        (policy,) = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
        assert policy.policy_identifier.dotted_string == profile.TEST_POLICY
        assert certificate.not_valid_after_utc == NOW.replace(year=NOW.year + 6)
        assert 2**120 <= certificate.serial_number < 2**127
        certificate.verify_directly_issued_by(issuer().certificate)
    assert usage_of(signing) == profile.SIGNING_USAGE
    assert usage_of(encryption) == profile.ENCRYPTION_USAGE
    assert signing.subject == encryption.subject
    assert signing.serial_number != encryption.serial_number


def test_generations_of_one_name_are_told_apart_by_their_key() -> None:
    second, third = issuer(2).certificate, issuer(3).certificate
    assert second.subject == third.subject == card(3).signing.issuer
    card(3).signing.verify_directly_issued_by(third)
    identifier = card(3).signing.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    own = third.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert identifier.key_identifier == own.digest
    assert identifier.authority_cert_issuer is None


@pytest.mark.parametrize("other", ["3072 bits", "exponent 3", "elliptic", "one twice"])
def test_key_that_is_not_one_of_a_card_is_refused(other: str) -> None:
    keys: dict[str, object] = {
        "3072 bits": key("long", 3072).public_key(),
        "exponent 3": rsa.RSAPublicNumbers(3, key("SIGN").public_key().public_numbers().n).public_key(),
        "elliptic": ec.generate_private_key(ec.SECP256R1()).public_key(),
        "one twice": key("SIGN").public_key(),
    }
    pair = CardKeys("XC00000000000001", key("SIGN").public_key(), keys[other])  # type: ignore[arg-type]
    with pytest.raises(KeyRefused):
        certify_card(issuer(), 0, pair, school(), NOW, 6)


def test_certificate_does_not_outlive_its_issuer() -> None:
    with pytest.raises(IssuerEnds) as caught:
        certify_other(issuer(), 0, key("SIGN").public_key(), school(), NOW + timedelta(days=1), 20)
    assert caught.value.last == issuer().certificate.not_valid_after_utc.date()


@pytest.mark.parametrize(
    ("organisation", "places", "oid", "email"),
    [
        ("", [], "2.16.886.111.1", None),
        ("校" * 65, [], "2.16.886.111.1", None),
        ("學校\u202e", [], "2.16.886.111.1", None),
        ("學校 ", [], "2.16.886.111.1", None),
        ("學校", [""], "2.16.886.111.1", None),
        ("學校", [], "2.16.x", None),
        ("學校", [], "2.16.886.111.1", "no address"),
    ],
)
def test_holder_that_no_certificate_can_name_is_refused(
    organisation: str, places: list[str], oid: str, email: str | None
) -> None:
    with pytest.raises(BadHolder):
        holder(organisation, places, profile.SCHOOL, "primary", organisation_oid=oid, email=email)


def test_certificate_of_a_key_elsewhere_signs_and_encrypts() -> None:
    own = requested_key(request(key("elsewhere")))
    certificate = certify_other(issuer(), 0, own, school(), NOW, 6)
    assert usage_of(certificate) == profile.SIGNING_USAGE | profile.ENCRYPTION_USAGE
    assert certificate.subject == school().name


def test_request_in_pem_is_read_too() -> None:
    pem = x509.load_der_x509_csr(request(key("elsewhere"))).public_bytes(serialization.Encoding.PEM)
    assert requested_key(b"\n" + pem) == key("elsewhere").public_key()


def test_request_that_another_key_signed_proves_nothing() -> None:
    der = bytearray(request(key("elsewhere")))
    der[-1] ^= 1
    with pytest.raises(PossessionUnproved):
        requested_key(bytes(der))


def test_request_with_another_kind_of_key_is_refused() -> None:
    builder = x509.CertificateSigningRequestBuilder(NAME)
    curve = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    for der in (curve.public_bytes(DER), request(key("long", 3072))):
        with pytest.raises(KeyRefused):
            requested_key(der)


@given(st.binary(max_size=200) | st.integers(1, 600).map(lambda cut: request(key("elsewhere"))[:-cut]))
def test_request_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(RequestUnreadable):
        requested_key(data)


def test_request_that_is_too_long_is_not_read() -> None:
    with pytest.raises(RequestUnreadable):
        requested_key(request(key("elsewhere")) + bytes(MOST_REQUEST_BYTES))


def test_certificate_with_an_email_keeps_key_holder_and_end() -> None:
    later = datetime(2027, 1, 1, tzinfo=UTC)
    for former in (card().signing, card().encryption):
        again = certify_again(issuer(), 0, former, "office@school.example", later)
        assert [one.oid for one in again.extensions] == ORDER
        names = again.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.RFC822Name) == ["office@school.example"]
        assert again.serial_number != former.serial_number
        assert again.not_valid_before_utc == later
        for same in ("subject", "not_valid_after_utc", "issuer"):
            assert getattr(again, same) == getattr(former, same)
        assert again.public_key() == former.public_key()
        for kind in (ExtensionOID.SUBJECT_DIRECTORY_ATTRIBUTES, ExtensionOID.KEY_USAGE):
            pair = (one.extensions.get_extension_for_oid(kind).value for one in (again, former))
            assert len({one.public_bytes() for one in pair}) == 1


def test_certificate_with_a_bad_email_is_refused() -> None:
    with pytest.raises(BadHolder):
        certify_again(issuer(), 0, card().signing, "no address", NOW)
