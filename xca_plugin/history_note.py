# SPDX-License-Identifier: Apache-2.0
"""What a card's history tells of an operation: who asked, and what for.

The module reads the variables XCA_PROGRAM and XCA_PURPOSE of this process when it records an event.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Final

_LONGEST: Final = 79  # of struct record_event, program

_asked_by: Final = ContextVar[str]("asked_by", default="")
_purpose: Final = ContextVar[str]("purpose", default="")


class Purpose(StrEnum):
    """What a login with the PIN is for."""

    SIGN = "sign"
    DECRYPT = "decrypt"


@contextmanager
def asked_by(name: str) -> Iterator[None]:
    """Have the history name this instead of the process, for what this thread or task does in the block.

    Args:
        name: such as "agent www.example.gov.tw"; a long one loses its middle.
    """
    if len(name) > _LONGEST:
        half = (_LONGEST - 3) // 2
        name = f"{name[:half]}...{name[-half:]}"
    token = _asked_by.set(name)
    try:
        yield
    finally:
        _asked_by.reset(token)


@contextmanager
def done_to(purpose: Purpose) -> Iterator[None]:
    """Have the history tell the purpose of the logins that this thread or task makes in the block."""
    token = _purpose.set(purpose)
    try:
        yield
    finally:
        _purpose.reset(token)


@contextmanager
def noted() -> Iterator[None]:
    """Tell the module what was said, in the block. One thread at a time may be in it."""
    before = {name: os.environ.get(name, "") for name in ("XCA_PROGRAM", "XCA_PURPOSE")}
    if said := _asked_by.get():
        os.environ["XCA_PROGRAM"] = said.replace("\0", "?")
    os.environ["XCA_PURPOSE"] = _purpose.get()
    try:
        yield
    finally:
        # Set to empty, not removed: another thread may be reading the environment.
        os.environ.update(before)
