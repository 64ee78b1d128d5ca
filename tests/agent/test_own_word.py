# SPDX-License-Identifier: Apache-2.0
"""The word by which a person knows their own agent."""

import re
import stat

import pytest

from softhsm.card_fixture import CardFixture
from support.agent.agent_process import Agent, Start
from support.agent.component_client import SITE, SiteClient, get, post

WORD = "藍鯨 57"


def choose(agent: Agent, word: str) -> str:
    """Send the form of the home page, and return the page that follows."""
    form = get(agent.url).text.partition('action="/word"')[2]
    found = re.search(r'name="token" value="([^"]+)"', form)
    assert found
    data = {"token": found[1], "word": word}
    answer = post(f"{agent.url}/word", data=data, headers={"Origin": agent.url}, follow_redirects=True)
    assert answer.status_code == 200
    return answer.text


def test_word_that_the_person_chose_stands_in_pages_and_windows(
    start_agent: Start, xca_active_card: CardFixture
) -> None:
    agent = start_agent(xca_active_card, trusted=(SITE,), page_pin="ask")
    request = {"func": "MakeSignature", "tbs": "contract-4711"}
    assert SiteClient(agent).popup(request)["consent"]["word"] is None
    assert f"<strong>{WORD}</strong>" in choose(agent, f" {WORD} ")
    file = agent.home / ".config/xca/agent-word"
    assert file.read_text(encoding="utf-8") == f"{WORD}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for path in ("/change-pin", "/reset-pin", "/activate"):
        assert f"<strong>{WORD}</strong>" in get(f"{agent.url}{path}").text
    assert SiteClient(agent).popup(request)["consent"]["word"] == WORD
    # No page of a site reads it.
    assert WORD not in SiteClient(agent).get("/p11Image.bmp").text
    foreign = get(agent.url, headers={"Origin": SITE})
    assert foreign.status_code == 403
    assert WORD not in foreign.text


@pytest.mark.parametrize("word", ["", "a\u200bb", "a\nb", "x" * 41])
def test_word_that_cannot_be_seen_whole_is_refused(shared: Agent, word: str) -> None:
    assert 'id="word-error"' in choose(shared, word)
    assert not (shared.home / ".config/xca/agent-word").exists()


def test_word_sent_by_another_site_or_without_a_token_changes_nothing(shared: Agent) -> None:
    for origin, status in ((SITE, 403), (shared.url, 303)):
        answer = post(f"{shared.url}/word", data={"word": "evil"}, headers={"Origin": origin})
        assert answer.status_code == status
    assert not (shared.home / ".config/xca/agent-word").exists()
