# SPDX-License-Identifier: Apache-2.0
"""The forms in which people hold certificates, lists and CMS files: which are read, and how far."""

import base64
import codecs
import io
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from asn1crypto import cms  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs7

from xca_common.pki import strict_certificate
from xca_common.pki.asn1_stream import header
from xca_common.pki.certificate_file import certificates_in
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_common.pki.signed_data import SignedData
from xca_common.pki.text_forms import Chunks, signed_content
from xca_login.testing.parties import Party, party
from xca_login.testing.tokens import signed

CRL = b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"


@pytest.fixture(scope="module")
def signer() -> Party:
    return party("signer")


@pytest.fixture(scope="module")
def other() -> Party:
    return party("other")


@pytest.fixture(scope="module")
def signature(signer: Party) -> bytes:
    return signed(signer, b"content")


def armored(label: str, der: bytes) -> bytes:
    return (
        f"-----BEGIN {label}-----\n".encode() + base64.encodebytes(der) + f"-----END {label}-----\n".encode()
    )


def mime(kind: str, der: bytes) -> bytes:
    head = f"MIME-Version: 1.0\nContent-Disposition: attachment\nContent-Type: {kind}\n"
    return head.encode() + b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(der) + b"\n"


def multipart(content: bytes, der: bytes) -> bytes:
    return (
        b'MIME-Version: 1.0\nContent-Type: multipart/signed; protocol="application/x-pkcs7-signature";\n'
        b' micalg="sha-256"; boundary="----2A"\n\nThis is an S/MIME signed message\n\n------2A\n'
        + content
        + b"\n------2A\n"
        + mime('application/x-pkcs7-signature; name="smime.p7s"', der)
        + b"------2A--\n\n"
    )


def cms_forms(der: bytes, certificate: bytes) -> Iterator[bytes]:
    armor = armored("CMS", der)
    yield der
    yield armor
    yield codecs.BOM_UTF8 + armor
    yield b"\n\n  \n" + armor + b"\n\n"
    yield armor.replace(b"\n", b"\n\n")
    yield armor.replace(b"\n", b"\r\n")
    yield b"subject=O = signer\n\nissuer: O = signer\n" + armor
    yield certificate + CRL + b"Bag Attributes\n    friendlyName: x\n" + certificate + armored("PKCS7", der)
    yield codecs.BOM_UTF16_LE + armor.decode().encode("utf-16-le")
    yield codecs.BOM_UTF16_BE + armor.decode().encode("utf-16-be")
    yield base64.b64encode(der)
    yield codecs.BOM_UTF8 + b"\n" + base64.encodebytes(der).replace(b"\n", b"\r\n")
    yield mime("application/pkcs7-mime; smime-type=signed-data; name=smime.p7m", der)
    yield mime("application/x-pkcs7-mime", der).replace(b"\n", b"\r\n")
    yield b"Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: binary\n\n" + der
    yield multipart(b"content", der)


@pytest.mark.parametrize("number", range(16))
def test_signature_in_every_form_is_read(signature: bytes, signer: Party, number: int) -> None:
    form = list(cms_forms(signature, signer.pem))[number]
    for piece in (len(form), 1 << 12):  # as a file, and as a pipe
        chunks = (form[at : at + piece] for at in range(0, len(form), piece))
        read = SignedData.read(io.BufferedReader(Chunks(chunks)))
        assert read.certificates == (signer.der,)


@pytest.mark.parametrize(
    "damaged",
    [
        lambda der: b"",
        lambda der: armored("CMS", der)[:-40],
        lambda der: base64.b64encode(der)[:-30],
        lambda der: mime("application/pkcs7-mime", der)[:-60],
        lambda der: multipart(b"content", der).partition(b"\n------2A\nMIME")[0],
        lambda der: multipart(b"content", der)[:-60],
    ],
    ids=["empty", "PEM", "base64", "S/MIME", "multipart", "its signature"],
)
def test_signature_that_is_cut_off_in_any_form_is_told(signature: bytes, damaged: object) -> None:
    with pytest.raises(EOFError):
        SignedData.read(io.BytesIO(damaged(signature)))  # type: ignore[operator]


@pytest.mark.parametrize(
    "odd",
    [
        lambda der: b"whatever it is",
        lambda der: b"Name: value\n\nwhatever it is",
        lambda der: CRL + CRL,
        lambda der: armored("CMS", der) + b"more",
        lambda der: armored("CMS", der).replace(b"M", b"!", 3),
        lambda der: base64.b64encode(b"\x30\x82" + bytes(60)),
        lambda der: mime("text/plain", der),
        lambda der: multipart(b"content", der).replace(b"x-pkcs7-signature; name", b"pgp-signature; name"),
        lambda der: multipart(b"content", der).replace(b'boundary="----2A"', b"boundary="),
        lambda der: multipart(b"content", der).replace(b'boundary="----2A"', b"boundary=" + b"-" * 71),
    ],
)
def test_text_that_is_no_signature_is_malformed(signature: bytes, odd: object) -> None:
    with pytest.raises((Malformed, EOFError)):
        SignedData.read(io.BytesIO(odd(signature)))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (b"", b""),
        (b"content", b"content"),
        (b"one\ntwo\r\nthree\r\r\n", b"one\r\ntwo\r\nthree\r\n"),
        (b"\n", b"\r\n"),
        (b"a\rb\n--\n------2", b"a\rb\r\n--\r\n------2"),
        (b"x" * (3 << 20) + b"\n" * 9, b"x" * (3 << 20) + b"\r\n" * 9),
    ],
)
def test_content_of_a_clear_signed_message_has_cr_lf(signature: bytes, written: bytes, wanted: bytes) -> None:
    output = io.BytesIO()
    content = signed_content(io.BytesIO(multipart(written, signature)), output)
    assert content is not None
    assert content.read() == wanted == output.getvalue()
    for other in (signature, armored("CMS", signature), mime("application/pkcs7-mime", signature)):
        assert signed_content(io.BytesIO(other)) is None


def test_hostile_text_forms_take_no_time(signature: bytes) -> None:
    size = 8 << 20
    began = time.process_time()
    for text in (
        b"-----BEGIN CMS-----\n" + b"\n" * size,
        b"-----BEGIN X-----\n" * (size // 18),
        b"-----BEGIN CERTIFICATE-----\n" * (size // 28),
        b"a:\n" * (size // 3),
        b"Content-Type: " + b"x" * size,
        b'Content-Type: multipart/signed; boundary="' + b"a\n b" * 10_000 + b'"\n\n',
        multipart(b"\n------2" * (size // 8), signature),
        multipart(b"\r" * size, signature),
        b"M" * (size + 3),
        codecs.BOM_UTF16_LE + b"\n\0" * (size // 2),
    ):
        with suppress(Malformed, TooMuchError, EOFError):
            SignedData.read(io.BytesIO(text))
        with suppress(Malformed, TooMuchError, EOFError):
            content = signed_content(io.BytesIO(text))
            assert content is None or content.read()
    assert time.process_time() - began < 20


# --- files with certificates


def certificate_files(one: Party, other: Party) -> Iterator[bytes]:
    """Files with two certificates."""
    both = [one.certificate, other.certificate]
    key = one.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    pem = one.pem + other.pem
    p7b = pkcs7.serialize_certificates(both, Encoding.DER)
    yield pem
    yield codecs.BOM_UTF8 + pem.replace(b"\n", b"\r\n")
    yield b"\n\n" + pem.replace(b"\n", b"\n\n")
    yield pem.replace(b"\n", b"\r")
    yield b"Bag Attributes\n    friendlyName: x\n" + key + CRL + one.pem + b"text\n" + other.pem + one.pem
    yield codecs.BOM_UTF16_LE + pem.decode().encode("utf-16-le")
    yield p7b
    yield pkcs7.serialize_certificates(both, Encoding.PEM)
    yield armored("CMS", p7b)
    yield base64.b64encode(p7b)


@pytest.mark.parametrize("number", range(10))
def test_certificates_in_every_form_are_read(signer: Party, other: Party, number: int) -> None:
    found = certificates_in(list(certificate_files(signer, other))[number])
    assert sorted(found) == sorted([signer.der, other.der])


def test_certificate_in_der_or_base64_is_read(signer: Party) -> None:
    for data in (signer.der, base64.b64encode(signer.der), base64.encodebytes(signer.der)):
        assert certificates_in(data) == [signer.der]


def test_certificates_repeated_too_often_are_not_read_to_the_end(signer: Party) -> None:
    pem = armored("CERTIFICATE", signer.der)
    assert certificates_in(pem * 1000) == [signer.der]
    with pytest.raises(TooMuchError):
        certificates_in(pem * 1001)


def test_certificates_of_a_signature_are_no_list_of_certificates(signature: bytes) -> None:
    with pytest.raises(Malformed, match="it is a signature"):
        certificates_in(signature)


def test_file_without_certificates_is_malformed(signer: Party, signature: bytes) -> None:
    key = signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    data = cms.ContentInfo({"content_type": "data", "content": b"content"}).dump()
    for odd in (
        b"",
        b"whatever it is",
        key,
        CRL,
        data,
        signer.pem[:-30],
        signer.pem.replace(b"M", b"!", 1),
        b"Certificate:\n    Data:\n",
    ):
        with pytest.raises(Malformed):
            strict_certificate.load_all(odd)


def test_certificate_file_beyond_a_limit_is_refused(signer: Party) -> None:
    def nested(depth: int) -> bytes:
        inner = b""
        for _level in range(depth):
            inner = header(0x30, len(inner)) + inner
        return inner

    oid = cms.ContentType("signed_data").dump()
    for odd in (
        armored("CERTIFICATE", header(0x30, 120_000) + b"\x30\x00" * 60_000),
        nested(40),
        b"".join(armored("CERTIFICATE", b"\x30\x04\x02\x02" + number.to_bytes(2)) for number in range(1001)),
        header(0x30, len(oid) + 120_004) + oid + header(0xA0, 120_000) + b"\x30\x00" * 60_000,
    ):
        with pytest.raises(TooMuchError):
            certificates_in(odd)


def test_hostile_certificate_files_take_no_time() -> None:
    size = 4 << 20
    began = time.process_time()
    for odd in (
        b"-----BEGIN CERTIFICATE-----\n" * (size // 28),
        b"-----BEGIN CERTIFICATE-----\n" + b"A\n" * (size // 2),
        b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n" * (size // 54),
        b"M" * size,
        b"\n" * size,
    ):
        with pytest.raises((Malformed, TooMuchError)):
            strict_certificate.load_all(odd)
    assert time.process_time() - began < 20
