# SPDX-License-Identifier: Apache-2.0
"""The sites that docs/login.md has a developer write let a card in."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from support.login_http import ask_asgi, posted
from support.login_site import Desk
from xca_common.pki import profile
from xca_login.testing.issuer import LIST, addresses, revocation_list
from xca_login.testing.parties import Party, holder
from xca_login.testing.tokens import sign

GUIDE = Path(__file__).parents[2] / "docs" / "login.md"
CARD_LOGIN, FASTAPI, SETTINGS, URLS, *_ = re.findall(
    r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL
)
HEADERS = {"Origin": "http://localhost:8000", "Content-Type": "application/json"}


@pytest.fixture
def card(tmp_path: Path) -> Party:
    """A test card. The certificates and the list of its CA are where the guide copies them to."""
    desk = Desk()
    (tmp_path / "ca").mkdir()
    for name, one in (("ca.pem", desk.ca), ("root.pem", desk.root)):
        one.write(tmp_path / "ca" / name)
    (tmp_path / "complete.crl").write_bytes(revocation_list(desk.ca, 1))
    more = addresses("http://xca.test/", LIST)
    return holder(desk.ca, policy=profile.TEST_POLICY, more=more)


@pytest.mark.fast
def test_fastapi_site_of_the_guide_lets_a_card_in(
    tmp_path: Path, card: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ModuleType("card_login")
    vars(settings)["__file__"] = str(tmp_path / "card_login.py")
    exec(CARD_LOGIN, vars(settings))
    monkeypatch.setitem(sys.modules, "card_login", settings)
    names: dict[str, Any] = {}
    exec(FASTAPI, names)

    async def visit() -> None:
        stranger = await ask_asgi(names["app"], "GET", "/bids")
        assert (stranger.status, stranger.header("location")) == (303, "/")
        begun = await ask_asgi(names["app"], "POST", "/login/begin", b"", HEADERS)
        body = posted(sign(card, begun.json["statement"].encode()))
        cookie = {"Cookie": (begun.header("set-cookie") or "").partition(";")[0]}
        done = await ask_asgi(names["app"], "POST", "/login/finish", body, HEADERS | cookie)
        assert done.status == 200, done.body
        cookie = {"Cookie": (done.header("set-cookie") or "").partition(";")[0]}
        assert "<p>a school (" in (await ask_asgi(names["app"], "GET", "/bids", b"", cookie)).body.decode()

    asyncio.run(visit())


VISIT = """
import json, sys
import django
django.setup()
from django.core.management import call_command
from django.test import Client
call_command("check", fail_level="WARNING", stdout=sys.stderr)
call_command("migrate", verbosity=0)
browser = Client(headers={"host": "localhost:8000", "origin": "http://localhost:8000"})
assert browser.get("/bids").headers["Location"] == "/login/?next=/bids"
assert "data-xca-login" in browser.get("/login/").content.decode()
begun = browser.post("/login/begin")
browser.cookies.load(begun.headers["Set-Cookie"])  # this client reads the cookies of Django alone
print(json.dumps(begun.json()["statement"]), flush=True)
done = browser.post("/login/finish", sys.stdin.readline(), content_type="application/json")
assert done.status_code == 200, done.content
assert "<p>a school (" in browser.get("/bids").content.decode()
"""


@pytest.mark.integration
def test_django_site_of_the_guide_lets_a_card_in(tmp_path: Path, card: Party) -> None:
    own = os.environ | {"DJANGO_SETTINGS_MODULE": "mysite.settings", "PYTHONWARNINGS": "ignore"}
    start = [sys.executable, "-m", "django", "startproject", "mysite", "."]
    subprocess.run(start, cwd=tmp_path, env=own | {"DJANGO_SETTINGS_MODULE": ""}, check=True)
    (tmp_path / "card_login.py").write_text(CARD_LOGIN, encoding="utf-8")
    with (tmp_path / "mysite" / "settings.py").open("a", encoding="utf-8") as file:
        file.write(SETTINGS)
    (tmp_path / "mysite" / "urls.py").write_text(URLS, encoding="utf-8")
    (tmp_path / "visit.py").write_text(VISIT, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "visit.py"],
        cwd=tmp_path,
        env=own,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="ascii",
    ) as visit:
        assert visit.stdout
        said = visit.stdout.readline()
        token = sign(card, json.loads(said).encode())
        visit.communicate(posted(token).decode() + "\n")
    assert visit.returncode == 0
