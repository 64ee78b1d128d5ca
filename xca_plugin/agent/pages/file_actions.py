# SPDX-License-Identifier: Apache-2.0
"""The jobs with files that have a page: sign, verify, encrypt, decrypt."""

from dataclasses import dataclass
from typing import Final

from xca_common.i18n import Text
from xca_plugin.i18n import text


@dataclass(frozen=True)
class FileAction:
    """A job with files, with the texts of its page.

    Attributes:
        path: the path of its page.
        title: its name.
        button: the text of the button that starts it.
        hint: what the person should do, in a sentence or two.
        working: shown while it starts.
        done: shown when it has ended.
        notes: what the person should know.
        asks_pin: it needs a card and its PIN.
    """

    path: str
    title: Text
    button: Text
    hint: Text
    working: Text
    done: Text
    notes: tuple[Text, ...]
    asks_pin: bool


_STAY: Final = text(
    "Files that you choose here stay on this computer. The agent deletes its copies when you press Delete, "
    "after "
    "half an hour without use, and when it ends."
)

SIGN: Final = FileAction(
    path="/files/sign",
    title=text("Sign files"),
    button=text("Sign"),
    hint=text("Choose the files, check the card, enter its PIN, then press Sign."),
    working=text("The files are being signed. Please wait and leave the card in the reader."),
    done=text("Signing has ended."),
    notes=(
        text("Sign only what you have read. PDFs are shown on this page."),
        text(
            "The signature is a file of its own (.p7s). Keep it, and hand it on together with the signed "
            "file."
        ),
        _STAY,
    ),
    asks_pin=True,
)
VERIFY: Final = FileAction(
    path="/files/verify",
    title=text("Verify signatures"),
    button=text("Verify"),
    hint=text(
        "Choose the signed files and their signatures, say which root certificate you trust, then press "
        "Verify."
    ),
    working=text("The signatures are being verified. Please wait."),
    done=text("Verification has ended."),
    notes=(
        text("The signature of contract.docx is contract.docx.p7s. A signed PDF holds its signatures."),
        text(
            "A signature counts if its signer's certificate was issued under the root certificate that you "
            "trust. "
            "The government's root is at https://grca.nat.gov.tw and on every organisation card."
        ),
        _STAY,
    ),
    asks_pin=False,
)
ENCRYPT: Final = FileAction(
    path="/files/encrypt",
    title=text("Encrypt files"),
    button=text("Encrypt"),
    hint=text("Choose the files and the certificates of the recipients, then press Encrypt."),
    working=text("The files are being encrypted. Please wait."),
    done=text("Encryption has ended."),
    notes=(
        text("Every recipient can open the file alone, with the card whose certificate cert2 you chose."),
        text("You cannot open it yourself unless you choose the certificate cert2 of your own card as well."),
        text(
            "Older programs may not be able to open the file: it has the newer form AuthEnvelopedData, "
            "AES-256-GCM."
        ),
        _STAY,
    ),
    asks_pin=False,
)
DECRYPT: Final = FileAction(
    path="/files/decrypt",
    title=text("Decrypt files"),
    button=text("Decrypt"),
    hint=text("Choose the encrypted files, check the card, enter its PIN, then press Decrypt."),
    working=text("The files are being decrypted. Please wait and leave the card in the reader."),
    done=text("Decryption has ended."),
    notes=(
        text(
            "Whoever can use this computer may read the decrypted files that you save. Delete them when you "
            "no longer need them."
        ),
        _STAY,
    ),
    asks_pin=True,
)
FILE_ACTIONS: Final = (SIGN, VERIFY, ENCRYPT, DECRYPT)
"""In the order of the navigation."""
