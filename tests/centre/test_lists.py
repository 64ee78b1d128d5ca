# SPDX-License-Identifier: Apache-2.0
"""The centre's revocation lists, as other programs read them."""

import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from support.centre.authority import NOW, REPOSITORY, card, issuer, root
from xca_centre.authority.lists import Revocation, entry, revocation_list
from xca_common.pki.revocation_list import RevocationList
from xca_common.pki.standing import Standing, Unusable

HOLD = x509.ReasonFlags.certificate_hold
COMPROMISE = x509.ReasonFlags.key_compromise
SINCE = NOW - timedelta(days=2)
UNTIL = NOW + timedelta(hours=12)
FIRST = REPOSITORY.address(REPOSITORY.partition_path(2, 0))


def revocation(reason: x509.ReasonFlags, serial: int | None = None) -> Revocation:
    return Revocation(card().signing.serial_number if serial is None else serial, SINCE, reason)


def partition(*listed: Revocation, generation: int = 2, address: str | None = None) -> bytes:
    own = REPOSITORY.address(REPOSITORY.partition_path(generation, 0))
    return revocation_list(issuer(generation), map(entry, listed), 7, NOW, UNTIL, address or own)


def complete(*listed: Revocation, generation: int = 2) -> bytes:
    address = REPOSITORY.address(REPOSITORY.complete_path(generation))
    return partition(*listed, generation=generation, address=address)


def standing(der: bytes, certificate: x509.Certificate | None = None, generation: int = 2) -> Standing:
    named = certificate or card().signing
    return RevocationList(der).statement(named, issuer(generation).certificate, NOW).standing


@pytest.mark.parametrize("make", [partition, complete])
def test_list_says_what_is_suspended_revoked_and_good(make: Callable[..., bytes]) -> None:
    assert standing(make()) is Standing.GOOD
    assert standing(make(revocation(HOLD))) is Standing.SUSPENDED
    assert standing(make(revocation(COMPROMISE))) is Standing.REVOKED
    assert standing(make(revocation(HOLD, 1), revocation(COMPROMISE, 2**126))) is Standing.GOOD


def test_list_of_a_partition_is_no_proof_about_another() -> None:
    other = card(sequence=10_000).signing
    with pytest.raises(Unusable):
        standing(partition(), other)
    assert standing(complete(), other) is Standing.GOOD


def test_list_of_another_generation_is_no_proof() -> None:
    with pytest.raises(Unusable):
        standing(complete(generation=3), generation=2)
    assert standing(complete(generation=3), card(3).signing, 3) is Standing.GOOD


def test_list_has_the_extensions_of_the_profile() -> None:
    read = x509.load_der_x509_crl(partition())
    point = read.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    assert point.critical
    assert [name.value for name in point.value.full_name or ()] == [FIRST]
    assert read.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 7
    identifier = read.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    assert identifier.value == issuer().key_identifier
    assert (read.last_update_utc, read.next_update_utc) == (NOW, UNTIL)
    assert read.issuer == issuer().certificate.subject


def test_entry_has_a_reason_unless_it_is_unspecified() -> None:
    listed = [
        revocation(reason, at + 1)
        for at, reason in enumerate(x509.ReasonFlags)
        if reason is not x509.ReasonFlags.remove_from_crl
    ]
    read = x509.load_der_x509_crl(complete(*listed))
    for one, found in zip(listed, read, strict=True):
        assert (found.serial_number, found.revocation_date_utc) == (one.serial, SINCE)
        reasons = [each.value.reason for each in found.extensions if isinstance(each.value, x509.CRLReason)]
        assert reasons == [] if one.reason is x509.ReasonFlags.unspecified else [one.reason]


def test_entry_says_since_when_a_key_is_known_to_others_and_nothing_else() -> None:
    since = SINCE - timedelta(days=30)
    compromised = revocation(COMPROMISE)._replace(compromised_since=since)
    (found,) = x509.load_der_x509_crl(complete(compromised))
    assert found.extensions.get_extension_for_class(x509.InvalidityDate).value.invalidity_date_utc == since
    held = revocation(HOLD)._replace(compromised_since=since)
    (found,) = x509.load_der_x509_crl(complete(held))
    assert [one.oid for one in found.extensions] == [x509.CRLReason.oid]


def test_entry_that_only_a_delta_has_is_refused() -> None:
    with pytest.raises(ValueError, match="removeFromCRL"):
        entry(revocation(x509.ReasonFlags.remove_from_crl))


@given(
    st.integers(0, 2**159 - 1),
    st.datetimes(datetime(1970, 1, 1), datetime(2120, 1, 1), timezones=st.just(UTC)),
)
def test_entry_of_any_serial_and_time_is_read_as_written(serial: int, since: datetime) -> None:
    (found,) = x509.load_der_x509_crl(complete(Revocation(serial, since, HOLD)))
    assert (found.serial_number, found.revocation_date_utc) == (serial, since.replace(microsecond=0))


def test_list_is_accepted_by_openssl(tmp_path: Path) -> None:
    ca, roots, target = tmp_path / "ca.pem", tmp_path / "roots.pem", tmp_path / "card.pem"
    lists = tmp_path / "lists.pem"
    pem = Encoding.PEM
    ca.write_bytes(issuer().certificate.public_bytes(pem) + issuer(3).certificate.public_bytes(pem))
    roots.write_bytes(root().certificate.public_bytes(pem))
    target.write_bytes(card().signing.public_bytes(pem))
    arls = revocation_list(root(), [], 1, NOW, UNTIL, None)
    verify = ["openssl", "verify", "-x509_strict", "-crl_check_all", "-extended_crl"]
    verify += ["-attime", str(int(NOW.timestamp()))]
    for made, said in (
        (partition(), "OK"),
        (complete(), "OK"),
        (partition(revocation(HOLD)), "certificate revoked"),
        (complete(revocation(COMPROMISE)), "certificate revoked"),
        # Of the same name, and lists of everything: they must not pass for those of this generation.
        (partition(generation=3), "different CRL scope"),
        (complete(generation=3), "different CRL scope"),
        (partition(address="http://xca.test/another.crl"), "different CRL scope"),
    ):
        lists.write_bytes(b"".join(x509.load_der_x509_crl(one).public_bytes(pem) for one in (made, arls)))
        done = subprocess.run(
            [*verify, "-CAfile", roots, "-untrusted", ca, "-CRLfile", lists, target],
            capture_output=True,
            text=True,
        )
        assert said.lower() in (done.stdout + done.stderr).lower(), (said, done.stdout, done.stderr)
        assert (done.returncode == 0) is (said == "OK")


def test_list_of_a_hundred_thousand_is_made_in_seconds() -> None:
    begun = time.process_time()
    listed = [entry(revocation(HOLD, 2**120 + at)) for at in range(100_000)]
    made = revocation_list(issuer(), listed, 7, NOW, UNTIL, FIRST)
    assert time.process_time() - begun < 5
    assert len(x509.load_der_x509_crl(made)) == 100_000
