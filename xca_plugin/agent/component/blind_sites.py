# SPDX-License-Identifier: Apache-2.0
"""Which web sites may make blind requests: signatures and decryptions whose content no window can show."""

import logging
from typing import Final

from xca_plugin import errors
from xca_plugin.agent.component.origin_file import OriginFile
from xca_plugin.agent.component.result_codes import Code, Refusal
from xca_plugin.agent.process.settings import Settings

BLIND_IS_ENFORCED: Final = "此網站要求簽章或解密，但元件無法顯示其內容，管理者未允許此網站提出這類要求"
"""What a site is told that cannot be switched on."""

_LOG: Final = logging.getLogger(__name__)


class BlindSites:
    """The sites for which the person or the administrator switched blind requests on.

    The person is asked each time all the same. The person's file has one origin a line, and is read for every
    request. A site also has to be trusted. If the administrator enforces the list, the person's file
    does not count.

    Attributes:
        is_enforced: whether only the administrator switches blind requests on.
    """

    def __init__(self, settings: Settings) -> None:
        self._file = OriginFile(settings.blind_sites)
        self._allowed = settings.blind
        self.is_enforced = settings.is_blind_enforced

    def allows(self, origin: str) -> bool:
        """Tell whether a site may make blind requests. A file that cannot be read allows none."""
        if self.allowed_by_administrator(origin) or self.is_enforced:
            return self.allowed_by_administrator(origin)
        try:
            return origin in self._file.read()
        except errors.BadAgentConfiguration as error:
            _LOG.warning("%s", error)
            return False

    def allowed_by_administrator(self, origin: str) -> bool:
        """Tell whether a site is on the administrator's list, which the person cannot change."""
        return origin in self._allowed

    def switch_on(self, origin: str) -> None:
        """Let a site make blind requests from now on.

        Raises:
            Refusal: the administrator enforces the list.
            BadAgentConfiguration: the file cannot be read.
            FileProblem: the file cannot be written.
        """
        if self.is_enforced:
            raise Refusal(Code.CANCELLED, BLIND_IS_ENFORCED)
        self._file.add(origin)

    def switch_off(self, origin: str) -> None:
        """Take back what switch_on() did.

        Raises:
            BadAgentConfiguration: the file cannot be read.
            FileProblem: the file cannot be written.
        """
        self._file.remove(origin)
