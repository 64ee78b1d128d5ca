# SPDX-License-Identifier: Apache-2.0
"""The officers' pages for organisations: found, looked at, changed once, by whom it concerns."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from html import unescape

import pytest
from httpx2 import Response
from sqlalchemy import select
from starlette.testclient import TestClient

from support.centre.cases import FOUNDATION, NEW_CODE, RULES, SCHOOL, form
from support.centre.staff import officer_in
from support.centre.web import ENGLISH, Card
from support.moved_clock import MovedClock
from xca_centre import applications, name_changes, organisations
from xca_centre.case_number import shown
from xca_centre.life.certificate import CertificateEvent
from xca_centre.name_changes import NameChange
from xca_centre.store.tables import EVENTS
from xca_centre.web.frame import Frame

pytestmark = pytest.mark.integration

LIST = "/officers/organisations"
PAGE = f"{LIST}/{SCHOOL.oid}"
RENAMED = {"kind": "renamed", "name": "測試縣立明湖國民小學", "day": "2026-11-01"}
DISSOLVED = {"kind": "dissolved", "day": "2026-11-01"}


@pytest.fixture
def card(frame: Frame, school_card: Card) -> Card:
    """A card of the school that is accepted."""
    school_card.happen(CertificateEvent.ACCEPT)
    return school_card


def confirmed(client: TestClient, asked: dict[str, str], page: str = PAGE) -> dict[str, str]:
    """Return the form of the page that asks once more."""
    html = client.get(f"{page}/confirm", params=asked).text
    return {
        unescape(name): unescape(value)
        for name, value in re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', html)
    }


def recorded(frame: Frame, oid: str = SCHOOL.oid) -> list[NameChange]:
    with frame.database.read() as connection:
        return [*name_changes.of_organisation(connection, oid)]


def name_of(frame: Frame) -> str:
    with frame.database.read() as connection:
        return organisations.organisation(connection, SCHOOL.oid).name


def test_organisation_is_shown_with_its_certificates_and_cases(frame: Frame, card: Card) -> None:
    with frame.database.change() as change:
        case = applications.submit(change, RULES, SCHOOL.oid, form(), NEW_CODE)
    lin = officer_in(frame, "lin")
    assert f'href="{PAGE}"' in lin.get(LIST, params={"typed": "青溪"}).text
    html = lin.get(PAGE).text
    for word in (SCHOOL.name, SCHOOL.tax_id, card.number, shown(case.case_number), f"cases/{case.id}"):
        assert str(word) in html


def test_change_of_name_is_shown_confirmed_and_recorded_with_its_last_day(frame: Frame, card: Card) -> None:
    lin = officer_in(frame, "lin")
    html = lin.get(f"{PAGE}/confirm", params=RENAMED).text
    for word in (RENAMED["name"], "2026年11月15日", card.number):
        assert word in html
    assert recorded(frame) == []
    answer = lin.post(f"{PAGE}/record", data=confirmed(lin, RENAMED))
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PAGE}?done=1")
    assert name_of(frame) == RENAMED["name"]
    for officer, is_listed in (("chen", True), ("ho", False)):
        listed = officer_in(frame, officer).get(LIST).text
        assert (f'href="{PAGE}"' in listed) is is_listed
    after = lin.get(PAGE).text
    assert "2026年11月15日" in after
    assert "登載更名或層級變更" in after
    with frame.database.read() as connection:
        own = select(EVENTS.c.name).where(EVENTS.c.kind == name_changes.RECORDED)
        assert [*connection.execute(own).scalars()] == ["lin"]


def test_record_that_takes_cards_of_officers_says_so_before(frame: Frame, card: Card) -> None:
    officer_in(frame, "ho")
    lin = officer_in(frame, "lin")
    assert "何審驗、林審驗" in lin.get(f"{PAGE}/confirm", params=RENAMED).text
    chen = officer_in(frame, "chen")
    elsewhere = chen.get(f"{LIST}/{FOUNDATION.oid}/confirm", params=DISSOLVED)
    assert (elsewhere.status_code, "何審驗" in elsewhere.text) == (200, False)


def test_change_of_level_leaves_the_name(frame: Frame, card: Card) -> None:
    lin = officer_in(frame, "lin")
    asked = {**RENAMED, "name": SCHOOL.name}
    assert lin.post(f"{PAGE}/record", data=confirmed(lin, asked)).status_code == 303
    assert name_of(frame) == SCHOOL.name
    assert len(recorded(frame)) == 1


def test_organisation_that_is_dissolved_is_still_found_and_changes_no_more(frame: Frame, card: Card) -> None:
    lin, chen = officer_in(frame, "lin"), officer_in(frame, "chen")
    forms = [confirmed(each, asked) for each, asked in ((chen, RENAMED), (chen, DISSOLVED))]
    assert lin.post(f"{PAGE}/record", data=confirmed(lin, DISSOLVED)).status_code == 303
    for html in (lin.get(LIST, params={"typed": "青溪"}).text, lin.get(PAGE).text):
        assert "已解散" in html
    assert 'name="kind"' not in lin.get(PAGE).text
    for late in forms:
        assert chen.post(f"{PAGE}/record", data=late).status_code == 409
    assert lin.get(f"{PAGE}/confirm", params=RENAMED).status_code == 409
    assert [each.kind.value for each in recorded(frame)] == ["dissolved"]


def test_record_that_is_sent_twice_is_made_once(frame: Frame, card: Card) -> None:
    lin = officer_in(frame, "lin")
    asked = confirmed(lin, RENAMED)
    assert lin.post(f"{PAGE}/record", data=asked).status_code == 303
    assert lin.post(f"{PAGE}/record", data={**asked, "day": "2026-11-02"}).status_code == 409
    assert len(recorded(frame)) == 1


def test_dissolution_that_is_sent_twice_at_once_is_recorded_once(frame: Frame, card: Card) -> None:
    lin, chen = officer_in(frame, "lin"), officer_in(frame, "chen")
    forms = [(each, confirmed(each, DISSOLVED)) for each in (lin, chen)]

    def send(sent: tuple[TestClient, dict[str, str]]) -> Response:
        return sent[0].post(f"{PAGE}/record", data=sent[1])

    with ThreadPoolExecutor(2) as pool:
        assert sorted(each.status_code for each in pool.map(send, forms)) == [303, 409]
    assert len(recorded(frame)) == 1


def test_record_needs_a_login_of_the_last_minutes(frame: Frame, card: Card, clock: MovedClock) -> None:
    lin = officer_in(frame, "lin")
    asked = confirmed(lin, DISSOLVED)
    clock.move(timedelta(minutes=16))
    assert lin.post(f"{PAGE}/record", data=asked).status_code == 401
    assert recorded(frame) == []


def test_officer_of_another_counter_finds_and_changes_nothing(frame: Frame, card: Card) -> None:
    ho, op = officer_in(frame, "ho"), officer_in(frame, "op")
    assert PAGE not in ho.get(LIST, params={"typed": SCHOOL.oid}).text
    assert ho.get(PAGE).status_code == 403
    assert ho.get(f"{PAGE}/confirm", params=RENAMED).status_code == 403
    own = confirmed(ho, DISSOLVED, f"{LIST}/{FOUNDATION.oid}")
    assert ho.post(f"{PAGE}/record", data=own).status_code == 403
    assert recorded(frame) == []
    assert op.get(PAGE).status_code == 200


def test_holder_and_stranger_are_not_let_in(frame: Frame, client: TestClient, card: Card) -> None:
    asked = confirmed(officer_in(frame, "lin"), DISSOLVED)
    assert client.get(PAGE).status_code == 303
    assert client.post(f"{PAGE}/record", data=asked).status_code == 401
    assert card.log_in(client) == 200
    for path in (LIST, PAGE, f"{PAGE}/confirm"):
        assert client.get(path, params=DISSOLVED).status_code == 403
    assert client.post(f"{PAGE}/record", data=asked).status_code == 403
    assert recorded(frame) == []


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"day": ""}, 422),
        ({"day": "0026-11-01"}, 422),
        ({"day": "tomorrow"}, 422),
        ({"day": "2026-12-31"}, 409),
        ({"name": "=1"}, 422),
        ({"name": "字" * 65}, 422),
        ({"kind": "other"}, 404),
    ],
)
def test_change_that_cannot_be_is_refused_before_and_after_it_is_confirmed(
    frame: Frame, card: Card, more: dict[str, str], status: int
) -> None:
    lin = officer_in(frame, "lin")
    asked = confirmed(lin, RENAMED)
    assert lin.get(f"{PAGE}/confirm", params={**RENAMED, **more}).status_code == status
    assert lin.post(f"{PAGE}/record", data={**asked, **more}).status_code == status
    assert recorded(frame) == []


@pytest.mark.parametrize("oid", ["1.2.3", "x", "%00", "2.16.886.111.990001%20"])
def test_organisation_that_nobody_knows_has_no_page(frame: Frame, oid: str) -> None:
    lin = officer_in(frame, "lin")
    assert lin.get(f"{LIST}/{oid}").status_code == 404
    form = confirmed(lin, RENAMED)
    assert lin.post(f"{LIST}/{oid}/record", data=form).status_code == 404


@pytest.mark.parametrize("typed", ["\x00\x00", "\ud800\ud800", "%%", "字" * 500, "1.2.3"])
def test_search_answers_whatever_is_typed(frame: Frame, typed: str) -> None:
    lin = officer_in(frame, "lin")
    asked = {"typed": typed.encode("utf-8", "surrogatepass")}
    assert lin.get(LIST, params=asked).status_code == 200


def test_pages_in_english_have_no_chinese_of_their_own(frame: Frame, card: Card) -> None:
    chen = officer_in(frame, "chen")
    chen.post(f"{PAGE}/record", data=confirmed(chen, RENAMED))
    for path in (f"{LIST}?typed=明湖", PAGE, f"{PAGE}/confirm?kind=dissolved&day=2026-11-01"):
        html = chen.get(path, headers=ENGLISH).text
        for word in (RENAMED["name"], SCHOOL.counter, "陳複審", "中文", "統一編號", "明湖"):
            html = html.replace(word, "")
        assert not re.findall("[\u4e00-\u9fff]+", re.sub(r"<title>.*?</title>", "", html))
