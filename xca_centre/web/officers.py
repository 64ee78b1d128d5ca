# SPDX-License-Identifier: Apache-2.0
"""The officers' pages, all of them."""

from collections.abc import Sequence
from typing import Final

from starlette.routing import Route

from xca_centre.web import (
    officers_cases,
    officers_certificates,
    officers_log,
    officers_organisations,
    officers_post,
    officers_requests,
    officers_staff,
)
from xca_centre.web.frame import Frame

_PARTS: Final = (
    *(officers_cases, officers_requests, officers_certificates, officers_organisations),
    *(officers_staff, officers_post, officers_log),
)


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""
    return [route for part in _PARTS for route in part.routes(frame)]
