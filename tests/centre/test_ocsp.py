# SPDX-License-Identifier: Apache-2.0
"""The centre's OCSP answers, as other programs read them."""

import base64
import subprocess
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from urllib.parse import quote

import pytest
from asn1crypto import core  # type: ignore[import-untyped]
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given
from hypothesis import strategies as st

from support.centre.authority import NAME, NOW, card, issuer, key, root
from xca_centre.authority.lists import Revocation
from xca_centre.authority.ocsp import (
    MALFORMED,
    MOST_CERTIFICATES,
    MOST_REQUEST_BYTES,
    TRY_LATER,
    UNAUTHORIZED,
    MalformedRequest,
    Request,
    Responder,
    read_path,
    read_posted,
    responder_for,
)
from xca_common.pki.ocsp_response import OcspResponse, question
from xca_common.pki.standing import Standing, Unusable

HOLD = x509.ReasonFlags.certificate_hold
COMPROMISE = x509.ReasonFlags.key_compromise
SINCE = NOW - timedelta(days=2)
UNTIL = NOW + timedelta(hours=12)
SIGNING, ENCRYPTION = card().signing, card().encryption
SERIAL = SIGNING.serial_number


@cache
def responder(generation: int = 2) -> Responder:
    own = key("responder")
    authority = issuer(generation)
    end = NOW + timedelta(days=30)
    return Responder(
        authority.certificate, authority.appoint_responder(NAME, own.public_key(), NOW, end), own
    )


def ask(certificate: x509.Certificate = SIGNING, nonce: bytes | None = None, digest: str = "sha1") -> Request:
    algorithm = hashes.SHA1() if digest == "sha1" else hashes.SHA256()
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer().certificate, algorithm)
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return read_posted(builder.build().public_bytes(Encoding.DER))


def asking_about(certificates: Sequence[x509.Certificate], **more: object) -> bytes:
    """A request about several certificates, as cryptography makes none."""
    each = [
        asn1_ocsp.OCSPRequest.load(question(one, issuer().certificate))["tbs_request"]["request_list"][0]
        for one in certificates
    ]
    der: bytes = asn1_ocsp.OCSPRequest({"tbs_request": {"request_list": each, **more}}).dump()
    return der


def standing(der: bytes, certificate: x509.Certificate = SIGNING) -> Standing:
    return OcspResponse(der).statement(certificate, issuer().certificate, NOW).standing


@pytest.mark.parametrize("digest", ["sha1", "sha256"])
@pytest.mark.parametrize(
    ("revocation", "said"),
    [
        (None, Standing.GOOD),
        (Revocation(SERIAL, SINCE, HOLD), Standing.SUSPENDED),
        (Revocation(SERIAL, SINCE, COMPROMISE), Standing.REVOKED),
        (Revocation(SERIAL, SINCE, x509.ReasonFlags.unspecified), Standing.REVOKED),
    ],
)
def test_answer_says_how_a_certificate_stands(
    digest: str, revocation: Revocation | None, said: Standing
) -> None:
    request = ask(digest=digest)
    der = responder().answer(request, {SERIAL: revocation}, NOW, UNTIL)
    assert standing(der) is said
    read = ocsp.load_der_ocsp_response(der)
    assert isinstance(read.hash_algorithm, hashes.SHA1 if digest == "sha1" else hashes.SHA256)
    assert (read.this_update_utc, read.next_update_utc, read.produced_at_utc) == (NOW, UNTIL, NOW)
    if revocation is not None:
        assert read.revocation_time_utc == SINCE
        assert read.revocation_reason == (
            None if revocation.reason is x509.ReasonFlags.unspecified else revocation.reason
        )


def test_certificate_that_the_generation_did_not_issue_is_unknown() -> None:
    read = ocsp.load_der_ocsp_response(responder().answer(ask(), {}, NOW, UNTIL))
    assert read.certificate_status is ocsp.OCSPCertStatus.UNKNOWN


def test_request_about_another_generation_of_the_same_name_is_not_this_responders() -> None:
    third = responder(3)
    assert third.issuer.subject == responder(2).issuer.subject
    assert responder_for(ask(), [third, responder(2)]) is responder(2)
    assert responder_for(ask(), [third]) is None
    with pytest.raises(Unusable):
        standing(third.answer(ask(), {SERIAL: None}, NOW, UNTIL))


def test_request_about_another_issuer_has_no_responder() -> None:
    foreign = question(SIGNING, root().certificate)
    assert responder_for(read_posted(foreign), [responder(2), responder(3)]) is None


def test_answer_about_several_certificates_tells_each() -> None:
    request = read_posted(asking_about([SIGNING, ENCRYPTION]))
    assert not request.is_plain
    standings = {SERIAL: None, ENCRYPTION.serial_number: Revocation(ENCRYPTION.serial_number, SINCE, HOLD)}
    der = responder().answer(request, standings, NOW, UNTIL)
    assert standing(der) is Standing.GOOD
    assert standing(der, ENCRYPTION) is Standing.SUSPENDED


@pytest.mark.parametrize("nonce", [b"\x00", b"n" * 16, bytes(32), b"n" * 128])
def test_answer_repeats_the_nonce(nonce: bytes) -> None:
    request = ask(nonce=nonce)
    assert not request.is_plain
    assert OcspResponse(responder().answer(request, {SERIAL: None}, NOW, UNTIL)).nonce == nonce


def test_answer_without_a_nonce_is_plain() -> None:
    assert ask().is_plain
    assert OcspResponse(responder().answer(ask(), {SERIAL: None}, NOW, UNTIL)).nonce is None


def test_answer_ends_with_its_responder() -> None:
    last = responder().certificate.not_valid_after_utc
    der = responder().answer(ask(), {SERIAL: None}, NOW, last + timedelta(days=1))
    assert ocsp.load_der_ocsp_response(der).next_update_utc == last
    for outside in (NOW - timedelta(seconds=1), last + timedelta(seconds=1)):
        with pytest.raises(ValueError, match="not valid"):
            responder().answer(ask(), {SERIAL: None}, outside, UNTIL)


@pytest.mark.parametrize("safe", ["", "/+="])
def test_request_in_a_path_is_read_encoded_or_not(safe: str) -> None:
    der = question(SIGNING, issuer().certificate)
    assert read_path(quote(base64.b64encode(der).decode(), safe=safe)) == read_posted(der)


@pytest.mark.parametrize("rest", ["", "!", "MA", "%zz", "AAAA", "中", "A" * 5 * MOST_REQUEST_BYTES])
def test_path_that_is_no_request_is_refused(rest: str) -> None:
    with pytest.raises(MalformedRequest):
        read_path(rest)


def critical() -> bytes:
    der = question(SIGNING, issuer().certificate, nonce=b"n" * 16)
    request = asn1_ocsp.OCSPRequest.load(der)
    (extension,) = request["tbs_request"]["request_extensions"]
    strange = {"extn_id": "1.2.3.4", "critical": True, "extn_value": extension["extn_value"].contents}
    return asking_about([SIGNING], request_extensions=[strange])


def nonces(*values: bytes) -> bytes:
    extensions = [{"extn_id": "nonce", "extn_value": core.OctetString(value)} for value in values]
    return asking_about([SIGNING], request_extensions=extensions)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        question(SIGNING, issuer().certificate) + b"\0",
        question(SIGNING, issuer().certificate)[:-1],
        asking_about([]),
        asking_about([SIGNING] * (MOST_CERTIFICATES + 1)),
        critical(),
        nonces(b""),
        nonces(b"n" * 129),
        nonces(b"a" * 16, b"b" * 16),
        b"\x30\x80" + question(SIGNING, issuer().certificate) + b"\0\0",
        b"\x30" * MOST_REQUEST_BYTES,
        question(SIGNING, issuer().certificate).ljust(MOST_REQUEST_BYTES + 1, b"\0"),
    ],
    ids=lambda body: f"{len(body)} bytes",
)
def test_request_that_asks_for_too_much_or_nothing_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read_posted(body)


@given(st.data())
def test_request_that_was_changed_is_refused_or_answered(data: st.DataObject) -> None:
    der = bytearray(asking_about([SIGNING, ENCRYPTION]))
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    try:
        request = read_posted(bytes(der))
    except MalformedRequest:
        return
    answer = responder().answer(request, {SERIAL: None}, NOW, UNTIL)
    assert asn1_ocsp.OCSPResponse.load(answer, strict=True)["response_status"].native == "successful"


def test_error_answers_have_the_status_of_their_name() -> None:
    status = ocsp.OCSPResponseStatus
    for der, said in (
        (MALFORMED, status.MALFORMED_REQUEST),
        (TRY_LATER, status.TRY_LATER),
        (UNAUTHORIZED, status.UNAUTHORIZED),
    ):
        assert ocsp.load_der_ocsp_response(der).response_status is said


@pytest.mark.parametrize("digest", ["-sha1", "-sha256"])
def test_answer_is_accepted_by_openssl(digest: str, tmp_path: Path) -> None:
    files = {
        "ca.pem": issuer().certificate,
        "root.pem": root().certificate,
        "one.pem": SIGNING,
        "two.pem": ENCRYPTION,
    }
    for name, certificate in files.items():
        (tmp_path / name).write_bytes(certificate.public_bytes(Encoding.PEM))
    about = ["-no_nonce", digest, "-issuer", "ca.pem", "-cert", "one.pem", "-cert", "two.pem"]
    subprocess.run(["openssl", "ocsp", *about, "-reqout", "asked"], cwd=tmp_path, check=True)
    request = read_posted((tmp_path / "asked").read_bytes())
    standings = {SERIAL: None, ENCRYPTION.serial_number: Revocation(ENCRYPTION.serial_number, SINCE, HOLD)}
    (tmp_path / "answer").write_bytes(responder().answer(request, standings, NOW, UNTIL))
    trusted = ["-CAfile", "root.pem", "-verify_other", "ca.pem", "-attime", str(int(NOW.timestamp()))]
    trusted += ["-validity_period", str(2**30)]  # seconds: the answer is of the past
    done = subprocess.run(
        ["openssl", "ocsp", *about, "-respin", "answer", *trusted],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "Response verify OK" in done.stderr, done.stderr
    assert "one.pem: good" in done.stdout, done.stdout + done.stderr
    assert "two.pem: revoked" in done.stdout
    assert "Reason: certificateHold" in done.stdout
