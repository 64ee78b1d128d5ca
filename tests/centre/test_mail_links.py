# SPDX-License-Identifier: Apache-2.0
"""The links of mails: each mail with one has one, and its secret is sent to no server."""

from uuid import UUID

from sqlalchemy import select

from support.centre.cases import NEW_CODE
from xca_centre import user_codes
from xca_centre.life.transitions import Actor, Role
from xca_centre.mail import WITH_LINK, Mail
from xca_centre.mail_links import links
from xca_centre.store.database import Database
from xca_centre.store.tables import USER_CODES

ORIGIN = "https://xca.example"


def test_every_mail_with_a_link_has_one() -> None:
    assert links(ORIGIN).keys() == WITH_LINK


def test_link_about_a_locked_code_lifts_the_lock_of_that_code(database: Database) -> None:
    with database.change() as change:
        code: UUID = user_codes.add(change, NEW_CODE)
        link = links(ORIGIN)[Mail.USER_CODE_LOCKED](change, {"user_code": str(code)})
        address, _, secret = link.partition("#")
        assert address == f"{ORIGIN}/user-code/unlock"
        assert user_codes.lift_by_link(change, secret, Actor(Role.HOLDER, "link")) == code
        assert change.connection.execute(select(USER_CODES.c.spent)).scalar_one() == 0
