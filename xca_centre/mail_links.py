# SPDX-License-Identifier: Apache-2.0
"""The links in mails: addresses of the centre's pages with a secret that is made while the mail is sent."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from xca_centre import user_codes
from xca_centre.mail import Mail, NewLink
from xca_centre.store.database import Change
from xca_centre.store.events import Facts

UNLOCK: Final = "/user-code/unlock"
"""The page that lifts the lock of a user code. The secret stands behind the #: it is sent to no server."""


def links(origin: str) -> Mapping[Mail, NewLink]:
    """Return what makes them.

    Args:
        origin: the centre's.
    """

    def unlock(change: Change, facts: Facts) -> str:
        return f"{origin}{UNLOCK}#{user_codes.new_link(change, UUID(str(facts['user_code'])))}"

    return {Mail.USER_CODE_LOCKED: unlock}
