# SPDX-License-Identifier: Apache-2.0
"""A process that is killed at a step that a test chooses."""

import os
import signal
from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import Engine, event

STATEMENTS: Final = ("before_cursor_execute", "after_cursor_execute", "commit")
"""Steps: what engines execute."""
TRANSACTIONS: Final = ("begin", "commit")
"""Steps: where the transactions of engines begin and end."""
_FILES: Final = ("write", "fsync", "mkdir", "rename", "replace", "link", "unlink")
"""Steps: before and after what a program does to files."""


def killed(nth: int, run: Callable[[], object], steps_at: Sequence[str]) -> bool:
    """Run something in a process that is killed at the nth step; returns whether it came that far.

    Args:
        nth: from 1.
        run: what the process does. It opens its connections itself.
        steps_at: the events of SQLAlchemy's engines that are steps. What is done to files is, too.
    """
    child = os.fork()
    if not child:
        steps = 0

        def step(*_: Any, **__: Any) -> None:
            nonlocal steps
            steps += 1
            if steps == nth:
                os.kill(os.getpid(), signal.SIGKILL)

        for name in steps_at:
            event.listen(Engine, name, step)

        def stepped(call: Callable[..., Any]) -> Callable[..., Any]:
            def called(*values: Any, **named: Any) -> Any:
                step()
                answer = call(*values, **named)
                step()
                return answer

            return called

        for name in _FILES:
            setattr(os, name, stepped(getattr(os, name)))
        run()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])
