# SPDX-License-Identifier: Apache-2.0
"""DecryptData: decrypts one RSA block (PKCS1) or CMS AuthEnvelopedData and EnvelopedData (PKCS7)."""

import base64
from collections.abc import Mapping, Sequence
from functools import partial
from io import BytesIO
from typing import Any

from xca_common.secret import Secret
from xca_plugin.agent.component.operation import ConsentFact, Operation, choose_card
from xca_plugin.agent.component.request_body import base64_field
from xca_plugin.agent.component.result_codes import Code, Refusal
from xca_plugin.cards import Cards
from xca_plugin.enveloped import Enveloped
from xca_plugin.errors import NotDecryptable
from xca_plugin.i18n import text
from xca_plugin.model import Card, Padding


class DecryptOperation(Operation):
    """Decrypts what was encrypted to the card's certificate cert2, and gives the content to the site."""

    title = text("Decrypt with the card and give the content to the site")
    allowance_covers = True

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields
        if "cipher" not in fields:
            raise Refusal(Code.NO_CIPHER)
        self._cipher = base64_field(fields, "cipher")
        self._type = fields.get("cipherType", "PKCS1").upper()
        self._encoding = fields.get("plainEncoding", "NONE").upper()
        if self._type not in ("PKCS1", "PKCS7"):
            raise Refusal(Code.BAD_CIPHER_TYPE)
        if self._encoding not in ("NONE", "BASE64"):
            raise Refusal(Code.BAD_PARAMETER)

    def find_card(self, cards: Cards) -> Card:
        """Return the card. What a site sends is not parsed before the person has agreed."""
        return choose_card(cards, self._fields)

    def consent_facts(self) -> Sequence[ConsentFact]:
        """Return the size: the content cannot be shown before it is decrypted."""
        return [ConsentFact(text("Encrypted data, in bytes"), str(len(self._cipher)))]

    def perform(self, cards: Cards, card: Card, pin: Secret, new_pin: Secret | None) -> Mapping[str, Any]:
        """Return the content, as text or in base64 as the site asks."""
        if self._type == "PKCS7":
            plain = BytesIO()
            self._enveloped().decrypt(plain, cards, card, partial(cards.decrypt, card, pin))
            content = plain.getvalue()
        else:
            content = cards.decrypt(card, pin, self._cipher, padding=Padding.PKCS1V15)
        if self._encoding == "BASE64":
            return {"plain": base64.b64encode(content).decode()}
        try:
            return {"plain": content.decode("utf-8")}
        except UnicodeDecodeError:
            # The same answer as for a wrong key, which can yield such bytes too. A site learns no more.
            raise NotDecryptable(number=card.number) from None

    def _enveloped(self) -> Enveloped:
        file = BytesIO(self._cipher)
        file.name = "cipher"
        return Enveloped(file)
