# SPDX-License-Identifier: Apache-2.0
"""A job with files: how far it is, and what came of each file."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from xca_common.errors import XcaError
from xca_plugin.agent.files.stored_file import StoredFile
from xca_plugin.agent.process.change_topics import ChangeTopic


@dataclass(frozen=True)
class Told:
    """What another process says of a file, in one language.

    Attributes:
        outcome: good, bad or unclear.
        sentence: the result.
        notes: more sentences.
        sections: headings, each with names and values.
    """

    outcome: str
    sentence: str
    notes: Sequence[str] = ()
    sections: Sequence[tuple[str, Sequence[tuple[str, str]]]] = ()


@dataclass(frozen=True)
class FileResult:
    """What came of one file.

    Attributes:
        file: the file.
        output: the result; None: there is none.
        error: why there is none; None: the job was done.
        told: what another process says of the file, by language; None: nothing.
    """

    file: StoredFile
    output: StoredFile | None = None
    error: XcaError | None = None
    told: Mapping[str, Told] | None = None

    @property
    def is_failure(self) -> bool:
        """Whether the person has to look at it."""
        return self.error is not None or any(one.outcome != "good" for one in (self.told or {}).values())


class Job:
    """A job that runs, or has run.

    Attributes:
        total: number of files.
        results: of the files that are done, in their order.
        error: why the job could not begin, or not go on; None: it could.
        is_finished: whether it has ended.
        changes: what pages that show the job follow.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.results: list[FileResult] = []
        self.error: XcaError | None = None
        self.is_finished = False
        self.changes = ChangeTopic()
        self._loop = asyncio.get_running_loop()

    def add(self, result: FileResult) -> None:
        """Tell of a file that is done, from any thread."""
        with suppress(RuntimeError):  # the agent ends
            self._loop.call_soon_threadsafe(self._add, result)

    def finish(self, error: XcaError | None = None) -> None:
        """End the job, in the event loop's thread."""
        self.error = error
        self.is_finished = True
        self.changes.announce()

    def _add(self, result: FileResult) -> None:
        if result.error:  # its traceback refers to what was typed
            result.error.__traceback__ = result.error.__cause__ = result.error.__context__ = None
        self.results.append(result)
        self.changes.announce()
