# SPDX-License-Identifier: Apache-2.0
"""The sandbox's own pages: what to open, the mails that were sent, the cards, and the clock that moves.

Programs move the clock and read the mails as JSON: /api/clock, /api/mails, /api/cards.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from xca_centre import letters, orders
from xca_centre.centre import Centre
from xca_centre.errors import ClockNotMoved, NoSuchOrder
from xca_centre.i18n import plural, text
from xca_centre.letters import MailedCard
from xca_centre.sandbox import mailbox
from xca_centre.sandbox.mailbox import ReceivedMail
from xca_centre.sandbox.parts import Parts
from xca_centre.sandbox.setting_up import Sandbox
from xca_centre.web import menu
from xca_centre.web.frame import ASSETS
from xca_common.i18n import CHINESE, ENGLISH
from xca_common.taipei import moment
from xca_common.web.forms import FORM, MalformedForm, read_form
from xca_common.web.language import LanguageChoiceMiddleware, LanguageMiddleware, language_of
from xca_common.web.request_guard import PathRule, RefusalReason, RequestGuard
from xca_common.web.templates import Templates
from xca_login.demo.programs import run

_API: Final = "/api/"
_JSON: Final = "application/json"
_BODY_MAX: Final = 4096
_PAGE_RULE: Final = PathRule(any_origin=False, content_types=frozenset({FORM}), body_max=_BODY_MAX)
# A page of another site cannot send JSON without being asked first, and it is not answered.
_API_RULE: Final = PathRule(any_origin=True, content_types=frozenset({_JSON}), body_max=_BODY_MAX)
_MOVES: Final = (1, 7, 30, 91)
_STATES: Final = {
    "issued": text("not activated"),
    "active": text("activated"),
    "lapsed": text("lapsed"),
    "pin-locked": text("PIN locked"),
    "user-code-locked": text("user code locked"),
}
"""What the states are called that softhsm-card tells."""
_TEMPLATES: Final = Templates(
    "xca_centre.sandbox", text, plural, {"asset": ASSETS.address, "menu": menu, "moment": moment}
)


def site(sandbox: Sandbox, centre: Centre, parts: Parts, address: str) -> ASGIApp:
    """Return the pages.

    Args:
        sandbox: whose.
        centre: its centre.
        parts: what runs of it.
        address: where the pages are.
    """
    return _Site(sandbox, centre, parts).app(address)


class _Site:
    def __init__(self, sandbox: Sandbox, centre: Centre, parts: Parts) -> None:
        self._sandbox, self._centre, self._parts = sandbox, centre, parts
        self._clock = sandbox.clock

    def app(self, address: str) -> ASGIApp:
        routes = [
            Route("/", self._home),
            Route("/mails/{name}", self._mail),
            Route("/letters/{card}.pdf", self._letter),
            Route("/list.pdf", self._list),
            Route("/clock", self._move, methods=["POST"]),
            Route("/api/clock", self._tell_time),
            Route("/api/clock", self._move_by, methods=["POST"]),
            Route("/api/mails", self._list_mails),
            Route("/api/cards", self._list_cards),
            *ASSETS.routes(),
        ]
        middleware = [
            Middleware(RequestGuard, origins=[address], rule_of=_rule_of, refuse=_refuse),
            Middleware(LanguageMiddleware),
            Middleware(LanguageChoiceMiddleware),
        ]
        return Starlette(routes=routes, middleware=middleware)

    def _page(self, request: Request, template: str, **context: object) -> Response:
        language = language_of(request)
        html = _TEMPLATES.render(
            template,
            language,
            other_language=ENGLISH if language == CHINESE else CHINESE,
            sandbox=self._sandbox,
            **context,
        )
        return HTMLResponse(html)

    def _home(self, request: Request) -> Response:
        known = {officer.card for officer in self._sandbox.officers}
        return self._page(
            request,
            "sandbox.html",
            component=self._parts.component,
            mails=mailbox.mails(self._sandbox.mails),
            cards=[card for card in self._cards() if card["number"] not in known],
            now=self._clock(),
            moves=_MOVES,
            states={name: label() for name, label in _STATES.items()},
        )

    def _mail(self, request: Request) -> Response:
        mail = mailbox.mail(self._sandbox.mails, request.path_params["name"])
        if mail is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return self._page(request, "mail.html", mail=mail)

    def _letter(self, request: Request) -> Response:
        cards = self._mailed([request.path_params["card"]])
        if not cards:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return _pdf(
            letters.activation_letter(cards[0], self._centre.rules, self._clock(), language_of(request))
        )

    def _list(self, request: Request) -> Response:
        cards = self._mailed([card["number"] for card in self._cards()])
        return _pdf(letters.serial_list(cards, self._centre.rules, self._clock(), language_of(request)))

    def _mailed(self, numbers: Iterable[str]) -> Sequence[MailedCard]:
        """Return what goes to the post with cards; with those that were made for an application."""
        found = []
        with self._centre.database.read() as connection:
            for number in numbers:
                with suppress(NoSuchOrder):
                    found.append(orders.letter_facts(connection, orders.of_card(connection, number)))
        return found

    async def _move(self, request: Request) -> Response:
        try:
            fields = await read_form(request)
        except MalformedForm:
            fields = {}
        await run_in_threadpool(self._ahead, fields)
        return RedirectResponse("/", HTTPStatus.SEE_OTHER)

    async def _move_by(self, request: Request) -> Response:
        try:
            asked = json.loads(await request.body())
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            raise HTTPException(HTTPStatus.BAD_REQUEST, ClockNotMoved().message())
        await run_in_threadpool(self._ahead, asked)
        return self._tell_time(request)

    def _ahead(self, asked: Mapping[str, Any]) -> None:
        try:
            self._clock.move(
                timedelta(**{unit: int(asked[unit]) for unit in ("days", "seconds") if unit in asked})
            )
        except (ValueError, TypeError, OverflowError, ClockNotMoved):
            raise HTTPException(HTTPStatus.BAD_REQUEST, ClockNotMoved().message()) from None

    def _tell_time(self, _: Request) -> Response:
        return JSONResponse(
            {"now": self._clock().isoformat(), "ahead_seconds": int(self._clock.ahead.total_seconds())}
        )

    def _list_mails(self, _: Request) -> Response:
        return JSONResponse([_as_json(mail) for mail in mailbox.mails(self._sandbox.mails)])

    def _list_cards(self, _: Request) -> Response:
        return JSONResponse(self._cards())

    def _cards(self) -> Sequence[Mapping[str, Any]]:
        """Return the cards of the stand-in, as softhsm-card tells of them."""
        found: list[dict[str, Any]] = json.loads(
            run(self._sandbox.variables, "softhsm-card", "list", "--json")
        )
        return found


def _pdf(content: bytes) -> Response:
    return Response(content, media_type="application/pdf")


def _as_json(mail: ReceivedMail) -> dict[str, Any]:
    return {
        "name": mail.name,
        "at": mail.at.isoformat(),
        "to": mail.to,
        "subject": mail.subject,
        "text": mail.text,
        "links": [part for line in mail.lines for part, is_link in line if is_link],
    }


def _rule_of(path: str) -> PathRule:
    return _API_RULE if path.startswith(_API) else _PAGE_RULE


def _refuse(_: Request, reason: RefusalReason) -> Response:
    return PlainTextResponse(HTTPStatus(reason.value).phrase, reason.value)
