# SPDX-License-Identifier: Apache-2.0
"""A fixture for tests of login verifiers. pytest loads this file in every project of the machine.

So it imports what it needs when a test asks for it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xca_login.testing import Addresses, Case, Setting


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for login_case all cases of the kit, each under its name."""
    if "login_case" in metafunc.fixturenames:
        from xca_login.testing import CASES

        metafunc.parametrize("login_case", CASES, indirect=True)


@pytest.fixture(scope="session")
def login_addresses() -> "Iterator[Addresses]":
    """The issuer's addresses, served on 127.0.0.1."""
    from xca_login.testing import serving

    with serving() as addresses:
        yield addresses


@pytest.fixture(scope="session")
def login_setting(login_addresses: "Addresses") -> "Setting":
    """The CA and the card of the cases."""
    from xca_login.testing import Setting

    return Setting(login_addresses.url)


@pytest.fixture
def login_case(request: pytest.FixtureRequest, login_setting: "Setting") -> "Case":
    """A case of the kit. Each test that asks for it is run with all of them."""
    from xca_login.testing import CASES

    return login_setting.case(request.param, CASES[request.param])
