# SPDX-License-Identifier: Apache-2.0
"""The integrations of frameworks, in this process: whose request it is, and what is kept of a page."""

import pytest
from flask import Flask

from support.login_http import posted
from support.login_site import SITE, Desk
from xca_login.http import CardLogin
from xca_login.integrations import flask
from xca_login.testing.tokens import sign

pytestmark = pytest.mark.fast

ORIGIN = {"Origin": SITE.origin}


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


@pytest.fixture
def card_login(desk: Desk) -> CardLogin:
    return CardLogin(SITE, desk.verifier(), clock=desk.clock)


def test_request_of_a_shared_flask_context_is_not_the_one_befores(desk: Desk, card_login: CardLogin) -> None:
    app = Flask(__name__)
    flask.add_login(app, card_login)

    @app.get("/bids")
    @flask.login_required
    def bids() -> str:
        return "bids"

    with app.app_context():
        holder = app.test_client()
        begun = holder.post("/login/begin", headers=ORIGIN, base_url=SITE.origin).get_json()
        body = posted(sign(desk.school, begun["statement"].encode()))
        json = {**ORIGIN, "Content-Type": "application/json"}
        assert holder.post("/login/finish", data=body, headers=json, base_url=SITE.origin).status_code == 200
        page = holder.get("/bids", base_url=SITE.origin)
        assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-store")
        assert app.test_client().get("/bids", base_url=SITE.origin).status_code == 401
