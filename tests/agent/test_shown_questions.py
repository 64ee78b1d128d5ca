# SPDX-License-Identifier: Apache-2.0
"""Which question may take the place of another, without a browser."""

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from support.agent.component_client import SITE
from xca_plugin.agent.component.shown_questions import AFTERWARDS_SECONDS, KEPT, OPEN_SECONDS, ShownQuestions

pytestmark = pytest.mark.fast

OTHER = "https://other.example"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("first", "second", "replaces"),
    [(SITE, SITE, True), (SITE, OTHER, False), ("", SITE, True), (SITE, "", True)],
)
def test_shown_question_beside_an_open_one_may_replace_that_of_its_site(
    first: str, second: str, replaces: bool
) -> None:
    questions = ShownQuestions()
    assert questions.show("first", first) is False
    assert questions.show("second", second) is replaces


def test_shown_question_after_an_answer_replaces_nothing() -> None:
    questions = ShownQuestions()
    questions.show("first", SITE)
    questions.end("first")
    assert questions.show("second", SITE) is False


def test_shown_question_that_is_answered_ends_those_it_took_the_place_of() -> None:
    questions = ShownQuestions()
    for name, site in (("first", SITE), ("other", OTHER), ("second", SITE)):
        questions.show(name, site)
    questions.leave("first")
    questions.leave("other")
    questions.end("second")
    assert questions.show("third", SITE) is False
    assert questions.show("fourth", OTHER) is True


def test_shown_question_that_is_answered_leaves_those_that_came_after_it() -> None:
    questions = ShownQuestions()
    questions.show("first", SITE)
    questions.show("second", SITE)
    questions.leave("second")
    questions.end("first")
    assert questions.show("third", SITE) is True


def test_shown_question_beside_an_open_one_that_is_answered_leaves_it_open() -> None:
    questions = ShownQuestions()
    questions.show("first", SITE)
    questions.show("second", SITE)
    questions.end("second")
    assert questions.show("third", SITE) is True


def test_shown_question_left_without_an_answer_counts_for_a_while() -> None:
    clock = Clock()
    questions = ShownQuestions(clock)
    questions.show("first", SITE)
    questions.leave("first")
    clock.now = AFTERWARDS_SECONDS - 1
    assert questions.show("second", "") is True
    questions.leave("second")
    clock.now = 2 * AFTERWARDS_SECONDS
    assert questions.show("third", SITE) is False


def test_shown_question_whose_popup_went_before_its_word_arrived_counts_for_a_while() -> None:
    """Else a site could leave questions behind by closing its windows at once."""
    clock = Clock()
    questions = ShownQuestions(clock)
    questions.leave("first")
    questions.show("first", "")
    clock.now = AFTERWARDS_SECONDS - 1
    assert questions.show("second", SITE) is True
    questions.end("second")
    clock.now = AFTERWARDS_SECONDS
    assert questions.show("third", SITE) is False


def test_shown_question_counts_while_its_popup_says_that_it_is_open() -> None:
    clock = Clock()
    questions = ShownQuestions(clock)
    assert questions.show("first", SITE) is False
    clock.now = OPEN_SECONDS - 1
    assert questions.show("first", SITE) is False
    clock.now = 2 * OPEN_SECONDS - 2
    assert questions.show("second", SITE) is True
    questions.end("second")
    clock.now = 2 * OPEN_SECONDS
    assert questions.show("third", SITE) is False


def test_shown_question_is_kept_beside_any_number_of_others() -> None:
    clock = Clock()
    questions = ShownQuestions(clock)
    for number in range(KEPT):
        questions.show(str(number), f"https://site-{number}.example")
    clock.now = 1.0
    questions.show("last", SITE)
    clock.now = OPEN_SECONDS  # the others have ended
    assert questions.show("second", SITE) is True


def test_shown_question_counts_for_every_site_after_one_was_dropped() -> None:
    clock = Clock()
    questions = ShownQuestions(clock)
    for number in range(KEPT + 1):
        questions.show(str(number), f"https://site-{number}.example")
    for number in range(1, KEPT + 1):
        questions.end(str(number))
    clock.now = OPEN_SECONDS - 1
    assert questions.show("first", SITE) is True
    questions.end("first")
    clock.now = OPEN_SECONDS
    assert questions.show("second", SITE) is False


def test_popup_tells_its_question_by_the_name_that_it_chose(client: TestClient) -> None:
    def tell(event: str, question: str, **more: str) -> Any:
        said = {"event": event, "question": question, **more}
        return client.post("/popup/question", json=said, headers={"Origin": str(client.base_url)}).json()

    assert tell("shown", "first", site=SITE) == {"replaces": False}
    assert tell("shown", "first", site=SITE) == {"replaces": False}
    assert tell("shown", "second", site=SITE) == {"replaces": True}
    assert tell("answered", "first") == tell("answered", "second") == {}
    assert tell("shown", "third", site=SITE) == {"replaces": False}


@pytest.mark.parametrize(
    "said",
    [
        [],
        {},
        {"event": "shown", "site": SITE},
        {"event": "shown", "question": "first"},
        {"event": "shown", "question": "first", "site": 1},
        {"event": "shown", "question": "first", "site": f"https://{'a' * 300}"},
        {"event": "gone", "question": "a" * 65},
        {"event": "other", "question": "first"},
    ],
)
def test_popup_event_that_makes_no_sense_is_refused(client: TestClient, said: Any) -> None:
    own = {"Origin": str(client.base_url)}
    assert client.post("/popup/question", json=said, headers=own).status_code == 400


def test_popup_event_of_a_foreign_page_is_refused(client: TestClient) -> None:
    said = {"event": "shown", "question": "first", "site": SITE}
    assert client.post("/popup/question", json=said, headers={"Origin": SITE}).status_code == 403


def test_trust_question_is_hidden_until_the_agent_has_judged_it(client: TestClient) -> None:
    """Else it could be answered while the agent takes its time to say that another one has no answer."""
    html = client.get("/addDomain?domain=other.example").text
    (form,) = re.findall("<form [^>]*>", html)
    assert " hidden " in form
