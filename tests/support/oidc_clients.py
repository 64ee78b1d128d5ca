# SPDX-License-Identifier: Apache-2.0
"""Somebody else's clients of an OpenID Connect provider, with the settings of docs/oidc.md."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from support.inherited import INHERITED
from support.oidc import SECRET

DOCUMENT = Path(__file__).parents[2] / "docs" / "oidc.md"
MODULES = Path("/usr/lib/apache2/modules")
APACHE = shutil.which("apache2", path="/usr/sbin:/usr/bin")
SECONDS = 60

PAGE = '<!doctype html><meta charset="utf-8"><title>bids</title><pre id="claims">{claims}</pre>{logout}'
HOME = '<!doctype html><meta charset="utf-8"><title>home</title><p>home <a href="/bids">bids</a></p>'

_APACHE_MODULES = (
    "mpm_event",
    "authn_core",
    "authz_core",
    "authz_user",
    "dir",
    "include",
    "mime",
    "auth_openidc",
)
_APACHE_SITE = """
ServerName localhost
Listen 127.0.0.1:{port}
User www-data
Group www-data
PidFile {folder}/pid
ErrorLog {folder}/log
DefaultRuntimeDir {folder}
DocumentRoot {folder}/pages
DirectoryIndex index.html
AddType text/html .html
AddOutputFilter INCLUDES .html
<Directory {folder}/pages>
    Options +Includes
</Directory>
"""
_DJANGO_SITE = """
import json, sys
from base64 import urlsafe_b64decode
from pathlib import Path

from django.conf import settings

folder, port = Path(__file__).parent, sys.argv[1]
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
{settings}
settings.configure(
    **{{name: value for name, value in list(globals().items()) if name.isupper()}},
    ALLOWED_HOSTS=["localhost"],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "django.db"}}}},
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    ROOT_URLCONF="__main__",
    SECRET_KEY="a key for tests",
    USE_TZ=True,
)

import django
django.setup()

from django.contrib.auth.decorators import login_required
from django.core.management import call_command
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.urls import include, path
from django.utils.html import escape


@login_required
def bids(request):
    body = request.session["oidc_id_token"].split(".")[1]  # the backend verified it
    claims = json.loads(urlsafe_b64decode(body + "==="))
    claims = {{**claims, "sub": request.user.username, "name": request.user.first_name}}
    logout = (
        '<form method="post" action="/oidc/logout/"><input type="hidden" name="csrfmiddlewaretoken"'
        f' value="{{get_token(request)}}"><button id="logout">log out</button></form>'
    )
    return HttpResponse({page!r}.format(claims=escape(json.dumps(claims)), logout=logout))


def home(request):
    return HttpResponse({home!r})


urlpatterns = [path("", home), path("bids", bids), path("oidc/", include("mozilla_django_oidc.urls"))]
call_command("migrate", verbosity=0)
call_command("runserver", f"127.0.0.1:{{port}}", use_reloader=False, skip_checks=True)
"""


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens at."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def settings_of(client: str, issuer: str, site: str) -> list[str]:
    """Return the blocks of code below a client's name in the document, for an issuer and a site.

    The document is about https and hosts of their own. Here all of it is on this machine.
    """
    chapter = DOCUMENT.read_text(encoding="utf-8").partition(f"**{client}**")[2].partition("\n**")[0]
    replaced = {
        "https://login.example.gov.tw": issuer,
        "https://www.example.gov.tw": site,
        "SECRET": SECRET,
        "PASSPHRASE": "a passphrase for tests",
    }
    blocks = re.findall(r"^```\w+\n(.*?)^```$", chapter, re.MULTILINE | re.DOTALL)
    for name, value in replaced.items():
        blocks = [re.sub(rf"\b{name}\b", value, block) for block in blocks]
    return blocks


@contextmanager
def program(
    command: Sequence[str | Path], port: int, variables: Mapping[str, str], folder: Path
) -> Iterator[None]:
    """Run a server until the block ends; at its beginning it listens."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    said = folder / f"said-{port}"
    with said.open("wb") as log:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env={**inherited, "LANG": "C.UTF-8", **variables},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert server.poll() is None, said.read_text(encoding="utf-8", errors="replace")
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait(SECONDS)


@contextmanager
def apache(issuer: str, port: int) -> Iterator[None]:
    """Run Apache with mod_auth_openidc."""
    assert APACHE is not None
    settings, newer = settings_of("Apache's mod_auth_openidc", issuer, f"http://localhost:{port}")
    with TemporaryDirectory(prefix="xca-apache-") as made:  # Apache's own user reads it; it reads no tmp_path
        folder = Path(made)
        folder.chmod(0o755)
        (folder / "pages" / "bids").mkdir(parents=True)
        logout = f'<a id="logout" href="/callback?logout=http%3A%2F%2Flocalhost%3A{port}%2F">log out</a>'
        page = PAGE.format(claims="<!--#printenv -->", logout=logout)
        (folder / "pages" / "bids" / "index.html").write_text(page, encoding="utf-8")
        (folder / "pages" / "index.html").write_text(HOME, encoding="utf-8")
        (folder / "mime.types").write_text("text/html html\n", encoding="ascii")
        modules = "\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in _APACHE_MODULES)
        site = _APACHE_SITE.format(folder=folder, port=port) + f"TypesConfig {folder}/mime.types\n"
        configuration = folder / "apache.conf"
        configuration.write_text(modules + site + newer + settings, encoding="utf-8")
        if subprocess.run([APACHE, "-t", "-f", configuration], capture_output=True).returncode:
            configuration.write_text(modules + site + settings, encoding="utf-8")  # an older version
        with program([APACHE, "-X", "-f", configuration], port, {}, folder):
            yield


@contextmanager
def django(issuer: str, port: int, folder: Path) -> Iterator[None]:
    """Run a Django site with mozilla-django-oidc."""
    settings, backend = settings_of("mozilla-django-oidc", issuer, f"http://localhost:{port}")
    (folder / "card.py").write_text(backend, encoding="utf-8")
    site = folder / "site_of_django.py"
    site.write_text(_DJANGO_SITE.format(settings=settings, page=PAGE, home=HOME), encoding="utf-8")
    with program([sys.executable, site, str(port)], port, {}, folder):
        yield


def authlib_site(issuer: str, site: str) -> Starlette:
    """Return a site with authlib's client."""
    (code,) = settings_of("authlib's client", issuer, site)
    views: dict[str, Any] = {}
    exec(compile(code, "docs/oidc.md", "exec"), views)

    async def bids(request: Request) -> Response:
        if "claims" not in request.session:
            return RedirectResponse("/login")
        fields = {
            "id_token_hint": request.session["id_token"],
            "post_logout_redirect_uri": f"{site}/",
            "state": "a state",
        }
        inputs = "".join(f'<input type="hidden" name="{one}" value="{fields[one]}">' for one in fields)
        logout = (
            f'<a id="logout" href="/logout">log out</a><form method="post" action="{issuer}/end-session">'
            f'{inputs}<button id="post">log out by POST</button></form>'
        )
        return HTMLResponse(PAGE.format(claims=json.dumps(request.session["claims"]), logout=logout))

    async def home(request: Request) -> Response:
        request.session.clear()
        return HTMLResponse(HOME)

    names = ("login", "callback", "logout")
    routes = [Route("/", home, name="home"), Route("/bids", bids)]
    routes += [Route(f"/{name}", views[name], name=name) for name in names]
    return Starlette(routes=routes, middleware=[Middleware(SessionMiddleware, secret_key="a key for tests")])
