# SPDX-License-Identifier: Apache-2.0
"""The integrations of frameworks, in this process: whose request it is, and what is kept of a page."""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from flask import Flask
from starlette import requests as starlette_requests
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from support.login_http import Answer, ask_asgi, posted
from support.login_site import SITE, Desk
from xca_login import Login
from xca_login.errors import StoreUnavailable
from xca_login.http import MOST_BODY_BYTES, CardLogin
from xca_login.integrations import fastapi, flask, starlette, wsgi
from xca_login.integrations.asgi import (
    Application,
    AsgiLogin,
    AsgiSessions,
    Message,
    Receive,
    Scope,
    Send,
    session_of,
)
from xca_login.sessions import Session
from xca_login.testing.tokens import sign

pytestmark = pytest.mark.fast

ORIGIN = {"Origin": SITE.origin}


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


@pytest.fixture
def card_login(desk: Desk) -> CardLogin:
    return CardLogin(SITE, desk.verifier(), clock=desk.clock)


def test_program_without_the_middleware_of_sessions_is_told_to_add_it() -> None:
    for asked in (session_of, wsgi.session_of):
        with pytest.raises(LookupError, match=r"add_login\(\)"):
            asked({})


async def post(app: Application, action: str, body: bytes = b"", cookie: str = "") -> Answer:
    headers = {**ORIGIN, "Content-Type": "application/json", "Cookie": cookie}
    return await ask_asgi(app, "POST", f"/login/{action}", body, headers)


def given(answer: Answer) -> str:
    return (answer.header("Set-Cookie") or "").partition(";")[0]


async def log_in(app: Application, desk: Desk) -> Answer:
    begun = await post(app, "begin")
    return await post(
        app, "finish", posted(sign(desk.school, begun.json["statement"].encode())), given(begun)
    )


def test_request_of_a_shared_flask_context_is_not_the_one_befores(desk: Desk, card_login: CardLogin) -> None:
    app = Flask(__name__)
    flask.add_login(app, card_login)

    @app.get("/bids")
    @flask.login_required
    def bids() -> str:
        return "bids"

    with app.app_context():
        holder = app.test_client()
        begun = holder.post("/login/begin", headers=ORIGIN, base_url=SITE.origin)
        body = posted(sign(desk.school, json.loads(begun.data)["statement"].encode()))
        headers = {**ORIGIN, "Content-Type": "application/json"}
        done = holder.post("/login/finish", data=body, headers=headers, base_url=SITE.origin)
        assert done.status_code == 200
        page = holder.get("/bids", base_url=SITE.origin)
        assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-store")
        assert app.test_client().get("/bids", base_url=SITE.origin).status_code == 401


def test_page_that_a_fastapi_endpoint_makes_itself_is_kept_by_nobody(
    desk: Desk, card_login: CardLogin
) -> None:
    app = FastAPI()
    fastapi.add_login(app, card_login)

    @app.get("/bids")
    def bids(session: fastapi.LoggedIn) -> HTMLResponse:
        return HTMLResponse(f"bids of {session.organisation_oid}")

    async def pages() -> tuple[Answer, Answer]:
        cookie = given(await log_in(app, desk))
        return await ask_asgi(app, "GET", "/bids", b"", {"Cookie": cookie}), await ask_asgi(
            app, "GET", "/bids"
        )

    page, refused = asyncio.run(pages())
    assert (page.status, page.body) == (200, b"bids of 2.16.886.111.100000")
    assert page.header("Cache-Control") == "no-store"
    assert (refused.status, refused.json["code"]) == (401, "not_logged_in")


def test_page_does_not_wait_for_a_slow_login(desk: Desk) -> None:
    started, released = threading.Event(), threading.Event()

    def keep(login: Login) -> None:
        started.set()
        released.wait()

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def asked() -> Answer:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        card_login = CardLogin(SITE, desk.verifier(), clock=desk.clock, on_login=keep)
        slow = asyncio.create_task(log_in(AsgiLogin(card_login), desk))
        try:
            while not started.is_set():
                await asyncio.sleep(0.005)
            return await asyncio.wait_for(ask_asgi(AsgiSessions(page, card_login), "GET", "/"), 20)
        finally:
            released.set()
            await slow

    assert asyncio.run(asked()).status == 204


def test_body_that_comes_byte_by_byte_is_read_in_time_that_grows_with_its_length(
    card_login: CardLogin,
) -> None:
    app, sent = AsgiLogin(card_login), list[Message]()
    left = MOST_BODY_BYTES
    copied = 0

    class Piece(bytes):
        def __radd__(self, before: bytes) -> bytes:
            nonlocal copied
            copied += len(before)
            return before + bytes(self)

    async def receive() -> Message:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": Piece(b" "), "more_body": left > 0}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": "POST", "path": "/login/finish", "headers": []}
    asyncio.run(app(scope, receive, send))
    assert (sent[0]["status"], left, copied) == (403, 0, 0)


def test_websocket_to_a_logins_posts_is_refused_before_it_opens(card_login: CardLogin) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/login/begin", "headers": []}
    asyncio.run(AsgiLogin(card_login)(scope, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    ("origins", "is_known"),
    [
        ([SITE.origin], True),
        (["https://other.example.gov.tw"], False),
        ([], False),
        ([SITE.origin] * 2, False),
    ],
    ids=["own", "foreign", "none", "two"],
)
def test_websocket_that_another_sites_page_opens_is_nobodys(
    desk: Desk, card_login: CardLogin, origins: list[str], is_known: bool
) -> None:
    found: list[Session | None] = []

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(session_of(scope))

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        """Nothing is sent."""

    async def opened() -> None:
        done = await log_in(AsgiLogin(card_login), desk)
        headers = [(b"cookie", given(done).encode()), *((b"origin", one.encode()) for one in origins)]
        await AsgiSessions(page, card_login)(
            {"type": "websocket", "path": "/", "headers": headers}, receive, send
        )

    asyncio.run(opened())
    assert [session is not None for session in found] == [is_known]


@dataclass
class Exchange:
    """An exchange with an ASGI program: what comes in, and what the program sent."""

    incoming: list[Message]
    sent: list[Message] = field(default_factory=list)

    async def receive(self) -> Message:
        if not self.incoming:
            await asyncio.Event().wait()  # the client stays, and says nothing more
        return self.incoming.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)


def exchange(app: Application, kind: str, *incoming: Message) -> list[Message]:
    """Let a program answer what comes in, and return what it sent."""
    with_client = Exchange(list(incoming))
    scope = {"type": kind, "method": "POST", "path": "/login/finish", "headers": []}

    async def answered() -> None:
        await app(scope, with_client.receive, with_client.send)

    asyncio.run(answered())
    return with_client.sent


def test_client_that_goes_before_its_post_is_whole_is_not_answered(card_login: CardLogin) -> None:
    part = {"type": "http.request", "body": b"{", "more_body": True}
    assert exchange(AsgiLogin(card_login), "http", part, {"type": "http.disconnect"}) == []


def test_post_that_does_not_arrive_in_time_is_refused_in_words(
    card_login: CardLogin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xca_login.integrations.asgi.BODY_SECONDS", 0.05)
    part = {"type": "http.request", "body": b"{", "more_body": True}
    start, body = exchange(AsgiLogin(card_login), "http", part)
    assert (start["status"], json.loads(body["body"])["code"]) == (408, "request_too_slow")


def test_server_that_asks_a_login_for_its_lifespan_goes_on_without_it(card_login: CardLogin) -> None:
    with pytest.raises(ValueError, match="no lifespan here"):
        exchange(AsgiLogin(card_login), "lifespan", {"type": "lifespan.startup"})


def test_middleware_of_sessions_hands_the_lifespan_on(card_login: CardLogin) -> None:
    seen: list[str] = []

    async def program(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((await receive())["type"])

    exchange(AsgiSessions(program, card_login), "lifespan", {"type": "lifespan.startup"})
    assert seen == ["lifespan.startup"]


@pytest.mark.parametrize(("kind", "name", "value"), [("http", "status", 503), ("websocket", "code", 1013)])
def test_page_whose_visitor_cannot_be_told_is_not_shown(
    card_login: CardLogin, monkeypatch: pytest.MonkeyPatch, kind: str, name: str, value: int
) -> None:
    def down(cookies: str) -> None:
        raise StoreUnavailable

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("the page was asked")

    monkeypatch.setattr(card_login, "session", down)
    first = exchange(AsgiSessions(page, card_login), kind, {"type": f"{kind}.connect"})[0]
    assert first[name] == value


@pytest.mark.parametrize(
    "odd",
    [{"CONTENT_LENGTH": "-1"}, {"CONTENT_LENGTH": "１"}, {"HTTP_TRANSFER_ENCODING": "chunked"}],
    ids=["negative", "other digits", "chunked"],
)
def test_wsgi_request_whose_length_is_not_told_is_refused_in_words(
    card_login: CardLogin, odd: dict[str, str]
) -> None:
    status: list[str] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/login/finish",
        "HTTP_ORIGIN": SITE.origin,
        "wsgi.input": BytesIO(b"{}"),
        **odd,
    }
    body = b"".join(wsgi.WsgiLogin(card_login)(environ, lambda code, *_: status.append(code)))  # type: ignore[arg-type]
    assert (status, json.loads(body)["code"]) == (["400 Bad Request"], "request_malformed")


def test_user_of_a_starlette_program_is_the_holder(desk: Desk, card_login: CardLogin) -> None:
    def page(request: starlette_requests.Request) -> PlainTextResponse:
        user = request.user
        return PlainTextResponse(f"{user.is_authenticated} {user.display_name} {user.identity}")

    app = Starlette(
        routes=[Route("/", page), starlette.login_routes(card_login)],
        middleware=[Middleware(starlette.LoginMiddleware, card_login=card_login)],
    )

    async def visit() -> Answer:
        return await ask_asgi(app, "GET", "/", b"", {"Cookie": given(await log_in(app, desk))})

    account = "/".join(desk.verifier().check(desk.school.der).account)
    assert asyncio.run(visit()).body.decode() == f"True a school {account}"
