# SPDX-License-Identifier: Apache-2.0
"""Where acceptances are posted. There is no session and no cookie: the signature says who it is from.

The sender keeps an acceptance until it is answered "accepted", or is told that the refusal is final.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from xca_centre.acceptance import accept, is_final
from xca_centre.errors import (
    AcceptanceMalformed,
    AcceptanceRefused,
    AcceptanceTooLong,
    CentreError,
    Refused,
    StoreProblem,
)
from xca_centre.i18n import text
from xca_centre.issuer_rules import IssuerRules
from xca_centre.store.database import Database
from xca_common.web.bodies import body_of
from xca_common.web.language import language_of
from xca_common.web.problems import Problem, problem_document
from xca_login.token import MOST_BYTES

PATH: Final = "/acceptances"

_LOG: Final = logging.getLogger(__name__)
_NOT_KEPT: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_RETRY_SECONDS: Final = "60"
_TITLE: Final = text("The certificates are not accepted.")
_DETAIL: Final = text("{message} {next_step}")
_STATUSES: Final[Mapping[type[CentreError], int]] = {
    AcceptanceTooLong: 413,
    AcceptanceMalformed: 400,
    AcceptanceRefused: 403,
    Refused: 409,
    StoreProblem: 503,
}
_UNAVAILABLE: Final = "unavailable"
"""The code of what has nothing to do with the acceptance."""


def acceptance_routes(database: Database, rules: IssuerRules, origin: str) -> Sequence[Route]:
    """Return the route to which acceptances are posted, as the body: CMS SignedData in DER.

    Args:
        database: of the centre.
        rules: the issuer's.
        origin: the centre's own, as it is configured.
    """

    async def post(request: Request) -> Response:
        data = await body_of(request, MOST_BYTES)
        return await run_in_threadpool(answered, request, data, database.clock())

    def answered(request: Request, data: bytes | None, arrived: datetime) -> Response:
        try:
            if data is None:
                raise AcceptanceTooLong(most=MOST_BYTES)
            accepted = accept(database, rules, origin, data, arrived)
        except (Refused, StoreProblem) as error:
            return _refusal(request, error, origin)
        assert accepted.accepted is not None  # noqa: S101  # accept() returns nothing else
        answer = {
            "outcome": "accepted",
            "card": accepted.card,
            "accepted": accepted.accepted.isoformat(),
            "state": accepted.standing.state.value,
        }
        return JSONResponse(answer, headers=_NOT_KEPT)

    return [Route(PATH, post, methods=["POST"])]


def _refusal(request: Request, error: Refused | StoreProblem, origin: str) -> Response:
    if isinstance(error, Refused):
        code = error.code
        _LOG.info("acceptance refused (%s): %s", code, error)
    else:
        code = _UNAVAILABLE
        _LOG.error("acceptance not taken: %s", error)
    status = next(_STATUSES[each] for each in type(error).__mro__ if each in _STATUSES)
    spoken = language_of(request)
    detail = _DETAIL.format(message=error.message(spoken), next_step=error.next_step(spoken))
    problem = Problem(code.replace("_", "-"), status, _TITLE, detail)
    more = {"code": code, "final": is_final(error), **error.words()}
    answer = problem_document(request, problem, f"{origin}/problems", more)
    answer.headers.update(_NOT_KEPT)
    if not is_final(error):
        answer.headers["Retry-After"] = _RETRY_SECONDS
    return answer
