# SPDX-License-Identifier: Apache-2.0
"""A site with FastAPI that lets in holders of cards."""

from collections.abc import Collection
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from xca_login import Revocation, Site, TrustFolder, Verifier
from xca_login.http import CardLogin
from xca_login.integrations.fastapi import LoggedIn, add_login


def make_app(origin: str, folder: Path, hosts: Collection[str] = ()) -> FastAPI:
    """Make the site; the certificates of the CAs are in folder/ca."""
    site = Site(origin, "投標網")
    verifier = Verifier(site, TrustFolder(folder / "ca"), Revocation(folder / "lists", hosts))
    app = FastAPI()
    add_login(app, CardLogin(site, verifier))

    @app.get("/bids", response_class=PlainTextResponse)
    def bids(session: LoggedIn) -> str:
        return f"bids of {session.organisation_oid}"

    return app
