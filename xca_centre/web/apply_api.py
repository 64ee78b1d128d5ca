# SPDX-License-Identifier: Apache-2.0
"""Applications from programs: an application in one request, and its progress. openapi.yaml describes both.

There is no session: each request has its user code, in its body, and each wrong one is counted as on a page.
An application with an Idempotency-Key may be sent again (idempotency).
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from xca_centre import applications, case_number, payments
from xca_centre.application_form import FIELDS, ApplicationForm
from xca_centre.applications import Application
from xca_centre.deadlines import last_day
from xca_centre.errors import CardsNotMade, FormMalformed, UserCodeRefused
from xca_centre.life.payment import PaymentState
from xca_centre.life.transitions import Role
from xca_centre.payments import Slip
from xca_centre.web import idempotency, menu
from xca_centre.web.apply import APPLICATIONS_OF_A_NETWORK
from xca_centre.web.frame import Frame
from xca_centre.web.idempotency import Kept, RepeatableRequest
from xca_common.secret import Secret

PATH: Final = f"{menu.API}/applications"
"""Where programs post applications; below it they ask for the progress."""

_Document: TypeAlias = Mapping[str, str]


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""

    def terms(_: Request) -> Response:
        said = frame.rules.terms
        days = frame.rules.deadlines.acceptance.days
        clauses = [{"zh-TW": each("zh_TW"), "en": each("en")} for each in said.clauses(days)]
        return JSONResponse({"version": said.version, "clauses": clauses})

    def submit(request: Request, asked: _Document) -> Response:
        frame.limit(request, "draft", APPLICATIONS_OF_A_NETWORK)
        repeatable = idempotency.read(request, asked)
        with Secret(asked.get("user_code", "")) as code:
            answer = None
            while answer is None:  # another one with this key was faster: it has the answer
                if repeatable is not None:
                    answer = answered(repeatable, code, frame.network(request))
                if answer is None:
                    answer = submitted(asked, code, repeatable)
        return Response(answer, 201, media_type=JSONResponse.media_type)

    def answered(repeatable: RepeatableRequest, code: Secret, network: str) -> str | None:
        with frame.database.read() as connection:
            kept = idempotency.find(connection, repeatable, frame.clock)
        if kept is None:
            return None
        try:
            frame.codes.prove(lambda _: kept.code, code, network, Role.APPLICANT)
        except UserCodeRefused:
            raise idempotency.reused() from None
        return kept.answer

    def submitted(asked: _Document, code: Secret, repeatable: RepeatableRequest | None) -> str | None:
        """Return the answer; None: the key of the request is taken."""
        fields = {name: asked.get(name, "") for name in FIELDS}
        form = ApplicationForm.read(fields, frame.rules.terms.version)
        wanted = asked["request"].encode("utf-8", "replace") if "request" in asked else None
        key = None
        if wanted is None:
            if frame.producer is None:
                raise CardsNotMade
            key = frame.producer.public_key()
        chosen = frame.codes.choose(code, key)
        with frame.database.change() as change:
            if repeatable is not None and not idempotency.begin(change, repeatable):
                return None
            made = applications.submit(
                change, frame.rules, asked.get("organisation", ""), form, chosen, request=wanted
            )
            answer = json.dumps(_shown(made, None), ensure_ascii=False)
            if repeatable is not None:
                idempotency.end(change, repeatable, Kept(made.code, answer))
        return answer

    def progress(request: Request, asked: _Document) -> Response:
        number = case_number.read(asked.get("case_number", ""))
        with Secret(asked.get("user_code", "")) as code:
            proved = frame.codes.prove(
                lambda change: applications.find_code(change, number),
                code,
                frame.network(request),
                Role.APPLICANT,
            )
        with frame.database.read() as connection:
            case = applications.of_code(connection, proved)
            slips = payments.of_application(connection, case.id)
        is_open = next((one for one in slips if one.state is PaymentState.OPEN), None)
        return JSONResponse(_shown(case, is_open))

    def posted(handle: Callable[[Request, _Document], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await run_in_threadpool(handle, request, _document(await request.body()))

        return endpoint

    return [
        Route(f"{menu.API}/terms", terms),
        Route(PATH, posted(submit), methods=["POST"]),
        Route(f"{PATH}/progress", posted(progress), methods=["POST"]),
    ]


def _document(body: bytes) -> _Document:
    """Return the JSON object that a body is, of texts alone.

    Raises:
        FormMalformed: it is none.
    """
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        raise FormMalformed from None
    if not isinstance(read, dict) or not all(isinstance(value, str) for value in read.values()):
        raise FormMalformed
    return read


def _shown(case: Application, slip: Slip | None) -> dict[str, object]:
    """Return what a program is told of an application."""
    return {
        "case_number": case.case_number,
        "organisation": case.organisation,
        "state": case.state.value,
        "label": {"zh-TW": case.state.said("zh_TW"), "en": case.state.said("en")},
        "reason": case.reason,
        "revision": case.revision,
        "fee": case.fee,
        "submitted": case.submitted.isoformat(),
        "slip": slip and {"number": slip.number, "pay_by": last_day(slip.lapses_at).isoformat()},
    }
