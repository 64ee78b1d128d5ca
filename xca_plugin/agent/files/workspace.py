# SPDX-License-Identifier: Apache-2.0
"""What a person gave to one of the agent's pages for files, and what came of it.

It is in a scratch folder (xca_common.scratch) until the person deletes it, leaves it alone for a while, or
the agent ends. A folder that a killed agent left is removed by the next one.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Final

from xca_common.errors import FileProblem, os_reason
from xca_common.scratch import scratch_folder
from xca_plugin.agent.files.job import Job
from xca_plugin.agent.files.stored_file import Role, StoredFile, file_name
from xca_plugin.i18n import text

FILE_BYTES: Final = 2 << 30
"""Most bytes of one file."""
FILES: Final = 100
"""Most files that a person may give at once."""
IDLE_SECONDS: Final = 1800.0
"""Seconds after which a workspace that nobody asks for is deleted."""

_WORKSPACES: Final = 8
_FOLDER: Final = text("(temporary folder)")


class WorkspaceFullError(Exception):
    """There is no room for another file or workspace."""


class Workspace:
    """The files of one page, and the job that is done with them.

    Attributes:
        id: random; only the page knows it.
        purpose: the path of the page.
        job: the job that was started last; None: none yet.
    """

    def __init__(self, purpose: str) -> None:
        self.id = secrets.token_urlsafe(16)
        self.purpose = purpose
        self.job: Job | None = None
        self._scratch = ExitStack()
        try:
            self._folder = self._scratch.enter_context(scratch_folder())
        except OSError as error:
            raise FileProblem(path=_FOLDER, detail=os_reason(error)) from error
        self._files: dict[str, StoredFile] = {}

    @property
    def is_busy(self) -> bool:
        """Whether its job runs."""
        return self.job is not None and not self.job.is_finished

    def add(self, name: str, role: Role) -> StoredFile:
        """Return a file that is to be written.

        Raises:
            WorkspaceFullError: there are FILES already.
        """
        if (
            role is not Role.RESULT
            and sum(file.role is not Role.RESULT for file in self._files.values()) >= FILES
        ):
            raise WorkspaceFullError
        file_id = secrets.token_urlsafe(12)
        file = StoredFile(file_id, file_name(name), role, self._folder / file_id)
        self._files[file_id] = file
        return file

    def get(self, file_id: str | None) -> StoredFile | None:
        """Return the file with this id."""
        return self._files.get(file_id or "")

    def files(self, role: Role) -> list[StoredFile]:
        """Return the files of a role, in the order in which they came."""
        return [file for file in self._files.values() if file.role is role]

    def remove(self, file: StoredFile) -> None:
        """Delete a file."""
        self._files.pop(file.id, None)
        file.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Delete everything."""
        self._files.clear()
        self._scratch.close()


class Workspaces:
    """The workspaces of the agent's open pages. It is used in the event loop's thread only.

    Args:
        clock: returns seconds; it is monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._used: dict[str, float] = {}
        self._by_id: dict[str, Workspace] = {}
        self._timer: asyncio.TimerHandle | None = None

    def create(self, purpose: str) -> Workspace:
        """Return a new workspace. The one that was not used for the longest time makes room for it.

        Raises:
            WorkspaceFullError: jobs run in all of them.
            FileProblem: its folder cannot be made.
        """
        while len(self._by_id) >= _WORKSPACES:
            idle = next((one for one in self._oldest_first() if not one.is_busy), None)
            if idle is None:
                raise WorkspaceFullError
            self.drop(idle)
        workspace = Workspace(purpose)
        self._by_id[workspace.id] = workspace
        self._used[workspace.id] = self._clock()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._sweep)
        return workspace

    def get(self, workspace_id: str | None, purpose: str | None = None) -> Workspace | None:
        """Return the workspace with this id, if it is one of that page (None: of any)."""
        workspace = self._by_id.get(workspace_id or "")
        if workspace is None or purpose not in (None, workspace.purpose):
            return None
        self._used[workspace.id] = self._clock()
        return workspace

    def drop(self, workspace: Workspace) -> None:
        """Delete a workspace with all its files."""
        self._by_id.pop(workspace.id, None)
        self._used.pop(workspace.id, None)
        workspace.close()

    def close(self) -> None:
        """Delete all workspaces."""
        if self._timer is not None:
            self._timer.cancel()
        for workspace in list(self._by_id.values()):
            self.drop(workspace)

    def _oldest_first(self) -> Iterator[Workspace]:
        yield from (self._by_id[one] for one in sorted(self._used, key=self._used.__getitem__))

    def _sweep(self) -> None:
        """Delete workspaces that nobody has asked for in a while; look again while there are others."""
        last = self._clock() - IDLE_SECONDS
        for workspace in list(self._oldest_first()):
            if self._used[workspace.id] <= last and not workspace.is_busy:
                self.drop(workspace)
        self._timer = None
        if self._by_id:
            self._timer = asyncio.get_running_loop().call_later(IDLE_SECONDS / 10, self._sweep)
