# SPDX-License-Identifier: Apache-2.0
"""A pyHanko signer that uses a card's key."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence

from asn1crypto.algos import SignedDigestAlgorithm  # type: ignore[import-untyped]
from pyhanko.sign.signers.pdf_cms import Signer
from pyhanko_certvalidator.registry import SimpleCertificateStore

from xca_common.pki.certificate import Certificate
from xca_common.secret import Secret
from xca_plugin import errors
from xca_plugin.cards import Cards
from xca_plugin.exact_certificate import ExactCertificate
from xca_plugin.model import Card, Hash, Key, Padding
from xca_plugin.signable import check_input


class CardSigner(Signer):
    """Signs with a card's key SIGN and adds the card's certificates except the root.

    Args:
        cards: the facade that knows the card.
        card: an activated card.
        certificates: the card's certificates.
        pin: returns the PIN; called just before the card signs. The caller wipes the PIN.
        prefer_pss: pad with PSS (RFC 8017, section 8.1; salt as long as the digest), not with PKCS#1 v1.5.

    Raises:
        NoSuchCertificate: the card has no signing certificate.
        Unsupported: the kind of its key is not known.
    """

    def __init__(
        self,
        cards: Cards,
        card: Card,
        certificates: Sequence[Certificate],
        pin: Callable[[], Secret],
        *,
        prefer_pss: bool = False,
    ) -> None:
        loaded = {certificate.id: ExactCertificate.load(certificate.der) for certificate in certificates}
        if Key.SIGN not in loaded:
            raise errors.NoSuchCertificate(number=card.number, label="cert1")
        registry = SimpleCertificateStore()  # type: ignore[no-untyped-call]
        for identifier, certificate in loaded.items():
            if identifier not in list(Key):
                registry.register(certificate)
        super().__init__(
            signing_cert=loaded[Key.SIGN], cert_registry=registry, embed_roots=False, prefer_pss=prefer_pss
        )
        self._cards, self._card, self._pin = cards, card, pin
        try:
            self._signature_bytes: int = loaded[Key.SIGN].public_key.byte_size
        except (ValueError, KeyError, TypeError) as error:  # asn1crypto does not know this kind of key
            raise errors.Unsupported(number=card.number) from error

    def get_signature_mechanism_for_digest(self, digest_algorithm: str | None) -> SignedDigestAlgorithm:
        """Return the signature's algorithm identifier; for PSS with the card's salt length (RFC 4056)."""
        mechanism = super().get_signature_mechanism_for_digest(digest_algorithm)
        if self.prefer_pss and digest_algorithm is not None:
            mechanism["parameters"]["salt_length"] = hashlib.new(digest_algorithm).digest_size
        return mechanism

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        """Sign data with the card. A dry run returns zeros of the signature's length and uses no card.

        Raises:
            NotToBeSigned: the data is a statement, or names a web site as only the agent may.
            Unsupported: the card does not sign with this digest algorithm.
            XcaError: as Cards.sign.
        """
        try:
            digest_hash = Hash(digest_algorithm)
        except ValueError:
            raise errors.Unsupported(number=self._card.number) from None
        if dry_run:
            return bytes(self._signature_bytes)
        check_input(data)
        digest = hashlib.new(digest_hash, data).digest()
        padding = Padding.PSS if self.prefer_pss else Padding.PKCS1V15
        await asyncio.sleep(0)  # lets Ctrl-C cancel this task before the PIN is asked for
        pin = self._pin()
        await asyncio.sleep(0)  # lets Ctrl-C at the prompt cancel this task before the PIN is tried
        return self._cards.sign(self._card, pin, digest, digest_hash=digest_hash, padding=padding)
