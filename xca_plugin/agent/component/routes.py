# SPDX-License-Identifier: Apache-2.0
"""The component's paths, as pages and programs ask them directly."""

from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xca_plugin.agent.component import information
from xca_plugin.agent.component.dispatcher import Component, Consent
from xca_plugin.agent.component.result_codes import Code, Refusal, failure, response
from xca_plugin.agent.component.trust import Trust

_FUNCS: Final[Mapping[str, str | None]] = {
    "/sign": "MakeSignature",
    "/umakeSig": "umakeSig",
    "/decrypt": "DecryptData",
    "/writecert": "writecert",
    "/makeCsr": "makeCsr",
    "/getChallenge": "getChallenge",
    "/CardManagement/sendCardCommand": None,  # named in the request
}
_INFORMATION: Final = "/pkcs11info"
_BITMAP: Final = "/p11Image.bmp"
# Printers of cards, secondary cards of companies, the New eID: none of their commands is known here.
_OTHERS: Final = ("/PrintCard/", "/MOEACA/", "/eIDPM/")

_NEEDS_WINDOW: Final = "此網站須經由元件的視窗取得您的同意"


def routes() -> list[Route]:
    """Return the routes of the wire."""
    return [
        Route(_INFORMATION, _information, methods=["GET", "POST", "OPTIONS"]),
        Route(_BITMAP, _bitmap, methods=["GET", "OPTIONS"]),
        *(Route(path, _function, methods=["POST", "OPTIONS"]) for path in _FUNCS),
        *(Route(f"{path}{{command}}", _function, methods=["POST", "OPTIONS"]) for path in _OTHERS),
    ]


def is_open(path: str) -> bool:
    """Tell whether pages of other origins may ask a path: one that looks at Origin itself."""
    return path in (*_FUNCS, _INFORMATION, _BITMAP) or path.startswith(_OTHERS)


async def unknown(request: Request) -> Response:
    """Answer what is asked at any other path."""
    return response(failure("", Refusal(Code.UNSUPPORTED)))


async def _information(request: Request) -> Response:
    if request.method == "OPTIONS":
        return _preflight(request)
    with_certificates = request.query_params.get("withcert") == "true"
    return await _answered(request, "{}", "GetUserCert" if with_certificates else "CheckEnvir")


async def _function(request: Request) -> Response:
    if request.method == "OPTIONS":
        return _preflight(request)
    trust: Trust = request.app.state.trust
    body = ""
    if trust.trusts(_site(request)):  # what strangers send is not even looked at
        # What is no UTF-8 stays recognisable, and is refused where the fields are decoded.
        body = (await request.body()).decode("utf-8", "surrogateescape")
    return await _answered(request, body or "{}", _FUNCS.get(request.url.path))


async def _bitmap(request: Request) -> Response:
    """Tell in a picture what pkcs11info tells; to sites that are not trusted only our versions."""
    if request.method == "OPTIONS":
        return _share(_preflight(request), request)
    component: Component = request.app.state.component
    answer = await component.answer(_site(request), "{}", "CheckEnvir")
    assert not isinstance(answer, Consent)  # noqa: S101  # reading needs none
    if answer["ret_code"] == Code.NOT_TRUSTED:
        answer = {**answer, **information.about(), "slots": []}
    picture = Response(information.draw(answer), media_type="image/bmp")
    picture.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return _share(picture, request)


async def _answered(request: Request, body: str, func: str | None) -> Response:
    component: Component = request.app.state.component
    answer: Mapping[str, Any] | Consent = await component.answer(_site(request), body, func)
    if isinstance(answer, Consent):
        # Nobody can be asked here.
        answer = failure(answer.refusal["func"], Refusal(Code.CANCELLED, _NEEDS_WINDOW))
    return _share_with_trusted(response(answer), request)


def _site(request: Request) -> str:
    return request.headers.get("origin", "")


def _preflight(request: Request) -> Response:
    allowed = {
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": "Content-Type",
        "Access-Control-Allow-Private-Network": "true",
        "Access-Control-Max-Age": "60",
    }
    return _share_with_trusted(Response(status_code=204, headers=allowed), request)


def _share_with_trusted(answer: Response, request: Request) -> Response:
    trust: Trust = request.app.state.trust
    return _share(answer, request) if trust.trusts(_site(request)) else answer


def _share(answer: Response, request: Request) -> Response:
    if site := _site(request):
        answer.headers["Access-Control-Allow-Origin"] = site
        answer.headers["Vary"] = "Origin"
    return answer
