# SPDX-License-Identifier: Apache-2.0
"""Files encrypted to certificates (CMS AuthEnvelopedData, EnvelopedData), opened with a card's key KEYX.

What needs no card stands in xca_common.pki.encrypted_data.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Final

from xca_common.errors import XcaError
from xca_common.pki import encrypted_data
from xca_common.pki.certificate import Certificate
from xca_common.pki.encrypted_data import EncryptedData, Recipient, RecipientCertificate
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_common.pki.signed_data import SignedData
from xca_plugin import errors
from xca_plugin.cards import Cards
from xca_plugin.i18n import text
from xca_plugin.model import CERTIFICATE_LABELS, Card, Hash, Key, Padding
from xca_plugin.named_file import input_file, is_empty

_MOST_TOLD: Final = 4  # recipients
_CARD: Final = text("the card {number}, which is here")
_MORE: Final = text("others")
_SIGNATURE: Final = text("it is signed, not encrypted")
_MOST_BYTES: Final = 4 << 20  # of a file with certificates


class RecipientCard:
    """A card that opens files. Its certificate is read once for all of them, which takes a real card long.

    Attributes:
        cards: the facade that knows the card.
        card: the card.
    """

    def __init__(self, cards: Cards, card: Card) -> None:
        self.cards, self.card = cards, card

    @cached_property
    def certificate(self) -> Certificate:
        """Its certificate for encryption.

        Raises:
            NoSuchCertificate: it has none.
        """
        for one in self.cards.certificates(self.card):
            if one.id == Key.KEYX:
                return one
        raise errors.NoSuchCertificate(number=self.card.number, label=CERTIFICATE_LABELS[Key.KEYX])


class Enveloped:
    """An AuthEnvelopedData or EnvelopedData, read as far as its content.

    Attributes:
        path: the file.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Read who can open it, and how.

        Args:
            file: an open file, in any form of xca_common.pki.text_forms; the content is read later.

        Raises:
            NotEncrypted: it is neither of them, or a part of it cannot be read, or is of a kind that is not
                opened.
            TooMuch: it has more recipients than are read.
            CutOff: it ends too early.
        """
        self.path = Path(file.name)
        start = file.tell() if file.seekable() else None
        try:
            with self._reading():
                self._data = EncryptedData(file)
        except errors.NotEncrypted as error:
            if start is not None and _is_signature(file, start):
                raise errors.NotEncrypted(path=self.path, detail=_SIGNATURE, is_signature=True) from error
            raise

    def check_card(self, by: RecipientCard) -> None:
        """Make sure that the card is one of the recipients; costs no try.

        Raises:
            NoSuchCertificate: the card has no certificate for encryption.
            NotForThisCard: it is not.
            KeyEncryptionUnsupported: the key was encrypted in a way that is not known here.
        """
        _key_padding(self._recipient(by), by.card)

    def decrypt(self, output: BinaryIO, by: RecipientCard, decrypt_key: Callable[..., bytes]) -> None:
        """Write the content. It is worth nothing when this fails, even if something was written.

        Args:
            output: takes the content; nobody else may read it before this returns. It can be rewound and cut
                off.
            by: an activated card, one of the recipients.
            decrypt_key: decrypts the content's key with the card: a session's decrypt(), or Cards.decrypt
                with the card and its PIN.

        Raises:
            NotDecryptable: the key or the content does not decrypt; which of them is not told.
            CutOff: the file ends too early.
            TooMuch: its content is in more pieces than are read.
            NotEncrypted: what stands behind the content cannot be read.
            XcaError: as check_card and Cards.decrypt.
        """
        recipient = self._recipient(by)
        digest_hash, padding = _key_padding(recipient, by.card)
        try:
            key = decrypt_key(recipient.encrypted_key, digest_hash=digest_hash, padding=padding)
        except errors.NotDecryptable:
            key = b""
        try:
            with self._reading():
                self._data.write(key, output)
        except encrypted_data.NotDecryptable:
            raise errors.NotDecryptable(number=by.card.number) from None

    def _card_for(self, cards: Cards, besides: Card) -> tuple[str, bytes] | None:
        """Return another card that is here and is a recipient: its number and its certificate, or None."""
        for other in cards.detect():
            if other.number == besides.number:
                continue
            with suppress(XcaError):  # an unreadable card hides no other
                for one in cards.certificates(other):
                    if one.id == Key.KEYX and self._data.recipient(one.der):
                        return other.number, one.der
        return None

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except EOFError as error:
            raise errors.CutOff(path=self.path, is_empty=is_empty(self.path)) from error
        except TooMuchError as error:
            raise errors.TooMuch(path=self.path, detail=error.detail) from error
        except Malformed as error:
            raise errors.NotEncrypted(path=self.path, detail=error.detail) from error

    def _recipient(self, by: RecipientCard) -> Recipient:
        recipient = self._data.recipient(by.certificate.der)
        if recipient is None:
            number, certificate = self._card_for(by.cards, by.card) or (None, None)
            with self._reading():
                named = self._data.recipients(besides=certificate)
            told = [*named[:_MOST_TOLD], *([_MORE] if len(named) > _MOST_TOLD else [])]
            if number:
                told.insert(0, _CARD.format(number=number))
            if not told:  # nobody, or recipients of a kind that names none
                told = [_MORE]
            raise errors.NotForThisCard(number=by.card.number, path=self.path, recipients=told)
        return recipient


def recipients_in(paths: Sequence[Path]) -> list[RecipientCertificate]:
    """Read who a file is encrypted to; whoever is named twice counts once.

    Args:
        paths: files with certificates, in any form of xca_common.pki.certificate_file.

    Raises:
        NotACertificate: a file holds something else.
        NotForEncryption: a certificate is not valid today, or not meant for encryption.
        TooMuch: a file is longer, or has more certificates, than is read.
        FileProblem: a file cannot be read.
    """
    return list({found.told.der: found for path in paths for found in _certificates(path)}.values())


def encrypt(
    content: BinaryIO,
    output: BinaryIO,
    recipients: Sequence[RecipientCertificate],
    *,
    armored: bool = False,
    cbc: bool = False,
) -> None:
    """Encrypt a file to certificates, as xca_common.pki.encrypted_data.encrypt.

    Args:
        content: the file, open; read once.
        output: takes the encrypted file.
        recipients: whose keys can open it.
        armored: write PEM (RFC 7468), not DER.
        cbc: write EnvelopedData in CBC mode, for readers that know no AuthEnvelopedData.

    Raises:
        FileProblem: the file changed while it was read, or is too big.
        TooMuch: there are more recipients than would be read.
    """
    try:
        encrypted_data.encrypt(content, output, recipients, armored=armored, cbc=cbc)
    except TooMuchError as error:
        raise errors.TooMuch(path=content.name, detail=error.detail) from error


def _is_signature(file: BinaryIO, start: int) -> bool:
    file.seek(start)
    try:
        SignedData.read(file)
    except (EOFError, TooMuchError, Malformed):
        return False
    return True


def _certificates(path: Path) -> list[RecipientCertificate]:
    with input_file(path) as file:
        data = file.read(_MOST_BYTES + 1)
    try:
        if len(data) > _MOST_BYTES:
            raise TooMuchError(text("it has more than {size} MiB").format(size=_MOST_BYTES >> 20))
        return RecipientCertificate.read_all(data)
    except TooMuchError as error:
        raise errors.TooMuch(path=path, detail=error.detail) from error
    except Malformed as error:
        raise errors.NotACertificate(path=path, detail=error.detail) from error
    except encrypted_data.NotForEncryption as error:
        raise errors.NotForEncryption(path=path, reason=error.reason) from error


def _key_padding(recipient: Recipient, card: Card) -> tuple[Hash, Padding]:
    if recipient.transport is None:
        raise errors.KeyEncryptionUnsupported(number=card.number, scheme=recipient.algorithm)
    if recipient.transport.oaep_hash is None:
        return Hash.SHA1, Padding.PKCS1V15
    return Hash(recipient.transport.oaep_hash), Padding.OAEP
