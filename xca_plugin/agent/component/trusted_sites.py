# SPDX-License-Identifier: Apache-2.0
"""Which web sites may use the card."""

import logging

from xca_plugin import errors
from xca_plugin.agent.component.allowances import Allowances
from xca_plugin.agent.component.origin_file import OriginFile
from xca_plugin.agent.process.settings import Settings

_log = logging.getLogger(__name__)


class TrustedSites:
    """The sites that the person or the administrator trusts.

    The person's file has one origin a line. It is read for every question, so that a line taken out by hand
    counts at once.

    Attributes:
        allowances: which of them need not ask for a while.
    """

    def __init__(self, settings: Settings) -> None:
        self._file = OriginFile(settings.trusted_sites)
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
        self._file.add(origin)

    def remove(self, origin: str) -> None:
        """Stop trusting a site: take it out of the person's file. The next trusts() ends its allowances.

        Raises:
            BadAgentConfiguration: the file cannot be read.
            FileProblem: the file cannot be written.
        """
        self._file.remove(origin)

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

    def _read_or_log(self) -> list[str]:
        try:
            return self._read()
        except errors.BadAgentConfiguration as error:
            if str(error) != self._logged:
                _log.warning("%s", error)
            self._logged = str(error)
            return []

    def _read(self) -> list[str]:
        return [site for site in self._file.read() if site not in self._own_origins]
