# SPDX-License-Identifier: Apache-2.0
"""One question over HTTP, and its answer: of limited size, in limited time, and without redirections."""

import http.client
import queue
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
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
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if tls is not None:
        handlers.append(urllib.request.HTTPSHandler(context=tls))
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

    # In a thread that may be left behind: neither a resolver nor one slow byte after another has a limit.
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
            answer = HttpAnswer(response.status, response.headers, _body(response, most, seconds))
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


def _body(response: http.client.HTTPResponse | urllib.error.HTTPError, most: int, seconds: float) -> bytes:
    """Return a body, one byte more than may be at most.

    Raises:
        TimeoutError: it comes too slowly. Then nobody waits for it any more, and the connection is closed.
    """
    body, end = bytearray(), time.monotonic() + seconds
    while len(body) <= most and (part := response.read1(most + 1 - len(body))):
        body += part
        if time.monotonic() > end:
            raise TimeoutError
    return bytes(body)
