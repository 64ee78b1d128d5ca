# SPDX-License-Identifier: Apache-2.0
"""A site with Starlette that lets in holders of cards."""

from collections.abc import Collection
from pathlib import Path

from starlette.applications import Starlette
from starlette.authentication import requires
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from xca_login import Revocation, Site, TrustFolder, Verifier
from xca_login.http import CardLogin
from xca_login.integrations.starlette import LoginMiddleware, login_routes


async def home(request: Request) -> Response:
    """Say who is logged in."""
    return PlainTextResponse(request.user.display_name or "nobody")


@requires("authenticated")
async def bids(request: Request) -> Response:
    """Show what only holders of cards see."""
    return PlainTextResponse(f"bids of {request.user.session.organisation_oid}")


def make_app(origin: str, folder: Path, hosts: Collection[str] = ()) -> Starlette:
    """Make the site; the certificates of the CAs are in folder/ca."""
    site = Site(origin, "投標網")
    verifier = Verifier(site, TrustFolder(folder / "ca"), Revocation(folder / "lists", hosts))
    card_login = CardLogin(site, verifier)
    return Starlette(
        routes=[Route("/", home), Route("/bids", bids), login_routes(card_login)],
        middleware=[Middleware(LoginMiddleware, card_login=card_login)],
    )
