# SPDX-License-Identifier: Apache-2.0
"""For which sites and cards the person need not be asked for a while, and what was done meanwhile."""

import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Final

from xca_common.harmless_text import harmless
from xca_common.i18n import Text
from xca_plugin.model import Card

ALLOWANCE_SECONDS: Final = 600
"""Seconds for which a site need not ask after the person allowed it."""

_USES_KEPT: Final = 200
"""The largest number of uses that are kept for one site."""
_VALUE_MAX: Final = 200  # characters of a fact that are kept


@dataclass(frozen=True)
class Allowance:
    """A site may sign and decrypt with one card without asking.

    Attributes:
        site: the origin.
        card_number: the card.
        reader: the reader that the card is in.
        real: whether it is a card with a chip. One of the stand-in is in no reader that PC/SC knows.
        until: when it ends.
        deadline: the same as seconds of a clock that cannot be set.
    """

    site: str
    card_number: str
    reader: str
    real: bool
    until: datetime
    deadline: float


@dataclass(frozen=True)
class UnaskedUse:
    """Something that was done with a card without asking.

    Attributes:
        site: for which site.
        card_number: with which card.
        what: what was done.
        facts: what the window would have shown: labels, and the beginning of each value.
        at: when.
    """

    site: str
    card_number: str
    what: Text
    facts: Sequence[tuple[Text, str]]
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class _SiteUses:
    """What was done for one site without asking: the latest, and how many earlier ones are dropped."""

    latest: deque[UnaskedUse] = field(default_factory=lambda: deque(maxlen=_USES_KEPT))
    dropped: int = 0


class Allowances:
    """The allowances that the person gave. Any thread may use them.

    One lasts ALLOWANCE_SECONDS, and ends earlier when its card is pulled, with a wrong PIN, or when the site
    is no longer trusted. While nobody watches the cards there is none, because a pulled card would not be
    noticed.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_site_and_card: dict[tuple[str, str], Allowance] = {}
        self._uses_by_site: dict[str, _SiteUses] = {}
        self._is_watched = False

    def allow(self, site: str, card: Card) -> None:
        """Let a site sign and decrypt with a card without asking, from now on for ALLOWANCE_SECONDS."""
        allowance = Allowance(
            site=site,
            card_number=card.number,
            reader=card.reader,
            real=card.real,
            until=datetime.now(UTC) + timedelta(seconds=ALLOWANCE_SECONDS),
            deadline=_seconds() + ALLOWANCE_SECONDS,
        )
        with self._lock:
            self._by_site_and_card[site, card.number] = allowance

    def cover(self, site: str, card_number: str) -> bool:
        """Tell whether a site need not ask for a card now."""
        return any(each.card_number == card_number for each in self.of_site(site))

    def of_site(self, site: str) -> Sequence[Allowance]:
        """Return the allowances of a site."""
        now = _seconds()
        with self._lock:
            return [
                each
                for each in self._by_site_and_card.values()
                if each.site == site and now < each.deadline and self._is_watched
            ]

    def end(self, site: str, card_number: str | None = None) -> None:
        """End the allowance of a site for one card, or for all."""
        with self._lock:
            self._keep(lambda each: each.site != site or card_number not in (None, each.card_number))

    def record(self, use: UnaskedUse) -> None:
        """Keep what was done without asking, for the person to see. The oldest of its site is dropped."""
        facts = [(label, harmless(value, longest=_VALUE_MAX)) for label, value in use.facts]
        with self._lock:
            uses = self._uses_by_site.setdefault(use.site, _SiteUses())
            uses.dropped += len(uses.latest) == _USES_KEPT
            uses.latest.append(UnaskedUse(use.site, use.card_number, use.what, facts, use.at))

    def uses_of(self, site: str) -> Sequence[UnaskedUse]:
        """Return what was done for a site without asking since the agent was started, the latest first."""
        with self._lock:
            uses = self._uses_by_site.get(site)
            return list(reversed(uses.latest)) if uses else []

    def uses_dropped(self, site: str) -> int:
        """Return how many earlier ones uses_of() no longer has."""
        with self._lock:
            uses = self._uses_by_site.get(site)
            return uses.dropped if uses else 0

    # --- what the watch over cards and readers reports

    def cards_present(self, numbers: Collection[str]) -> None:
        """End the allowances for cards that are not there. From now on the cards are watched."""
        with self._lock:
            self._is_watched = True
            self._keep(lambda each: each.card_number in numbers)

    def reader_changed(self, name: str, readers: Collection[str]) -> None:
        """End the allowances for cards that may have been pulled out of a reader.

        Args:
            name: the reader in which something changed.
            readers: all readers. A card in a reader that has another name here is in doubt.
        """
        with self._lock:
            self._keep(lambda each: each.reader != name and (not each.real or each.reader in readers))

    def readers_unknown(self) -> None:
        """End the allowances for real cards: nobody would notice that one is pulled."""
        with self._lock:
            self._keep(lambda each: not each.real)

    def unwatched(self) -> None:
        """End all allowances: nobody watches the cards any more."""
        with self._lock:
            self._is_watched = False
            self._by_site_and_card.clear()

    def _keep(self, stays: Callable[[Allowance], bool]) -> None:
        kept = {key: each for key, each in self._by_site_and_card.items() if stays(each)}
        self._by_site_and_card = kept


def _seconds() -> float:
    """Return seconds of a clock that also counts while the computer sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
