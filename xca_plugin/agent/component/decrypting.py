# SPDX-License-Identifier: Apache-2.0
"""DecryptData: a bare RSA block, or CMS EnvelopedData."""

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from xca_common.secret import Secret
from xca_plugin.agent.component.operation import Shown, Task, choose
from xca_plugin.agent.component.request_body import octets
from xca_plugin.agent.component.result_codes import Code, Refusal
from xca_plugin.cards import Cards
from xca_plugin.enveloped import Enveloped
from xca_plugin.errors import NotDecryptable
from xca_plugin.i18n import text
from xca_plugin.model import Card, Padding


class Decrypting(Task):
    """What was encrypted to the card's certificate cert2, given back to the page."""

    title = text("Decrypt with the card and give the content to the site")
    may_go_unasked = True

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields
        if "cipher" not in fields:
            raise Refusal(Code.NO_CIPHER)
        self._cipher = octets(fields, "cipher")
        self._type = fields.get("cipherType", "PKCS1").upper()
        self._encoding = fields.get("plainEncoding", "NONE").upper()
        if self._type not in ("PKCS1", "PKCS7"):
            raise Refusal(Code.BAD_CIPHER_TYPE)
        if self._encoding not in ("NONE", "BASE64"):
            raise Refusal(Code.BAD_PARAMETER)

    def card(self, cards: Cards) -> Card:
        """Return the card; what names its recipients must name it."""
        card = choose(cards, self._fields)
        if self._type == "PKCS7":
            self._enveloped().check_card(cards, card)
        return card

    def shown(self) -> Sequence[Shown]:
        """Return how much it is: nobody can read it yet."""
        return [Shown(text("Encrypted data, in bytes"), str(len(self._cipher)))]

    def do(self, cards: Cards, card: Card, pin: Secret, new_pin: Secret | None) -> Mapping[str, Any]:
        """Decrypt."""
        if self._type == "PKCS7":
            plain = BytesIO()
            self._enveloped().decrypt(plain, cards, card, pin)
            content = plain.getvalue()
        else:
            content = cards.decrypt(card, pin, self._cipher, padding=Padding.PKCS1V15)
        if self._encoding == "BASE64":
            return {"plain": base64.b64encode(content).decode()}
        try:
            return {"plain": content.decode("utf-8")}
        except UnicodeDecodeError:
            # No answer of its own: a key that does not fit may show in bytes that mean nothing.
            raise NotDecryptable(number=card.number) from None

    def _enveloped(self) -> Enveloped:
        file = BytesIO(self._cipher)
        file.name = "cipher"
        return Enveloped(file)
