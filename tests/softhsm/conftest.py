# SPDX-License-Identifier: Apache-2.0
"""Environments for the issuer's tests."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from softhsm import Environment, issue
from support.softhsm.softhsm_card import USER_CODE, Issuer


class _Kept:
    """An environment, and what it was at some moments: copied back, it is the same path again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.issuer = Issuer(Environment.create(folder / "environment").path)

    def keep(self, moment: str) -> None:
        shutil.copytree(self.issuer.path, self._folder / moment)

    def restore(self, moment: str) -> None:
        shutil.rmtree(self.issuer.path)
        shutil.copytree(self._folder / moment, self.issuer.path)


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[_Kept, str]:
    """The moments `empty`, `issued` and `active` of an environment, and the card of the latter two."""
    kept = _Kept(tmp_path_factory.mktemp("kept"))
    kept.keep("empty")
    number = issue(kept.issuer.environment, USER_CODE).number
    kept.keep("issued")
    assert kept.issuer.activate(number).returncode == 0
    kept.keep("active")
    return kept, number


@pytest.fixture
def issuer(kept: tuple[_Kept, str]) -> Issuer:
    """An empty environment."""
    kept[0].restore("empty")
    return kept[0].issuer


@pytest.fixture
def closed(issuer: Issuer, kept: tuple[_Kept, str]) -> str:
    """The one card of the environment, not activated."""
    kept[0].restore("issued")
    return kept[1]


@pytest.fixture
def active(issuer: Issuer, kept: tuple[_Kept, str]) -> str:
    """The one card of the environment, activated."""
    kept[0].restore("active")
    return kept[1]


@pytest.fixture(scope="module")
def shared_issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    """An environment for tests that only add cards."""
    return Issuer(Environment.create(tmp_path_factory.mktemp("shared") / "environment").path)


@pytest.fixture(scope="module")
def number(shared_issuer: Issuer) -> str:
    """A card that no test changes."""
    return issue(shared_issuer.environment, USER_CODE).number


@pytest.fixture
def kill_at() -> Callable[..., tuple[str, ...]]:
    """A prefix for a command that kills it as it begins its nth call of some kind, perhaps on one path."""

    def prefix(call: str, nth: int, path: Path | None = None) -> tuple[str, ...]:
        where = ("-P", str(path)) if path else ()
        inject = f"inject={call}:signal=SIGKILL:when={nth}"
        return ("strace", "-o", os.devnull, *where, "-e", f"trace={call}", "-e", inject)

    return prefix
