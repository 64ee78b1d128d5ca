# SPDX-License-Identifier: Apache-2.0
"""The addresses that certificates name: lists, OCSP, the certificates of the CAs.

Anybody may ask, by GET and plain HTTP: what is given out is signed. An answer may be kept for a second, so
that a change of state is seen within two.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from xca_centre.authority.hierarchy import Hierarchy
from xca_centre.authority.ocsp import (
    MALFORMED,
    MOST_REQUEST_BYTES,
    TRY_LATER,
    MalformedRequest,
    Request,
    read_path,
    read_posted,
)
from xca_centre.errors import CentreError, TooManyRequests
from xca_centre.status.answers import Answers
from xca_centre.status.published_lists import COMPLETE, PublishedLists
from xca_centre.store.database import Clock, Database
from xca_centre.user_codes import network_of
from xca_common.errors import place_of
from xca_common.web.bodies import body_of

_LOG: Final = logging.getLogger(__name__)
_A_SECOND: Final = {"Cache-Control": "public, max-age=1"}
_NOT_KEPT: Final = {"Cache-Control": "no-store"}
_LIST: Final = "application/pkix-crl"
_ANSWER: Final = "application/ocsp-response"
_CERTIFICATES: Final = "application/pkcs7-mime"
_RETRY_SECONDS: Final = "10"


def status_routes(database: Database, hierarchy: Hierarchy, clock: Clock) -> Sequence[Route]:
    """Return the routes of a centre's repository and responder.

    They sign what the database says: who serves them sees first that it lacks nothing (require_merged).

    Args:
        database: of the centre.
        hierarchy: its CAs.
        clock: the time.
    """
    return _Status(database, hierarchy, clock).routes()


class _Status:
    def __init__(self, database: Database, hierarchy: Hierarchy, clock: Clock) -> None:
        self._hierarchy = hierarchy
        self._lists = PublishedLists(database, hierarchy, clock)
        self._answers = Answers(database, hierarchy, clock)

    def routes(self) -> Sequence[Route]:
        repository = self._hierarchy.repository
        routes = [
            Route(repository.issuers_path, self._given(_CERTIFICATES, lambda: self._hierarchy.issuers_file)),
            Route(repository.root_path, self._given(_CERTIFICATES, lambda: self._hierarchy.root_file)),
            Route(repository.root_list_path, self._given(_LIST, lambda: self._hierarchy.root_list)),
        ]
        for generation in self._hierarchy.generations:
            responder = repository.responder_path(generation)
            folder = repository.complete_path(generation).rpartition("/")[0]
            routes += [
                Route(f"{folder}/{{name}}", self._list_of(generation)),
                Route(responder, self._posted, methods=["POST"]),
                Route(f"{responder}/{{rest:path}}", self._in_path),
            ]
        return routes

    @staticmethod
    def _given(media_type: str, content: Callable[[], bytes]) -> Callable[[HttpRequest], Response]:
        def give(_: HttpRequest) -> Response:
            try:
                return Response(content(), headers=_A_SECOND, media_type=media_type)
            except CentreError as error:
                return _unavailable(error)

        return give

    def _list_of(self, generation: int) -> Callable[[HttpRequest], Response]:
        repository = self._hierarchy.repository

        def give(request: HttpRequest) -> Response:
            path = request.url.path
            digits = "".join(filter(str.isdecimal, request.path_params["name"]))
            if path == repository.complete_path(generation):
                partition = COMPLETE
            elif digits.isascii() and 0 < len(digits) < 8:
                partition = int(digits)
            else:
                return Response(status_code=404)
            if partition != COMPLETE and path != repository.partition_path(generation, partition):
                return Response(status_code=404)
            try:
                found = self._lists.find(generation, partition)
            except CentreError as error:
                return _unavailable(error)
            if found is None:
                return Response(status_code=404)
            return Response(found.der, headers=_A_SECOND, media_type=_LIST)

        return give

    async def _posted(self, request: HttpRequest) -> Response:
        body = await body_of(request, MOST_REQUEST_BYTES)
        if body is None:
            return _answer(MALFORMED)
        return await run_in_threadpool(self._answered, request, lambda: read_posted(body))

    def _in_path(self, request: HttpRequest) -> Response:
        return self._answered(request, lambda: read_path(request.path_params["rest"]))

    def _answered(self, asked: HttpRequest, read: Callable[[], Request]) -> Response:
        network = network_of(asked.client.host if asked.client else "")
        try:
            return _answer(self._answers.answer(read(), network), _A_SECOND)
        except MalformedRequest:
            return _answer(MALFORMED)
        except TooManyRequests:
            return _answer(TRY_LATER)
        except (CentreError, OSError) as error:
            _LOG.error("no OCSP answer: %s", _said(error))
            return _answer(TRY_LATER)


def _answer(der: bytes, headers: dict[str, str] = _NOT_KEPT) -> Response:
    return Response(der, headers=headers, media_type=_ANSWER)


def _unavailable(error: CentreError) -> Response:
    _LOG.error("nothing to give out: %s", _said(error))
    return Response(status_code=503, headers={**_NOT_KEPT, "Retry-After": _RETRY_SECONDS})


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, CentreError) else place_of(error)
