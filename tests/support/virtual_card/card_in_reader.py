# SPDX-License-Identifier: Apache-2.0
"""A card in a virtual reader, and what leads programs to it: the module over OpenSC's module."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from pkcs11 import UserType

from pkcs11_shim import module_path, rules
from softhsm.virtual_reader import VirtualReader
from support.cli.xcactl import PIN, USER_CODE, Workspace
from support.module.cryptoki import CKR
from support.module.host import Host
from support.virtual_card.card_files import Keys, card_files
from support.virtual_card.myeid_card import ATR, MyEidCard

CODE: Final = USER_CODE[:8]
"""The card's user code: this card takes up to 8 characters."""
VARIANTS: Final = {"code-unblocks": False, "code-is-so-pin": True}
"""Whether the card flags the user code as the SO PIN, by the names of the tests' parameters."""
OPENSC: Final = sorted(
    {*Path("/usr/lib").glob("*/opensc-pkcs11.so"), *Path("/usr").glob("lib*/opensc-pkcs11.so")}
)
_OPENSC_CONFIGURATION: Final = """
app default { framework pkcs15 { use_file_caching = no; } }
app opensc-pkcs11 { pkcs11 { user_pin_unblock_style = init_pin_in_so_session; } }
"""


class CardInReader:
    """The card; every process that a test starts on it ends with `stop`.

    Attributes:
        reader: the reader.
        card: the card, whether it is in the reader or not.
        user_code_is_so_pin: which variant it is (card_files.card_files).
    """

    def __init__(self, reader: VirtualReader, keys: Keys, folder: Path, front: Path) -> None:
        self.reader, self._keys, self._folder, self._front = reader, keys, folder, front
        self._opensc_configuration = folder / "opensc.conf"
        self._opensc_configuration.write_text(_OPENSC_CONFIGURATION)
        self._configuration, self._script = folder / "pkcs11.conf", folder / "script"
        self.card = MyEidCard(folder, {}, keys.private, CODE)
        self._hosts: list[Host] = []
        self._is_to_be_pulled = False
        self.renew()

    def renew(
        self, *, user_code_is_so_pin: bool = False, activated: bool = True, label: str = rules.CARD_LABEL
    ) -> None:
        """Make it a card with all its tries, in the reader; forget what tests configured."""
        self.stop()
        self.user_code_is_so_pin = user_code_is_so_pin
        self.card.files = card_files(self._keys, user_code_is_so_pin=user_code_is_so_pin, label=label)
        self.card.renew(CODE, PIN if activated else None)
        self.configure()
        self.front_says()
        if self._is_to_be_pulled or not self.reader.has_card:
            self.insert()
        self.card.commands.clear()

    def insert(self) -> None:
        """Put the card in, or in again."""
        self.reader.insert(ATR, self.card)
        self._is_to_be_pulled = False

    def pull_at(self, instruction: int, count: int = 1, *, after_effect: bool) -> None:
        """Have the card pulled out in the middle of a command (VirtualReader.pull_at)."""
        self.reader.pull_at(instruction, count, after_effect=after_effect)
        self._is_to_be_pulled = True

    def configure(self, *lines: str, inner: Path | None = None) -> None:
        """Write the module's configuration.

        Args:
            lines: more of it.
            inner: the inner module; OpenSC's by default, with the thin module in front of it.
        """
        first = ["[module]", f"path = {inner or self._front}", "[store]", f"path = {self._folder}/cards.db"]
        self._configuration.write_text("".join(f"{line}\n" for line in [*first, *lines]))

    def front_says(self, *lines: str) -> None:
        """Say what the thin module answers from now on: what OpenSC does, or lines as in front.c."""
        # A reader sees the old script or the new one, never half of it.
        new = self._script.with_suffix(".new")
        new.write_text("".join(f"{line}\n" for line in lines))
        new.rename(self._script)

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables that lead a process to this card."""
        return {
            **self.reader.variables,
            "XCA_PKCS11_CONF": str(self._configuration),
            "OPENSC_CONF": str(self._opensc_configuration),
            "FRONT_REAL": str(OPENSC[0]),
            "FRONT_SCRIPT": str(self._script),
            "FRONT_ACTIVATED": str(self.card.activated),
        }

    def workspace(self) -> Workspace:
        """Return what runs xcactl on this card."""
        return Workspace(self._folder, self._folder, self.variables)

    def host(self, **more: str) -> Host:
        """Start a process with the module in it, initialised."""
        host = Host(module_path(), {"HOME": str(self._folder), **self.variables, **more})
        self._hosts.append(host)
        assert host.initialize() == CKR.OK
        return host

    @property
    def pki(self) -> Path:
        """The folder of its test PKI: root.pem, ca.pem and their keys."""
        return self._folder / "pki"

    def public_key(self, file: int) -> rsa.RSAPublicKey:
        """Return the public key that belongs to one of its private keys."""
        return self._keys.private[file].public_key()

    def stop(self) -> None:
        """End every process that was started on this card."""
        for host in self._hosts:
            host.stop()
        self._hosts.clear()


def reset_pin(host: Host, code: str, new_pin: str) -> CKR | None:
    """Activate the card or reset its PIN, as a host does; return the first answer that is not CKR_OK."""
    session = host.open(host.slot(rules.CARD_LABEL))
    answer = host.login(session, UserType.SO, code)
    if answer == CKR.OK:
        answer = host.init_pin(session, new_pin)
        host.logout(session)
    host.call("C_CloseSession", session)
    return answer


def try_pin(host: Host, pin: str) -> CKR | None:
    """Log in with a PIN in a session of its own."""
    session = host.open(host.slot(rules.CARD_LABEL))
    answer = host.login(session, UserType.USER, pin)
    host.call("C_CloseSession", session)
    return answer
