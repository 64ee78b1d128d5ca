# SPDX-License-Identifier: Apache-2.0
"""The worst input costs a bounded number of steps and bytes, whatever machine counts them.

tests/bench/bad_input.py measures the same inputs in seconds.
"""

import sys
import tracemalloc
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Final

import pytest

from support.login_site import Desk
from support.worst_inputs import Input, good_login, worst_inputs
from xca_common.pki.certificate import Certificate
from xca_login import errors
from xca_login.http import MOST_BODY_BYTES
from xca_login.testing.parties import authority_key, party
from xca_login.testing.tokens import sign
from xca_login.token import MOST_BYTES

MOST_LINES: Final = 3 * MOST_BYTES
"""Lines of Python that are executed for an input; for the longest one a few for each of its bytes."""
MOST_MEMORY: Final = 64 * MOST_BODY_BYTES
"""Bytes that Python's objects take meanwhile."""


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


@pytest.fixture(scope="module")
def inputs(desk: Desk) -> Mapping[str, Input]:
    return worst_inputs(desk)


def lines_of(call: Callable[[], object]) -> int:
    """Return how many lines of Python a call executes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def memory_of(call: Callable[[], object]) -> int:
    """Return how many bytes a call takes at most, beside what was there."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        call()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return most - before


def test_steps_for_the_worst_input_are_bounded(inputs: Mapping[str, Input]) -> None:
    counted = {name: lines_of(one) for name, one in inputs.items()}
    assert {name: lines for name, lines in counted.items() if lines > MOST_LINES} == {}


def test_memory_for_the_worst_input_is_bounded(inputs: Mapping[str, Input]) -> None:
    taken = {name: memory_of(one) for name, one in inputs.items()}
    assert {name: size for name, size in taken.items() if size > MOST_MEMORY} == {}


def test_input_that_is_no_token_costs_less_than_a_login(desk: Desk, inputs: Mapping[str, Input]) -> None:
    answers = {name: one() for name, one in inputs.items()}
    refused_at_once = ("token_malformed", "token_too_long", "request_too_long", "key")
    early = [one for name, one in inputs.items() if answers[name] in refused_at_once]
    good = good_login(desk)
    first_login_of_a_card = lines_of(good)
    assert good() == "ok"
    assert len(early) > 10
    assert max(lines_of(one) for one in early) < first_login_of_a_card


def test_certificate_of_a_stranger_is_not_read_to_its_end(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To read all of it takes the square of the length of some parts: a second for one post."""
    stranger = party("a stranger", party("another ca", ca=True), extensions=[authority_key(desk.ca)])
    challenge = desk.challenge()
    token = sign(stranger, challenge.text)
    verifier = desk.verifier()
    monkeypatch.delattr(Certificate, "parse")
    with pytest.raises(errors.IssuerUnknown):
        verifier.verify(token, challenge)
    with pytest.raises(errors.IssuerUnknown):
        verifier.check(stranger.der)
