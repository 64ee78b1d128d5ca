# SPDX-License-Identifier: Apache-2.0
"""The component's paths that web sites and other clients request directly, without a popup."""

import re
from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xca_plugin.agent.component import information, site_requests
from xca_plugin.agent.component.dispatcher import ConsentRequest
from xca_plugin.agent.component.result_codes import Code, Refusal, failure, json_response
from xca_plugin.agent.process.state import AgentState, endpoint

_FUNCTIONS: Final[Mapping[str, str | None]] = {
    "/sign": "MakeSignature",
    "/umakeSig": "umakeSig",
    "/decrypt": "DecryptData",
    "/writecert": "writecert",
    "/makeCsr": "makeCsr",
    "/getChallenge": "getChallenge",
    "/CardManagement/sendCardCommand": None,  # the member `func` names it
}
"""The name of the function by its path."""
_INFORMATION: Final = "/pkcs11info"
_BITMAP: Final = "/p11Image.bmp"
# Card printers, secondary cards of companies, the New eID. The agent knows none of their commands.
_OTHER_FAMILIES: Final = ("/PrintCard/", "/MOEACA/", "/eIDPM/")

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2


def routes(state: AgentState) -> list[Route]:
    """Return the routes of the component's paths."""
    information_endpoint, function_endpoint = endpoint(state, _information), endpoint(state, _function)
    return [
        Route(_INFORMATION, information_endpoint, methods=["GET", "POST", "OPTIONS"]),
        Route(_BITMAP, endpoint(state, _bitmap), methods=["GET", "OPTIONS"]),
        *(Route(path, function_endpoint, methods=["POST", "OPTIONS"]) for path in _FUNCTIONS),
        *(
            Route(f"{path}{{command}}", function_endpoint, methods=["POST", "OPTIONS"])
            for path in _OTHER_FAMILIES
        ),
    ]


def is_open(path: str) -> bool:
    """Tell whether pages of other origins may ask for a path, which then judges the Origin header itself."""
    return path in (*_FUNCTIONS, _INFORMATION, _BITMAP) or path.startswith(_OTHER_FAMILIES)


def unsupported() -> Response:
    """Return the answer to a request for one of these paths that no function is for, such as a GET."""
    return json_response(failure("", Refusal(Code.UNSUPPORTED)))


async def _information(state: AgentState, request: Request) -> Response:
    if request.method == "OPTIONS":
        return _preflight(state, request)
    with_certificates = request.query_params.get("withcert") == "true"
    return await _answer(state, request, "{}", "GetUserCert" if with_certificates else "CheckEnvir")


async def _function(state: AgentState, request: Request) -> Response:
    if request.method == "OPTIONS":
        return _preflight(state, request)
    body = ""
    if state.trusted_sites.trusts(_site(request)):  # the body of an untrusted site is not parsed
        # surrogateescape keeps bytes that are no UTF-8, so that decode_fields() refuses them.
        body = (await request.body()).decode("utf-8", "surrogateescape")
    return await _answer(state, request, body or "{}", _FUNCTIONS.get(request.url.path))


async def _bitmap(state: AgentState, request: Request) -> Response:
    """Return the answer of /pkcs11info as a picture. Sites that are not trusted read the versions in it."""
    if request.method == "OPTIONS":
        return _allow_reading(_preflight(state, request), request)
    answer = await site_requests.answer(state, request, _site(request), "{}", "CheckEnvir")
    assert not isinstance(answer, ConsentRequest)  # noqa: S101  # only operations need consent
    picture = Response(information.as_bitmap(answer), media_type="image/bmp")
    picture.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return _allow_reading(picture, request)


async def _answer(state: AgentState, request: Request, body: str, func: str | None) -> Response:
    answer = await site_requests.answer(state, request, _site(request), body, func)
    if isinstance(answer, ConsentRequest):
        answer = answer.unasked
    return _allow_reading_if_trusted(json_response(answer), state, request)


def _site(request: Request) -> str:
    return request.headers.get("origin", "")


def _preflight(state: AgentState, request: Request) -> Response:
    allowed = {
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": _requested_headers(request),
        "Access-Control-Allow-Private-Network": "true",
        "Access-Control-Max-Age": "60",
    }
    return _allow_reading_if_trusted(Response(status_code=204, headers=allowed), state, request)


def _requested_headers(request: Request) -> str:
    """Return the names of the headers that a page wants to send. The agent reads none but Content-Type."""
    names = request.headers.get("access-control-request-headers", "").replace(" ", "").split(",")
    return ", ".join(name for name in names if _HEADER_NAME.fullmatch(name)) or "Content-Type"


def _allow_reading_if_trusted(response: Response, state: AgentState, request: Request) -> Response:
    is_trusted = state.trusted_sites.trusts(_site(request))
    return _allow_reading(response, request) if is_trusted else response


def _allow_reading(response: Response, request: Request) -> Response:
    if site := _site(request):
        response.headers["Access-Control-Allow-Origin"] = site
        response.headers["Vary"] = "Origin"
    return response
