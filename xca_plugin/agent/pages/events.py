# SPDX-License-Identifier: Apache-2.0
"""Changes told to the pages that show something, as server-sent events (HTML standard, section 9.2).

An event carries a version and nothing else: a page that shows an older one asks for itself again.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from threading import Thread
from typing import Final

from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from xca_common.errors import place_of
from xca_plugin.agent.process.card_worker import Desk
from xca_plugin.model import Card
from xca_plugin.watch import Watch

_log = logging.getLogger(__name__)

Event = dict[str, str | int]
"""Fields of an event."""

_RETRY: Final = 1000  # milliseconds until a page looks for an agent that went


class Topic:
    """Something that changes, and pages that follow it."""

    def __init__(self) -> None:
        self._run = secrets.token_hex(4)  # versions of two runs of the agent never meet
        self._count = 0
        self._next = asyncio.Event()

    @property
    def version(self) -> str:
        """What a page shows now; differs after every change."""
        return f"{self._run}-{self._count}"

    def changed(self) -> None:
        """Tell the pages; only in the event loop's thread."""
        self._count += 1
        self._next.set()
        self._next = asyncio.Event()

    async def events(self) -> AsyncIterator[Event]:
        """Yield an event now and after every change."""
        while True:
            upcoming = self._next
            yield {"data": self.version, "retry": _RETRY}
            await upcoming.wait()


class CardChanges(Topic):
    """Cards and readers. They are watched while a page follows, by a thread that asks the desk."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._followers = 0
        self._watch: Watch | None = None

    async def events(self) -> AsyncIterator[Event]:
        """Yield an event now and after every change."""
        self._followers += 1
        if self._watch is None:
            self._watch = self._start()
        try:
            async for event in super().events():
                yield event
        finally:
            self._followers -= 1
            if not self._followers and self._watch is not None:
                self._watch.stop()
                self._watch = None

    def _start(self) -> Watch:
        loop = asyncio.get_running_loop()

        def detect() -> Sequence[Card]:
            return asyncio.run_coroutine_threadsafe(
                self._desk.ask(lambda cards: cards.detect()), loop
            ).result()

        watch = Watch(detect)

        def follow() -> None:
            try:
                for _ in watch:
                    loop.call_soon_threadsafe(self.changed)
            except Exception as error:
                _log.error("the cards are no longer watched: %s", place_of(error))
                loop.call_soon_threadsafe(self._forget, watch)

        # The first looks tell everything as new: what happened while nobody watched reaches the pages so.
        Thread(target=follow, name="watch", daemon=True).start()
        return watch

    def _forget(self, watch: Watch) -> None:
        if self._watch is watch:
            self._watch = None


def routes() -> list[Route]:
    """Return the route of the events: /events?of= names the topic, kept in the application's state."""
    return [Route("/events", _events)]


async def _events(request: Request) -> Response:
    topic = {"cards": request.app.state.card_changes, "sites": request.app.state.visits}.get(
        request.query_params.get("of", "")
    )
    if topic is None:
        return PlainTextResponse("of is cards or sites\n", 404)
    return _Endless(topic.events())


class _Endless(EventSourceResponse):
    """A stream that only the agent's own end, or its reader's, cuts off."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream, and complete the answer in the end: the server takes one that is not for a fault."""
        await super().__call__(scope, receive, send)
        if scope["method"] != "HEAD":
            await send({"type": "http.response.body", "body": b""})
