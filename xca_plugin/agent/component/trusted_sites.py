# SPDX-License-Identifier: Apache-2.0
"""Which web sites may use the card, and which of them need not ask each time."""

import logging
import time
from typing import Final

from xca_common.atomic_file import whole_file
from xca_common.errors import FileProblem, os_reason
from xca_common.folders import make_private
from xca_plugin import errors
from xca_plugin.agent.process.settings import Settings, is_origin

ALLOWANCE_SECONDS: Final = 600
"""How long a site may go on without asking once the person allowed it."""

_log = logging.getLogger(__name__)


class Trust:
    """The sites that the person added, those of the administrator's allow-list, and allowances for a while.

    The file of trusted sites has one origin a line and is read at every question: what is taken out of it by
    hand counts at once.
    """

    def __init__(self, settings: Settings) -> None:
        self._file = settings.trusted_sites
        self._allowed = settings.allowed
        self._own = settings.origins()
        self._told = ""
        self._until: dict[tuple[str, str], float] = {}

    def trusts(self, origin: str) -> bool:
        """Tell whether a site may ask for the card at all; none was added if the file cannot be read."""
        try:
            return origin in self._allowed or origin in self._added()
        except errors.BadAgentConfiguration as error:
            if str(error) != self._told:
                _log.warning("%s", error)
            self._told = str(error)
            return False

    def add(self, origin: str) -> None:
        """Trust a site from now on.

        Raises:
            BadAgentConfiguration: the file cannot be read.
            FileProblem: it cannot be written.
        """
        if origin in self._added():
            return
        try:
            make_private(self._file.parent)
        except OSError as error:
            raise FileProblem(path=self._file.parent, detail=os_reason(error)) from error
        file = self._file.resolve()  # whoever links it somewhere means that one
        said = file.read_bytes() if file.exists() else b""
        with whole_file(file, 0o600) as target:
            target.write(said + (b"" if said.endswith(b"\n") or not said else b"\n") + f"{origin}\n".encode())

    def allow(self, origin: str, number: str) -> None:
        """Let a site go on with a card without asking, for a while."""
        self._until[origin, number] = _now() + ALLOWANCE_SECONDS

    def ask_again(self, origin: str, number: str) -> None:
        """Take the allowance back: a site that does not know the PIN does not go on trying."""
        self._until.pop((origin, number), None)

    def needs_no_consent(self, origin: str, number: str) -> bool:
        """Tell whether a site may sign and decrypt with a card without asking."""
        return origin in self._allowed or _now() < self._until.get((origin, number), 0.0)

    def _added(self) -> list[str]:
        try:
            lines = self._file.read_text(encoding="utf-8").split()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise errors.BadAgentConfiguration(path=self._file, detail=str(error)) from error
        return [line for line in lines if is_origin(line) and line not in self._own]


def _now() -> float:
    """Return seconds that go on while the computer sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
