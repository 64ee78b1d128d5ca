# SPDX-License-Identifier: Apache-2.0
"""One reader with one card for all tests of a process. Each test finds the card as new."""

from collections.abc import Iterator

import pytest

from softhsm.virtual_reader import NoVirtualReaderError, VirtualReader
from support.module import compiling
from support.virtual_card.card_files import make_keys
from support.virtual_card.card_in_reader import OPENSC, VARIANTS, CardInReader


@pytest.fixture(scope="session")
def shared_card(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CardInReader]:
    """The reader and the card; tests take `real` or one of its variants."""
    if not OPENSC:
        pytest.skip("no opensc-pkcs11.so (Debian: apt install opensc-pkcs11)")
    folder = tmp_path_factory.mktemp("virtual-card")
    (folder / "pki").mkdir()
    front = compiling.library(folder / "front.so", compiling.TESTS / "inner" / "front.c")
    try:
        reader = VirtualReader()
    except NoVirtualReaderError as error:
        pytest.skip(str(error))
    with reader:
        yield CardInReader(reader, make_keys(folder / "pki"), folder, front)


@pytest.fixture
def real(shared_card: CardInReader) -> Iterator[CardInReader]:
    """An activated card whose user code unblocks the PIN."""
    shared_card.renew()
    yield shared_card
    shared_card.stop()


@pytest.fixture(params=VARIANTS)
def either(shared_card: CardInReader, request: pytest.FixtureRequest) -> Iterator[CardInReader]:
    """An activated card, once of each variant."""
    shared_card.renew(user_code_is_so_pin=VARIANTS[request.param])
    yield shared_card
    shared_card.stop()


@pytest.fixture(params=VARIANTS)
def closed(shared_card: CardInReader, request: pytest.FixtureRequest) -> Iterator[CardInReader]:
    """A card that is not activated, once of each variant."""
    shared_card.renew(user_code_is_so_pin=VARIANTS[request.param], activated=False)
    yield shared_card
    shared_card.stop()
