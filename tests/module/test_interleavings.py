# SPDX-License-Identifier: Apache-2.0
"""Threads that are stopped in a call while other threads make calls (native/interleavings.c)."""

from collections.abc import Iterator

import pytest

from support.module.native_host import Run, minimal_host


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with minimal_host(tmp_path_factory.mktemp("interleavings")) as run:
        yield run


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with minimal_host(tmp_path_factory.mktemp("guarded"), "[guard]", "keep_last_try = yes") as run:
        yield run


@pytest.fixture(scope="module")
def hashing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with minimal_host(tmp_path_factory.mktemp("hashing"), "[quirks]", "hash = module") as run:
        yield run


EVERY_START = pytest.mark.parametrize("logged_in", ["public", "user", "so"])


@pytest.mark.slow
@EVERY_START
def test_two_guarded_calls_stopped_anywhere_act_as_one_after_the_other(run: Run, logged_in: str) -> None:
    assert run("interleavings", "pairs", logged_in) == ""


@pytest.mark.slow
@EVERY_START
def test_closers_beside_a_stopped_call_act_as_one_after_the_other(run: Run, logged_in: str) -> None:
    assert run("interleavings", "closers", logged_in) == ""


def test_handle_that_is_used_again_takes_no_value_to_another_token(run: Run) -> None:
    assert run("interleavings", "handles") == ""


def test_two_threads_at_a_tokens_last_tries_leave_one(guarded: Run) -> None:
    assert guarded("interleavings", "last-try") == ""


def test_thread_cancelled_in_a_call_leaves_nothing_locked(hashing: Run) -> None:
    assert hashing("interleavings", "cancel") == ""


@pytest.mark.integration  # waits for a time limit
def test_fork_during_a_login_that_hangs_ends_and_its_child_trusts_nothing(run: Run) -> None:
    assert run("interleavings", "fork") == ""


def test_child_keeps_no_lock_of_its_parents_threads(run: Run) -> None:
    assert run("interleavings", "orphan") == ""


def test_call_that_waits_for_the_store_hinders_no_closer_and_no_fork(run: Run) -> None:
    assert run("interleavings", "unhindered") == ""


def test_readers_wait_for_a_login_that_waits(run: Run) -> None:
    assert run("interleavings", "readers") == ""


def test_lock_file_replaced_before_it_is_locked_is_locked_where_it_is_now(run: Run) -> None:
    assert run("interleavings", "replaced") == ""


def test_signatures_in_several_sessions_do_not_wait_for_each_other(hashing: Run) -> None:
    assert hashing("interleavings", "signing") == ""


def test_fork_while_another_thread_signs_leaves_a_child_that_signs(hashing: Run) -> None:
    assert hashing("interleavings", "fork-signing") == ""


@pytest.mark.integration  # waits for a time limit
@pytest.mark.parametrize("check", ["loading", "loading-in-time"])
def test_fork_while_another_thread_loads_the_inner_module_leaves_a_child_that_loads_it(
    run: Run, check: str
) -> None:
    assert run("interleavings", check) == ""
