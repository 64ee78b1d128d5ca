# SPDX-License-Identifier: Apache-2.0
"""Asks a process of its own about a file that may be hostile.

That process has limits on memory and time (parser_process). What it answers is data, never code.
"""

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from xca_plugin import errors
from xca_plugin.agent.files.job import Told
from xca_plugin.i18n import text

SECONDS: Final = 60.0
"""Seconds that a question about a small file may take."""

_BYTES_A_SECOND: Final = 20 << 20  # of bigger files, on a slow disk
_ANSWER_BYTES: Final = 16 << 20
_AT_ONCE: Final = 2

_running: Final[dict[asyncio.AbstractEventLoop, asyncio.Semaphore]] = {}


class Failed(Exception):
    """The process answered with an error.

    Attributes:
        told: message and next step, by language.
    """

    def __init__(self, told: dict[str, tuple[str, str]]) -> None:
        super().__init__("a file could not be read")
        self.told = told

    def as_told(self) -> dict[str, Told]:
        """Return the error as what the process says of a file."""
        return {each: Told("bad", said, [step]) for each, (said, step) in self.told.items()}


async def ask(task: str, name: str, size: int = 0, **arguments: Any) -> Any:
    """Return what the process answers.

    Args:
        task: a name of parser_process.TASKS.
        name: the file that it is about, for messages.
        size: its bytes.
        arguments: what the task takes; they can be JSON.

    Raises:
        Failed: the task raised an error.
        TooMuch: it took too long, needed too much memory, or broke the program that read it.
    """
    seconds = SECONDS + size / _BYTES_A_SECOND
    question = json.dumps({"task": task, "seconds": seconds, "arguments": arguments})
    gate = _running.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE))
    async with gate:
        try:
            async with asyncio.timeout(seconds):
                answer = await _answer(question.encode())
        except TimeoutError:
            raise errors.TooMuch(
                path=Path(name),
                detail=text("reading it takes more than {seconds} s").format(seconds=int(seconds)),
            ) from None
    try:
        said = json.loads(answer)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        detail = text("it needs too much memory, or breaks the program that reads it")
        raise errors.TooMuch(path=Path(name), detail=detail)
    if "failed" in said:
        raise Failed({language: (one[0], one[1]) for language, one in said["failed"].items()})
    return said["answer"]


async def _answer(question: bytes) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "xca_plugin.agent.files.parser_process"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # what libraries say there may name or quote the file
        limit=_ANSWER_BYTES,
    )
    assert process.stdin is not None  # noqa: S101
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(question)
        process.stdin.close()
        parts, size = [], 0
        while size <= _ANSWER_BYTES and (part := await process.stdout.read(1 << 16)):
            parts.append(part)
            size += len(part)
        return b"".join(parts)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
