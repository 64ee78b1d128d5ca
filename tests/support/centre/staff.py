# SPDX-License-Identifier: Apache-2.0
"""Officers with cards, and browsers that they are logged in with."""

from starlette.testclient import TestClient

from support.centre.cases import OPERATOR, SCHOOL
from support.centre.web import Card, browser
from xca_centre import officers
from xca_centre.life.certificate import CertificateEvent
from xca_centre.life.transitions import Role
from xca_centre.web.frame import Frame

STAFF = {
    "lin": ("林審驗", [Role.FIRST_REVIEWER], SCHOOL.counter),
    "wu": ("吳審驗", [Role.FIRST_REVIEWER], SCHOOL.counter),
    "ho": ("何審驗", [Role.FIRST_REVIEWER], "文化部"),
    "chen": ("陳複審", [Role.SECOND_REVIEWER], None),
    "both": ("雙審驗", [Role.FIRST_REVIEWER, Role.SECOND_REVIEWER], SCHOOL.counter),
    "op": ("管理員", [Role.OPERATOR], None),
}
"""By id: name, roles and counter."""


def card_number(officer: str) -> str:
    """Return the number of an officer's card."""
    return f"XC{90000000000000 + list(STAFF).index(officer)}"


def officer_in(frame: Frame, officer: str) -> TestClient:
    """Return a browser in which one of STAFF is logged in; he is recorded, with a card of his own."""
    name, roles, counter = STAFF[officer]
    card = Card(frame, card_number(officer), SCHOOL.oid, SCHOOL.name)
    card.happen(CertificateEvent.ACCEPT)
    with frame.database.change() as change:
        officers.record(change, officer, name, roles, counter, OPERATOR)
        key = officers.key_digest(card.signing.certificate)
        officers.give_card(change, officer, card.number, key, OPERATOR)
    client = browser(frame)
    assert card.log_in(client) == 200
    return client
