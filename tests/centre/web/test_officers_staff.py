# SPDX-License-Identifier: Apache-2.0
"""The officers' pages for officers: who is appointed, dismissed and given a card, by whom."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from support.centre.cases import FOUNDATION, SCHOOL
from support.centre.staff import STAFF, card_number, officer_in
from support.centre.web import ENGLISH, Card
from support.moved_clock import MovedClock
from xca_centre import officers, staff_changes
from xca_centre.life.certificate import CertificateEvent
from xca_centre.life.transitions import Role
from xca_centre.officers import RegisteredOfficer
from xca_centre.web.frame import Frame
from xca_centre.web.once import new_token

pytestmark = pytest.mark.integration

LIST = "/officers/staff"
Browsers = Callable[[str], TestClient]


@pytest.fixture
def spare(frame: Frame) -> Card:
    """A card that is no officer's."""
    card = Card(frame, "XC00000000000050", SCHOOL.oid, SCHOOL.name)
    card.happen(CertificateEvent.ACCEPT)
    return card


@pytest.fixture
def log_in(frame: Frame) -> Browsers:
    """Returns the browser of an officer; all of STAFF are recorded."""
    browsers = {officer: officer_in(frame, officer) for officer in STAFF}
    return browsers.__getitem__


@pytest.fixture
def appointed(spare: Card) -> dict[str, str]:
    """The form for a new officer of the school's counter."""
    return {
        "officer": "new",
        "name": "新審驗",
        "role.first_reviewer": "on",
        "counter": SCHOOL.counter,
        "card": spare.number.lower(),
    }


def post(frame: Frame, client: TestClient, path: str, fields: dict[str, str] | None = None) -> Response:
    return client.post(path, data={"token": new_token(frame.clock()), **(fields or {})})


def of(frame: Frame, officer: str) -> RegisteredOfficer | None:
    with frame.database.read() as connection:
        return next((each for each in officers.everybody(connection) if each.id == officer), None)


def offered(client: TestClient, path: str = LIST) -> list[str]:
    """The addresses of the forms about proposals."""
    return re.findall(rf'action="({LIST}/proposals/[^"]+)"', client.get(path).text)


def proposal_of(client: TestClient) -> str:
    (found,) = {each.rpartition("/")[0] for each in offered(client)}
    return found


def test_operator_appoints_an_officer_who_logs_in(
    frame: Frame, log_in: Browsers, spare: Card, client: TestClient, appointed: dict[str, str]
) -> None:
    assert post(frame, log_in("op"), LIST, appointed).status_code == 303
    made = of(frame, "new")
    assert made is not None
    assert (made.name, made.roles, made.counter) == (
        "新審驗",
        frozenset({Role.FIRST_REVIEWER}),
        SCHOOL.counter,
    )
    assert made.card == spare.number
    assert spare.log_in(client) == 200
    assert client.get("/officers").status_code == 200
    assert "新審驗" in log_in("op").get(LIST).text


def test_appointment_by_reviewers_takes_two_with_two_cards(
    frame: Frame, log_in: Browsers, appointed: dict[str, str]
) -> None:
    lin, wu, ho = log_in("lin"), log_in("wu"), log_in("ho")
    assert post(frame, lin, LIST, appointed).status_code == 303
    assert of(frame, "new") is None
    path = proposal_of(wu)
    assert offered(lin) == [f"{path}/drop"]
    assert offered(ho) == []
    assert post(frame, lin, f"{path}/support").status_code == 409
    assert post(frame, ho, f"{path}/support").status_code == 403
    assert of(frame, "new") is None
    assert post(frame, wu, f"{path}/support").status_code == 303
    assert of(frame, "new") is not None
    assert post(frame, log_in("chen"), f"{path}/support").status_code == 409


def test_proposal_that_is_dropped_changes_nothing(
    frame: Frame, log_in: Browsers, appointed: dict[str, str]
) -> None:
    lin, wu = log_in("lin"), log_in("wu")
    post(frame, lin, LIST, appointed)
    path = proposal_of(wu)
    assert post(frame, wu, f"{path}/drop").status_code == 303
    assert post(frame, wu, f"{path}/support").status_code == 409
    assert of(frame, "new") is None


def test_officer_who_is_dismissed_is_out_at_once(frame: Frame, log_in: Browsers) -> None:
    lin, op = log_in("lin"), log_in("op")
    assert post(frame, op, f"{LIST}/lin/dismiss").status_code == 303
    assert lin.get("/officers").status_code == 403
    html = op.get(f"{LIST}/lin").text
    assert "已解任" in html
    assert f'action="{LIST}/lin/dismiss"' not in html
    assert post(frame, op, f"{LIST}/lin/dismiss").status_code == 404
    assert post(frame, op, f"{LIST}/lin/card", {"card": card_number("lin")}).status_code == 404


def test_new_card_takes_the_place_of_the_old_one(
    frame: Frame, log_in: Browsers, spare: Card, client: TestClient
) -> None:
    before = of(frame, "lin")
    lin = log_in("lin")
    assert post(frame, log_in("op"), f"{LIST}/lin/card", {"card": spare.number}).status_code == 303
    after = of(frame, "lin")
    assert before is not None
    assert after is not None
    assert after.card == spare.number
    assert (after.name, after.roles, after.counter) == (before.name, before.roles, before.counter)
    assert lin.get("/officers").status_code == 403
    assert spare.log_in(client) == 200
    assert client.get("/officers").status_code == 200


def test_appointment_under_the_id_of_another_officer_replaces_nobody(
    frame: Frame, log_in: Browsers, appointed: dict[str, str]
) -> None:
    before = of(frame, "wu")
    refused = post(frame, log_in("op"), LIST, {**appointed, "officer": "wu"})
    assert refused.status_code == 409
    assert "新審驗" in refused.text
    assert of(frame, "wu") == before


def test_roles_are_changed_on_the_page_of_the_officer(frame: Frame, log_in: Browsers) -> None:
    changed = {"name": "吳複審", "role.second_reviewer": "on", "counter": "", "card": card_number("wu")}
    assert post(frame, log_in("op"), f"{LIST}/wu/change", changed).status_code == 303
    after = of(frame, "wu")
    assert after is not None
    assert (after.name, after.roles, after.counter) == ("吳複審", frozenset({Role.SECOND_REVIEWER}), None)


@pytest.mark.parametrize(
    ("officer", "path", "status"),
    [
        ("lin", "lin", 409),
        ("lin", "ho", 403),
        ("lin", "chen", 403),
        ("chen", "op", 403),
        ("op", "op", 409),
        ("op", "nobody", 404),
    ],
)
def test_dismissal_by_who_has_no_say_is_refused(
    frame: Frame, log_in: Browsers, officer: str, path: str, status: int
) -> None:
    before = of(frame, path)
    client = log_in(officer)
    assert f'action="{LIST}/{path}/dismiss"' not in client.get(f"{LIST}/{path}").text
    assert post(frame, client, f"{LIST}/{path}/dismiss").status_code in (status, 403)
    assert of(frame, path) == before


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"role.operator": "on"}, 403),
        ({"role.holder": "on"}, 400),
        ({"role.x": "on"}, 400),
        ({"officer": "Lin!"}, 400),
        ({"name": "=1"}, 400),
        ({"card": card_number("wu")}, 400),
        ({"card": "XC00000000000099"}, 400),
        ({"counter": FOUNDATION.counter}, 403),
    ],
    ids=["operator", "holder", "no role", "id", "name", "taken card", "no card", "counter"],
)
def test_appointment_that_may_not_be_is_refused_with_what_was_typed(
    frame: Frame, log_in: Browsers, appointed: dict[str, str], more: dict[str, str], status: int
) -> None:
    refused = post(frame, log_in("lin"), LIST, {**appointed, **more})
    assert refused.status_code == status
    assert SCHOOL.counter in refused.text
    assert offered(log_in("wu")) == []
    assert of(frame, "new") is None


@pytest.mark.parametrize("typed", ["\x00", "%ff", "字" * 300, "<script>"])
def test_staff_pages_answer_whatever_is_asked(
    frame: Frame, log_in: Browsers, appointed: dict[str, str], typed: str
) -> None:
    op = log_in("op")
    for name in ("officer", "name", "counter", "card"):
        assert post(frame, op, LIST, {**appointed, name: typed}).status_code in (303, 400, 409)
    assert post(frame, op, f"{LIST}/lin/card", {"card": typed}).status_code == 400
    for path in ("%00", "%ff", "proposals", "a/b/c"):
        assert op.get(f"{LIST}/{path}").status_code in (400, 404)


def test_form_that_is_sent_twice_acts_once(frame: Frame, log_in: Browsers) -> None:
    op, form = log_in("op"), {"token": new_token(frame.clock()), "card": card_number("wu")}
    assert post(frame, op, f"{LIST}/wu/dismiss", form).status_code == 303
    assert post(frame, op, f"{LIST}/lin/dismiss", form).status_code == 409
    lin = of(frame, "lin")
    assert lin is not None
    assert lin.is_active


def test_support_that_two_send_at_once_takes_effect_once(
    frame: Frame, log_in: Browsers, appointed: dict[str, str]
) -> None:
    post(frame, log_in("lin"), LIST, appointed)
    path = f"{proposal_of(log_in('wu'))}/support"

    def support(officer: str) -> int:
        return post(frame, log_in(officer), path).status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(support, ("wu", "chen"))) == [303, 409]


def test_appointment_needs_a_login_of_the_last_minutes(
    frame: Frame, log_in: Browsers, appointed: dict[str, str], clock: MovedClock
) -> None:
    op = log_in("op")
    clock.move(timedelta(minutes=16))
    assert post(frame, op, LIST, appointed).status_code == 401
    assert post(frame, op, f"{LIST}/lin/dismiss").status_code == 401
    assert of(frame, "new") is None


def test_officer_of_a_counter_sees_its_officers_alone(log_in: Browsers) -> None:
    html = log_in("lin").get(LIST).text
    assert ("吳審驗" in html, "何審驗" in html, "陳複審" in html) == (True, False, False)
    assert log_in("lin").get(f"{LIST}/ho").status_code == 403
    assert "何審驗" in log_in("chen").get(LIST).text


def test_holder_and_stranger_are_not_let_in(
    frame: Frame, client: TestClient, log_in: Browsers, spare: Card, appointed: dict[str, str]
) -> None:
    assert client.get(LIST).status_code == 303
    assert post(frame, client, LIST, appointed).status_code == 401
    assert spare.log_in(client) == 200
    for path in (LIST, f"{LIST}/lin"):
        assert client.get(path).status_code == 403
    assert post(frame, client, LIST, appointed).status_code == 403
    assert post(frame, client, f"{LIST}/lin/dismiss").status_code == 403


def test_pages_in_english_have_no_chinese_of_their_own(
    frame: Frame, log_in: Browsers, appointed: dict[str, str]
) -> None:
    post(frame, log_in("lin"), LIST, {**appointed, "name": "Ms New"})
    chen = log_in("chen")
    for path in (LIST, f"{LIST}/lin"):
        html = chen.get(path, headers=ENGLISH).text
        for word in (*(name for name, _, _ in STAFF.values()), SCHOOL.counter, FOUNDATION.counter, "中文"):
            html = html.replace(word, "")
        assert not re.findall("[\u4e00-\u9fff]+", re.sub(r"<title>.*?</title>", "", html))
    with frame.database.read() as connection:
        assert len(staff_changes.waiting(connection, frame.clock())) == 1
