# SPDX-License-Identifier: Apache-2.0
"""Which web sites may use the card."""

import fcntl
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from xca_common.atomic_file import whole_file
from xca_common.errors import FileProblem, os_reason
from xca_common.folders import make_private
from xca_plugin import errors
from xca_plugin.agent.component.allowances import Allowances
from xca_plugin.agent.process.origin import is_origin
from xca_plugin.agent.process.settings import Settings

_LOCK_SECONDS: Final = 3.0

_log = logging.getLogger(__name__)


class TrustedSites:
    """The sites that the person or the administrator trusts.

    The person's file has one origin a line. It is read for every question, so that a line taken out by hand
    counts at once.

    Attributes:
        allowances: which of them need not ask for a while.
    """

    def __init__(self, settings: Settings) -> None:
        self._file = settings.trusted_sites
        self._allowed = settings.allowed
        self._own_origins = settings.origins()
        self._logged = ""
        self.allowances = Allowances()
        self._remembered_cards: dict[str, str] = {}

    def trusts(self, origin: str) -> bool:
        """Tell whether a site may ask at all. Forget the allowances and the card of one that may not.

        A file that cannot be read trusts nobody.
        """
        trusted = origin in self._allowed or origin in self._read_or_log()
        if not trusted:
            self.allowances.end(origin)
            self._remembered_cards.pop(origin, None)
        return trusted

    def own(self) -> list[str]:
        """Return the sites that the person trusts.

        Raises:
            BadAgentConfiguration: the file cannot be read.
        """
        return list(dict.fromkeys(self._read()))

    def of_administrator(self) -> list[str]:
        """Return the sites on the list of those that need not ask, sorted."""
        return sorted(self._allowed)

    def add(self, origin: str) -> None:
        """Trust a site from now on.

        Raises:
            BadAgentConfiguration: the file cannot be read.
            FileProblem: the file cannot be written.
        """
        with self._changing() as file:
            if origin in self._read():
                return
            content = file.read_bytes() if file.exists() else b""
            separator = b"" if content.endswith(b"\n") or not content else b"\n"
            with whole_file(file, 0o600) as target:
                target.write(content + separator + f"{origin}\n".encode())

    def remove(self, origin: str) -> None:
        """Stop trusting a site: take it out of the person's file. The next trusts() ends its allowances.

        Raises:
            BadAgentConfiguration: the file cannot be read.
            FileProblem: the file cannot be written.
        """
        with self._changing() as file:
            if origin not in self._read():
                return
            name = re.compile(rf"(?<!\S){re.escape(origin)}(?!\S)")
            before = file.read_text(encoding="utf-8").split("\n")
            after = [name.sub("", line) for line in before]
            kept = [new for old, new in zip(before, after, strict=True) if new == old or new.strip()]
            with whole_file(file, 0o600) as target:
                target.write("\n".join(kept).encode())

    def remember_card(self, origin: str, card_number: str) -> None:
        """Use a card for a site whose requests name none, if there are several."""
        self._remembered_cards[origin] = card_number

    def remembered_card(self, origin: str) -> str | None:
        """Return the card that the person chose for a site, None if there is none."""
        return self._remembered_cards.get(origin)

    def forget_card(self, origin: str) -> None:
        """Use no card for a site unless its request names one."""
        self._remembered_cards.pop(origin, None)

    def allowed_by_administrator(self, origin: str) -> bool:
        """Tell whether a site is on the administrator's list of those that need not ask."""
        return origin in self._allowed

    @contextmanager
    def _changing(self) -> Iterator[Path]:
        """Yield the file while no other agent changes it: each reads it anew under the same lock.

        Raises:
            FileProblem: its folder or its lock cannot be made, or another program keeps the lock.
        """
        lock = self._file.with_name(f"{self._file.name}.lock")
        try:
            make_private(self._file.parent)
            file = self._file.resolve()  # the file may be a symbolic link that the person made
            with open(lock, "ab", opener=_private) as held:
                _wait_for(held.fileno())
                yield file
        except OSError as error:
            raise FileProblem(path=self._file, detail=os_reason(error)) from error

    def _read_or_log(self) -> list[str]:
        try:
            return self._read()
        except errors.BadAgentConfiguration as error:
            if str(error) != self._logged:
                _log.warning("%s", error)
            self._logged = str(error)
            return []

    def _read(self) -> list[str]:
        try:
            lines = self._file.read_text(encoding="utf-8").split()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise errors.BadAgentConfiguration(path=self._file, detail=str(error)) from error
        return [line for line in lines if is_origin(line) and line not in self._own_origins]


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _wait_for(descriptor: int) -> None:
    """Lock an open file (flock(2)); a writer holds the lock for some milliseconds.

    Raises:
        BlockingIOError: somebody holds it for _LOCK_SECONDS.
    """
    end = time.monotonic() + _LOCK_SECONDS
    while time.monotonic() < end:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.01)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
