# SPDX-License-Identifier: Apache-2.0
"""The home page, and the pages that describe the kinds of problem."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xca_centre.errors import AddressUnknown
from xca_centre.web import menu, problems
from xca_centre.web.frame import Frame


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""

    def home(request: Request) -> Response:
        return frame.page(request, "home.html")

    def problem(request: Request) -> Response:
        kind = problems.kind_named(request.path_params["name"])
        if kind is None:
            return frame.refusal(request, AddressUnknown())
        message, step = problems.described(kind)
        return frame.page(request, "problem.html", message=message, step=step)

    return [Route(menu.HOME, home), Route(f"{problems.PATH}/{{name}}", problem)]
