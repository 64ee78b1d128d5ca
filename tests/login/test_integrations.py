# SPDX-License-Identifier: Apache-2.0
"""The example sites, over HTTP: the holder of a card logs in and out again."""

import importlib.util
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest

from support.hostile_pki import Party
from support.login_http import Browser, asgi_site, issuer_of, wsgi_site
from support.login_site import Desk

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[2] / "examples" / "login"
SITES = {
    "starlette": asgi_site,
    "fastapi": asgi_site,
    "asgi": asgi_site,
    "wsgi": wsgi_site,
}


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def card(folder: Path) -> Iterator[Party]:
    with issuer_of(Desk(), folder) as made:
        yield made


@pytest.fixture(scope="module", params=SITES)
def origin(request: pytest.FixtureRequest, folder: Path, card: Party) -> Iterator[str]:
    make_app = example(f"{request.param}_site").make_app
    with ExitStack() as stack:
        yield stack.enter_context(
            SITES[request.param](lambda origin: make_app(origin, folder, ["127.0.0.1"]))
        )


@pytest.fixture
def browser(origin: str) -> Browser:
    return Browser(origin)


def test_holder_of_a_card_logs_in_and_out_at_an_example_site(browser: Browser, card: Party) -> None:
    assert browser.ask("GET", "/bids").status in (401, 403)
    planted = browser.cookies["xca-session"] = "A" * 43
    assert browser.log_in(card).json["holder_name"] == "a school"
    assert browser.cookies["xca-session"] != planted
    page = browser.ask("GET", "/bids")
    assert (page.status, page.body) == (200, b"bids of 2.16.886.111.100000")
    assert page.header("Cache-Control") == "no-store"
    copied = dict(browser.cookies)
    assert browser.ask("POST", "/login/logout").status == 204
    assert browser.ask("GET", "/bids").status in (401, 403)
    browser.cookies = copied
    assert browser.ask("GET", "/bids").status in (401, 403)


def test_token_that_is_posted_twice_at_once_is_let_in_once_at_an_example_site(
    browser: Browser, card: Party
) -> None:
    body = browser.signed(card)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: browser.ask("POST", "/login/finish", body), range(4)))
    assert sorted(one.status for one in answers) == [200, 403, 403, 403]


def test_page_of_another_site_logs_nobody_in_at_an_example_site(browser: Browser, card: Party) -> None:
    body = browser.signed(card)
    refused = browser.ask("POST", "/login/finish", body, {"Origin": "https://evil.example"})
    assert (refused.status, refused.json["code"]) == (403, "request_foreign")
    assert "xca-session" not in browser.cookies


def test_body_that_is_too_long_is_refused_at_an_example_site(browser: Browser) -> None:
    refused = browser.ask("POST", "/login/finish", bytes(200_000))
    assert (refused.status, refused.json["code"]) == (413, "request_too_long")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_example_site_has_at_most_forty_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 40
