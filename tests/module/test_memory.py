# SPDX-License-Identifier: Apache-2.0
"""The module over the minimal inner module in hosts of our own, which see its memory and environment and turn
its clocks."""

from collections.abc import Iterator

import pytest

from support.module.native_host import Run, minimal_host

pytestmark = pytest.mark.slow

LOGINS = 8_000


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    environment = ("[module]", "environment = MINIMAL_SETTING=wanted")
    with minimal_host(tmp_path_factory.mktemp("memory"), *environment) as run:
        yield run


def test_only_the_callers_own_buffer_holds_a_secret(run: Run) -> None:
    assert run("memory", "secrets") == ""


def test_logins_do_not_let_memory_grow(run: Run) -> None:
    _, heap, _, resident = run("memory", "growth", str(LOGINS)).split()
    assert int(heap) <= 0
    assert int(resident) < 256 * 1024  # of which the kernel gives a little now and then


def test_what_is_remembered_ends_with_its_time(run: Run) -> None:
    assert run("clock") == ""


def test_the_environment_is_not_moved_while_other_threads_may_read_it(run: Run) -> None:
    assert run("environment") == ""
