# SPDX-License-Identifier: Apache-2.0
"""Operations with the PIN that web sites ask for, and the facts that the person is shown first."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from xca_common.i18n import Text
from xca_common.secret import Secret
from xca_plugin import errors
from xca_plugin.agent.component.information import numbered_readers
from xca_plugin.agent.component.request_body import base64_field
from xca_plugin.agent.component.result_codes import Code, Refusal, page_safe
from xca_plugin.cards import Cards
from xca_plugin.i18n import text
from xca_plugin.model import Card, Hash, Key

_SHOWN_MAX: Final = 20_000  # characters
_READER_FIELDS: Final = ("slotDescription", "readername", "ifdName")


@dataclass(frozen=True)
class ConsentFact:
    """A line of what the person is shown before they agree.

    Attributes:
        label: what the value is.
        value: text of the site or of a certificate.
        lines: whether the value may have several lines. Otherwise a line break is shown by its code.
    """

    label: Text
    value: str
    lines: bool = False


class Operation(ABC):
    """One request of a site, read and checked but not carried out.

    Attributes:
        title: what it does, for the person.
        needs_new_pin: whether it sets a PIN, and so needs the new one as well.
        allowance_covers: whether an allowance covers it. It must leave the card unchanged then.
        blindness: what the site can do with the result of a blind request, whose content no window can show.
            A blind request is possible only for sites for which that is switched on, and nothing covers it.
            None: it is no blind request.
        pin_field: the field of the request that holds the PIN.

    Args:
        fields: the fields of the request.
        site: the origin of the site.

    Raises:
        Refusal: a field is missing or has an unknown value.
    """

    title: Text
    needs_new_pin: ClassVar[bool] = False
    allowance_covers: bool = False
    blindness: Text | None = None
    pin_field: ClassVar[str] = "pin"

    @abstractmethod
    def __init__(self, fields: Mapping[str, str], site: str) -> None: ...

    @abstractmethod
    def find_card(self, cards: Cards) -> Card:
        """Return the card that the request means, after all checks that need no PIN.

        Raises:
            Refusal: the request cannot be carried out.
            XcaError: as choose_card() and Cards.certificates.
        """

    @abstractmethod
    def consent_facts(self) -> Sequence[ConsentFact]:
        """Return what the person is shown, besides the site and the card."""

    @abstractmethod
    def perform(self, cards: Cards, card: Card, pin: Secret, new_pin: Secret | None) -> Mapping[str, Any]:
        """Carry it out and return the members of the answer.

        Raises:
            Refusal: the request cannot be carried out.
            XcaError: as the operation of Cards.
        """


def choose_card(cards: Cards, fields: Mapping[str, str]) -> Card:
    """Return the card in the reader that a request names, or the only card.

    It never picks one of several cards: a PIN tried on the wrong card costs a try. Some clients name the
    reader by its slotID. Others always send 0, so a number of a reader without a card is ignored.

    Raises:
        NoReader, NoCard: there is no such card.
        SeveralCards: there are several and the request names none.
    """
    present, readers = cards.detect(), cards.readers()
    reader = next((fields[name].strip() for name in _READER_FIELDS if name in fields), None)
    if reader is not None and reader.isdecimal():
        names = {str(number): name for number, name in enumerate(numbered_readers(cards, present))}
        numbered = names.get(reader)
        reader = next((page_safe(card.reader).strip() for card in present if card.reader == numbered), None)
    card_number = fields.get("cardid")
    matching = [
        card
        for card in present
        if reader in (None, page_safe(card.reader).strip()) and card_number in (None, page_safe(card.number))
    ]
    if not matching:
        raise errors.NoCard if readers else errors.NoReader
    if len(matching) > 1:
        raise errors.SeveralCards(numbers=[card.number for card in matching])
    return matching[0]


def requested_hash(fields: Mapping[str, str]) -> Hash:
    """Return the hash that a request names, SHA-256 by default.

    Raises:
        Refusal: it is none of SHA1, SHA256, SHA384, SHA512.
    """
    try:
        return Hash(fields.get("hashAlgorithm", Hash.SHA256).lower())
    except ValueError:
        raise Refusal(Code.BAD_PARAMETER) from None


def requested_key(fields: Mapping[str, str], name: str) -> Key:
    """Return the key that a field names by its CKA_ID in base64, the signing key by default.

    Raises:
        Refusal: a card has no such key.
    """
    try:
        return Key(base64_field(fields, name).decode("ascii")) if name in fields else Key.SIGN
    except ValueError:
        raise Refusal(Code.KEY_NOT_FOUND) from None


def is_plain_text(data: bytes) -> bool:
    """Tell whether data is text in UTF-8 with no character that a person cannot read.

    The ideographic space is such a text's blank between Chinese characters.
    """
    try:
        shown = data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\r\n\t\N{IDEOGRAPHIC SPACE}" for character in shown)


def data_fact(label: Text, data: bytes) -> ConsentFact:
    """Return data as a person can judge it: text as text, anything else in hexadecimal digits.

    The label of data that are too long says how much of them is shown.
    """
    if data and is_plain_text(data):
        part = data.decode()[:_SHOWN_MAX]
        count = len(part.encode())
    else:
        count = min(len(data), _SHOWN_MAX // 3)
        part = data[:count].hex(" ")
    if count < len(data):
        label = text("{what}: only the first {shown} of {count} bytes are shown here").format(
            what=label, shown=count, count=len(data)
        )
    return ConsentFact(label, part, lines=True)
