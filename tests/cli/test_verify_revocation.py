# SPDX-License-Identifier: Apache-2.0
"""Revocation of a signer's certificate: which evidence counts, and which hosts may be asked."""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from asn1crypto import cms, core, pem  # type: ignore[import-untyped]
from asn1crypto import crl as asn1_crl
from asn1crypto import ocsp as asn1_ocsp
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from support.cli.json_schemas import check
from support.cli.web_proxy import proxy
from support.cli.xcactl import Result
from support.hostile_pki import pss_algorithm, short_key
from xca_common.pki import fetching, revocation_list
from xca_common.pki.revocation_list import RevocationList
from xca_common.pki.standing import Standing
from xca_common.pki.strict_certificate import has_signed
from xca_login.testing.parties import DAY, NOW, Party, certified_with, party, responder
from xca_login.testing.tokens import signed
from xca_plugin.cli.root import xcactl

CONTENT = b"The bid is 1,000,000 dollars.\n"
HOUR = timedelta(hours=1)
HOLD = x509.ReasonFlags.certificate_hold
FOR_GOOD = x509.ReasonFlags.key_compromise
NOT_VALID = 62
REVOCATION_UNKNOWN = 78
UNKNOWN = "it is not known whether its signer's certificate is revoked"


@pytest.fixture(scope="session")
def root() -> Party:
    return party("root", ca=True)


@pytest.fixture(scope="session")
def issuer(root: Party) -> Party:
    return party("issuer", root, ca=True)


@pytest.fixture(scope="session")
def signer(issuer: Party) -> Party:
    return party("signer", issuer)


@dataclass
class Verifier:
    """xcactl verify of a file whose signer is certified by the issuer."""

    folder: Path
    root: Party
    issuer: Party
    signer: Party

    def __call__(
        self, *evidence: bytes, options: Sequence[str] = (), env: dict[str, str] | None = None
    ) -> Result:
        file, signature = self.folder / "file", self.folder / "file.p7s"
        file.write_bytes(CONTENT)
        signature.write_bytes(signed(self.signer, CONTENT, [self.issuer]))
        arguments = [
            "verify",
            str(file),
            str(signature),
            "--ca-file",
            str(self.root.write(self.folder / "root")),
        ]
        for number, one in enumerate(evidence):
            path = self.folder / f"evidence-{number}"
            path.write_bytes(one)
            arguments += ["--crl" if _is_list(one) else "--ocsp", str(path)]
        done = CliRunner(env={"LANGUAGE": "en", **(env or {})}).invoke(xcactl, [*arguments, *options])
        return Result(done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def verify(tmp_path: Path, root: Party, issuer: Party, signer: Party) -> Verifier:
    return Verifier(tmp_path, root, issuer, signer)


_SIGNS_ALL = x509.KeyUsage(
    digital_signature=True,
    content_commitment=True,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _is_list(der: bytes) -> bool:
    try:
        x509.load_der_x509_crl(der)
    except ValueError:
        return False
    return True


def crl(
    by: Party,
    about: Party | None = None,
    reason: x509.ReasonFlags | None = FOR_GOOD,
    *,
    at: datetime = NOW - HOUR,
    until: datetime = NOW + DAY,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> bytes:
    """A list, with a certificate on it or none."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(by.certificate.subject)
        .last_update(at)
        .next_update(until)
        .add_extension(x509.CRLNumber(1), critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    if about is not None:
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(about.certificate.serial_number)
            .revocation_date(at)
        )
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(by.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def response(
    by: Party,
    issuer: Party,
    about: Party,
    reason: x509.ReasonFlags | None = None,
    *,
    at: datetime = NOW - HOUR,
    until: datetime | None = NOW + DAY,
    encoding: ocsp.OCSPResponderEncoding = ocsp.OCSPResponderEncoding.HASH,
) -> bytes:
    """An OCSP response, good without a reason."""
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=about.certificate,
        issuer=issuer.certificate,
        algorithm=hashes.SHA1(),
        cert_status=ocsp.OCSPCertStatus.REVOKED if reason else ocsp.OCSPCertStatus.GOOD,
        this_update=at,
        next_update=until,
        revocation_time=at if reason else None,
        revocation_reason=reason,
    )
    builder = builder.responder_id(encoding, by.certificate)
    if by is not issuer:
        builder = builder.certificates([by.certificate])
    made = builder.sign(by.key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


# --- what decides


def expect(result: Result, words: str) -> None:
    """Check the result: a good, a revoked or suspended certificate, or one of which it is not known."""
    said = result.out + result.err
    taken_back = any(said in words for said in ("revoked on", "suspended since", "CA is revoked"))
    taken_back = taken_back and "not known" not in words
    status = 0 if words == "not revoked" else NOT_VALID if taken_back else REVOCATION_UNKNOWN
    assert result.status == status, said
    assert ("NOT valid" in said) is taken_back
    assert words in said


@pytest.mark.parametrize(
    ("list_says", "list_age", "response_says", "response_age", "words"),
    [
        # A revocation for good counts in any evidence of any age.
        (FOR_GOOD, 1, None, 1, "was revoked on"),
        (FOR_GOOD, 50, None, 1, "was revoked on"),
        (None, 1, FOR_GOOD, 50, "was revoked on"),
        (HOLD, 1, FOR_GOOD, 50, "was revoked on"),
        # For a hold the newest evidence counts; at the same time, the hold.
        (HOLD, 2, None, 1, "not revoked"),
        (HOLD, 1, None, 2, "is suspended since"),
        (None, 2, HOLD, 1, "is suspended since"),
        (None, 1, HOLD, 2, "not revoked"),
        (HOLD, 1, None, 1, "is suspended since"),
        (None, 1, HOLD, 1, "is suspended since"),
        # Out of date after 48 hours: good is no longer good, and the end of a hold is not told anew.
        (None, 50, None, 1, "not revoked"),
        (None, 50, None, 49, UNKNOWN),
        (HOLD, 60, None, 50, UNKNOWN),
        (HOLD, 50, None, 60, "is suspended since"),
    ],
)
def test_list_and_response_that_differ_give_the_right_verdict(
    verify: Verifier,
    issuer: Party,
    signer: Party,
    list_says: x509.ReasonFlags | None,
    list_age: int,
    response_says: x509.ReasonFlags | None,
    response_age: int,
    words: str,
) -> None:
    listed, answered = NOW - list_age * HOUR, NOW - response_age * HOUR
    listing = crl(issuer, signer if list_says else None, list_says, at=listed, until=listed + 2 * DAY)
    answer = response(issuer, issuer, signer, response_says, at=answered, until=answered + 2 * DAY)
    expect(verify(listing, answer), words)
    expect(verify(answer, listing), words)


def test_revoked_issuer_counts_though_it_names_no_list(
    verify: Verifier, root: Party, issuer: Party, signer: Party
) -> None:
    good = crl(issuer)
    said = verify(good)
    expect(said, "not revoked")
    assert "of its issuers is revoked: O=issuer" in said.out
    document = verify(good, options=["--json"]).json
    check(document, "verify")
    assert (document["revocation_checked"], document["revocation_not_checked"]) == (True, ["O=issuer"])
    both = verify(good, crl(root), options=["--json"]).json
    assert (both["revocation_checked"], both["revocation_not_checked"]) == (True, [])
    assert "of its issuers is revoked" not in verify(good, crl(root)).out
    none = verify(options=["--json"]).json
    assert (none["revocation_checked"], none["revocation_not_checked"]) == (False, ["O=signer", "O=issuer"])
    for reason in (FOR_GOOD, HOLD):
        expect(verify(good, crl(root, issuer, reason)), "the certificate of its signer's CA is revoked")


def test_issuer_that_names_a_list_must_be_known(verify: Verifier, root: Party) -> None:
    point = x509.DistributionPoint([x509.UniformResourceIdentifier("http://x.test/c.crl")], None, None, None)
    verify.issuer = party("issuer", root, ca=True, extensions=[(x509.CRLDistributionPoints([point]), False)])
    verify.signer = party("signer", verify.issuer)
    expect(verify(crl(verify.issuer)), "not known whether the certificate of its signer's CA is revoked")
    expect(verify(crl(verify.issuer), crl(root)), "not revoked")


def test_trusted_signer_of_whom_nobody_can_tell_is_refused_when_asked(
    verify: Verifier, issuer: Party
) -> None:
    """It is a CA that signs documents too: no other certificate is trusted."""
    verify.root = verify.signer = party("signing ca", issuer, ca=True, usage=_SIGNS_ALL)
    assert verify().status == 0
    expect(verify(crl(issuer)), UNKNOWN)


# --- what does not count


def test_list_that_says_nothing_of_the_signer_is_no_proof(
    verify: Verifier, root: Party, issuer: Party
) -> None:
    elsewhere = x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier("http://x.test/other.crl")],
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )
    of_cas = x509.IssuingDistributionPoint(None, None, False, True, None, False, False)
    of_users = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)
    indirect = x509.IssuingDistributionPoint(None, None, False, False, None, True, False)
    some = x509.IssuingDistributionPoint(None, None, False, False, frozenset({FOR_GOOD}), False, False)
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    same_name = party("issuer", root, ca=True, key_name="another generation")
    certifies = x509.KeyUsage(False, False, False, False, False, True, False, False, False)
    cannot = party("issuer", root, ca=True, key_name="issuer", usage=certifies)
    for listing in (
        crl(issuer, extensions=[(elsewhere, True)]),
        crl(issuer, extensions=[(of_cas, True)]),
        crl(issuer, extensions=[(indirect, True)]),
        crl(issuer, extensions=[(some, True)]),
        crl(issuer, extensions=[(x509.DeltaCRLIndicator(1), True)]),
        crl(issuer, extensions=[(strange, True)]),
        crl(same_name),
        crl(party("another name", root, ca=True, key_name="issuer")),
        crl(root),
        crl(issuer, until=NOW - timedelta(minutes=1)),
        crl(issuer, at=NOW + DAY, until=NOW + 2 * DAY),
    ):
        expect(verify(listing), UNKNOWN)
    expect(verify(crl(issuer, extensions=[(of_users, True)])), "not revoked")
    verify.issuer = cannot
    expect(verify(crl(cannot)), UNKNOWN)


@pytest.mark.parametrize("reason", [7, 99])
def test_entry_whose_reason_cannot_be_read_is_a_revocation(
    verify: Verifier, issuer: Party, signer: Party, reason: int
) -> None:
    odd = x509.UnrecognizedExtension(x509.CRLReason.oid, bytes((0x0A, 1, reason)))
    entry = (
        x509.RevokedCertificateBuilder()
        .serial_number(signer.certificate.serial_number)
        .revocation_date(NOW - HOUR)
        .add_extension(odd, critical=False)
        .build()
    )
    listed = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(NOW - HOUR)
        .next_update(NOW + DAY)
        .add_revoked_certificate(entry)
        .sign(issuer.key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )
    expect(verify(listed, response(issuer, issuer, signer)), "revoked on")


def test_response_whose_reason_cannot_be_read_is_a_revocation(
    verify: Verifier, issuer: Party, signer: Party
) -> None:
    said = asn1_ocsp.OCSPResponse.load(response(issuer, issuer, signer, FOR_GOOD))
    basic = said.basic_ocsp_response
    made = basic["tbs_response_data"].dump()
    reason = bytes((0xA0, 3, 0x0A, 1))
    assert made.count(reason) == 1
    at = made.index(reason) + len(reason)
    odd = made[:at] + bytes((7,)) + made[at + 1 :]
    # The same length: put in the place of the former, in whole.
    signature = issuer.key.sign(odd, padding.PKCS1v15(), hashes.SHA256())
    whole = said.dump().replace(made, odd).replace(basic["signature"].native, signature)
    expect(verify(whole, crl(issuer)), "revoked on")


def test_partial_list_that_names_the_signer_counts(verify: Verifier, issuer: Party, signer: Party) -> None:
    for extension in (
        x509.DeltaCRLIndicator(1),
        x509.IssuingDistributionPoint(None, None, False, True, None, False, False),
    ):
        listing = crl(issuer, signer, extensions=[(extension, True)])
        expect(verify(listing, response(issuer, issuer, signer)), "was revoked on")


INDIRECT = x509.IssuingDistributionPoint(None, None, False, False, None, True, False)
STRANGE = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


@pytest.mark.parametrize("extension", [STRANGE, INDIRECT], ids=["unknown critical", "indirect"])
def test_list_that_is_not_understood_and_names_the_signer_revokes(
    verify: Verifier, issuer: Party, signer: Party, extension: x509.ExtensionType
) -> None:
    good = response(issuer, issuer, signer)
    expect(verify(crl(issuer, signer, extensions=[(extension, True)]), good), "was revoked on")
    expect(verify(crl(issuer, signer, HOLD, extensions=[(extension, True)]), good), "is suspended since")
    # A certificate that is not on it may still be revoked.
    expect(verify(crl(issuer, extensions=[(extension, True)])), "not understood")


def entry(
    of: Party, reason: x509.ReasonFlags | None, *extensions: x509.ExtensionType, at: datetime = NOW - HOUR
) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(of.certificate.serial_number).revocation_date(at)
    if reason is not None:
        builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.build()


def listing(
    by: Party, *entries: x509.RevokedCertificate, extensions: Sequence[x509.ExtensionType] = ()
) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(by.certificate.subject)
        .last_update(NOW - HOUR)
        .next_update(NOW + DAY)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    # The builder refuses duplicates.
    builder._revoked_certificates = list(entries)
    return builder.sign(by.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_card_with_several_entries_has_the_worst(verify: Verifier, issuer: Party, signer: Party) -> None:
    hold, for_good = entry(signer, HOLD), entry(signer, FOR_GOOD)
    for entries in ([hold, for_good], [for_good, hold]):
        expect(verify(listing(issuer, *entries), response(issuer, issuer, signer)), "was revoked on")


def test_entry_with_a_critical_extension_that_is_unknown_revokes_and_makes_the_list_no_proof(
    verify: Verifier, issuer: Party, signer: Party
) -> None:
    good = response(issuer, issuer, signer)
    expect(verify(listing(issuer, entry(signer, HOLD, STRANGE)), good), "was revoked on")
    somebody = party("somebody", issuer)
    expect(verify(listing(issuer, entry(somebody, FOR_GOOD, STRANGE))), "not understood")
    expect(verify(listing(issuer, entry(somebody, FOR_GOOD))), "not revoked")


def test_entry_of_an_indirect_list_counts_for_the_issuer_that_it_names(
    verify: Verifier, root: Party, issuer: Party, signer: Party
) -> None:
    good = response(issuer, issuer, signer)

    def named(who: Party) -> x509.CertificateIssuer:
        return x509.CertificateIssuer([x509.DirectoryName(who.certificate.subject)])

    other, own = entry(party("x", issuer), FOR_GOOD, named(root)), entry(signer, FOR_GOOD)
    # An entry without a name is of the issuer that the one before it names.
    expect(verify(listing(issuer, other, own, extensions=[INDIRECT]), good), "not revoked")
    own = entry(signer, FOR_GOOD, named(issuer))
    expect(verify(listing(issuer, other, own, extensions=[INDIRECT]), good), "was revoked on")
    expect(verify(listing(issuer, entry(signer, FOR_GOOD, named(root))), good), "was revoked on")


def test_entry_removed_from_a_complete_list_still_revokes(
    verify: Verifier, issuer: Party, signer: Party
) -> None:
    removed = x509.ReasonFlags.remove_from_crl
    good, delta = response(issuer, issuer, signer), [(x509.DeltaCRLIndicator(1), True)]
    expect(verify(crl(issuer, signer, removed), good), "was revoked on")
    expect(verify(crl(issuer, signer, removed, extensions=delta), good), "not revoked")
    expect(verify(crl(issuer, signer, removed, extensions=delta)), "not the list for this certificate")
    # It lifts no hold either: a complete list or a response must say so.
    held = crl(issuer, signer, HOLD, at=NOW - 2 * HOUR)
    expect(verify(held, crl(issuer, signer, removed, extensions=delta)), "is suspended since")


def test_list_that_proves_nothing_revokes_all_the_same(
    verify: Verifier, root: Party, issuer: Party, signer: Party
) -> None:
    good = response(issuer, issuer, signer)

    def weak(der: bytes) -> bytes:
        made = asn1_crl.CertificateList.load(der)
        made["signature_algorithm"] = made["tbs_cert_list"]["signature"] = {"algorithm": "sha1_rsa"}
        signed_part = made["tbs_cert_list"].dump(force=True)
        made["signature"] = issuer.key.sign(signed_part, padding.PKCS1v15(), hashes.SHA1())
        return bytes(made.dump(force=True))

    expect(verify(weak(crl(issuer, signer)), good), "was revoked on")
    expect(verify(weak(crl(issuer))), UNKNOWN)
    expect(verify(crl(issuer, signer, at=NOW - 9 * DAY, until=NOW - 8 * DAY), good), "was revoked on")
    certifies = x509.KeyUsage(False, False, False, False, False, True, False, False, False)
    verify.issuer = party("issuer", root, ca=True, key_name="issuer", usage=certifies)
    expect(verify(crl(verify.issuer, signer), good), "was revoked on")


def test_every_list_in_a_pem_file_counts(verify: Verifier, issuer: Party, signer: Party) -> None:
    both = b"".join(
        pem.armor("X509 CRL", der) for der in (crl(issuer, at=NOW - HOUR), crl(issuer, signer, at=NOW - DAY))
    )
    path = verify.folder / "both.pem"
    path.write_bytes(both)
    expect(verify(options=["--crl", str(path)]), "was revoked on")


def test_list_is_verified_once_and_looked_up_many_times(
    issuer: Party, signer: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = []

    def counting(*signed: Any) -> bool:
        verified.append(signed)
        return has_signed(*signed)

    monkeypatch.setattr(revocation_list, "has_signed", counting)
    found = RevocationList(crl(issuer, signer))
    for _ in range(3):
        assert found.statement(signer.certificate, issuer.certificate, NOW).standing is Standing.REVOKED
    assert len(verified) == 1


def test_list_in_the_name_of_its_own_address_is_proof(verify: Verifier, issuer: Party) -> None:
    address = x509.UniformResourceIdentifier("http://x.test/partition.crl")
    point = x509.DistributionPoint([address], None, None, None)
    verify.signer = party("signer", issuer, extensions=[(x509.CRLDistributionPoints([point]), False)])
    own = x509.IssuingDistributionPoint([address], None, False, False, None, False, False)
    expect(verify(crl(issuer, extensions=[(own, True)])), "not revoked")


def test_response_counts_if_the_issuer_or_its_delegate_signed_it(
    verify: Verifier, issuer: Party, signer: Party
) -> None:
    delegate = responder(issuer)
    for by in (issuer, delegate):
        for encoding in ocsp.OCSPResponderEncoding:
            expect(verify(response(by, issuer, signer, encoding=encoding)), "not revoked")
    just_now = datetime.now(UTC).replace(microsecond=0)
    expect(verify(response(issuer, issuer, signer, until=None, at=just_now)), "not revoked")


def test_response_of_anybody_else_is_no_proof(
    verify: Verifier, root: Party, issuer: Party, signer: Party
) -> None:
    other = party("signer", issuer)
    same_name = party("issuer", root, ca=True, key_name="another generation")
    for answer in (
        response(responder(issuer, purposes=[]), issuer, signer),
        response(responder(issuer, purposes=[ExtendedKeyUsageOID.SERVER_AUTH]), issuer, signer),
        response(responder(root), issuer, signer),
        response(responder(same_name), issuer, signer),
        response(party("anybody"), issuer, signer),
        response(signer, issuer, signer),
        response(issuer, issuer, signer)[:-4] + bytes(4),
        response(responder(issuer), issuer, signer, at=NOW - 31 * DAY),
        response(issuer, issuer, other),
        response(issuer, same_name, signer),
        response(issuer, issuer, signer, until=NOW - timedelta(minutes=1)),
        response(issuer, issuer, signer, until=None, at=NOW - 2 * HOUR),
        response(issuer, issuer, signer, at=NOW + DAY, until=NOW + 2 * DAY),
    ):
        expect(verify(answer), UNKNOWN)
    expect(verify(response(issuer, issuer, other)), "the OCSP response is about other certificates")


def test_response_with_several_answers_gives_the_worst(
    verify: Verifier, issuer: Party, signer: Party
) -> None:
    good = asn1_ocsp.OCSPResponse.load(response(issuer, issuer, signer))
    others = {
        words: asn1_ocsp.OCSPResponse.load(response(issuer, issuer, signer, reason))
        for words, reason in (("is suspended since", HOLD), ("was revoked on", FOR_GOOD))
    }
    unknown = good.copy()
    one = unknown.basic_ocsp_response["tbs_response_data"]["responses"][0]
    one["cert_status"] = asn1_ocsp.CertStatus("unknown", core.Null())
    others["does not know the certificate"] = unknown
    revoked, held = others["was revoked on"], others["is suspended since"]
    cases = [([good, other], words) for words, other in others.items()] + [
        ([held, revoked], "was revoked on")
    ]
    for answers, words in cases:
        for order in (answers, answers[::-1]):
            expect(verify(_joined(issuer, *order)), words)


def _joined(by: Party, *answers: asn1_ocsp.OCSPResponse, extension: str | None = None) -> bytes:
    """One response with the answers of several, and a critical extension."""
    whole = answers[0].copy()
    basic = whole.basic_ocsp_response
    data = basic["tbs_response_data"]
    data["responses"] = [
        one for answer in answers for one in answer.basic_ocsp_response["tbs_response_data"]["responses"]
    ]
    if extension:
        data["response_extensions"] = [
            {"extn_id": extension, "critical": True, "extn_value": core.ParsableOctetString(b"\x05\x00")}
        ]
    basic["signature"] = by.key.sign(data.dump(force=True), padding.PKCS1v15(), hashes.SHA256())
    whole["response_bytes"]["response"] = core.ParsableOctetString(basic.dump(force=True))
    return bytes(whole.dump(force=True))


def test_response_that_is_not_understood_is_no_proof_and_revokes(
    verify: Verifier, issuer: Party, signer: Party
) -> None:
    good, bad = (
        asn1_ocsp.OCSPResponse.load(response(issuer, issuer, signer, reason)) for reason in (None, FOR_GOOD)
    )
    expect(verify(_joined(issuer, good)), "not revoked")
    expect(verify(_joined(issuer, good, extension="1.2.3.4")), "not understood")
    expect(verify(_joined(issuer, bad, extension="1.2.3.4"), crl(issuer)), "was revoked on")


def test_response_in_another_name_or_weakly_signed_is_no_proof(
    verify: Verifier, root: Party, issuer: Party, signer: Party
) -> None:
    def made(by: Party, algorithm: str, digest: hashes.HashAlgorithm) -> bytes:
        whole = asn1_ocsp.OCSPResponse.load(response(by, issuer, signer))
        basic = whole.basic_ocsp_response
        basic["certs"] = []
        basic["signature_algorithm"] = {"algorithm": algorithm}
        data = basic["tbs_response_data"].dump(force=True)
        basic["signature"] = issuer.key.sign(data, padding.PKCS1v15(), digest)
        whole["response_bytes"]["response"] = core.ParsableOctetString(basic.dump(force=True))
        return bytes(whole.dump(force=True))

    expect(verify(made(issuer, "sha256_rsa", hashes.SHA256())), "not revoked")
    expect(verify(made(root, "sha256_rsa", hashes.SHA256())), UNKNOWN)
    expect(verify(made(issuer, "sha1_rsa", hashes.SHA1())), UNKNOWN)


@pytest.mark.parametrize(("before", "words"), [(3, "not revoked"), (4, UNKNOWN)])
def test_responder_is_looked_for_among_few_certificates(
    verify: Verifier, issuer: Party, signer: Party, before: int, words: str
) -> None:
    delegate = responder(issuer)
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=signer.certificate,
        issuer=issuer.certificate,
        algorithm=hashes.SHA1(),
        cert_status=ocsp.OCSPCertStatus.GOOD,
        this_update=NOW - HOUR,
        next_update=NOW + DAY,
        revocation_time=None,
        revocation_reason=None,
    )
    others = [party(f"other {number}", issuer, key_name="other").certificate for number in range(before)]
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, delegate.certificate)
    made = builder.certificates([*others, delegate.certificate]).sign(delegate.key, hashes.SHA256())
    expect(verify(made.public_bytes(serialization.Encoding.DER)), words)


def test_responder_whose_certificate_demands_to_be_understood_is_not_believed(
    verify: Verifier, issuer: Party, signer: Party
) -> None:
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
    strange = party("responder", issuer, extensions=[(purposes, False), (STRANGE, True)])
    expect(verify(response(strange, issuer, signer)), UNKNOWN)


def test_responder_that_is_not_secure_is_not_believed(verify: Verifier, issuer: Party, signer: Party) -> None:
    good = responder(issuer)
    expect(verify(response(good, issuer, signer)), "not revoked")
    mask = padding.PSS(padding.MGF1(hashes.SHA1()), 32)
    for algorithm, scheme, digest in (
        ({"algorithm": "sha1_rsa"}, padding.PKCS1v15(), hashes.SHA1()),
        (pss_algorithm("sha1"), mask, hashes.SHA256()),
    ):
        weak = certified_with(good, issuer, algorithm, scheme, digest)
        expect(verify(response(weak, issuer, signer)), UNKNOWN)
    answers = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False)
    expect(verify(response(short_key("responder", issuer, answers), issuer, signer)), UNKNOWN)


def test_responder_that_was_revoked_is_no_longer_believed(
    verify: Verifier, issuer: Party, signer: Party
) -> None:
    delegate = responder(issuer)
    answer = response(delegate, issuer, signer)
    old = NOW - 10 * DAY
    expect(verify(answer, crl(issuer, delegate, at=old, until=old + DAY)), UNKNOWN)


def test_file_that_is_no_response_is_named(verify: Verifier) -> None:
    later = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    for odd in (b"\x30\x00", later.public_bytes(serialization.Encoding.DER), b""):
        assert verify(odd).status == 68


def _exchanged(der: bytes, before: bytes, after: bytes) -> bytes:
    start, found, end = der.rpartition(before)
    assert found
    assert len(before) == len(after)
    return start + after + end


def test_malformed_part_of_a_list_is_named(verify: Verifier, issuer: Party, signer: Party) -> None:
    whole = crl(issuer, signer)
    time_of = (NOW - HOUR).strftime("%y%m%d%H%M%SZ").encode()
    until = (NOW + DAY).strftime("%y%m%d%H%M%SZ").encode()
    crl_number = bytes.fromhex("0603551d1404030201")
    for words, odd in {
        "its structure": b"\x30\x03\x02\x01\x01",
        "the time of its issue or of the next one": _exchanged(whole, until, b"991399999999Z"),
        "its version or one of its entries": _exchanged(whole, time_of, b"991399999999Z"),
        "its extension crl number": _exchanged(whole, crl_number, crl_number[:-2] + b"\x05\x01"),
    }.items():
        path = verify.folder / "odd.crl"
        path.write_bytes(odd)
        result = verify(options=["--crl", str(path)])
        assert result.status == 68
        assert f"{words} cannot be read" in result.err


def test_malformed_part_of_a_response_is_named(verify: Verifier, issuer: Party, signer: Party) -> None:
    whole = response(issuer, issuer, signer)
    time_of = (NOW - HOUR).strftime("%Y%m%d%H%M%SZ").encode()
    later = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    for words, odd in {
        "its structure cannot be read": b"\x30\x03\x02\x01\x01",
        "it answers: try later": later.public_bytes(serialization.Encoding.DER),
        "an answer in it cannot be read": _exchanged(whole, time_of, b"99991399999999Z"),
    }.items():
        result = verify(odd)
        assert result.status == 68
        assert words in result.err


def test_malformed_answer_of_an_address_is_named(verify: Verifier, issuer: Party) -> None:
    until = (NOW + DAY).strftime("%y%m%d%H%M%SZ").encode()
    odd = _exchanged(crl(issuer), until, b"991399999999Z")
    with server(answering(odd)) as (port, _):
        result = fetch(naming(verify, f"http://127.0.0.1:{port}/c.crl"), "127.0.0.1")
    expect(result, UNKNOWN)
    assert "something else: the time of its issue or of the next one cannot be read" in result.err


# --- whom a certificate may have asked


Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def server(answer: Answer) -> Iterator[tuple[int, list[str]]]:
    """A web server on this machine with this response; its port, and the requests that it got."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            with suppress(OSError):  # the client closed the connection
                answer(self)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    httpd.block_on_close = False
    thread = Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield httpd.server_port, asked
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def answering(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def naming(verify: Verifier, *lists: str, responders: Sequence[str] = ()) -> Verifier:
    """The same with a signer whose certificate names these addresses."""
    extensions: list[tuple[x509.ExtensionType, bool]] = []
    if lists:
        points = [
            x509.DistributionPoint([x509.UniformResourceIdentifier(one)], None, None, None) for one in lists
        ]
        extensions.append((x509.CRLDistributionPoints(points), False))
    if responders:
        access = [
            x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(one))
            for one in responders
        ]
        extensions.append((x509.AuthorityInformationAccess(access), False))
    return replace(verify, signer=party("signer", verify.issuer, extensions=extensions))


DIRECT = {
    "http_proxy": "",
    "HTTP_PROXY": "",
    "no_proxy": "",
    "NO_PROXY": "",
    "all_proxy": "",
    "ALL_PROXY": "",
}


def fetch(verify: Verifier, *hosts: str, **env: str) -> Result:
    options = ["--fetch", *(f"--allow-host={host}" for host in hosts)]
    return verify(options=options, env={**DIRECT, **env})


def test_fetch_for_a_certificate_without_an_address_says_that_nobody_could_be_asked(verify: Verifier) -> None:
    result = fetch(verify)
    expect(result, UNKNOWN)
    assert "names no address, so nobody could be asked" in result.err


def test_host_that_nobody_allowed_is_not_asked(verify: Verifier, issuer: Party) -> None:
    with server(answering(crl(issuer))) as (port, asked):
        for host in ("127.0.0.1", "localhost", "127.1", "[::ffff:127.0.0.1]", "xca.nat.gov.tw@127.0.0.1"):
            named = naming(verify, f"http://{host}:{port}/c.crl", responders=[f"http://{host}:{port}/ocsp"])
            result = fetch(named)
            expect(result, UNKNOWN)
            assert "its host is not a known one" in result.err
        assert asked == []
        named = naming(verify, f"http://127.0.0.1:{port}/c.crl")
        expect(fetch(named, "127.0.0.1"), "not revoked")
        expect(fetch(named, "localhost"), UNKNOWN)
    assert asked == ["/c.crl"]


def test_untrusted_signer_has_nobody_asked(verify: Verifier, issuer: Party) -> None:
    with server(answering(crl(issuer))) as (port, asked):
        named = naming(verify, f"http://127.0.0.1:{port}/c.crl")
        named.root = party("somebody else", ca=True)
        result = fetch(named, "127.0.0.1")
        assert (result.status, "is missing" in result.err) == (57, True)
    assert asked == []


@pytest.fixture
def resolving(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The addresses that names resolve to, one after the other, and how often each was resolved."""
    table: dict[str, list[str]] = {}
    resolve = socket.getaddrinfo

    def resolved(host: str, port: int, *arguments: Any, **options: Any) -> Any:
        addresses = table.get(host)
        return resolve(addresses.pop(0) if addresses else host, port, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    return table


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "0.0.0.0",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "::7f00:1",
        "fec0::1",
        "64:ff9b:1::7f00:1",
    ],
)
def test_name_that_leads_into_this_network_is_not_asked(
    verify: Verifier, issuer: Party, resolving: dict[str, list[str]], address: str
) -> None:
    with server(answering(crl(issuer))) as (port, asked):
        named = naming(verify, f"http://crl.nat.gov.tw:{port}/c.crl")
        resolving["crl.nat.gov.tw"] = [address, "127.0.0.1"]
        result = fetch(named)
        expect(result, UNKNOWN)
        assert "not outside of this network" in result.err
        # It was resolved once: the second answer would have led there.
        assert resolving["crl.nat.gov.tw"] == ["127.0.0.1"]
        assert asked == []
        # Who allows it by name allows it there.
        expect(fetch(named, "CRL.nat.gov.tw."), "not revoked")
    assert asked == ["/c.crl"]


def test_names_that_only_look_like_the_issuers_are_not_asked(
    verify: Verifier, resolving: dict[str, list[str]]
) -> None:
    for host in ("evilnat.gov.tw", "nat.gov.tw.example", "xn--nat-gov.tw", "nat.gov.tw%00.example"):
        result = fetch(naming(verify, f"http://{host}/c.crl"))
        expect(result, UNKNOWN)
        assert "was not asked" in result.err or "no address that can be asked" in result.err


def test_fetch_of_another_scheme_is_not_asked(verify: Verifier) -> None:
    for address in (
        "file:///etc/passwd",
        "ftp://crl.nat.gov.tw/c",
        "https://crl.nat.gov.tw/",
        "http://[/c",
        "x",
    ):
        result = fetch(naming(verify, address), "crl.nat.gov.tw")
        expect(result, UNKNOWN)
        assert "no address that can be asked" in result.err


def test_fetch_with_a_redirect_is_not_followed(verify: Verifier, issuer: Party) -> None:
    with server(answering(crl(issuer))) as (there, asked):
        onward = answering(b"", 302, Location=f"http://127.0.0.1:{there}/c.crl")
        with server(onward) as (port, _):
            result = fetch(naming(verify, f"http://127.0.0.1:{port}/c.crl"), "127.0.0.1")
    expect(result, UNKNOWN)
    assert "sends on to another address" in result.err
    assert asked == []


def test_fetch_of_an_endless_answer_ends(verify: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(bytes(1 << 16))

    monkeypatch.setattr(fetching, "_MOST_BYTES", 1 << 20)
    with server(endless) as (port, _):
        result = fetch(naming(verify, f"http://127.0.0.1:{port}/c.crl"), "127.0.0.1")
    expect(result, UNKNOWN)
    assert "more than 1 MiB" in result.err


@pytest.mark.parametrize("where", ["body", "headers", "silence"])
def test_fetch_of_a_slow_answer_ends(verify: Verifier, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def slow(handler: BaseHTTPRequestHandler) -> None:
        if where == "body":
            handler.send_response(200)
            handler.end_headers()
        for _ in range(600):
            if where != "silence":
                handler.wfile.write(b"x")
                handler.wfile.flush()
            time.sleep(0.1)

    monkeypatch.setattr(fetching.Fetcher.__init__, "__defaults__", ((), 0.5))
    with server(slow) as (port, asked):
        named = naming(verify, *(f"http://127.0.0.1:{port}/{part}.crl" for part in range(3)))
        start = time.monotonic()
        result = fetch(named, "127.0.0.1")
    expect(result, UNKNOWN)
    assert "did not answer in time" in result.err
    assert time.monotonic() - start < 30
    assert len(asked) <= 1


def test_certificate_with_many_addresses_has_few_asked(verify: Verifier) -> None:
    with server(answering(b"", 404)) as (port, asked):
        addresses = [f"http://127.0.0.1:{port}/{number}" for number in range(100)]
        expect(fetch(naming(verify, *addresses, responders=addresses), "127.0.0.1"), UNKNOWN)
    assert len(asked) == 8


def test_fetch_behind_a_proxy_asks_allowed_hosts_only(verify: Verifier, issuer: Party) -> None:
    inside, outside = "http://crl.nat.gov.tw/c.crl", "http://crl.example/c.crl"
    with proxy({inside: crl(issuer), outside: crl(issuer)}) as (address, requests):
        expect(fetch(naming(verify, outside), http_proxy=address), UNKNOWN)
        # A proxy may take what follows the backslash for a path.
        for odd in ("\\", "%5c", "%2f", ";", ","):
            expect(
                fetch(naming(verify, f"http://crl.example{odd}.nat.gov.tw/c.crl"), http_proxy=address),
                UNKNOWN,
            )
        assert requests == []
        expect(fetch(naming(verify, inside), http_proxy=address), "not revoked")
        expect(fetch(naming(verify, outside), "crl.example", http_proxy=address), "not revoked")
    assert requests == [inside, outside]


@pytest.mark.parametrize(
    ("proxy_address", "words"),
    [
        ("https://{}", "names a proxy with https://, and only http:// is spoken"),
        ("socks5://{}", "names a proxy with socks5://"),
        ("http://", "names no proxy"),
        ("http://:3128", "names no proxy"),
        ("http://host:port", "names no proxy"),
    ],
)
def test_proxy_that_is_not_spoken_to_in_http_is_refused(
    verify: Verifier, issuer: Party, proxy_address: str, words: str
) -> None:
    inside = "http://crl.nat.gov.tw/c.crl"
    with proxy({inside: crl(issuer)}) as (address, requests):
        there = address.removeprefix("http://")
        named = naming(verify, inside)
        result = fetch(named, http_proxy=proxy_address.format(f"user:secret@{there}"))
        expect(result, UNKNOWN)
        assert words in result.err
        assert "secret" not in result.err
        assert requests == []
        expect(fetch(named, http_proxy=f"HTTP://{there}"), "not revoked")
        expect(fetch(named, http_proxy=there), "not revoked")


def test_allowed_host_without_fetch_is_a_wrong_use(verify: Verifier) -> None:
    assert verify(options=["--allow-host", "crl.example"]).status == 2


# --- what cannot be told


def unknown(verify: Verifier, *options: str, language: str = "en") -> Result:
    """A verification in which no list is of the signer's issuer."""
    other = crl(party("another", ca=True))
    return verify(other, options=options, env={"LANGUAGE": language})


def test_unknown_revocation_is_neither_valid_nor_not_valid(verify: Verifier) -> None:
    result = unknown(verify)
    assert result.status == REVOCATION_UNKNOWN
    assert result.err.startswith("It cannot be told whether the signature is valid: ")
    for words in ("--fetch", "--allow-host HOST", "--crl FILE", "--ocsp FILE", "later"):
        assert words in result.err
    said = result.out + result.err
    assert "NOT valid" not in said
    assert "is valid." not in said
    assert "無法判定" in unknown(verify, language="zh_TW").err


def test_unknown_revocation_in_json_has_an_outcome_of_its_own(verify: Verifier) -> None:
    document = unknown(verify, "--json").json
    check(document, "verify")
    assert (document["valid"], document["outcome"]) == (False, "unknown")
    assert "--allow-host" in document["next_step"]


def test_any_with_an_unknown_signer_beside_a_bad_one_cannot_be_told(verify: Verifier, issuer: Party) -> None:
    unknown_one = cms.ContentInfo.load(signed(verify.signer, CONTENT, [issuer]))
    bad = cms.ContentInfo.load(signed(verify.signer, b"another", [issuer]))
    infos = [one["content"]["signer_infos"][0] for one in (unknown_one, bad)]
    unknown_one["content"]["signer_infos"] = infos
    file, signature, other = (verify.folder / name for name in ("file", "file.p7s", "other.crl"))
    file.write_bytes(CONTENT)
    signature.write_bytes(unknown_one.dump(force=True))
    other.write_bytes(crl(party("another", ca=True)))
    root = str(verify.root.write(verify.folder / "root"))
    arguments = ["verify", str(file), str(signature), "--ca-file", root, "--crl", str(other)]
    runner = CliRunner(env={"LANGUAGE": "en"})
    assert runner.invoke(xcactl, arguments).exit_code == NOT_VALID
    assert runner.invoke(xcactl, [*arguments, "--any"]).exit_code == REVOCATION_UNKNOWN
