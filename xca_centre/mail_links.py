# SPDX-License-Identifier: Apache-2.0
"""The links in mails: addresses of the centre's pages with a secret that is made while the mail is sent.

The secret stands behind the #: a browser sends it to no server, and none writes it into a log.
"""

from collections.abc import Mapping
from uuid import UUID

from xca_centre import tickets, user_codes
from xca_centre.mail import Mail, NewLink
from xca_centre.store.database import Change
from xca_centre.store.events import Facts
from xca_centre.web.user_code_pages import TICKET, UNLOCK


def links(origin: str) -> Mapping[Mail, NewLink]:
    """Return what makes them.

    Args:
        origin: the centre's.
    """

    def unlock(change: Change, facts: Facts) -> str:
        return f"{origin}{UNLOCK}#{user_codes.new_link(change, UUID(str(facts['user_code'])))}"

    def ticket(change: Change, facts: Facts) -> str:
        return f"{origin}{TICKET}#{tickets.new_link(change, str(facts['reset']))}"

    return {Mail.USER_CODE_LOCKED: unlock, Mail.USER_CODE_RESET: ticket}
