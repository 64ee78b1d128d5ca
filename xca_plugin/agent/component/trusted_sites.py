# SPDX-License-Identifier: Apache-2.0
"""Which web sites may use the card, and which may do so without asking each time."""

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
from xca_plugin.agent.process.origin import is_origin
from xca_plugin.agent.process.settings import Settings

ALLOWANCE_SECONDS: Final = 600
"""Seconds for which a site need not ask after the person allowed it."""

_LOCK_SECONDS: Final = 3.0

_log = logging.getLogger(__name__)


class TrustedSites:
    """The sites that the person or the administrator trusts, and their allowances.

    The person's file has one origin a line. It is read for every question, so that a line taken out by hand
    counts at once. An allowance lets a site sign and decrypt with one card without asking; it ends after
    ALLOWANCE_SECONDS or with a wrong PIN.
    """

    def __init__(self, settings: Settings) -> None:
        self._file = settings.trusted_sites
        self._allowed = settings.allowed
        self._own_origins = settings.origins()
        self._logged = ""
        self._allowances: dict[tuple[str, str], float] = {}
        self._remembered_cards: dict[str, str] = {}

    def trusts(self, origin: str) -> bool:
        """Tell whether a site may ask at all. Forget the allowances and the card of one that may not.

        A file that cannot be read trusts nobody.
        """
        trusted = origin in self._allowed or origin in self._read_or_log()
        if not trusted:
            for site, card_number in list(self._allowances):
                if site == origin:
                    self.end_allowance(site, card_number)
            self._remembered_cards.pop(origin, None)
        return trusted

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

    def allow(self, origin: str, card_number: str) -> None:
        """Let a site sign and decrypt with a card without asking, for ALLOWANCE_SECONDS."""
        self._allowances[origin, card_number] = _seconds() + ALLOWANCE_SECONDS

    def end_allowance(self, origin: str, card_number: str) -> None:
        """End an allowance: after a wrong PIN, a site must not go on trying unasked."""
        self._allowances.pop((origin, card_number), None)

    def remember_card(self, origin: str, card_number: str) -> None:
        """Use a card for a site whose requests name none, if there are several."""
        self._remembered_cards[origin] = card_number

    def remembered_card(self, origin: str) -> str | None:
        """Return the card that the person chose for a site, None if there is none."""
        return self._remembered_cards.get(origin)

    def may_skip_consent(self, origin: str, card_number: str) -> bool:
        """Tell whether a site may sign and decrypt with a card without asking."""
        return origin in self._allowed or _seconds() < self._allowances.get((origin, card_number), 0.0)

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
    end = _seconds() + _LOCK_SECONDS
    while _seconds() < end:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.01)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _seconds() -> float:
    """Return seconds of a clock that also counts while the computer sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
