# SPDX-License-Identifier: Apache-2.0
"""A site without a framework, with WSGI, that lets in holders of cards."""

from collections.abc import Collection, Iterable
from pathlib import Path
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from xca_login import Revocation, Site, TrustFolder, Verifier
from xca_login.http import CardLogin
from xca_login.integrations.wsgi import WsgiLogin, WsgiSessions, session_of


def make_app(origin: str, folder: Path, hosts: Collection[str] = ()) -> WSGIApplication:
    """Make the site; the certificates of the CAs are in folder/ca."""
    site = Site(origin, "投標網")
    verifier = Verifier(site, TrustFolder(folder / "ca"), Revocation(folder / "lists", hosts))
    card_login = CardLogin(site, verifier)
    login = WsgiLogin(card_login)

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/login/"):
            return login(environ, start_response)
        session = session_of(environ)
        start_response("200 OK" if session else "403 Forbidden", [])
        return [f"bids of {session.organisation_oid}".encode() if session else b"nobody"]

    return WsgiSessions(app, card_login)
