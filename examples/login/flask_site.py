# SPDX-License-Identifier: Apache-2.0
"""A site with Flask that lets in holders of cards."""

from collections.abc import Collection
from pathlib import Path

from flask import Flask

from xca_login import Revocation, Site, TrustFolder, Verifier
from xca_login.http import CardLogin
from xca_login.integrations.flask import add_login, current_session, login_required


def make_app(origin: str, folder: Path, hosts: Collection[str] = ()) -> Flask:
    """Make the site; the certificates of the CAs are in folder/ca."""
    site = Site(origin, "投標網")
    verifier = Verifier(site, TrustFolder(folder / "ca"), Revocation(folder / "lists", hosts))
    app = Flask(__name__)
    add_login(app, CardLogin(site, verifier))

    @app.get("/bids")
    @login_required
    def bids() -> str:
        session = current_session()
        return f"bids of {session.organisation_oid if session else None}"

    return app
