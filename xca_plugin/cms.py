# SPDX-License-Identifier: Apache-2.0
"""Signatures of files made with a card, CMS (RFC 5652) or bare.

The machinery is pyHanko's; content inside a signature passes by in chunks (xca_common.pki.asn1_stream).
"""

import hashlib
import secrets
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import BinaryIO, Final, NoReturn

from asn1crypto import tsp  # type: ignore[import-untyped]
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes

from xca_common.errors import FileProblem
from xca_common.pki import asn1_stream, text_forms
from xca_common.pki.cms_types import cms
from xca_plugin import own_loop
from xca_plugin.cards import Cards
from xca_plugin.i18n import text
from xca_plugin.model import Card, Hash, Key
from xca_plugin.signable import SignableFile
from xca_plugin.signer import CardSigner

_SIGNED_DATA: Final = cms.ContentType("signed_data").dump()
_FIRST_GENERAL_YEAR: Final = 2050  # RFC 5652, section 11.3
_DIGEST: Final = "message_digest"


class FileSigner:
    """Signs files: SignedData (RFC 5652) with SHA-256.

    pyHanko makes the structure once, with a digest, a signing time and a signature to be replaced: the same
    bytes serve all files.

    Args:
        cards: the facade that knows the card.
        card: an activated card.
        sign: returns the card's signature of a digest: Cards.sign() or a session's.
        chain: it holds the certificates of the signer's issuers, not the signer's alone.
        signing_time: it says when it was signed.

    Raises:
        NoSuchCertificate: the card has no signing certificate.
    """

    def __init__(
        self,
        cards: Cards,
        card: Card,
        sign: Callable[[bytes], bytes],
        *,
        chain: bool = True,
        signing_time: bool = True,
    ) -> None:
        certificates = [found for found in cards.certificates(card) if chain or found.id == Key.SIGN]
        self._signer = CardSigner(cards, card, certificates, _no_pin)
        self._sign, self._signing_time = sign, signing_time
        self._second = datetime.now(UTC).replace(microsecond=0)
        self._attributes = (b"", b"")
        self._make_structure()

    def sign(
        self,
        content: BinaryIO,
        output: BinaryIO,
        *,
        attached: bool = False,
        pem: bool = False,
        time_stamp: Callable[[bytes], bytes] | None = None,
    ) -> bytes:
        """Sign a file.

        Args:
            content: the file; read twice if attached.
            output: takes the SignedData.
            attached: the SignedData holds the content as well.
            pem: write PEM (RFC 7468), not DER.
            time_stamp: returns a time-stamp token (RFC 3161, DER) of the signature; None: it has none.

        Returns:
            The bare signature, for what stamps its time.

        Raises:
            NotToBeSigned: it is a statement or a SET OF Attribute.
            FileProblem: the file changed while it was read.
            XcaError: as Cards.sign, and as time_stamp.
        """
        der, signature = self._signed(_digest(content))
        with asn1_stream.Armor(output, "CMS") if pem else nullcontext(output) as target:
            if time_stamp is None and not attached:
                target.write(der)
                return signature
            signed = cms.ContentInfo.load(der)
            signed_data = signed["content"]
            if time_stamp is not None:
                token = cms.ContentInfo.load(time_stamp(signature))
                attribute = cms.CMSAttribute({"type": "signature_time_stamp_token", "values": [token]})
                signed_data["signer_infos"][0]["unsigned_attrs"] = [attribute]
            if attached:
                _write_attached(signed_data, content, target)
            else:
                target.write(signed.dump())
        return signature

    def _signed(self, digest: bytes) -> tuple[bytes, bytes]:
        """Return a detached SignedData of a content with this digest, and the signature in it."""
        self._prepare()
        attributes = digest.join(self._attributes)
        signature = self._sign(hashlib.sha256(attributes).digest())
        # In the structure they have the tag [0] IMPLICIT (RFC 5652, section 5.4).
        tagged = bytes([asn1_stream.EXPLICIT]) + attributes[1:]
        return self._before + tagged + self._between + signature, signature

    def _prepare(self) -> None:
        """Make what all signatures of this second share."""
        now = datetime.now(UTC).replace(microsecond=0)
        if not self._signing_time or now == self._second:
            return
        before, after = (_signing_time(moment) for moment in (self._second, now))
        self._second = now
        first, last = (part.replace(before, after) for part in self._attributes)
        if len(before) == len(after) and (first, last) != self._attributes:
            # It is in the same place: the attributes are sorted by their types.
            self._attributes = (first, last)
        else:
            self._make_structure()

    def _make_structure(self) -> None:
        settings = PdfCMSSignedAttributes(signing_time=self._second if self._signing_time else None)
        digest = secrets.token_bytes(hashlib.sha256().digest_size)
        signed = own_loop.run(
            self._signer.async_sign(
                digest, Hash.SHA256.value, dry_run=True, is_pdf_sig=False, signed_attr_settings=settings
            )
        )
        signer = signed["content"]["signer_infos"][0]
        before, after = signed.dump().split(signer["signed_attrs"].dump())
        first, last = signer["signed_attrs"].untag().dump().split(digest)
        self._before, self._attributes = before, (first, last)
        # The signature ends the structure.
        self._between = after[: -len(signer["signature"].native)]


def _signing_time(moment: datetime) -> bytes:
    return bytes(
        cms.CMSAttribute({"type": "signing_time", "values": [cms.Time({"utc_time": moment})]}).dump()
    )


def _no_pin() -> NoReturn:
    raise RuntimeError("a dry run needs no PIN")


def sign_raw(content: BinaryIO, sign: Callable[[bytes], bytes]) -> bytes:
    """Return the bare signature of a file: RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2) with SHA-256.

    Args:
        content: the file.
        sign: as for FileSigner.

    Raises:
        NotToBeSigned: it is a statement or a SET OF Attribute.
        XcaError: as Cards.sign.
    """
    return sign(_digest(content))


def _digest(content: BinaryIO) -> bytes:
    """Return the digest of a file that may be signed.

    Raises:
        NotToBeSigned: it may not.
    """
    digest, file = hashlib.sha256(), SignableFile()
    while chunk := content.read(text_forms.CHUNK):
        digest.update(chunk)
        file.add(chunk)
    file.check()
    return digest.digest()


def timestamp_request(signature: bytes) -> bytes:
    """Return the request for a time-stamp of a signature (RFC 3161, section 2.4.1 and appendix A), in DER."""
    digest = hashlib.sha256(signature).digest()
    request = tsp.TimeStampReq(
        {
            "version": "v1",
            "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": digest},
            "nonce": secrets.randbits(63),
            "cert_req": True,
        }
    )
    return bytes(request.dump())


def _write_attached(
    signed_data: cms.SignedData, content: BinaryIO, target: "BinaryIO | asn1_stream.Armor"
) -> None:
    size = content.tell()
    content.seek(0)
    inner = signed_data["encap_content_info"]["content_type"].dump()
    head = b"".join(signed_data[name].dump() for name in ("version", "digest_algorithms"))
    tail = b"".join(signed_data[name].dump() for name in ("certificates", "signer_infos"))
    before, after = asn1_stream.around(
        size,
        (asn1_stream.OCTETS, b"", b""),
        (asn1_stream.EXPLICIT, b"", b""),
        (asn1_stream.SEQUENCE, inner, b""),
        (asn1_stream.SEQUENCE, head, tail),
        (asn1_stream.EXPLICIT, b"", b""),
        (asn1_stream.SEQUENCE, _SIGNED_DATA, b""),
    )
    digest = hashlib.sha256()
    target.write(before)
    while chunk := content.read(text_forms.CHUNK):
        digest.update(chunk)
        target.write(chunk)
    target.write(after)
    signed_attrs = signed_data["signer_infos"][0]["signed_attrs"]
    (signed_digest,) = (item["values"][0].native for item in signed_attrs if item["type"].native == _DIGEST)
    if digest.digest() != signed_digest:
        problem = FileProblem(path=content.name, detail=text("it changed while it was read"))
        raise problem.with_step(text("Wait until no program writes to it. Then do it again."))
