# SPDX-License-Identifier: Apache-2.0
"""The certificate authority of test cards: what it issues, keeps, and says of revocation."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from xca_common.pki import profile
from xca_common.pki.authority import SIGNING, Authority, Subject, directory_attributes, validity
from xca_common.pki.ocsp_response import OcspResponse
from xca_common.pki.revocation import RevocationData
from xca_common.pki.revocation_list import RevocationList
from xca_common.pki.standing import Standing
from xca_login.testing.parties import DAY, NOW, key

NAME = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "一所學校")])
ATTRIBUTES = directory_attributes(profile.SCHOOL, "primary", organisation_oid="2.16.886.111.100000")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authority")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority.create(folder, profile.TEST_POLICY)


def certified(authority: Authority, *, email: str | None = None) -> x509.Certificate:
    """Return a new holder's certificate."""
    subject = Subject(NAME, ATTRIBUTES, email)
    return authority.certify(key("holder").public_key(), SIGNING, subject, NOW - DAY, NOW + DAY)


def test_authority_that_was_kept_is_read_again(authority: Authority, folder: Path) -> None:
    read = Authority.load(folder)
    assert (read.root, read.certificate) == (authority.root, authority.certificate)
    certified(read).verify_directly_issued_by(authority.certificate)
    for name in ("root.key", "ca.key"):
        assert (folder / name).stat().st_mode & 0o077 == 0


def test_authority_whose_key_is_of_another_kind_is_not_read(
    authority: Authority, folder: Path, tmp_path: Path
) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    for name in ("root.pem", "ca.pem"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "ca.key").write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ValueError, match="not an RSA key"):
        Authority.load(tmp_path)


def test_certificate_has_the_address_of_its_holder(authority: Authority) -> None:
    found = certified(authority, email="clerk@example.org").extensions
    names = found.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.RFC822Name) == ["clerk@example.org"]


@pytest.mark.parametrize("email", ["clerk", "a clerk@example.org", "@example.org", "職員@example.org"])
def test_email_that_is_no_address_is_refused_in_words(email: str) -> None:
    with pytest.raises(ValueError, match="not an address; write it like"):
        Subject(NAME, ATTRIBUTES, email)


def test_kind_of_holder_that_is_no_oid_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="OID '學校': not one; write it like"):
        directory_attributes("學校", "primary")


def test_validity_ends_in_the_same_second_of_another_year() -> None:
    start = datetime(2024, 2, 29, 8, 30, tzinfo=UTC)
    assert validity(start, 5) == (start, datetime(2029, 2, 28, 8, 30, tzinfo=UTC))
    assert validity(start, 4) == (start, datetime(2028, 2, 29, 8, 30, tzinfo=UTC))


@pytest.mark.parametrize(("start", "years"), [(2024, 0), (2009, 5), (2045, 5)])
def test_validity_outside_that_of_the_authority_is_refused_in_words(start: int, years: int) -> None:
    with pytest.raises(ValueError, match=f"validity of {years} years from {start}-01-01: must be at least"):
        validity(datetime(start, 1, 1, tzinfo=UTC), years)


@pytest.mark.parametrize("by", ["list", "responses"])
def test_authority_says_who_is_revoked_who_is_suspended_and_who_is_good(
    authority: Authority, by: str
) -> None:
    good, suspended, revoked = (certified(authority) for _ in range(3))
    entries = {
        suspended: authority.revoked(suspended, NOW - DAY, x509.ReasonFlags.certificate_hold),
        revoked: authority.revoked(revoked, NOW - DAY, x509.ReasonFlags.key_compromise),
    }
    if by == "list":
        known = RevocationData(
            [RevocationList(authority.revocation_list(7, entries.values(), NOW, NOW + DAY))]
        )
    else:
        about = [(one, entries.get(one)) for one in (good, suspended, revoked)]
        known = RevocationData((), [OcspResponse(one) for one in authority.responses(about, NOW, NOW + DAY)])
    found = [known.judge(one, authority.certificate, NOW) for one in (good, suspended, revoked)]
    assert [one.standing for one in found] == [Standing.GOOD, Standing.SUSPENDED, Standing.REVOKED]
    assert [one.since for one in found] == [None, NOW - DAY, NOW - DAY]
    later = known.judge(good, authority.certificate, NOW + 2 * DAY)
    assert later.standing is Standing.UNKNOWN
