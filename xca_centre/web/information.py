# SPDX-License-Identifier: Apache-2.0
"""Pages that only tell something: how a card is activated, questions and answers, what the computer needs."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xca_centre import questions
from xca_centre.web import menu
from xca_centre.web.frame import Frame


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""

    def how_to_activate(request: Request) -> Response:
        return frame.page(request, "how_to_activate.html")

    def asked(request: Request) -> Response:
        before, after = questions.about_applications(frame.rules), questions.about_cards(frame.rules)
        return frame.page(request, "questions.html", before=before, after=after)

    def components(request: Request) -> Response:
        return frame.page(request, "components.html")

    return [
        Route(menu.HOW_TO_ACTIVATE, how_to_activate),
        Route(menu.QUESTIONS, asked),
        Route(menu.COMPONENTS, components),
    ]
