# SPDX-License-Identifier: Apache-2.0
"""What a web page may ask of a card that needs the PIN, and how a person is told of it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from xca_common.i18n import Text
from xca_common.secret import Secret
from xca_plugin import errors
from xca_plugin.agent.component.request_body import octets
from xca_plugin.agent.component.result_codes import Code, Refusal, plain
from xca_plugin.cards import Cards
from xca_plugin.i18n import text
from xca_plugin.model import Card, Hash, Key

_SHOWN_MAX: Final = 20_000
_READERS: Final = ("slotDescription", "readername", "ifdName")


@dataclass(frozen=True)
class Shown:
    """Something that the person is to see before agreeing.

    Attributes:
        label: what it is.
        value: it.
    """

    label: Text
    value: str


class Task(ABC):
    """One request, understood but not done.

    Attributes:
        title: what it does, for the person.
        asks_new_pin: it needs a new PIN as well.
        may_go_unasked: an allowance covers it: it is one of many alike, and leaves the card as it is.
        pin_field: the field of the request that holds the PIN.

    Args:
        fields: the request's.

    Raises:
        Refusal: a field is missing or means nothing.
    """

    title: ClassVar[Text]
    asks_new_pin: ClassVar[bool] = False
    may_go_unasked: ClassVar[bool] = False
    pin_field: ClassVar[str] = "pin"

    @abstractmethod
    def __init__(self, fields: Mapping[str, str]) -> None: ...

    @abstractmethod
    def card(self, cards: Cards) -> Card:
        """Return the card that it is for; make sure, without the PIN, that it can be done.

        Raises:
            Refusal: it cannot.
            XcaError: as choose() and Cards.certificates.
        """

    @abstractmethod
    def shown(self) -> Sequence[Shown]:
        """Return what the person is to see."""

    @abstractmethod
    def do(self, cards: Cards, card: Card, pin: Secret, new_pin: Secret | None) -> Mapping[str, Any]:
        """Do it and return what the answer tells.

        Raises:
            Refusal: it cannot be done.
            XcaError: as the operation of Cards.
        """


def choose(cards: Cards, fields: Mapping[str, str]) -> Card:
    """Return the card in the reader that the request names, or the only one.

    Never "the first" of several: a PIN tried on the wrong card costs a try. Some clients name the reader by
    its slotID; where no card is in that one, it says nothing, as the 0 of those that always send it.

    Raises:
        NoReader, NoCard: it is not there.
        SeveralCards: there are several and the request names none.
    """
    present, readers = cards.detect(), cards.readers()
    reader = next((fields[name].strip() for name in _READERS if name in fields), None)
    if reader is not None and reader.isdecimal():
        numbered = {str(number): name for number, name in enumerate(readers)}.get(reader)
        reader = next((plain(card.reader).strip() for card in present if card.reader == numbered), None)
    number = fields.get("cardid")
    matching = [
        card
        for card in present
        if reader in (None, plain(card.reader).strip()) and number in (None, plain(card.number))
    ]
    if not matching:
        raise errors.NoCard if readers else errors.NoReader
    if len(matching) > 1:
        raise errors.SeveralCards(numbers=[card.number for card in matching])
    return matching[0]


def named_hash(fields: Mapping[str, str]) -> Hash:
    """Return the hash that a request names, SHA-256 by default.

    Raises:
        Refusal: it is none of SHA1, SHA256, SHA384, SHA512.
    """
    try:
        return Hash(fields.get("hashAlgorithm", Hash.SHA256).lower())
    except ValueError:
        raise Refusal(Code.BAD_PARAMETER) from None


def named_key(fields: Mapping[str, str], name: str) -> Key:
    """Return the key that a request names by its CKA_ID in base64, the signing key by default.

    Raises:
        Refusal: it is none of a card's keys.
    """
    try:
        return Key(octets(fields, name).decode("ascii")) if name in fields else Key.SIGN
    except ValueError:
        raise Refusal(Code.KEY_NOT_FOUND) from None


def readable(label: Text, data: bytes) -> Shown:
    """Return data as a person can judge it: text as text, anything else as hexadecimal digits."""
    try:
        said = data.decode("utf-8")
    except UnicodeDecodeError:
        said = ""
    if not all(character.isprintable() or character in "\r\n\t" for character in said) or not said:
        said = data[: _SHOWN_MAX // 3].hex(" ")
    if len(said) > _SHOWN_MAX or len(data) > _SHOWN_MAX:
        label = text("{what}, the start of {count} bytes").format(what=label, count=len(data))
        return Shown(label, said[:_SHOWN_MAX])
    return Shown(label, said)
