# SPDX-License-Identifier: Apache-2.0
"""The agent's parts, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from xca_common.single_flight import Shared
from xca_common.web.language import Speaking
from xca_common.web.one_time_tokens import Tokens
from xca_plugin.agent.component import popups, routes
from xca_plugin.agent.component.dispatcher import Component
from xca_plugin.agent.component.recent_sites import Noting, Visits
from xca_plugin.agent.component.trust import Trust
from xca_plugin.agent.pages import action_forms, assets, events, home, selftest
from xca_plugin.agent.pages.events import CardChanges
from xca_plugin.agent.process.card_worker import Desk
from xca_plugin.agent.process.guard import Guard
from xca_plugin.agent.process.settings import Settings


def create_app(settings: Settings) -> Starlette:
    """Return the application; its state holds what the parts share."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        app.state.desk.close()

    visits = Visits()
    app = Starlette(
        routes=[
            Route("/agent.json", _about),
            *home.routes(),
            *action_forms.routes(),
            *events.routes(),
            *selftest.routes(),
            *routes.routes(),
            *popups.routes(),
            *assets.routes(),
            Route("/{path:path}", routes.unknown, methods=["GET", "POST"]),
        ],
        middleware=[
            Middleware(Guard, settings=settings, is_open=routes.is_open),
            Middleware(Noting, visits=visits),
            Middleware(Speaking),
        ],
        lifespan=lifespan,
    )
    app.state.settings = settings
    app.state.origin = settings.origins()[0]
    app.state.desk = desk = Desk()
    app.state.tokens = Tokens()
    app.state.trust = trust = Trust(settings)
    app.state.component = Component(desk, settings, trust)
    app.state.card_changes = CardChanges(desk)
    app.state.visits = visits
    app.state.reader_look = Shared()
    app.state.self_test = Shared()
    return app


async def _about(request: Request) -> JSONResponse:
    return JSONResponse({"name": "xca-plugin", "version": version("xca-plugin")})
