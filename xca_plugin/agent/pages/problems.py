# SPDX-License-Identifier: Apache-2.0
"""HTTP errors outside the vendor's protocol: one table for the agent's pages and other addresses.

A browser gets a page with a way home, a program a document (RFC 9457). The vendor's protocol has a table of
its own: component.result_codes.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xca_common.errors import FileProblem, XcaError
from xca_common.web.language import with_language_choice
from xca_common.web.problems import Problem, problem_document, wants_page
from xca_common.web.request_guard import RefusalReason
from xca_plugin import errors
from xca_plugin.agent.pages.next_steps import step_after_error
from xca_plugin.agent.pages.rendering import page
from xca_plugin.agent.process.state import AgentState, endpoint
from xca_plugin.i18n import text

_REPEAT: Final = text("Open the page again and repeat it.")
_NOT_OUR_FORM: Final = text("What the browser sent is not a form of this program. Nothing was done.")

UNKNOWN_ADDRESS: Final = Problem(
    "unknown-address",
    404,
    text("There is nothing at this address."),
    text("Check the address, or begin at the start page."),
)
WRONG_METHOD: Final = Problem(
    "wrong-method",
    405,
    text("This address does not take requests of this method. Nothing was done."),
    text("Check the method, or begin at the start page."),
)
MALFORMED_FORM: Final = Problem("malformed-form", 400, _NOT_OUR_FORM, _REPEAT)
RECEIPT_GONE: Final = Problem(
    "receipt-gone",
    404,
    text("This receipt is no longer kept."),
    text("The page of the card shows its present state."),
)
FILE_GONE: Final = Problem(
    "file-gone",
    404,
    text("This file is no longer kept, or its job has not ended."),
    text("Files are deleted after half an hour without use. Choose them again."),
)
STALE_PAGE: Final = Problem(
    "stale-page", 409, text("This page was open for too long, or its job runs already."), _REPEAT
)
TOO_MANY_FILES: Final = Problem(
    "too-many-files",
    409,
    text("There are too many files, or too many jobs run at once."),
    text("Wait until a job has ended, or choose fewer files."),
)
LED_HERE: Final = Problem(
    "led-here",
    403,
    text("Another web site opened this page."),
    text(
        "Neither your card nor the agent asked for anything. Enter no PIN and no user code because a site "
        "sent you here. If you want to do something with your card, begin at the page of your card."
    ),
)
_WRONG_HOST: Final = Problem(
    "wrong-host",
    421,
    text("This is not the address of the agent. Nothing was done."),
    text("The agent answers under its own address only. Its host is localhost."),
)
_CARD_ABSENT: Final = Problem(
    "card-absent",
    404,
    text("The card or certificate is not here."),
    text("Insert the card again, or choose another one."),
)
_CARD_BUSY: Final = Problem(
    "card-busy", 503, text("The card is busy."), text("Wait a moment, then repeat what you did.")
)
_FILE_UNUSABLE: Final = Problem(
    "file-unusable",
    507,
    text("A file of the agent could not be read or written."),
    text("Check the room on the disk and your rights to the file. Then do it again."),
)
_FAILED: Final = Problem(
    "failed",
    500,
    text("This could not be done."),
    text("Check the state of the card before you repeat anything. The agent's log says more."),
)

_BY_REASON: Final[Mapping[RefusalReason, Problem]] = {
    RefusalReason.WRONG_HOST: _WRONG_HOST,
    RefusalReason.FOREIGN_ORIGIN: Problem(
        "foreign-origin",
        403,
        text("Another web site asked for this page. Nothing was done."),
        text("If you want to see it, open it yourself."),
    ),
    RefusalReason.WRONG_CONTENT_TYPE: Problem("wrong-content-type", 415, _NOT_OUR_FORM, _REPEAT),
    RefusalReason.BODY_TOO_LARGE: Problem("body-too-large", 413, _NOT_OUR_FORM, _REPEAT),
    RefusalReason.BODY_TOO_SLOW: Problem(
        "body-too-slow", 408, text("The form did not arrive in time. Nothing was done."), _REPEAT
    ),
    RefusalReason.UNEXPECTED_ERROR: Problem(
        "unexpected-error",
        500,
        text("An unexpected problem occurred."),
        text("Check the state of the card before you repeat anything. The agent's log says more."),
    ),
}
"""The problem of each refusal of the request guard, with the guard's status."""

_BY_ERROR: Final[Mapping[type[XcaError], Problem]] = {
    XcaError: _FAILED,
    FileProblem: _FILE_UNUSABLE,
    errors.NoReader: _CARD_ABSENT,
    errors.NoCard: _CARD_ABSENT,
    errors.CardNotFound: _CARD_ABSENT,
    errors.CardRemoved: _CARD_ABSENT,
    errors.NoSuchCertificate: _CARD_ABSENT,
    errors.CardWorkerBusy: _CARD_BUSY,
}
"""The problem of each error. An error that is not named here has that of its base class."""

_KINDS: Final[Mapping[str, Problem]] = {
    problem.name: problem
    for problem in (
        *(UNKNOWN_ADDRESS, WRONG_METHOD, MALFORMED_FORM, RECEIPT_GONE),
        *(FILE_GONE, STALE_PAGE, TOO_MANY_FILES, LED_HERE),
        *_BY_REASON.values(),
        *_BY_ERROR.values(),
    )
}
_PATH: Final = "/problems"


def routes(state: AgentState) -> list[Route]:
    """Return the route of the pages that describe the kinds of problem."""
    return [Route(f"{_PATH}/{{name}}", with_language_choice(endpoint(state, _describe)))]


def problem_of(error: XcaError) -> Problem:
    """Return the problem of an error. Its detail is the error's message and the next step on a page."""
    kind = _BY_ERROR[next(each for each in type(error).__mro__ if each in _BY_ERROR)]
    detail = text("{message} {next_step}").format(message=error.message(), next_step=_next_step(error))
    return replace(kind, detail=detail)


def _next_step(error: XcaError) -> str:
    sentence = step_after_error(error).sentence
    return sentence if isinstance(sentence, str) else sentence()


def refusal_of(reason: RefusalReason) -> Problem:
    """Return the problem of a request that the request guard refused."""
    return _BY_REASON[reason]


def problem_response(state: AgentState, request: Request, problem: Problem) -> Response:
    """Return a problem as a page for a person, or as a document for a program."""
    if wants_page(request):
        return _problem_page(state, request, problem, problem.status)
    return problem_document(request, problem, f"{state.settings.origins()[0]}{_PATH}")


def _problem_page(state: AgentState, request: Request, problem: Problem, status: int) -> Response:
    home = f"{state.settings.origins()[0]}/" if problem.status == _WRONG_HOST.status else "/"
    return page(request, "problem.html", status=status, problem=problem, home=home)


async def _describe(state: AgentState, request: Request) -> Response:
    """Show what a kind of problem means; its documents name this page as their type."""
    problem = _KINDS.get(request.path_params["name"])
    if problem is None:
        return problem_response(state, request, UNKNOWN_ADDRESS)
    return _problem_page(state, request, problem, 200)
