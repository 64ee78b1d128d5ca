# SPDX-License-Identifier: Apache-2.0
"""Fixtures for other projects' tests: cards in every state, each test with its own, and a virtual reader.

pytest loads this file in every project of the machine. So a fixture imports what it needs when it is used.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from softhsm.card_fixture import CardFixture
    from softhsm.environment import Environment
    from softhsm.virtual_reader import VirtualReader

_Cards = Callable[[str], "CardFixture"]


@pytest.fixture(scope="session")
def xca_module() -> Path:
    """The path of the installed PKCS#11 module."""
    from pkcs11_shim import module_path

    return module_path()


@pytest.fixture(scope="session")
def _xca_first_environment() -> Iterator["Environment"]:
    from softhsm.environment import Environment
    from softhsm.errors import IssuerError

    with _folder() as folder:
        try:
            environment = Environment.create(folder)
        except IssuerError as error:
            error.add_note("That is below the folder for temporary files, which the variable TMPDIR names.")
            raise
        yield environment


@pytest.fixture(scope="session")
def _xca_first_cards(_xca_first_environment: "Environment") -> _Cards:
    """Cards to copy for the tests; one of a kind is issued when the first test asks for it.

    If it cannot be issued, such as on a full disk, every test that asks for it fails for that reason.
    """
    from softhsm.card_fixture import CardFixture
    from softhsm.issuer import IssuedCardState

    made: dict[str, CardFixture | Exception] = {}

    def first(state: str) -> CardFixture:
        if state not in made:
            empty = _xca_first_environment
            try:
                issued = CardFixture.issue(empty.copy(empty.path.with_name(state)), IssuedCardState(state))
                made[state] = issued
            except Exception as error:
                made[state] = error
        found = made[state]
        if isinstance(found, Exception):
            raise found
        return found

    return first


@contextmanager
def _folder() -> Iterator[Path]:
    # Not tmp_path: pytest keeps it after the test, and its path may be too long for a configuration file.
    # What a killed run left there the next one removes.
    from xca_common.scratch import scratch_folder

    with scratch_folder() as folder:
        yield folder / "card"


@pytest.fixture
def xca_environment(_xca_first_environment: "Environment") -> Iterator["Environment"]:
    """An environment without cards: `softhsm.issue(xca_environment, user_code)` makes one."""
    with _folder() as folder:
        yield _xca_first_environment.copy(folder)


@pytest.fixture
def xca_issued_card(_xca_first_cards: _Cards) -> Iterator["CardFixture"]:
    """A card as it comes to its holder (未開卡): to be activated with `user_code`."""
    with _folder() as folder:
        yield _xca_first_cards("issued").copy(folder)


@pytest.fixture
def xca_active_card(_xca_first_cards: _Cards) -> Iterator["CardFixture"]:
    """An activated card (已開卡): signs with `pin`."""
    with _folder() as folder:
        yield _xca_first_cards("active").copy(folder)


@pytest.fixture
def xca_pin_locked_card(_xca_first_cards: _Cards) -> Iterator["CardFixture"]:
    """An activated card after three wrong PINs (鎖卡): `user_code` resets the PIN."""
    with _folder() as folder:
        yield _xca_first_cards("pin-locked").copy(folder)


@pytest.fixture
def xca_user_code_locked_card(_xca_first_cards: _Cards) -> Iterator["CardFixture"]:
    """A card that was not activated, after three wrong user codes: only `softhsm.reset_user_code` helps."""
    with _folder() as folder:
        yield _xca_first_cards("user-code-locked").copy(folder)


@pytest.fixture
def xca_virtual_reader() -> Iterator["VirtualReader"]:
    """A PC/SC reader with a daemon of its own; skips the test, with the reason, where none can run."""
    from softhsm.virtual_reader import NoVirtualReaderError, VirtualReader

    try:
        reader = VirtualReader()
    except NoVirtualReaderError as error:
        pytest.skip(str(error))
    with reader:
        yield reader
