# SPDX-License-Identifier: Apache-2.0
"""Who may spend the last try: what this process tells the module about it (XCA_LAST_TRY).

The module looks at the tries left and spends one under one lock, so that no other program comes in between.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_VARIABLE: Final = "XCA_LAST_TRY"


def allow() -> None:
    """Let the module spend the last try, for as long as this process runs."""
    os.environ[_VARIABLE] = "allow"


@contextmanager
def allowed() -> Iterator[None]:
    """Let the module spend the last try in this block: the person agreed to it."""
    with _saying("allow"):
        yield


@contextmanager
def kept() -> Iterator[None]:
    """Have the module refuse the last try in this block (CKR_FUNCTION_REJECTED): nobody knows that it is."""
    with _saying("keep"):
        yield


@contextmanager
def _saying(word: str) -> Iterator[None]:
    # Empty and not taken away afterwards: another thread may be reading the environment.
    before = os.environ.get(_VARIABLE, "")
    os.environ[_VARIABLE] = word
    try:
        yield
    finally:
        os.environ[_VARIABLE] = before
