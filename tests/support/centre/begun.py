# SPDX-License-Identifier: Apache-2.0
"""Centres that are begun in a folder: with SoftHSM as the token, short keys, and cards that are files."""

import json
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from support.centre.authority import key
from xca_centre import settings
from xca_centre.beginning import Ceremony, NewOfficer
from xca_centre.centre import Centre
from xca_common.card_making import CardCertificates, CardDates, CardKeys, OrderOutOfStep
from xca_common.i18n import Text
from xca_common.pki.sealed_secret import unseal
from xca_common.secret import Secret

OFFICERS = (NewOfficer("lin", "林小姐"), NewOfficer("chen", "陳先生"))
CODES = {"lin": "Lin-1234", "chen": "Chen-123"}
ROOT_PIN = "pin-of-the-root"
_KEYS = ("producer", *(f"{each} officer-{officer}" for officer in CODES for each in ("SIGN", "KEYX")))
ROOT_NAME = "C=TW,O=政府測試憑證總管理中心"
SETTINGS = """
issuer = "test"
origin = "https://xca.example"
journal = "journal"
[authority]
oid = "2.16.886.111.990000"
name = "組織及團體測試憑證管理中心"
[root]
name = "C=TW,O=政府測試憑證總管理中心"
[producer]
name = "softhsm"
[payments]
provider = "test"
[mail]
sender = "centre@xca.example"
folder = "mails"
"""


def write_settings(folder: Path, more: str = "", root_name: str = ROOT_NAME) -> Path:
    """Write settings into a folder, with some lines more on top, and return it."""
    for name in _KEYS:
        key(name)  # also for the processes that are begun later
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "centre.toml").write_text(more + SETTINGS.replace(ROOT_NAME, root_name), encoding="utf-8")
    return folder


def ceremony() -> Ceremony:
    """A ceremony with short keys."""

    def code(officer: NewOfficer) -> Secret:
        return Secret(CODES[officer.id])

    def tell(_: Text) -> None:
        pass

    return Ceremony(
        OFFICERS,
        ["王見證"],
        lambda: Secret(ROOT_PIN),
        code,
        tell,
        {2: 2048, 3: 2048},  # an RSA key of 4096 bits takes long to make
        2048,
    )


@dataclass(frozen=True)
class PaperProducer:
    """A producer whose cards are files that say what was done to them."""

    folder: Path

    def public_key(self) -> RSAPublicKey:
        return key("producer").public_key()

    def make_keys(self, order: str) -> CardKeys:
        path = self.folder / order
        if not path.exists():
            self.folder.mkdir(exist_ok=True)
            self._write(order, {"number": f"XC{len(list(self.folder.iterdir())) + 1:014}"})
        number = self.card(order)["number"]
        return CardKeys(number, key(f"SIGN {order}").public_key(), key(f"KEYX {order}").public_key())

    def set_user_code(self, order: str, sealed: bytes) -> None:
        with unseal(sealed, key("producer")) as code:
            self._do(order, code=code.reveal())

    def write(self, order: str, certificates: CardCertificates) -> None:
        if "code" not in self.card(order):
            raise OrderOutOfStep(order=order)
        self._do(order, serial=f"{certificates.signing.serial_number:X}")

    def close(self, order: str, dates: CardDates) -> None:
        self._do(order, closed=dates.activate_by.isoformat())

    def card(self, order: str) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.folder / order).read_text())
        return found

    def _do(self, order: str, **what: str) -> None:
        if "closed" not in (card := self.card(order)):
            self._write(order, card | what)

    def _write(self, order: str, card: dict[str, str]) -> None:
        (self.folder / order).write_text(json.dumps(card))


def opened(folder: Path) -> Centre:
    """The centre in a folder, whose cards are files in `paper`."""
    centre = Centre(settings.read(folder))
    vars(centre)["producer"] = PaperProducer(folder / "paper")
    return centre
