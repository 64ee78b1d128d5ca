# SPDX-License-Identifier: Apache-2.0
"""A site without a framework, with ASGI, that lets in holders of cards."""

from collections.abc import Collection
from pathlib import Path

from xca_login import Revocation, Site, TrustFolder, Verifier
from xca_login.http import CardLogin
from xca_login.integrations.asgi import (
    Application,
    AsgiLogin,
    AsgiSessions,
    Receive,
    Scope,
    Send,
    session_of,
)


def make_app(origin: str, folder: Path, hosts: Collection[str] = ()) -> Application:
    """Make the site; the certificates of the CAs are in folder/ca."""
    site = Site(origin, "投標網")
    verifier = Verifier(site, TrustFolder(folder / "ca"), Revocation(folder / "lists", hosts))
    card_login = CardLogin(site, verifier)
    login = AsgiLogin(card_login)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith("/login/"):
            await login(scope, receive, send)
            return
        session = session_of(scope)
        await send({"type": "http.response.start", "status": 200 if session else 403, "headers": []})
        body = f"bids of {session.organisation_oid}" if session else "nobody"
        await send({"type": "http.response.body", "body": body.encode()})

    return AsgiSessions(app, card_login)
