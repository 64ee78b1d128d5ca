# SPDX-License-Identifier: Apache-2.0
"""HTTP errors as documents that programs read (RFC 9457), in the language of the request."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from xca_common.i18n import Text
from xca_common.web.language import language_of

MEDIA_TYPE: Final = "application/problem+json"


@dataclass(frozen=True)
class Problem:
    """A kind of HTTP error.

    Attributes:
        name: the last part of its address, such as unknown-address. A published name keeps its meaning.
        status: the HTTP status (RFC 9110).
        title: what happened; the same sentence for every error of the kind.
        detail: more about this one error, and what to do next.
    """

    name: str
    status: int
    title: Text
    detail: Text


def wants_page(request: Request) -> bool:
    """Tell whether a person's browser asks for a page: it accepts HTML by name (RFC 9110, section 12.5.1)."""
    accepted = (part.partition(";")[0].strip() for part in request.headers.get("accept", "").split(","))
    return "text/html" in accepted


def problem_document(
    request: Request, problem: Problem, types: str, more: Mapping[str, object] = {}
) -> Response:
    """Return a problem as a document for programs, in the language of the request.

    Args:
        request: what is answered.
        problem: why it is not carried out.
        types: the address below which the program describes its kinds of problem.
        more: further members (RFC 9457, section 3.2).
    """
    language = language_of(request)
    members = {
        "type": f"{types}/{problem.name}",
        "title": problem.title(language),
        "status": problem.status,
        "detail": problem.detail(language),
        **more,
    }
    return Response(json.dumps(members), problem.status, media_type=MEDIA_TYPE)
