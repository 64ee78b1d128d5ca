# SPDX-License-Identifier: Apache-2.0
"""The agent's log: its place and its form. No line holds a secret, a card number or what is signed."""

import logging
import os
import stat
import sys
from datetime import datetime
from io import TextIOWrapper
from logging.handlers import SysLogHandler, WatchedFileHandler
from pathlib import Path
from typing import Final

from xca_common.errors import FileProblem, os_reason
from xca_common.folders import make_private
from xca_common.harmless_text import harmless
from xca_common.taipei import TAIPEI
from xca_plugin.agent.process.settings import LogLevel, LogPlace, Settings
from xca_plugin.i18n import text

_PACKAGE: Final = "xca_plugin"
_LEVELS: Final = {
    LogLevel.ERROR: logging.ERROR,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.INFO: logging.INFO,
}
_SYSTEM_LOG: Final = Path("/dev/log")
_LINE: Final = "%(levelname)s %(name)s: %(message)s"


def start(settings: Settings) -> None:
    """Begin the log of this process.

    Raises:
        FileProblem: the log cannot be written there.
    """
    place = settings.log
    path = _SYSTEM_LOG if place is LogPlace.SYSLOG else Path(place)
    try:
        handler, line = _handler(place)
    except OSError as error:
        raise FileProblem(path=path, detail=os_reason(error)) from error
    handler.setFormatter(_HarmlessFormatter(line))
    level = _LEVELS[settings.log_level]
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING))
    logging.getLogger(_PACKAGE).setLevel(level)


def _handler(place: LogPlace | Path) -> tuple[logging.Handler, str]:
    """Return the handler of a place, and the form of its lines; the journal and syslog add the time."""
    if place is LogPlace.STDERR:
        return logging.StreamHandler(sys.stderr), _LINE
    if place is LogPlace.SYSLOG:
        return SysLogHandler(str(_SYSTEM_LOG)), f"xca-agent[%(process)d]: {_LINE}"
    file = Path(place)
    make_private(file.parent)
    return _PrivateFileHandler(file), f"%(at)s {_LINE}"


class _PrivateFileHandler(WatchedFileHandler):
    """Appends to a file that only its owner reads; it is opened anew after another program moved it away."""

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self.baseFilename, flags, 0o600)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise FileProblem(path=self.baseFilename, detail=text("it is not a regular file"))
        return os.fdopen(descriptor, "a", encoding="utf-8")


class _HarmlessFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line of harmless text; its time is in Taipei, with the zone's offset."""
        record.at = datetime.fromtimestamp(record.created, TAIPEI).isoformat(" ", "seconds")
        return harmless(super().format(record))
