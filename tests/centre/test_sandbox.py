# SPDX-License-Identifier: Apache-2.0
"""xca-centre sandbox: begun with one command, used over HTTP, kept if asked for, ended with Ctrl-C."""

import re
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from support.agent.browser_tab import until
from support.centre.running_sandbox import RunningSandbox, running_sandbox

pytestmark = pytest.mark.integration  # many programs
# A busy machine may take longer than the five seconds of httpx.
get, post = partial(httpx.get, timeout=60), partial(httpx.post, timeout=60)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    temporary = tmp_path_factory.mktemp("sandbox")
    with running_sandbox(temporary) as started:
        yield started
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(
    ("language", "said"), [("zh-TW", "憑證管理中心試用環境"), ("en", "Sandbox of a certificate centre")]
)
def test_page_of_the_sandbox_tells_officers_and_clock_in_both_languages(
    running: RunningSandbox, language: str, said: str
) -> None:
    page = get(f"{running.start}/", headers={"Accept-Language": language}).text
    assert said in page
    assert len(set(re.findall(r"XC\d{14}", page))) == 2
    assert "林初審" in page


def test_officers_cards_are_open_and_their_certificates_valid(running: RunningSandbox) -> None:
    cards = get(f"{running.start}/api/cards").json()
    assert [card["state"] for card in cards] == ["active", "active"]


def test_centre_answers_with_its_home_page_and_its_lists(running: RunningSandbox) -> None:
    assert get(f"{running.centre}/", headers={"Accept": "text/html"}).status_code == 200
    assert get(f"{running.centre}/repository/XCA/CRL3/complete.crl").status_code == 200


def test_clock_that_is_moved_is_that_of_the_centre(running: RunningSandbox) -> None:
    before = datetime.fromisoformat(get(f"{running.start}/api/clock").json()["now"])
    after = post(f"{running.start}/api/clock", json={"days": 30})
    assert after.status_code == 200
    assert datetime.fromisoformat(after.json()["now"]) - before >= timedelta(days=30)
    moved = post(
        f"{running.start}/clock", data={"days": "1"}, headers={"Origin": running.start}, follow_redirects=True
    )
    assert moved.status_code == 200
    now = datetime.fromisoformat(get(f"{running.start}/api/clock").json()["now"])
    until(lambda: listed_at(running) >= now - timedelta(hours=1), "the centre publishes no list of that day")


def listed_at(running: RunningSandbox) -> datetime:
    """When the centre has signed its list."""
    answer = get(f"{running.centre}/repository/XCA/CRL3/complete.crl")
    return x509.load_der_x509_crl(answer.content).last_update_utc


def test_letters_and_list_are_pdf_and_of_a_card_that_was_not_made_there_is_none(
    running: RunningSandbox,
) -> None:
    listed = get(f"{running.start}/list.pdf")
    assert (listed.status_code, listed.content[:5]) == (200, b"%PDF-")
    assert get(f"{running.start}/letters/XC00000000000001.pdf").status_code == 404


@pytest.mark.parametrize("asked", [{"days": -1}, {"days": "x"}, {"days": 10**9}, [1]])
def test_clock_is_not_moved_back_nor_by_what_is_no_number(running: RunningSandbox, asked: object) -> None:
    before = get(f"{running.start}/api/clock").json()["ahead_seconds"]
    assert post(f"{running.start}/api/clock", json=asked).status_code == 400
    assert get(f"{running.start}/api/clock").json()["ahead_seconds"] == before


def test_page_of_another_site_does_not_move_the_clock(running: RunningSandbox) -> None:
    before = get(f"{running.start}/api/clock").json()["ahead_seconds"]
    headers = {"Origin": "http://evil.test"}
    assert post(f"{running.start}/clock", data={"days": "1"}, headers=headers).status_code == 403
    assert get(f"{running.start}/api/clock").json()["ahead_seconds"] == before


def test_sandbox_that_is_kept_goes_on_where_it_was(tmp_path: Path) -> None:
    with running_sandbox(tmp_path / "first", "--keep", str(tmp_path / "again")) as first:
        ahead = post(f"{first.start}/api/clock", json={"days": 3}).json()["ahead_seconds"]
        cards = get(f"{first.start}/api/cards").json()
    with running_sandbox(
        tmp_path / "second", "--keep", str(tmp_path / "again"), end=signal.SIGTERM
    ) as second:
        assert second == first
        assert get(f"{second.start}/api/clock").json()["ahead_seconds"] == ahead
        assert get(f"{second.start}/api/cards").json() == cards
