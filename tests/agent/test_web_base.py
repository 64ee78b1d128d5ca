# SPDX-License-Identifier: Apache-2.0
"""The web parts of xca_common, as a program that is not the agent uses them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from xca_common.secret import Secret
from xca_common.web.forms import FORM, MalformedForm, read_form
from xca_common.web.one_time_tokens import LIFETIME, OneTimeTokens
from xca_common.web.request_guard import PathRule, RefusalReason, RequestGuard
from xca_plugin import errors, own_loop
from xca_plugin.agent.component import dispatcher as dispatching
from xca_plugin.agent.component.blind_sites import BlindSites
from xca_plugin.agent.component.dispatcher import Dispatcher
from xca_plugin.agent.component.result_codes import Code, Refusal
from xca_plugin.agent.component.trusted_sites import TrustedSites
from xca_plugin.agent.pages.code_tickets import CodeTickets
from xca_plugin.agent.process.card_worker import CardWorker
from xca_plugin.agent.process.settings import PagePin, Settings
from xca_plugin.cards import Cards

pytestmark = pytest.mark.fast

SITE = "https://login.example.gov.tw"
_T = TypeVar("_T")

# --- the request guard


async def echo(request: Request) -> Response:
    try:
        return PlainTextResponse(repr(await read_form(request)))
    except MalformedForm:
        return PlainTextResponse("malformed", 400)


async def sizes(request: Request) -> Response:
    return PlainTextResponse(repr([len(part) async for part in request.stream()]))


async def fail(request: Request) -> Response:
    raise ValueError("PIN 123456")


def program() -> Starlette:
    def rule_of(path: str) -> PathRule:
        if path == "/api":
            return PathRule(any_origin=True, content_types=None, body_max=10, body_seconds=0.05)
        if path == "/parts":
            return PathRule(
                any_origin=True, content_types=None, body_max=10, body_seconds=0.05, streamed=True
            )
        return PathRule(any_origin=False, content_types=frozenset({FORM}), body_max=20)

    def refuse(request: Request, reason: RefusalReason) -> Response:
        return PlainTextResponse(f"{request.url.path} {reason.name}", reason.value)

    return Starlette(
        routes=[Route(path, echo, methods=["GET", "POST"]) for path in ("/", "/api")]
        + [Route("/fail", fail), Route("/parts", sizes, methods=["POST"])],
        middleware=[Middleware(RequestGuard, origins=(SITE,), rule_of=rule_of, refuse=refuse)],
    )


def ask(method: str, path: str, content: Any = None, **headers: str) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(program())
        async with httpx.AsyncClient(transport=transport, base_url=SITE) as client:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, content=content, headers=names)

    return own_loop.run(send())


@pytest.mark.parametrize(
    ("method", "path", "content", "headers", "status", "text"),
    [
        ("GET", "/", None, {}, 200, "{}"),
        ("POST", "/", "a=1&a=2", {"origin": SITE, "content_type": FORM}, 200, "{'a': '1'}"),
        ("POST", "/", "a=%ff", {"origin": SITE, "content_type": FORM}, 400, "malformed"),
        ("GET", "/", None, {"host": "evil.example"}, 421, "/ WRONG_HOST"),
        ("GET", "/", None, {"origin": "https://evil.example"}, 403, "/ FOREIGN_ORIGIN"),
        ("GET", "/", None, {"sec_fetch_site": "cross-site"}, 403, "/ FOREIGN_ORIGIN"),
        ("POST", "/", "a=1", {"content_type": FORM}, 403, "/ FOREIGN_ORIGIN"),
        ("POST", "/", "a=1", {"origin": "null", "content_type": FORM}, 403, "/ FOREIGN_ORIGIN"),
        ("POST", "/", "{}", {"origin": SITE, "content_type": "text/plain"}, 415, "/ WRONG_CONTENT_TYPE"),
        ("POST", "/", "a" * 21, {"origin": SITE, "content_type": FORM}, 413, "/ BODY_TOO_LARGE"),
        ("POST", "/api", "a=1", {"origin": "https://evil.example"}, 200, "{'a': '1'}"),
        ("POST", "/api", "a" * 11, {"content_length": "ten"}, 413, "/api BODY_TOO_LARGE"),
        ("GET", "/fail", None, {}, 500, "/fail UNEXPECTED_ERROR"),
    ],
)
def test_request_guard_of_another_program_answers_in_its_words(
    method: str, path: str, content: str | None, headers: Mapping[str, str], status: int, text: str
) -> None:
    answer = ask(method, path, content, **headers)
    assert (answer.status_code, answer.text) == (status, text)
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/api", "/parts"])
def test_request_guard_body_without_end_is_refused(path: str) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"a"

    assert ask("POST", path, endless()).text == f"{path} BODY_TOO_LARGE"


@pytest.mark.parametrize("path", ["/api", "/parts"])
def test_request_guard_body_that_stops_is_refused(path: str) -> None:
    async def stops() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(3600)

    assert ask("POST", path, stops()).text == f"{path} BODY_TOO_SLOW"


def test_request_guard_streamed_body_comes_in_parts() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b"cde"

    assert ask("POST", "/parts", parts()).text == "[2, 3, 0]"
    assert ask("POST", "/parts", "a" * 11).text == "/parts BODY_TOO_LARGE"
    assert ask("POST", "/parts", "a", content_length="ten").status_code == 413


def test_request_guard_unexpected_error_is_logged_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    assert "PIN" not in ask("GET", "/fail").text
    assert "test_web_base.py" in caplog.text
    assert "123456" not in caplog.text


# --- one-time tokens


def test_one_time_token_is_spent_once_and_for_its_purpose_only() -> None:
    tokens = OneTimeTokens()
    token = tokens.issue("/form")
    assert not tokens.spend("/other", token)
    assert tokens.spend("/form", token)
    assert not tokens.spend("/form", token)
    assert not tokens.spend("/form", "forged")
    assert not OneTimeTokens().spend("/form", tokens.issue("/form"))


def test_one_time_token_after_its_lifetime_is_refused() -> None:
    now = 0.0
    tokens = OneTimeTokens(lambda: now)
    token, late = tokens.issue("/form"), tokens.issue("/form")
    now = LIFETIME
    assert tokens.spend("/form", token)
    now = LIFETIME + 1
    assert not tokens.spend("/form", late)
    assert not tokens.spend("/form", token)


def test_one_time_token_spent_stays_spent_when_the_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Setting the computer's clock must not make a spent token valid again."""
    now = 0.0
    monkeypatch.setattr("time.time", lambda: 1e9)
    tokens = OneTimeTokens(lambda: now)
    token = tokens.issue("/form")
    assert tokens.spend("/form", token)
    now = LIFETIME + 1
    assert tokens.spend("/form", tokens.issue("/form"))  # what is too old is forgotten here
    assert not tokens.spend("/form", token)


# --- the agent's dispatcher and worker


class RevokingWorker(CardWorker):
    """Runs an operation only after the person has stopped trusting the site."""

    def __init__(self, trusted_sites: Path) -> None:
        super().__init__()
        self._trusted_sites = trusted_sites

    async def run(
        self, operation: Callable[[Cards], _T], secrets: object = (), seconds: float | None = None
    ) -> _T:
        self._trusted_sites.write_text("")
        return operation(NoCards())


class NoCards(Cards):
    def __init__(self) -> None:
        pass

    def detect(self) -> list[Any]:
        return []

    def readers(self) -> list[str]:
        return ["reader"]


@pytest.mark.parametrize("func", ["MakeSignature", "GetUserCert"])
def test_dispatcher_trust_taken_back_while_waiting_refuses_the_request(tmp_path: Path, func: str) -> None:
    file = tmp_path / "trusted-sites"
    file.write_text(f"{SITE}\n")
    settings = Settings(1, PagePin.ACCEPT, frozenset(), file)
    dispatcher = Dispatcher(
        RevokingWorker(file), settings, TrustedSites(settings), BlindSites(settings), CodeTickets()
    )
    answer = own_loop.run(dispatcher.answer(SITE, '{"tbs": "x", "pin": "123456"}', func))
    assert isinstance(answer, dict)
    assert answer["ret_code"] == Code.NOT_TRUSTED
    assert "slots" not in answer


def test_dispatcher_long_request_of_an_untrusted_site_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(1, PagePin.ACCEPT, frozenset(), tmp_path / "trusted-sites")
    worker = RevokingWorker(tmp_path / "trusted-sites")
    own = Dispatcher(worker, settings, TrustedSites(settings), BlindSites(settings), CodeTickets())
    decoded: list[str] = []

    def decode(body: str) -> dict[str, str]:
        decoded.append(body)
        return {}

    monkeypatch.setattr(dispatching, "decode_fields", decode)
    body = '{"func": "MakeSignature", "tbs": "' + "%41" * 50_000 + '"}'
    answer = own_loop.run(own.answer(SITE, body))
    assert isinstance(answer, dict)
    assert (answer["func"], answer["ret_code"]) == ("sign", Code.NOT_TRUSTED)
    assert not decoded


def test_dispatcher_reads_what_a_site_sent_beside_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(1, PagePin.ACCEPT, frozenset({SITE}), tmp_path / "trusted-sites")
    worker = RevokingWorker(tmp_path / "trusted-sites")
    own = Dispatcher(worker, settings, TrustedSites(settings), BlindSites(settings), CodeTickets())
    threads = set()

    def reading(fields: object, site: str) -> None:
        threads.add(threading.current_thread())
        raise Refusal(Code.NO_CERTIFICATE)

    monkeypatch.setattr(dispatching, "_OPERATIONS", {"writecert": reading})
    answer = own_loop.run(own.answer(SITE, '{"func": "writecert", "value": "x"}'))
    assert isinstance(answer, dict)
    assert answer["ret_code"] == Code.NO_CERTIFICATE
    assert threads
    assert threading.main_thread() not in threads


def test_card_worker_closed_refuses_and_wipes_the_secrets() -> None:
    worker = CardWorker()
    worker.close()
    pin = Secret("123456")
    with pytest.raises(errors.CardWorkerBusy):
        own_loop.run(worker.run(lambda cards: None, [pin]))
    assert pin.reveal() == ""
