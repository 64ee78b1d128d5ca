# SPDX-License-Identifier: Apache-2.0
"""Whether the module may spend a card's last try: the variable XCA_LAST_TRY of this process.

The module reads it under the lock under which it counts the tries and spends one.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_VARIABLE: Final = "XCA_LAST_TRY"


def allow() -> None:
    """Let the module spend the last try until this process ends."""
    os.environ[_VARIABLE] = "allow"


@contextmanager
def allowed() -> Iterator[None]:
    """Let the module spend the last try in this block. Use it after the person agreed."""
    with _saying("allow"):
        yield


@contextmanager
def kept() -> Iterator[None]:
    """Have the module refuse the last try in this block with CKR_FUNCTION_REJECTED.

    Use it where nobody was told that this may be the last one.
    """
    with _saying("keep"):
        yield


@contextmanager
def _saying(word: str) -> Iterator[None]:
    # Set to empty afterwards, not removed: another thread may be reading the environment.
    before = os.environ.get(_VARIABLE, "")
    os.environ[_VARIABLE] = word
    try:
        yield
    finally:
        os.environ[_VARIABLE] = before
