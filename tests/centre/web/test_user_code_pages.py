# SPDX-License-Identifier: Apache-2.0
"""The user code reset and the lifted lock on the centre's pages, from the request to the ticket."""

import base64
import re
from uuid import UUID

import pytest
from sqlalchemy import Connection
from starlette.testclient import TestClient

from support.centre.authority import issuer
from support.centre.cases import FIRST
from support.centre.holders import HeldCard
from support.centre.web import ENGLISH
from support.moved_clock import MovedClock
from xca_centre import applications, orders, tickets, user_codes
from xca_centre.life.certificate import CertificateEvent
from xca_centre.web.frame import Frame
from xca_centre.web.once import new_token
from xca_common.pki.ticket import Ticket

PROGRAM = {"Accept": "application/json"}
SECRET = {"secret": "Fern-42", "secret_again": "Fern-42"}


@pytest.fixture
def card(frame: Frame) -> HeldCard:
    return HeldCard(frame)


def asked(client: TestClient, card: HeldCard, clock: MovedClock, **more: str) -> str:
    """Ask for a reset, and return the number that the page shows."""
    fields = {"number": card.number, "serial": card.serial, **SECRET, **more, "token": new_token(clock())}
    answer = client.post("/user-code-reset", data=fields)
    assert answer.status_code == 303, answer.text
    (number,) = re.findall(r"<strong>(\d{10})</strong>", client.get(answer.headers["location"]).text)
    return str(number)


def link_of(frame: Frame, number: str) -> str:
    """Approve a request, and return what the mailed link has."""
    with frame.database.change() as change:
        tickets.approve(change, frame.rules, number, FIRST)
        return tickets.new_link(change, number)


def code_of(connection: Connection, card: HeldCard) -> UUID:
    """Return the id of the user code that a card has at the centre."""
    return applications.read(connection, orders.of_card(connection, card.number).application).code


def suspends(client: TestClient, card: HeldCard, code: str) -> bool:
    """Tell whether a user code is the right one for what is done online."""
    fields = card.fields(act="suspend", code=code)
    return client.post("/suspend-resume", data=fields, headers=PROGRAM).status_code == 200


def test_reset_leads_from_the_request_to_a_ticket_and_a_new_code_online(
    client: TestClient, frame: Frame, card: HeldCard, clock: MovedClock
) -> None:
    link = link_of(frame, asked(client, card, clock))
    fields = {"link": link, "secret": "Fern-42", "code": "new-42", "code_again": "new-42"}
    answer = client.post("/user-code-reset/ticket", data=fields)
    assert answer.headers["content-disposition"] == 'attachment; filename="user-code.ticket"'
    ticket = Ticket.verify(answer.content, [issuer().certificate], clock())
    assert (ticket.card, ticket.is_activated) == (card.number, False)
    assert suspends(client, card, "new-42")


def test_ticket_of_a_program_is_the_one_that_a_person_gets(
    client: TestClient, frame: Frame, card: HeldCard, clock: MovedClock
) -> None:
    fields = {"number": card.number, "serial": card.serial, **SECRET, "activated": "yes"}
    number = client.post("/user-code-reset", data=fields, headers=PROGRAM).json()["number"]
    link = {"link": link_of(frame, number), "secret": "Fern-42"}
    said = client.post("/user-code-reset/ticket", data=link, headers=PROGRAM).json()
    assert base64.b64decode(said["ticket"]) == client.post("/user-code-reset/ticket", data=link).content
    ticket = Ticket.verify(base64.b64decode(said["ticket"]), [issuer().certificate], clock())
    assert ticket.is_activated


def test_wrong_secret_gives_no_ticket_and_is_not_shown_again(
    client: TestClient, frame: Frame, card: HeldCard, clock: MovedClock
) -> None:
    link = link_of(frame, asked(client, card, clock))
    answer = client.post(
        "/user-code-reset/ticket", data={"link": link, "secret": "wrong-77"}, headers=ENGLISH
    )
    assert answer.status_code == 403
    assert "The link and the secret do not belong together" in answer.text
    for secret in ("wrong-77", link):
        assert secret not in answer.text


def test_request_for_no_card_is_answered_like_any_other(
    client: TestClient, card: HeldCard, clock: MovedClock
) -> None:
    pages = []
    for number in (card.number, "XC99999999999999"):
        fields = {"number": number, "serial": card.serial, **SECRET, "token": new_token(clock())}
        answer = client.post("/user-code-reset", data=fields)
        page = client.get(answer.headers["location"]).text
        pages.append(re.sub(r"\d{10}", "", page))
    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    ("wrong", "status"), [({"secret_again": "other-1"}, 422), ({"secret": "x", "secret_again": "x"}, 400)]
)
def test_request_with_an_unusable_secret_keeps_what_else_was_typed(
    client: TestClient, card: HeldCard, clock: MovedClock, wrong: dict[str, str], status: int
) -> None:
    fields = {"number": card.number, "serial": card.serial, **SECRET, **wrong, "token": new_token(clock())}
    answer = client.post("/user-code-reset", data=fields)
    assert (answer.status_code, card.number in answer.text, "Fern-42" in answer.text) == (status, True, False)


def test_lock_is_lifted_with_the_mailed_link_once(
    client: TestClient, frame: Frame, card: HeldCard, clock: MovedClock
) -> None:
    for _ in range(3):
        assert not suspends(client, card, "wrong-1")
    assert not suspends(client, card, "Abc-1234")
    with frame.database.change() as change:
        code = code_of(change.connection, card)
        link = user_codes.new_link(change, code)
    assert client.post("/user-code/unlock", data={"link": link}).status_code == 303
    assert suspends(client, card, "Abc-1234")
    assert client.post("/user-code/unlock", data={"link": link}).status_code == 403


def test_lock_is_lifted_with_a_login(client: TestClient, card: HeldCard) -> None:
    card.happen(CertificateEvent.ACCEPT)
    for _ in range(3):
        assert not suspends(client, card, "wrong-1")
    assert client.post("/user-code/unlock", data={"login": "yes"}).status_code == 401
    assert card.log_in(client) == 200
    assert client.post("/user-code/unlock", data={"login": "yes"}).status_code == 303
    assert suspends(client, card, "Abc-1234")


@pytest.mark.parametrize("path", ["/user-code-reset", "/user-code-reset/ticket", "/user-code/unlock"])
def test_pages_of_the_user_code_are_complete_in_english(client: TestClient, path: str) -> None:
    english = client.get(path, headers=ENGLISH).text.replace("中文", "")
    assert not [character for character in english if "\u4e00" <= character <= "\u9fff"]
