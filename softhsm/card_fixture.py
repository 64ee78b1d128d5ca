# SPDX-License-Identifier: Apache-2.0
"""Cards for tests, in a known state, with their secrets."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from pkcs11_shim import module_path
from softhsm.environment import Environment
from softhsm.errors import SoftHSMError
from softhsm.issuer import IssuedCardState, find, issue
from xca_common import atomic_file

if TYPE_CHECKING:
    import pytest

_USER_CODE: Final = "Code~8642"
_PIN: Final = "Pin+1357"
_WRONG: Final = ("wrong-1", "wrong-2", "wrong-3")
_LOCKED_BY: Final = {IssuedCardState.PIN_LOCKED: "user_pin", IssuedCardState.USER_CODE_LOCKED: "so_pin"}


@dataclass(frozen=True)
class CardFixture:
    """A card in an environment of its own.

    Attributes:
        environment: where it is; deleted when the test ends.
        number: card number, 16 characters.
        user_code: the right user code (用戶代碼).
        pin: the right PIN, None for a card that was not activated.
    """

    environment: Environment
    number: str
    user_code: str = field(repr=False)
    pin: str | None = field(repr=False)

    @property
    def module(self) -> Path:
        """The PKCS#11 module to load for this card.

        A copy of its own: a process keeps the configuration that it loaded a module with.
        """
        return self.environment.path / "xca-pkcs11.so"

    @property
    def variables(self) -> dict[str, str]:
        """The variables with which a process uses this card: `env=os.environ | card.variables`."""
        return self.environment.exports() | {
            "PKCS11_MODULE": str(self.module),
            "XCA_CARD": self.number,
            "XCA_CARD_STORE": str(self.environment.store.path),
            "XCA_PKCS11_MODULE": str(self.environment.inner_module),
        }

    @property
    def state(self) -> IssuedCardState:
        """The state of the card now.

        Raises:
            StoreError: the card store cannot be read.
        """
        return find(self.environment, self.number).state

    def enter(self, monkeypatch: "pytest.MonkeyPatch") -> None:
        """Make the test's own process use this card until the test ends."""
        for name, value in self.variables.items():
            monkeypatch.setenv(name, value)

    @classmethod
    def issue(cls, environment: Environment, state: IssuedCardState) -> Self:
        """Issue a card and bring it, through the module, into a state.

        Args:
            environment: one without cards.
            state: issued, active, PIN locked, or user code locked; in the latter it was never activated.

        Raises:
            IssuerError: SoftHSM or the module does not do it.
            StoreError: the card store cannot be used.
            OSError: the environment cannot be written.
        """
        number = issue(environment, _USER_CODE).number
        activated = state in (IssuedCardState.ACTIVE, IssuedCardState.PIN_LOCKED)
        card = cls(environment, number, _USER_CODE, _PIN if activated else None)
        atomic_file.write(card.module, module_path().read_bytes())
        request = {
            "module": str(card.module),
            "number": number,
            "user_code": card.user_code,
            "new_pin": card.pin,
            "wrong": [{_LOCKED_BY[state]: value} for value in _WRONG] if state in _LOCKED_BY else [],
        }
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-P", str(Path(__file__).with_name("holder_worker.py"))],
            input=json.dumps(request),
            env=os.environ | card.variables,
            capture_output=True,
            text=True,
        )
        # The card's state decides, not the exit status: SoftHSM may crash when it is unloaded.
        if card.state is not state:
            *_, reason = ["no reason given", *done.stderr.splitlines()]
            raise SoftHSMError(f"no {state} card can be made with {card.module}: {reason}")
        return card

    def copy(self, to: Path) -> "CardFixture":
        """Copy the card with its environment.

        Raises:
            IssuerError: the directory is in use or its name does not fit.
            StoreError: the card store is missing or busy.
            OSError: a file cannot be read or written.
        """
        return CardFixture(self.environment.copy(to), self.number, self.user_code, self.pin)
