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


def test_memory_after_a_login_holds_the_secret_in_the_callers_buffer_only(run: Run) -> None:
    assert run("memory", "secrets") == ""


def test_memory_after_many_logins_has_not_grown(run: Run) -> None:
    _, heap, _, resident = run("memory", "growth", str(LOGINS)).split()
    assert int(heap) <= 0
    assert int(resident) < 256 * 1024  # of which the kernel gives a little now and then


def test_remembered_value_after_its_time_is_gone(run: Run) -> None:
    assert run("clock") == ""


def test_environment_is_not_moved_while_other_threads_may_read_it(run: Run) -> None:
    assert run("environment") == ""
