# SPDX-License-Identifier: Apache-2.0
"""The pages of the jobs: a form, what becomes of it, and how it ended."""

from datetime import UTC, datetime
from functools import partial
from typing import Final
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from xca_common.errors import XcaError
from xca_common.i18n import LANGUAGES
from xca_common.secret import Secret
from xca_common.web.language import choosable
from xca_common.web.one_time_tokens import Tokens
from xca_plugin import receipt
from xca_plugin.agent.pages import pin_pattern
from xca_plugin.agent.pages.card_snapshot import desk_of, look
from xca_plugin.agent.pages.pin_actions import ACTIVATE, JOBS, LAST_TRY, Job
from xca_plugin.agent.pages.rendering import download, page
from xca_plugin.agent.pages.results import Outcome, Outcomes
from xca_plugin.cards import REAL_CARD_WARNING, Cards
from xca_plugin.model import Card

_FORM_MAX: Final = 4096


def routes() -> list[Route]:
    """Return the routes of the jobs; what their pages remember is theirs, and gone with them."""
    pages = _Pages()
    return [
        *(Route(job.path, choosable(partial(pages.show, job))) for job in JOBS),
        *(Route(job.path, partial(pages.do, job), methods=["POST"]) for job in JOBS),
        Route("/receipt", pages.receipt),
    ]


def _tokens(request: Request) -> Tokens:
    tokens: Tokens = request.app.state.tokens
    return tokens


class _Pages:
    def __init__(self) -> None:
        self._outcomes = Outcomes()

    async def show(self, job: Job, request: Request) -> Response:
        """The form of a job, or how it ended."""
        query = request.query_params
        outcome = self._outcomes.get(query.get("outcome"))
        if outcome and outcome.job is job and outcome.card:
            saved = f"/receipt?outcome={query['outcome']}" if job is ACTIVATE else None
            return page(request, "done.html", outcome=outcome, receipt=saved)
        seen = await look(request, query.get("card"))
        return page(
            request,
            "job.html",
            job=job,
            seen=seen,
            obstacle=job.obstacle(seen.card) if seen.card else None,
            error=outcome.error if outcome and outcome.job is job else None,
            stale="stale" in query,
            token=_tokens(request).issue(job.path),
            user_code_shape=pin_pattern.USER_CODE,
            pin_shape=pin_pattern.pin_of(seen.card) if seen.card else None,
            last_try=LAST_TRY,
            real_card_warning=REAL_CARD_WARNING,
        )

    async def do(self, job: Job, request: Request) -> Response:
        """Do what the form asks for, once, and send the browser to the page that tells how it ended."""
        fields = await _fields(request)
        if fields is None:
            return PlainTextResponse("This is no form of ours.\n", 400)
        number = fields.get("card", "")
        if not _tokens(request).spend(job.path, fields.get("token", "")):
            return _see(job.path, card=number, stale="yes")

        asked, new_pin = (Secret(fields.pop(name, "")) for name in ("asked", "new_pin"))

        def act(cards: Cards) -> Card:
            return job.do(
                cards,
                number,
                asked,
                new_pin,
                agreed=fields.get("agreed") == "yes",
                last_try=fields.get("last_try", "").strip() in [LAST_TRY(each) for each in LANGUAGES],
            )

        try:
            card = await desk_of(request).ask(act, [asked, new_pin])
            outcome = Outcome(job, number, datetime.now(UTC), card=card)
        except XcaError as error:
            outcome = Outcome(job, number, datetime.now(UTC), error=error)
        return _see(job.path, card=number, outcome=self._outcomes.keep(outcome))

    async def receipt(self, request: Request) -> Response:
        """The record of an activation, to be saved."""
        outcome = self._outcomes.get(request.query_params.get("outcome"))
        if not outcome or outcome.job is not ACTIVATE or not outcome.card:
            return PlainTextResponse("This receipt is no longer kept.\n", 404)
        record = receipt.activation(outcome.card, outcome.at, "xcactl agent")
        return download(record, f"{outcome.number}-receipt", "json", "application/json")


async def _fields(request: Request) -> dict[str, str] | None:
    """Return the fields of a form (application/x-www-form-urlencoded), None for anything else."""
    body = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded" or len(body) > _FORM_MAX:
        return None
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=10)
    except ValueError:
        return None
    return {name: values[0] for name, values in fields.items()}


def _see(path: str, **query: str) -> Response:
    return RedirectResponse(f"{path}?{urlencode(query)}", 303)
