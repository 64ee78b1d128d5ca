# SPDX-License-Identifier: Apache-2.0
"""A card takes a new user code with its centre's ticket on the agent's pages: a file's, or the centre's."""

import json

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from softhsm.card_fixture import CardFixture
from softhsm.issuer import IssuedCardState
from support.agent.agent_process import Agent, Start
from support.agent.component_client import SITE, SiteClient, b64
from support.agent.page_visitor import Visitor, visiting, words
from support.centre import stand_in_tickets
from support.centre.stand_in import certificates_of
from support.centre.stand_in_tickets import somebodys
from xca_plugin.agent.component.result_codes import Code

CENTRE = "http://localhost:8443"
CODE = "Fresh-42"
NEW_PIN = "5g8!Rw2"
FORM = "/user-code-reset/ticket"
CONTROL = "/CardManagement/sendCardCommand"


def ticket(card: CardFixture, agent: Agent, *, days: int = 3) -> bytes:
    """Return a ticket for the agent's card as it is now; the agent has to trust SITE."""
    cert1 = certificates_of(agent)["cert1"].public_bytes(Encoding.DER)
    activated = card.state is IssuedCardState.ACTIVE
    return stand_in_tickets.ticket(card.environment.pki, card.number, cert1, days=days, activated=activated)


def choose(visitor: Visitor, content: bytes, name: str = "user-code.ticket") -> httpx.Response:
    """Hand over a file as the script of the page does, and return the page that comes then."""
    headers = {"Content-Type": "application/octet-stream", "X-Name": name}
    origin = str(visitor.client.base_url).rstrip("/")
    return visitor.client.post(
        "/user-code-reset/file", content=content, headers={**headers, "Origin": origin}
    )


def fill(visitor: Visitor, page: httpx.Response, code: str, again: str | None = None) -> str:
    """Fill the form of a ticket in, send it, and return the words of the page that comes then."""
    form = visitor.form(f"{FORM}?{page.url.query.decode()}")
    answer = visitor.send(FORM, {**form, "new_code": code, "again": again or code})
    assert code not in answer.text + str(answer.url)
    return words(answer.text)


def configure_centre(agent: Agent, card: CardFixture) -> None:
    (agent.home / ".config/xca/centre.conf").write_text(
        f"[centre]\nurl = {CENTRE}\nissuer = {card.environment.pki / 'ca.pem'}\n"
    )


def look(agent: Agent, waiting: dict[str, object]) -> dict[str, str]:
    """Ask as the popup does each second whether the person has done it."""
    answer = httpx.post(f"{agent.url}/popup", json=waiting, headers={"Origin": agent.url})
    said: dict[str, str] = answer.json()
    return said


def test_ticket_of_a_file_gives_a_locked_card_its_new_user_code(
    start_agent: Start, xca_issued_card: CardFixture
) -> None:
    card = xca_issued_card
    agent = start_agent(card, trusted=(SITE,))
    with visiting(agent) as visitor:
        for wrong in ("wrong-1", "wrong-2", "wrong-3"):
            visitor.fill("/activate", wrong, NEW_PIN, last_try="last try")
        page = choose(visitor, ticket(card, agent))
        said = words(page.text)
        assert card.number in said
        assert "The ticket can be used until" in said
        assert "Nothing was tried" in fill(visitor, page, CODE, "Other-42")
        assert "A user code has 6 to 10" in fill(visitor, page, "short")
        done = fill(visitor, page, CODE)
        assert "The card has the new user code." in done
        assert "Activate a card" in done
        used = fill(visitor, page, "Other-42")
        assert used.count("does not take the ticket (授權票): it was used already.") == 1
        assert "5. New user code" not in used
        assert "The card is activated." in visitor.fill("/activate", CODE, NEW_PIN)


def test_ticket_for_an_active_card_leads_on_to_a_new_pin(
    start_agent: Start, xca_active_card: CardFixture
) -> None:
    card = xca_active_card
    agent = start_agent(card, trusted=(SITE,))
    with visiting(agent) as visitor:
        page = choose(visitor, ticket(card, agent))
        assert "The PIN of the card is void afterwards." in words(page.text)
        done = fill(visitor, page, CODE)
        assert "Unlock, reset the PIN" in done
        assert "its PIN is set" in visitor.fill("/reset-pin", CODE, NEW_PIN)


def test_file_that_is_no_ticket_is_named_and_another_can_be_chosen(
    start_agent: Start, xca_issued_card: CardFixture
) -> None:
    with visiting(start_agent(xca_issued_card)) as visitor:
        page = choose(visitor, b"%PDF-1.7", "a%20letter.pdf")
        said = words(page.text)
        assert "a letter.pdf is no ticket (授權票)." in said
        assert "Choose the file that the centre gave out" in said
        assert 'type="file"' in page.text
        assert 'type="password"' not in page.text
        assert choose(visitor, bytes(20_000)).status_code == 413


@pytest.mark.parametrize("kind", ["somebody's", "over", "changed", "another card's"])
def test_ticket_that_cannot_count_asks_for_no_code(
    start_agent: Start, xca_issued_card: CardFixture, kind: str
) -> None:
    card = xca_issued_card
    agent = start_agent(card, trusted=(SITE,))
    given = ticket(card, agent, days=-1 if kind == "over" else 3)
    given = {
        "somebody's": somebodys(card.number),
        "changed": given[:-1] + bytes([given[-1] ^ 1]),
        "another card's": somebodys("XC00000000099999"),
    }.get(kind, given)
    with visiting(agent) as visitor:
        page = choose(visitor, given)
        said = words(page.text)
        assert 'type="password"' not in page.text
        if kind == "another card's":
            assert "The card XC00000000099999 is not here." in said
        else:
            assert f"The card {card.number} does not take the ticket" in said
        visitor.send(FORM, {**visitor.form("/"), "ticket": page.url.params["ticket"], "new_code": CODE})
    assert not (card.environment.copies / card.number / "tickets.json").exists()


def test_ticket_that_is_no_longer_kept_is_asked_for_again(
    start_agent: Start, xca_issued_card: CardFixture
) -> None:
    with visiting(start_agent(xca_issued_card)) as visitor:
        assert "no longer kept here" in visitor.see(f"{FORM}?ticket=0")


def test_file_of_a_ticket_is_taken_from_the_agents_own_page_alone(
    start_agent: Start, xca_issued_card: CardFixture
) -> None:
    with visiting(start_agent(xca_issued_card)) as visitor:
        headers = {"Content-Type": "application/octet-stream", "Origin": SITE}
        assert visitor.client.post("/user-code-reset/file", content=b"x", headers=headers).status_code == 403


def test_centre_hands_its_ticket_to_the_page_that_asks_for_the_code(
    start_agent: Start, xca_issued_card: CardFixture
) -> None:
    card = xca_issued_card
    agent = start_agent(card, trusted=(SITE, CENTRE))
    configure_centre(agent, card)
    request = {"func": "resetUserCode", "ticket": b64(ticket(card, agent))}
    centre = SiteClient(agent, CENTRE)
    reply = centre.popup(request)
    question = reply["consent"]
    assert question["ownPage"].startswith(f"{FORM}?ticket=")
    assert question["site"] == CENTRE
    waiting = {"site": CENTRE, "request": json.dumps(request).replace("+", "%2B"), "since": question["since"]}
    assert look(agent, waiting) == {}
    with visiting(agent) as visitor:
        page = visitor.client.get(question["ownPage"])
        assert "The card has the new user code." in fill(visitor, page, CODE)
    assert '"ret_code":0' in look(agent, waiting)["answer"]


def test_ticket_is_taken_from_the_configured_centre_alone(
    start_agent: Start, xca_issued_card: CardFixture
) -> None:
    card = xca_issued_card
    agent = start_agent(card, trusted=(SITE, CENTRE))
    configure_centre(agent, card)
    request = {"func": "resetUserCode", "ticket": b64(ticket(card, agent))}
    refused = SiteClient(agent, SITE).post(CONTROL, request)
    assert (refused["func"], refused["ret_code"]) == ("resetUserCode", Code.FAILED)
    assert CENTRE in refused["message"]
    assert "/user-code-reset" in SiteClient(agent, CENTRE).post(CONTROL, request)["message"]
    nothing = SiteClient(agent, CENTRE).post(CONTROL, {**request, "ticket": b64(b"hello")})
    assert nothing["ret_code"] == Code.BAD_PARAMETER
    stranger = SiteClient(agent, "https://stranger.example").post(CONTROL, request)
    assert stranger["ret_code"] == Code.NOT_TRUSTED
