# SPDX-License-Identifier: Apache-2.0
"""What the worst input costs a site, beside a right login: python tests/bench/bad_input.py

Each input is a post of a browser, or the token in it (support/worst_inputs.py). Times are of the processor,
the median of several rounds with the login among them; memory is the most that Python's objects took.
"""

import time
import tracemalloc
from statistics import median
from typing import Final

from bench.measuring import ratio, rounds
from support.login_site import Desk
from support.worst_inputs import Input, good_login, worst_inputs

_ROUNDS: Final = 7
_CALLS: Final = 10
"""Calls of an input in one round."""
_LOGIN: Final = "a right login"


def seconds(call: Input) -> float:
    """Return the processor time of one call."""
    start = time.process_time()
    for _ in range(_CALLS):
        call()
    return (time.process_time() - start) / _CALLS


def memory(call: Input) -> int:
    """Return how many bytes a call takes at most, beside what was there."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    call()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most - before


def main() -> None:
    """Measure and print: the slowest first."""
    desk = Desk()
    inputs = {_LOGIN: good_login(desk), **worst_inputs(desk)}
    found = rounds({name: lambda call=call: seconds(call) for name, call in inputs.items()}, _ROUNDS)  # type: ignore[misc]  # each its own
    ratios = {name: ratio(times, found[_LOGIN]) for name, times in found.items()}
    for name in sorted(inputs, key=lambda one: -ratios[one]):
        took, taken = median(found[name]) * 1000, memory(inputs[name]) / 1024
        print(f"{took:8.2f} ms {ratios[name]:6.2f} × a login {taken:6.0f} KiB  {inputs[name]():20} {name}")


if __name__ == "__main__":
    main()
