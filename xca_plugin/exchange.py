# SPDX-License-Identifier: Apache-2.0
"""One question over HTTP, and its answer: of limited size, in limited time, and without redirections."""

import http.client
import io
import queue
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from functools import partial
from threading import Thread
from typing import Any, Final

from xca_common.errors import os_reason
from xca_common.i18n import Text
from xca_plugin.i18n import text

SOMETHING_ELSE: Final = text("it answers with something else")
_LATE: Final = text("it did not answer in time")


class Unanswered(Exception):  # a situation
    """No answer came that could be read.

    Attributes:
        detail: why not.
    """

    def __init__(self, detail: Text | str) -> None:
        super().__init__()
        self.detail = detail


@dataclass(frozen=True)
class HttpAnswer:
    """What an address answered.

    Attributes:
        status: the status code; redirections are answers like others.
        headers: the header fields.
        body: all of it.
    """

    status: int
    headers: Message
    body: bytes = field(repr=False)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any, **_named: Any) -> None:
        """Follow no redirection: only the named address is asked."""


class _InTime(io.RawIOBase):
    """What comes from a socket until a moment: slow headers and bodies end at it, and are closed."""

    def __init__(self, connection: socket.socket, end: float) -> None:
        self._connection, self._end = connection, end
        self._read = connection.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._read.readinto(buffer)

    def close(self) -> None:
        self._read.close()
        super().close()


@dataclass(frozen=True)
class _Source:
    """A socket, as http.client reads from it."""

    connection: socket.socket
    end: float

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(_InTime(self.connection, self.end))


class _Http(urllib.request.HTTPHandler):
    def __init__(self, end: float) -> None:
        super().__init__()
        self._end = end

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_connecting(http.client.HTTPConnection, self._end), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, end: float, tls: ssl.SSLContext | None) -> None:
        super().__init__()
        self._end, self._tls = end, tls

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_connecting(http.client.HTTPSConnection, self._end), req, context=self._tls)


def _connecting(kind: type[http.client.HTTPConnection], end: float) -> Callable[..., Any]:
    """Return how connections are made whose answers, those of proxies too, come until a moment."""

    def connect(*arguments: Any, **named: Any) -> http.client.HTTPConnection:
        connection = kind(*arguments, **named)
        connection.response_class = partial(_response, end)  # type: ignore[assignment]  # it is only called
        return connection

    return connect


def _response(end: float, connection: socket.socket, *more: Any, **named: Any) -> http.client.HTTPResponse:
    source: Any = _Source(connection, end)
    return http.client.HTTPResponse(source, *more, **named)


def exchange(
    address: str,
    body: bytes | None,
    headers: Mapping[str, str],
    *,
    most: int,
    seconds: float,
    tls: ssl.SSLContext | None = None,
    through_proxy: bool = True,
) -> HttpAnswer:
    """Ask an address, once.

    Args:
        address: http or https.
        body: is posted; None: something is got.
        headers: of the request.
        most: bytes that the answer may have.
        seconds: that all of it may take.
        tls: whom https trusts; None: those whom the system trusts.
        through_proxy: the proxies of the environment are used.

    Raises:
        Unanswered: it gave no answer, or one that is too long.
        ValueError: it is no address.
    """
    end = time.monotonic() + seconds
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect(), _Http(end), _Https(end, tls)]
    if not through_proxy:
        handlers.append(urllib.request.ProxyHandler({}))
    opener = urllib.request.build_opener(*handlers)
    asked = urllib.request.Request(address, body, dict(headers))  # noqa: S310  # its callers check it
    answers: queue.SimpleQueue[HttpAnswer | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(_asked(opener, asked, most, seconds))
        except Exception as error:
            answers.put(error)

    # In a thread that may be left behind: a resolver has no limit.
    Thread(target=ask, name="exchange", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise Unanswered(_LATE) from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _asked(
    opener: urllib.request.OpenerDirector, asked: urllib.request.Request, most: int, seconds: float
) -> HttpAnswer:
    try:
        try:
            response = opener.open(asked, timeout=seconds)
        except urllib.error.HTTPError as refusal:
            response = refusal
        with response:
            answer = HttpAnswer(response.status, response.headers, response.read(most + 1))
    except urllib.error.URLError as error:
        reason = error.reason
        if isinstance(reason, TimeoutError):
            raise Unanswered(_LATE) from None
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise Unanswered(
                text("its TLS certificate is not one that is trusted: {detail}").format(
                    detail=reason.verify_message
                )
            ) from None
        raise Unanswered(os_reason(reason) if isinstance(reason, OSError) else str(reason)) from None
    except TimeoutError:
        raise Unanswered(_LATE) from None
    except OSError as error:
        raise Unanswered(os_reason(error)) from None
    except http.client.HTTPException:
        raise Unanswered(SOMETHING_ELSE) from None
    if len(answer.body) > most:
        raise Unanswered(SOMETHING_ELSE)
    return answer
