# SPDX-License-Identifier: Apache-2.0
"""Cards for the module's tests: issued once a session, copied for every test."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from softhsm.issuer import ACTIVATION_DAYS, Application
from support.module import compiling
from support.module.cards import Card, Gate, Inner, issue_card
from xca_common import taipei

INNER = compiling.TESTS / "inner" / "inner.c"


@pytest.fixture(scope="session")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Card:
    return issue_card(tmp_path_factory.mktemp("issued") / "card")


@pytest.fixture(scope="session")
def issued_long_ago(tmp_path_factory: pytest.TempPathFactory) -> Card:
    long_ago = taipei.today() - timedelta(days=ACTIVATION_DAYS + 1)
    return issue_card(tmp_path_factory.mktemp("long-ago") / "card", Application(issued_on=long_ago))


@pytest.fixture(scope="session")
def activated(issued: Card, tmp_path_factory: pytest.TempPathFactory) -> Card:
    card = issued.copy(tmp_path_factory.mktemp("activated") / "card")
    card.activate()
    return card


@pytest.fixture
def closed(issued: Card, tmp_path: Path) -> Iterator[Card]:
    """A card as it arrives: not activated."""
    card = issued.copy(tmp_path / "closed")
    yield card
    card.stop()


@pytest.fixture
def lapsed(issued_long_ago: Card, tmp_path: Path) -> Iterator[Card]:
    """A card that was not activated in time."""
    card = issued_long_ago.copy(tmp_path / "lapsed")
    yield card
    card.stop()


@pytest.fixture
def card(activated: Card, tmp_path: Path) -> Iterator[Card]:
    """An activated card."""
    card = activated.copy(tmp_path / "card")
    yield card
    card.stop()


@pytest.fixture(scope="session")
def inner_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiling.library(tmp_path_factory.mktemp("inner") / "inner.so", INNER)


@pytest.fixture(scope="session")
def inner_library_with_interfaces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiling.library(tmp_path_factory.mktemp("inner") / "inner.so", INNER, "-DINTERFACES")


@pytest.fixture
def inner(inner_library: Path, tmp_path: Path) -> Inner:
    """A scripted inner module that has PKCS#11 2.40 only."""
    return Inner(inner_library, tmp_path)


@pytest.fixture
def inner_with_interfaces(inner_library_with_interfaces: Path, tmp_path: Path) -> Inner:
    """A scripted inner module that exports C_GetInterface too."""
    return Inner(inner_library_with_interfaces, tmp_path)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)
