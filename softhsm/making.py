# SPDX-License-Identifier: Apache-2.0
"""What making a card takes: a folder to make it in, the issuer's copies, and the moment when it appears.

A card becomes visible when the folder of its token is renamed, after its record in the card store and the
issuer's copies are on the disk.
"""

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pkcs11_shim import CardRow, StoreWriter
from softhsm.environment import Environment
from softhsm.errors import BadValueError, IssuerError
from softhsm.i18n import text
from xca_common import atomic_file
from xca_common.installed_softhsm import softhsm_configuration

if TYPE_CHECKING:  # slow to load, and `softhsm-card list` does without
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

STATE_FILE: Final = "token.object"
"""What SoftHSM keeps a token's PINs in; keys and certificates have files of their own."""
# The issuer's copies of a card's token file.
ISSUED: Final = STATE_FILE
"""As it came to its holder."""
FRESH: Final = "fresh-token.object"
"""As it was before, with an SO PIN of the issuer's."""
SO_PIN: Final = "so-pin"
"""The latter's SO PIN, which opens nothing else."""
SIGNING_KEY: Final = "SIGN"
ENCRYPTION_KEY: Final = "KEYX"
"""CKA_ID of the keys of a card."""
_USER_CERTIFICATE: Final = 1  # CK_CERTIFICATE_CATEGORY_TOKEN_USER, PKCS#11 2.40, 4.6.2
_AUTHORITY_CERTIFICATE: Final = 2  # CK_CERTIFICATE_CATEGORY_AUTHORITY


def on_the_card(
    signing: "x509.Certificate",
    encryption: "x509.Certificate",
    issuer: "x509.Certificate",
    root: "x509.Certificate",
) -> list[dict[str, Any]]:
    """Return the objects of the certificates on a card, as the worker that writes them is asked for them."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return [
        {
            "label": label,
            "id": key_id,
            "der": certificate.public_bytes(Encoding.DER).hex(),
            "category": category,
        }
        for label, key_id, certificate, category in (
            ("CA Cert", "CACert", issuer, _AUTHORITY_CERTIFICATE),
            ("ROOT CA Cert", "ROOTCACert", root, _AUTHORITY_CERTIFICATE),
            ("cert1", SIGNING_KEY, signing, _USER_CERTIFICATE),
            ("cert2", ENCRYPTION_KEY, encryption, _USER_CERTIFICATE),
        )
    ]


def public_key(modulus: str) -> "RSAPublicKey":
    """Return the public key of a card's key, whose modulus the worker told in hexadecimal digits."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

    return RSAPublicNumbers(65537, int(modulus, 16)).public_key()


@contextmanager
def staging_folder(environment: Environment, number: str) -> Iterator[Path]:
    """A folder to work on one card, with a SoftHSM configuration of its own; nobody else has it meanwhile."""
    with ExitStack() as stack:
        with environment.store.lock(exclusive=True):
            for leftover in environment.staging.iterdir():
                _clear_abandoned(leftover)
            folder = environment.staging / number
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                raise IssuerError(
                    text("another softhsm-card works on {number}; wait for it").format(number=number)
                ) from None
            # The system drops this lock when the process ends.
            claim = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, claim)
            stack.callback(shutil.rmtree, folder)
            fcntl.flock(claim, fcntl.LOCK_EX)
        (folder / "tokens").mkdir(mode=0o700)
        atomic_file.write(folder / "softhsm2.conf", softhsm_configuration(folder / "tokens"))
        yield folder


def _clear_abandoned(folder: Path) -> None:
    # BlockingIOError: its process still runs. FileNotFoundError: it has just finished.
    with suppress(BlockingIOError, FileNotFoundError), ExitStack() as stack:
        claim = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, claim)
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)


def keep_fresh(staging: Path, so_pin: str) -> None:
    """Keep the token file as it is before its holder's user code is set."""
    (token,) = (staging / "tokens").iterdir()
    copies = staging / "copies"
    copies.mkdir(mode=0o700)
    atomic_file.write(copies / FRESH, (token / STATE_FILE).read_bytes())
    atomic_file.write(copies / SO_PIN, so_pin.encode())


def publish(
    environment: Environment,
    staging: Path,
    number: str,
    *,
    reader: str | None,
    issued_on: date,
    activate_by: date,
) -> None:
    """Make the card in a staging folder appear, with its record and the issuer's copies.

    Args:
        environment: where.
        staging: holds the folder `tokens` with one token, and the folder `copies` (keep_fresh).
        number: card number.
        reader: name of the reader that the card sits in, None for a new one.
        issued_on: day of issue.
        activate_by: last day on which the card can be activated.

    Raises:
        BadValueError: the number or the reader is taken.
        StoreError: the card store cannot be used.
        OSError: the environment cannot be written.
    """
    (token,) = (staging / "tokens").iterdir()
    copies = staging / "copies"
    atomic_file.write(copies / ISSUED, (token / STATE_FILE).read_bytes())
    for file in (*token.iterdir(), token):
        atomic_file.sync(file)

    with environment.store.writing() as store:
        check_free(environment, number)
        # A process that was killed here may have left the record, and perhaps the copies.
        withdraw(environment, staging, store, number)
        store.add(
            number,
            reader=free_reader(store.cards(), reader),
            model=f"T7S{number[:8]}",
            issued_on=issued_on,
            activate_by=activate_by,
        )
        copies.rename(environment.copies / number)
        atomic_file.sync(environment.copies)
        token.rename(environment.tokens / number)
        atomic_file.sync(environment.tokens)


def withdraw(environment: Environment, staging: Path, store: StoreWriter, number: str) -> None:
    """Undo the steps of making a card in reverse order; its files end in the staging folder."""
    for folder in (environment.tokens, environment.copies):
        if (folder / number).exists():
            (folder / number).rename(staging / f"old-{folder.name}")
            atomic_file.sync(folder)
    store.remove(number)


def check_free(environment: Environment, number: str) -> None:
    """Refuse a number that a card has.

    Raises:
        BadValueError: it is in use.
    """
    if (environment.tokens / number).exists():
        said = text("card number {number} is in use; choose another, or `softhsm-card remove {number}` first")
        raise BadValueError(said.format(number=number))


def free_reader(cards: Iterable[CardRow], wanted: str | None) -> str:
    """Return the name of a reader without a card: the one that is wanted, else a new one.

    Raises:
        BadValueError: one of the cards is in the reader that is wanted.
    """
    holders = {row.reader: row.number for row in cards}
    if wanted is None:
        names = (f"SoftHSM Virtual Reader {n:02d} 00" for n in count())
        return next(name for name in names if name not in holders)
    if wanted in holders:
        said = text("reader '{reader}': card {number} is in it; choose another name")
        raise BadValueError(said.format(reader=wanted, number=holders[wanted]))
    return wanted
