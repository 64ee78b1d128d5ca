# SPDX-License-Identifier: Apache-2.0
"""When trusted web sites last asked, also before the agent was started."""

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from xca_common import atomic_file
from xca_common.folders import make_private

_BETWEEN_WRITES: Final = timedelta(minutes=1)
_FILE_MAX: Final = 1 << 20  # bytes

_log = logging.getLogger(__name__)


class LastAsked:
    """Remembers when each site last asked. It is used in the event loop's thread.

    The file is written at most once a minute, so that a page which asks all the time costs no disk. Several
    agents may write it; then a time may be lost, and the file is whole all the same.

    Args:
        file: JSON, from the origin to the time (ISO 8601); mode 0600.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._times = self._read()
        self._written = datetime.min.replace(tzinfo=UTC)
        self._writing: asyncio.Task[None] | None = None

    def of(self, site: str) -> datetime | None:
        """Return when a site last asked, None if it never did."""
        return self._times.get(site)

    def note(self, site: str) -> None:
        """Note that a trusted site asks now."""
        now = datetime.now(UTC)
        self._times[site] = now
        if now - self._written > _BETWEEN_WRITES:
            self._written = now
            self._writing = asyncio.create_task(asyncio.to_thread(self._write, dict(self._times)))

    def _read(self) -> dict[str, datetime]:
        """Return the times in the file. Times that it lacks are unknown."""
        try:
            with self._file.open("rb") as file:
                said = json.loads(file.read(_FILE_MAX))
            times = {str(site): datetime.fromisoformat(at) for site, at in said.items()}
            return {site: at for site, at in times.items() if at.tzinfo is not None}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return {}

    def _write(self, times: dict[str, datetime]) -> None:
        latest = self._read()
        for site, at in times.items():
            latest[site] = max(at, latest.get(site, at))
        content = json.dumps({site: at.isoformat() for site, at in latest.items()}, indent=1)
        try:
            make_private(self._file.parent)
            atomic_file.write(self._file, content.encode())
        except OSError as error:
            _log.warning("%s cannot be written: %s", self._file, error.strerror)
