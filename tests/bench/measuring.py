# SPDX-License-Identifier: Apache-2.0
"""What both benchmarks need: a card, runs in rotating order, and paired comparisons."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import TypeVar

from support.module.cards import Card, issue_card

ROUNDS = 15
T = TypeVar("T")


@contextmanager
def closed_card() -> Iterator[Card]:
    """A card that is not activated, gone when the benchmark ends."""
    with TemporaryDirectory(prefix="xca-bench-") as folder:
        yield issue_card(Path(folder) / "card")


def rounds(columns: Mapping[str, Callable[[], T]], count: int = ROUNDS) -> dict[str, list[T]]:
    """Run every column once a round, each round starting with another column.

    What slows the machine down for a while then slows all columns down.
    """
    names = list(columns)
    results: dict[str, list[T]] = {name: [] for name in names}
    for turn in range(count + 1):
        for at in range(len(names)):
            name = names[(turn + at) % len(names)]
            result = columns[name]()
            if turn:  # the first round only warms up
                results[name].append(result)
        if sys.stderr.isatty():
            end = "\r" if turn < count else "\n"
            print(f"round {turn} of {count}", end=end, file=sys.stderr, flush=True)
    return results


def paired(values: Sequence[float], base: Sequence[float]) -> tuple[float, float, float]:
    """Return the median difference between two columns' runs of the same round, and its quartiles."""
    differences = [value - other for value, other in zip(values, base, strict=True)]
    low, _, high = quantiles(differences, n=4)
    return median(differences), low, high


def ratio(values: Sequence[float], base: Sequence[float]) -> float:
    """Return the median ratio of two columns' runs of the same round."""
    return median(value / other for value, other in zip(values, base, strict=True))
