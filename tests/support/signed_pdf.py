# SPDX-License-Identifier: Apache-2.0
"""PDF files signed by parties of hostile_pki, by pyHanko."""

import io
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from asn1crypto import crl as asn1_crl  # type: ignore[import-untyped]
from asn1crypto import keys, ocsp
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives import serialization
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter
from pyhanko.sign import signers
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko_certvalidator.registry import SimpleCertificateStore

from xca_login.testing.parties import Party
from xca_plugin import own_loop


def page(password: str | None = None) -> bytes:
    """A PDF of one page, perhaps encrypted."""
    writer = PdfFileWriter()
    contents = writer.add_object(generic.StreamObject(stream_data=b"q Q"))
    box = generic.ArrayObject(map(generic.NumberObject, (0, 0, 400, 300)))
    writer.insert_page(PageObject(contents=contents, media_box=box))
    if password is not None:
        writer.encrypt(owner_pass="the owner's", user_pass=password)
    output = io.BytesIO()
    writer.write(output)
    return output.getvalue()


def stamper_of(stamper: Party, at: datetime | None = None) -> DummyTimeStamper:
    """What pyHanko asks for time-stamps."""
    return DummyTimeStamper(_certificate(stamper), _key(stamper), fixed_dt=at)


def sign_pdf(
    pdf: bytes,
    signer: Party,
    others: Sequence[Party] = (),
    *,
    field: str = "Sig1",
    stamper: DummyTimeStamper | None = None,
    **metadata: Any,
) -> bytes:
    """The same PDF with one signature more; metadata is that of pyHanko's PdfSignatureMetadata."""
    registry = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    for one in others:
        registry.register(_certificate(one))
    by = signers.SimpleSigner(_certificate(signer), _key(signer), registry)
    meta = signers.PdfSignatureMetadata(field_name=field, subfilter=SigSeedSubFilter.PADES, **metadata)
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    if writer.prev.encrypted:
        writer.encrypt("")
    output = io.BytesIO()
    own_loop.run(signers.PdfSigner(meta, by, timestamper=stamper).async_sign_pdf(writer, output=output))
    return output.getvalue()


def stamp_pdf(pdf: bytes, stamper: DummyTimeStamper) -> bytes:
    """The same PDF with a time-stamp of the document."""
    output = io.BytesIO()
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    own_loop.run(signers.PdfTimeStamper(stamper).async_timestamp_pdf(writer, "sha256", output=output))
    return output.getvalue()


def with_store(
    pdf: bytes,
    certificates: Sequence[Party] = (),
    lists: Sequence[bytes] = (),
    responses: Sequence[bytes] = (),
) -> bytes:
    """The same PDF with certificates, CRLs and OCSP responses in its document security store."""
    output = io.BytesIO(pdf)
    DocumentSecurityStore.add_dss(
        output,
        None,
        certs=[_certificate(one) for one in certificates],
        crls=[asn1_crl.CertificateList.load(one) for one in lists],
        ocsps=[ocsp.OCSPResponse.load(one) for one in responses],
    )
    return output.getvalue()


def with_other_page(pdf: bytes) -> bytes:
    """The same PDF with what it shows changed in a later revision."""
    output = io.BytesIO(pdf)
    writer = IncrementalPdfFileWriter(output)
    contents = writer.root["/Pages"]["/Kids"][0].raw_get("/Contents")
    writer.objects[(contents.generation, contents.idnum)] = generic.StreamObject(stream_data=b"0 0 9 9 re f")
    writer.write_in_place()
    return output.getvalue()


def with_long_list(pdf: bytes, count: int) -> bytes:
    """The same PDF with a list of so many numbers in its root, in a later revision: 2 bytes each."""
    output = io.BytesIO(pdf)
    writer = IncrementalPdfFileWriter(output)
    writer.root["/Long"] = generic.ArrayObject([generic.NumberObject(0)] * count)
    writer.update_root()
    writer.write_in_place()
    return output.getvalue()


def signatures_of(pdf: bytes) -> list[Any]:
    """The signatures as pyHanko has them."""
    return list(PdfFileReader(io.BytesIO(pdf)).embedded_signatures)


def signed_over(
    pdf: bytes, ranges: Sequence[int], sign: Callable[[bytes], bytes], *, at: int | None = None, room: int = 0
) -> bytes:
    """The same PDF, of the same length, whose last signature covers what a signer chose.

    Args:
        pdf: a signed PDF.
        ranges: its new /ByteRange.
        sign: returns a signature of what the pairs of these ranges cover.
        at: where the signature begins; None: where it began.
        room: number of spaces between the signature's end and the end of its place.
    """
    _, first, second, _ = (int(number) for number in signatures_of(pdf)[-1].byte_range)
    begin = pdf.rindex(b"/ByteRange [") + len(b"/ByteRange [")
    end = pdf.index(b"]", begin)
    text = " ".join(map(str, ranges)).encode()
    behind = pdf[end + 1 :].lstrip(b" ")  # the writer leaves room behind the bracket
    whole = pdf[:begin] + (text + b"]").ljust(len(pdf) - len(behind) - begin) + behind
    assert len(whole) == len(pdf)
    pairs = zip(ranges[::2], ranges[1::2], strict=False)
    signature = sign(b"".join(whole[start : start + length] for start, length in pairs))
    at = first if at is None else at
    digits = second - room - at - 2
    assert len(signature) * 2 <= digits
    itself = b"<" + signature.hex().encode().ljust(digits, b"0") + b">"
    return whole[:first] + b" " * (at - first) + itself + b" " * room + whole[second:]


def _certificate(one: Party) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(one.der)


def _key(one: Party) -> keys.PrivateKeyInfo:
    private = one.key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return keys.PrivateKeyInfo.load(private)
