# SPDX-License-Identifier: Apache-2.0
"""Tells open pages of changes, as server-sent events (HTML standard, section 9.2).

An event carries the topic's version and nothing else: a page that shows an older one loads itself again.
"""

from collections.abc import AsyncIterator
from typing import Final

from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from xca_plugin.agent.pages.problems import UNKNOWN_ADDRESS, problem_response
from xca_plugin.agent.process.change_topics import ChangeTopic
from xca_plugin.agent.process.state import AgentState, endpoint

_RETRY: Final = 1000  # milliseconds until a page asks for an agent that ended


def routes(state: AgentState) -> list[Route]:
    """Return the route of the events; ?of= names the topic: cards, sites, files-ID."""
    return [Route("/events", endpoint(state, _events))]


async def _events(state: AgentState, request: Request) -> Response:
    topics: dict[str, ChangeTopic] = {"cards": state.card_changes, "sites": state.recent_sites}
    name = request.query_params.get("of", "")
    topic = topics.get(name)
    workspace = state.workspaces.get(name.removeprefix("files-"))
    if workspace is not None and workspace.job is not None:
        topic = workspace.job.changes
    if topic is None:
        return problem_response(state, request, UNKNOWN_ADDRESS)
    return _EventStream(_messages(topic))


async def _messages(topic: ChangeTopic) -> AsyncIterator[dict[str, str | int]]:
    versions = topic.versions()
    try:
        async for version in versions:
            yield {"data": version, "retry": _RETRY}
    finally:
        await versions.aclose()


class _EventStream(EventSourceResponse):
    """A stream that goes on until the page or the agent ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream, and complete the answer at the end: the server logs an incomplete one as a fault."""
        await super().__call__(scope, receive, send)
        if scope["method"] != "HEAD":
            await send({"type": "http.response.body", "body": b""})
