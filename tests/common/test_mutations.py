# SPDX-License-Identifier: Apache-2.0
"""Bytes that were changed anywhere are Malformed, or read: never another exception."""

import base64
import io
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import ocsp

from xca_common.pki import strict_certificate
from xca_common.pki.authority import ENCRYPTION
from xca_common.pki.encrypted_data import (
    EncryptedData,
    NotDecryptable,
    NotForEncryption,
    RecipientCertificate,
    encrypt,
)
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_common.pki.ocsp_response import OcspResponse
from xca_common.pki.revocation_list import RevocationList
from xca_common.pki.signed_data import SignedData, Signer
from xca_common.pki.standing import Unusable
from xca_common.pki.text_forms import signed_content
from xca_login.testing.parties import DAY, NOW, Party, party
from xca_login.testing.tokens import signed

pytestmark = pytest.mark.integration  # thousands of inputs


@pytest.fixture(scope="module")
def issuer() -> Party:
    return party("issuer", ca=True)


@pytest.fixture(scope="module")
def holder(issuer: Party) -> Party:
    return party("holder", issuer, usage=ENCRYPTION)


def _mutations(der: bytes) -> list[bytes]:
    flips = (lambda byte: 0x00, lambda byte: 0xFF, lambda byte: byte ^ 0x01, lambda byte: byte ^ 0x80)
    changed = [der[:at] + bytes((flip(der[at]),)) + der[at + 1 :] for at in range(len(der)) for flip in flips]
    return [*changed[::3], *(der[:at] for at in range(0, len(der), 5))]


def _is_malformed_or_read(read: Callable[[bytes], object], der: bytes) -> None:
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read(der)
        for odd in _mutations(der):
            try:
                read(odd)
            except (Malformed, TooMuchError, EOFError):
                refused += 1
    assert refused


def test_mutated_certificate_is_malformed_or_read(holder: Party) -> None:
    _is_malformed_or_read(strict_certificate.load, holder.der)


def test_mutated_list_is_malformed_or_read(issuer: Party, holder: Party) -> None:
    entry = (
        x509.RevokedCertificateBuilder()
        .serial_number(holder.certificate.serial_number)
        .revocation_date(NOW)
        .add_extension(x509.CRLReason(x509.ReasonFlags.certificate_hold), critical=False)
        .build()
    )
    der = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(NOW)
        .next_update(NOW + DAY)
        .add_extension(
            x509.IssuingDistributionPoint(None, None, True, False, None, False, False), critical=True
        )
        .add_revoked_certificate(entry)
        .sign(issuer.key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )

    def read(odd: bytes) -> None:
        with suppress(Unusable):
            RevocationList(odd).statement(holder.certificate, issuer.certificate, NOW)

    _is_malformed_or_read(read, der)


def test_mutated_response_is_malformed_or_read(issuer: Party, holder: Party) -> None:
    der = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=holder.certificate,
            issuer=issuer.certificate,
            algorithm=hashes.SHA1(),
            cert_status=ocsp.OCSPCertStatus.REVOKED,
            this_update=NOW,
            next_update=NOW + DAY,
            revocation_time=NOW,
            revocation_reason=x509.ReasonFlags.certificate_hold,
        )
        .responder_id(ocsp.OCSPResponderEncoding.NAME, issuer.certificate)
        .certificates([issuer.certificate])
        .sign(issuer.key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )

    def read(odd: bytes) -> None:
        with suppress(Unusable):
            OcspResponse(odd).statement(holder.certificate, issuer.certificate, NOW)

    _is_malformed_or_read(read, der)


def test_mutated_signed_data_is_malformed_or_read(holder: Party) -> None:
    def read(odd: bytes) -> None:
        signed_data = SignedData.read(io.BytesIO(odd))
        for signer in signed_data.signers:
            assert isinstance(signer, Signer)
            signed_data.signer_certificate(signer)

    _is_malformed_or_read(read, signed(holder, b"content"))


@pytest.mark.parametrize("cbc", [False, True])
def test_mutated_encrypted_data_is_malformed_or_opened(holder: Party, tmp_path: Path, cbc: bool) -> None:
    (tmp_path / "content").write_bytes(b"content")
    output = io.BytesIO()
    with (tmp_path / "content").open("rb") as content:
        encrypt(content, output, [RecipientCertificate.read(holder.der)], cbc=cbc)

    def read(odd: bytes) -> None:
        data = EncryptedData(io.BytesIO(odd))
        recipient = data.recipient(holder.der)
        if recipient is not None and recipient.transport is not None:
            with suppress(NotDecryptable):
                data.open(recipient, holder.key, io.BytesIO())

    _is_malformed_or_read(read, output.getvalue())


def test_mutated_certificate_file_is_malformed_or_read(issuer: Party, holder: Party) -> None:
    p7b = pkcs7.serialize_certificates([holder.certificate, issuer.certificate], Encoding.DER)

    def read(odd: bytes) -> None:
        with suppress(NotForEncryption):
            RecipientCertificate.read_all(odd)

    _is_malformed_or_read(read, p7b)
    _is_malformed_or_read(strict_certificate.load_all, b"text\n" + holder.pem)


def test_mutated_text_form_is_malformed_or_read(holder: Party) -> None:
    def read(odd: bytes) -> None:
        SignedData.read(io.BytesIO(odd))
        content = signed_content(io.BytesIO(odd))
        if content is not None:
            content.read()

    # Short, for the whole of it is changed: a SignedData without certificates.
    signature = base64.encodebytes(signed(holder, b"content")[:400])
    head = b"Content-Type: multipart/signed; boundary=ab; protocol=x\n\n--ab\ncontent\n--ab\n"
    part = b"Content-Type: application/pkcs7-signature\nContent-Transfer-Encoding: base64\n\n"
    for whole in (
        head + part + signature + b"--ab--\n",
        part + signature,
        b"text\n-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n-----BEGIN CMS-----\n" + signature,
    ):
        for odd in _mutations(whole):
            with suppress(Malformed, TooMuchError, EOFError):
                read(odd)
