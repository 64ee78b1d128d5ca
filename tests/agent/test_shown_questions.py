# SPDX-License-Identifier: Apache-2.0
"""Which question may take the place of another, without a browser."""

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from support.agent.component_client import SITE
from xca_common.web.one_time_tokens import LIFETIME
from xca_plugin.agent.component.shown_questions import AFTERWARDS_SECONDS, ShownQuestions

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
    assert questions.show(first)[1] is False
    assert questions.show(second)[1] is replaces


def test_shown_question_after_an_answer_replaces_nothing() -> None:
    questions = ShownQuestions()
    questions.end(questions.show(SITE)[0])
    assert questions.show(SITE)[1] is False


def test_shown_question_that_is_answered_ends_those_it_took_the_place_of() -> None:
    questions = ShownQuestions()
    questions.leave(questions.show(SITE)[0])
    questions.leave(questions.show(OTHER)[0])
    questions.end(questions.show(SITE)[0])
    assert questions.show(SITE)[1] is False
    assert questions.show(OTHER)[1] is True


def test_shown_question_beside_an_open_one_that_is_answered_leaves_it_open() -> None:
    questions = ShownQuestions()
    questions.show(SITE)
    questions.end(questions.show(SITE)[0])
    assert questions.show(SITE)[1] is True


def test_shown_question_left_without_an_answer_counts_for_a_while() -> None:
    clock = Clock()
    questions = ShownQuestions(clock)
    questions.leave(questions.show(SITE)[0])
    clock.now = AFTERWARDS_SECONDS - 1
    name, replaces = questions.show(SITE)
    assert replaces
    questions.end(name)
    clock.now = AFTERWARDS_SECONDS
    assert questions.show(SITE)[1] is False


def test_shown_question_that_stays_open_counts_while_it_can_be_answered() -> None:
    clock = Clock()
    questions = ShownQuestions(clock)
    questions.show(SITE)
    clock.now = LIFETIME - 1
    name, replaces = questions.show(SITE)
    assert replaces
    questions.end(name)
    clock.now = LIFETIME
    assert questions.show(SITE)[1] is False


def test_shown_questions_without_number_push_none_out() -> None:
    questions = ShownQuestions()
    questions.show(SITE)
    for number in range(2000):
        questions.show(f"https://site-{number}.example")
    assert questions.show(SITE)[1] is True


@pytest.mark.parametrize(
    "said", [[], {}, {"event": "shown"}, {"event": "shown", "site": 1}, {"event": "other", "question": ""}]
)
def test_popup_event_that_makes_no_sense_is_refused(client: TestClient, said: Any) -> None:
    own = {"Origin": str(client.base_url)}
    assert client.post("/popup/question", json=said, headers=own).status_code == 400


def test_popup_event_of_a_foreign_page_is_refused(client: TestClient) -> None:
    said = {"event": "shown", "site": SITE}
    assert client.post("/popup/question", json=said, headers={"Origin": SITE}).status_code == 403


def test_trust_question_is_hidden_until_the_agent_has_judged_it(client: TestClient) -> None:
    """Else it could be answered while the agent takes its time to say that another one has no answer."""
    html = client.get("/addDomain?domain=other.example").text
    (form,) = re.findall("<form [^>]*>", html)
    assert " hidden " in form
