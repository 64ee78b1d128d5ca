# SPDX-License-Identifier: Apache-2.0
"""The windows that web sites open: the bridge that carries one request, and the page to trust a site."""

import json
import re
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from xca_common.errors import XcaError
from xca_common.i18n import LANGUAGES
from xca_common.web.language import Endpoint, chosen
from xca_common.web.one_time_tokens import Tokens
from xca_plugin.agent.component.dispatcher import ANSWERS, Agreement, Component, Consent
from xca_plugin.agent.component.result_codes import compact
from xca_plugin.agent.component.trust import Trust
from xca_plugin.agent.pages import assets
from xca_plugin.agent.pages.rendering import page, render
from xca_plugin.agent.process.settings import is_origin

BRIDGES: Final = {
    "/popupForm": "getTbs",
    "/ChtPopupForm": "getTbs",
    "/CardManagement/CMCPopForm": "CMCAtn",
    "/PrintCard/ChtPopupFormPrintCard": "getTbs",
    "/MOEACA/ChtPopupFormMOEACA": "getTbs",
    "/eIDPM/ChtPopupFormEIDPM": "getTbs",
}
"""Paths of the bridge, and what it says first."""

_ADD: Final = "/addDomain"
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
# The opener must stay reachable: these windows answer it.
_REACHABLE: Final = {"Cross-Origin-Opener-Policy": "unsafe-none"}


def routes() -> list[Route]:
    """Return the routes of the windows."""
    return [
        *(Route(path, _bridge(hello)) for path, hello in BRIDGES.items()),
        Route("/popup", _carry, methods=["POST"]),
        Route("/waiting.gif", _waiting),
        Route(_ADD, _add_domain),
        Route(_ADD, _added, methods=["POST"]),
    ]


def _bridge(hello: str) -> Endpoint:
    """Return what serves the window at once: sites wait for its first word. No card is looked at before."""
    in_language = {
        language: render("bridge.html", language, hello=hello, answers=ANSWERS) for language in LANGUAGES
    }

    async def serve(request: Request) -> Response:
        return HTMLResponse(in_language[chosen(request)], headers=_REACHABLE)

    return serve


async def _carry(request: Request) -> Response:
    """Take a request that the bridge got from a site; answer it, or have the person asked."""
    try:
        said = json.loads(await request.body())
        site, body = said["site"], said["request"]
        agreement = _agreement(said["agreement"]) if "agreement" in said else None
        if not isinstance(site, str) or not isinstance(body, str):
            raise TypeError
        json.dumps(said, ensure_ascii=False).encode()  # no half characters
    except (ValueError, TypeError, KeyError, RecursionError):
        return JSONResponse({}, 400)
    component: Component = request.app.state.component
    answer = await component.answer(site, body, agreement=agreement)
    if isinstance(answer, Consent):
        return JSONResponse({"consent": answer.shown, "refusal": compact(answer.refusal)})
    return JSONResponse({"answer": compact(answer)})


def _agreement(said: dict[str, Any]) -> Agreement:
    def typed(name: str) -> str | None:
        return str(said[name]) if said.get(name) else None

    return Agreement(
        ticket=str(said["ticket"]),
        number=str(said["number"]),
        pin=typed("pin"),
        new_pin=typed("newPin"),
        for_a_while=said.get("forAWhile") is True,
        last_try=said.get("lastTry") is True,
    )


async def _waiting(request: Request) -> Response:
    return assets.answer("waiting.gif")


async def _add_domain(request: Request) -> Response:
    """Ask the person whether to trust a site. Nothing changes by this."""
    host = request.query_params.get("domain", "").lower()
    if not _HOST.fullmatch(host):
        return _window(request, "add_domain.html", status=400, site=None, problem=None)
    site = _asking(request, host)
    trust: Trust = request.app.state.trust
    tokens: Tokens = request.app.state.tokens
    if trust.trusts(site):
        # Only the site itself is told: no other shall learn which sites are trusted.
        return _window(request, "domain_added.html", site=site, tells=_opener(request) == site)
    return _window(request, "add_domain.html", site=site, problem=None, token=tokens.issue(f"{_ADD} {site}"))


async def _added(request: Request) -> Response:
    """Trust the site, if the person pressed the button of the page that asked."""
    said = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
    site = said.get("site", "")
    tokens: Tokens = request.app.state.tokens
    if not is_origin(site) or not tokens.spend(f"{_ADD} {site}", said.get("token", "")):
        return _window(request, "add_domain.html", status=400, site=None, problem=None)
    trust: Trust = request.app.state.trust
    try:
        trust.add(site)
    except XcaError as error:
        return _window(request, "add_domain.html", status=500, site=None, problem=error)
    return _window(request, "domain_added.html", site=site, tells=True)


def _asking(request: Request, host: str) -> str:
    """Return the origin to trust: of the page that opened this window, if it is of that host.

    Sites name their host alone. A browser that does not say which page it was means one over HTTPS.
    """
    opener = _opener(request)
    address = opener.partition("://")[2]
    named = address == host or address.startswith(f"{host}:")
    return opener if named and is_origin(opener) else f"https://{host}"


def _opener(request: Request) -> str:
    """Return the origin of the page that opened this window, as far as the browser says it."""
    scheme, _, rest = request.headers.get("referer", "").partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _window(request: Request, template: str, *, status: int = 200, **context: object) -> Response:
    window = page(request, template, status=status, **context)
    window.headers.update(_REACHABLE)
    return window
