# SPDX-License-Identifier: Apache-2.0
"""An OpenID Connect provider, a client of it, and a browser with a card that goes through its pages."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from authlib.integrations.httpx_client import OAuth2Client

from support.login_http import Answer, Browser, asgi_site
from support.login_site import Desk
from xca_login.oidc import settings as oidc_settings
from xca_login.oidc.app import make_app
from xca_login.oidc.client import new_secret
from xca_login.testing.parties import Party

BACK = "https://rp.example.org/callback"
LEFT = "https://rp.example.org/left"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SECRET, DIGEST = new_secret()
CLIENTS = f"""
[[client]]
id = "bids"
name = "投標網"
secret = "{DIGEST}"
redirect_uris = ["{BACK}", "https://rp.example.org/other?a=1"]
post_logout_redirect_uris = ["{LEFT}"]
refresh = true

[[client]]
id = "archive"
name = "檔案"
secret = "{DIGEST}"
redirect_uris = ["https://archive.example.org/callback"]
subject = "pairwise"
scopes = ["openid", "profile"]

[[client]]
id = "archive-too"
name = "檔案二"
secret = "{DIGEST}"
redirect_uris = ["https://archive.example.org/second"]
subject = "pairwise"

[[client]]
id = "app"
name = "手機"
redirect_uris = ["com.example.app:/callback", "http://127.0.0.1:5000/callback"]
"""


def settings_file(folder: Path, origin: str, more: str = "", clients: str = CLIENTS) -> Path:
    """Write the settings of a provider; its CA is that of issuer_of()."""
    path = folder / "oidc.toml"
    head = f'origin = "{origin}"\nname = "單一登入"\nfolder = "kept"\nca = "ca"\nhosts = ["127.0.0.1"]\n'
    path.write_text(f"{head}{more}\n{clients}", encoding="utf-8")
    return path


@contextmanager
def provider(folder: Path, desk: Desk, more: str = "", clients: str = CLIENTS) -> Iterator[str]:
    """Serve a provider, and give its origin."""

    def make(origin: str) -> Any:
        return make_app(oidc_settings.read(settings_file(folder, origin, more, clients)), desk.clock)

    with asgi_site(make) as origin:
        yield origin


@dataclass
class Holder(Browser):
    """A person with a card and a browser."""

    origin: str
    card: Party
    cookies: dict[str, str] = field(default_factory=dict)

    def follow(self, path: str) -> Answer:
        """Ask for a page, as a link leads there; redirects within the provider are followed."""
        answer = self.ask("GET", path)
        while (to := answer.header("Location")) and to.startswith("/"):
            answer = self.ask("GET", to)
        return answer

    def submit(self, page: Answer, answer: str | None = None, **headers: str) -> Answer:
        """Send the form of a page."""
        text = page.body.decode()
        action = re.search(r'action="([^"]+)"', text)
        pending = re.search(r'name="request" value="([^"]+)"', text)
        assert action is not None, text
        assert pending is not None, text
        fields = {"request": unescape(pending[1])} | ({"answer": answer} if answer else {})
        return self.ask("POST", action[1], urlencode(fields).encode(), FORM | headers)

    def after_login(self, page: Answer) -> Answer:
        """Log in on a login page, and go where it leads."""
        assert self.log_in(self.card).status == 200
        found = re.search(r'data-next="([^"]+)"', page.body.decode())
        assert found is not None, page.body
        return self.follow(unescape(found[1]))

    def through(self, address: str) -> str:
        """Go through all pages that come, and return the address of the client to which they lead."""
        answer = self.follow(address.removeprefix(self.origin))
        if b"data-xca-login=" in answer.body:
            answer = self.after_login(answer)
        if b'value="allow"' in answer.body:
            answer = self.submit(answer, "allow")
        to = answer.header("Location")
        assert to is not None, (answer.status, answer.body.decode())
        return to


def client(origin: str, name: str = "bids", uri: str = BACK, secret: str | None = SECRET) -> OAuth2Client:
    """Return authlib's client."""
    method = "none" if secret is None else "client_secret_basic"
    return OAuth2Client(
        name,
        secret,
        redirect_uri=uri,
        scope="openid profile organisation",
        code_challenge_method="S256",
        token_endpoint_auth_method=method,
        token_endpoint=f"{origin}/token",
        timeout=60,
    )


def query_of(address: str) -> dict[str, str]:
    """Return the parameters of an address."""
    return dict(parse_qsl(urlsplit(address).query))
