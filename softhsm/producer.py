# SPDX-License-Identifier: Apache-2.0
"""The certificate centre's producer of cards (xca_centre.producer): it makes them in an environment.

An order has a folder. Each step reads what the steps before it left there, works in a staging folder, and
leaves its own result with one rename:

    card.json       the card's number and public keys; all that stays when the order is closed
    keys/           the token with its keys and an SO PIN of the issuer's, and the issuer's copies
    token.object    the token's file with the holder's user code
    written/        the token with its certificates
"""

import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from pkcs11_shim import StoreError, rules
from softhsm.environment import Environment
from softhsm.errors import BadValueError, IssuerError
from softhsm.i18n import text
from softhsm.inner import InnerModule
from softhsm.issuer import check_user_code
from softhsm.making import (
    ENCRYPTION_KEY,
    ISSUED,
    SIGNING_KEY,
    SO_PIN,
    STATE_FILE,
    keep_fresh,
    on_the_card,
    public_key,
    publish,
    staging_folder,
)
from xca_common import atomic_file
from xca_common.card_making import (
    CardCertificates,
    CardDates,
    CardKeys,
    CardNumberTaken,
    OrderOutOfStep,
    OtherKeys,
    ProducerUnavailable,
    UserCodeRefused,
    check_order,
)
from xca_common.errors import os_reason
from xca_common.pki import sealed_secret

_KEY_BITS: Final = 3072
_KEYS: Final = "keys"
_WRITTEN: Final = "written"
_CARD: Final = "card.json"


def open_producer(folder: Path) -> "SoftHSMProducer":
    """Return the producer of the environment in a folder.

    Raises:
        ProducerUnavailable: there is no environment.
    """
    with _unavailable():
        return SoftHSMProducer(Environment(folder))


class SoftHSMProducer:
    """Makes cards in an environment."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def public_key(self) -> rsa.RSAPublicKey:
        """Return the key that user codes are sealed to; it is made at the first call."""
        with _unavailable():
            return self._key().public_key()

    def make_keys(self, order: str) -> CardKeys:
        """Make a token with two keys."""
        check_order(order)
        folder = self._environment.orders / order
        with _unavailable():
            if not folder.exists():
                self._make_keys(folder)
            number, moduli = _card(folder)
            return CardKeys(number, public_key(moduli[SIGNING_KEY]), public_key(moduli[ENCRYPTION_KEY]))

    def set_user_code(self, order: str, sealed: bytes) -> None:
        """Set the user code in a copy of the token's file: a file always has a code that is known."""

        def step(folder: Path, number: str, staging: Path) -> None:
            token = staging / "tokens" / number
            token.mkdir(mode=0o700)
            shutil.copy(folder / _KEYS / "token" / STATE_FILE, token)
            so_pin = (folder / _KEYS / "copies" / SO_PIN).read_text(encoding="ascii")
            try:
                with sealed_secret.unseal(sealed, self._key()) as user_code:
                    check_user_code(user_code.reveal())
                    self._ask(staging, "change-user-code", number, old=so_pin, new=user_code.reveal())
            except (sealed_secret.NotOpened, BadValueError):
                raise UserCodeRefused(order=order) from None
            atomic_file.write(folder / ISSUED, (token / STATE_FILE).read_bytes())

        self._do(order, step)

    def write(self, order: str, certificates: CardCertificates) -> None:
        """Write the certificates into a copy of the token."""

        def step(folder: Path, number: str, staging: Path) -> None:
            _, moduli = _card(folder)
            for key_id, certificate in (
                (SIGNING_KEY, certificates.signing),
                (ENCRYPTION_KEY, certificates.encryption),
            ):
                if certificate.public_key() != public_key(moduli[key_id]):
                    raise OtherKeys(order=order)
            token = staging / "tokens" / number
            shutil.copytree(folder / _KEYS / "token", token)
            objects = on_the_card(
                certificates.signing, certificates.encryption, certificates.issuer, certificates.root
            )
            self._ask(staging, "write-certificates", number, certificates=objects)
            _sync(token)
            _clear(folder / _WRITTEN, staging)
            token.rename(folder / _WRITTEN)
            atomic_file.sync(folder)

        self._do(order, step)

    def close(self, order: str, dates: CardDates) -> None:
        """Let the card appear in the environment, in a reader of its own."""

        def step(folder: Path, number: str, staging: Path) -> None:
            if not self._is_out(folder, number):
                if not ((folder / _WRITTEN).exists() and (folder / ISSUED).exists()):
                    raise OrderOutOfStep(order=order)
                token = staging / "tokens" / number
                shutil.copytree(folder / _WRITTEN, token)
                shutil.copy(folder / ISSUED, token / STATE_FILE)
                shutil.copytree(folder / _KEYS / "copies", staging / "copies")
                issued_on, activate_by = dates.issued_on, dates.activate_by
                try:
                    publish(
                        self._environment,
                        staging,
                        number,
                        reader=None,
                        issued_on=issued_on,
                        activate_by=activate_by,
                    )
                except BadValueError:
                    raise CardNumberTaken(order=order, number=number) from None
            # The keys last: without them the order is closed.
            for left in (folder / _WRITTEN, folder / ISSUED, folder / _KEYS):
                _clear(left, staging)

        self._do(order, step)

    def _do(self, order: str, step: Callable[[Path, str, Path], None]) -> None:
        """Do a step of an order, unless it is closed; it gets its folder, number and a staging folder."""
        check_order(order)
        folder = self._environment.orders / order
        if not folder.exists():
            raise OrderOutOfStep(order=order)
        with _unavailable():
            number, _ = _card(folder)
            with staging_folder(self._environment, number) as staging:
                if (folder / _KEYS).exists():
                    step(folder, number, staging)

    def _make_keys(self, folder: Path) -> None:
        self._environment.orders.mkdir(mode=0o700, exist_ok=True)
        number, so_pin = self._number(), secrets.token_hex(16)
        with staging_folder(self._environment, number) as staging:
            moduli = self._ask(staging, "make-keys", number, so_pin=so_pin)["moduli"]
            keep_fresh(staging, so_pin)
            made = staging / "order"
            (made / _KEYS).mkdir(mode=0o700, parents=True)
            (token,) = (staging / "tokens").iterdir()
            token.rename(made / _KEYS / "token")
            (staging / "copies").rename(made / _KEYS / "copies")
            atomic_file.write(made / _CARD, json.dumps({"number": number, "moduli": moduli}).encode())
            _sync(made)
            with self._environment.store.lock(exclusive=True):
                if not folder.exists():  # else another process was faster, and the order has its card
                    made.rename(folder)
            atomic_file.sync(folder.parent)

    def _is_out(self, folder: Path, number: str) -> bool:
        """Say whether the environment has the card of an order."""
        so_pin = self._environment.copies / number / SO_PIN
        return (
            (self._environment.tokens / number).exists()
            and so_pin.exists()
            and so_pin.read_bytes() == (folder / _KEYS / "copies" / SO_PIN).read_bytes()
        )

    def _number(self) -> str:
        # Among so many, two orders at once get the same one never; close() would refuse the second.
        taken = {row.number for row in self._environment.store.cards()}
        while (number := f"XC{secrets.randbelow(10**14):014d}") in taken:
            pass
        return number

    def _key(self) -> rsa.RSAPrivateKey:
        path = self._environment.path / "producer.key"
        with self._environment.store.lock(exclusive=True):
            if not path.exists():
                made = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
                pem = made.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
                atomic_file.write(path, pem)
        with suppress(ValueError):
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
            if isinstance(key, rsa.RSAPrivateKey):
                return key
        said = text("{path}: the producer's key is damaged; put it back from a copy")
        raise IssuerError(said.format(path=path))

    def _ask(self, staging: Path, do: str, number: str, **details: Any) -> dict[str, Any]:
        with InnerModule(self._environment.inner_module, staging / "softhsm2.conf") as inner:
            return inner.ask(do, label=rules.INNER_LABEL + number, **details)


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except IssuerError as error:
        raise ProducerUnavailable(reason=error.said) from error
    except StoreError as error:
        raise ProducerUnavailable(reason=str(error)) from error
    except OSError as error:
        raise ProducerUnavailable(reason=os_reason(error)) from error


def _card(folder: Path) -> tuple[str, dict[str, str]]:
    """Return the number of an order's card, and the moduli of its keys in hexadecimal digits."""
    kept = json.loads((folder / _CARD).read_bytes())
    return kept["number"], kept["moduli"]


def _sync(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        atomic_file.sync(path)


def _clear(path: Path, staging: Path) -> None:
    """Move what is at a path, if anything is, to where it will be removed."""
    with suppress(FileNotFoundError):
        path.rename(staging / f"old-{path.name}")
        atomic_file.sync(path.parent)
