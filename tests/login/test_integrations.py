# SPDX-License-Identifier: Apache-2.0
"""The example sites, over HTTP: the holder of a card logs in and out again."""

import asyncio
import base64
import hashlib
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from sqlalchemy import text

from support.login_http import Answer, Browser, asgi_site, ask_asgi, django_app, issuer_of, wsgi_site
from support.login_site import SITE, Desk
from support.postgresql import WITH_POSTGRESQL
from xca_common.statement import Statement
from xca_login import Account, Binding, Policy, RegisteredKeys
from xca_login.http import Exchange
from xca_login.keys import key_of
from xca_login.testing.parties import DAY, NOW, Party, encryption, opened

EXAMPLES = Path(__file__).parents[2] / "examples" / "login"
SITES = {
    "starlette": asgi_site,
    "fastapi": asgi_site,
    "asgi": asgi_site,
    "flask": wsgi_site,
    "wsgi": wsgi_site,
    "django": wsgi_site,
}


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# For all of a process: Django is configured once in each, and under xdist one may come back to these tests.


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="session")
def desk() -> Desk:
    return Desk()


@pytest.fixture(scope="session")
def issuer(desk: Desk) -> Party:
    """The CA of the card."""
    return desk.ca


@pytest.fixture(scope="session")
def card(folder: Path, desk: Desk) -> Iterator[Party]:
    with issuer_of(desk, folder) as made:
        yield made


@pytest.fixture(scope="session")
def sites(folder: Path, card: Party) -> Iterator[Callable[[str], str]]:
    """Starts an example site, each once, and gives its origin."""
    with ExitStack() as stack:

        @cache
        def origin(name: str) -> str:
            module = example(f"{name}_site")

            def make_app(origin: str) -> Any:
                if name == "django":
                    return django_app(module.settings_of, module.__name__, origin, folder)
                return module.make_app(origin, folder, ["127.0.0.1"])

            return stack.enter_context(SITES[name](make_app))

        yield origin


@pytest.fixture(params=SITES)
def origin(request: pytest.FixtureRequest, sites: Callable[[str], str]) -> str:
    return sites(request.param)


@pytest.fixture
def browser(origin: str) -> Browser:
    return Browser(origin)


def test_holder_of_a_card_logs_in_and_out_at_an_example_site(browser: Browser, card: Party) -> None:
    assert browser.ask("GET", "/bids").status in (302, 401, 403)
    planted = browser.cookies["xca-session"] = browser.cookies["__Host-sessionid"] = "A" * 43
    assert browser.log_in(card).json["holder_name"] == "a school"
    assert set(browser.cookies.values()) > {planted}
    page = browser.ask("GET", "/bids")
    assert (page.status, page.body) == (200, b"bids of 2.16.886.111.100000")
    assert "no-store" in (page.header("Cache-Control") or "")
    copied = dict(browser.cookies)
    assert browser.ask("POST", "/login/logout").status == 204
    assert browser.ask("GET", "/bids").status in (302, 401, 403)
    browser.cookies = copied
    assert browser.ask("GET", "/bids").status in (302, 401, 403)


def test_script_of_an_example_site_is_served(browser: Browser) -> None:
    script = browser.ask("GET", "/login/xca-login.js")
    assert (script.status, script.header("Content-Type")) == (200, "text/javascript; charset=utf-8")
    assert b"export async function logIn" in script.body


def test_token_that_is_posted_twice_at_once_is_let_in_once_at_an_example_site(
    browser: Browser, card: Party
) -> None:
    body = browser.signed(card)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: browser.ask("POST", "/login/finish", body), range(4)))
    assert sorted(one.status for one in answers) == [200, 403, 403, 403]


def test_page_of_another_site_logs_nobody_in_at_an_example_site(browser: Browser, card: Party) -> None:
    body = browser.signed(card)
    refused = browser.ask("POST", "/login/finish", body, {"Origin": "https://evil.example"})
    assert (refused.status, refused.json["code"]) == (403, "request_foreign")
    assert set(browser.cookies) == {"xca-browser"}


def test_body_that_is_too_long_is_refused_at_an_example_site(browser: Browser) -> None:
    refused = browser.ask("POST", "/login/finish", bytes(200_000))
    assert (refused.status, refused.json["code"]) == (413, "request_too_long")


@pytest.fixture
def project(sites: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Browser:
    """A browser at the example with Django."""
    origin = sites("django")
    urls = sys.modules["django_site"]
    from django.contrib import admin
    from django.urls import clear_url_caches, path

    monkeypatch.setattr(urls, "urlpatterns", [*urls.urlpatterns, path("admin/", admin.site.urls)])
    clear_url_caches()
    return Browser(origin)


@pytest.fixture(params=["sqlite", "sqlite, whose transactions begin late", WITH_POSTGRESQL])
def anywhere(
    request: pytest.FixtureRequest, project: Browser, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Browser]:
    """A browser at the example with Django, and with other databases in the place of its own."""
    from django.core.management import call_command
    from django.db import connections

    database = dict(connections.settings["default"])
    options = {name: one for name, one in database["OPTIONS"].items() if name != "transaction_mode"}
    if request.param == "sqlite":
        options = database["OPTIONS"]
    elif request.param == "postgresql":
        server = request.getfixturevalue("server")
        with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("CREATE DATABASE django"))
        engine = {"ENGINE": "django.db.backends.postgresql", "NAME": "django", "USER": server.url.username}
        database |= engine | {"HOST": server.url.query["host"]}
        options = {}
    monkeypatch.setitem(connections.settings, "default", database | {"OPTIONS": options})
    connections["default"].close()
    del connections["default"]
    call_command("migrate", verbosity=0)
    yield project
    connections["default"].close()
    del connections["default"]
    if request.param == "postgresql":
        with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("DROP DATABASE django WITH (FORCE)"))


@pytest.fixture
def keys(project: Browser, monkeypatch: pytest.MonkeyPatch) -> RegisteredKeys:
    """The example with Django registers keys."""
    from django.conf import settings

    from xca_login.integrations.django.store import DjangoChallenges, DjangoKeys

    exchange = settings.XCA_LOGIN
    keys = RegisteredKeys(exchange.site, exchange.verifier, DjangoKeys(), DjangoChallenges())
    monkeypatch.setattr(exchange, "_keys", keys)
    return keys


@pytest.fixture(scope="session")
def points(card: Party) -> list[tuple[x509.ExtensionType, bool]]:
    """Where the list for the card is."""
    return [(card.certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value, False)]


def certificates(card: Party, cert2: Party) -> bytes:
    named = {"signing": card, "encryption": cert2}
    return json.dumps({name: base64.b64encode(one.der).decode() for name, one in named.items()}).encode()


def test_key_that_is_posted_by_many_at_once_is_registered_once_at_a_django_site(
    anywhere: Browser, card: Party, issuer: Party, keys: RegisteredKeys, points: Any
) -> None:
    from xca_login.integrations.django.models import EncryptionKey

    EncryptionKey.objects.all().delete()
    anywhere.log_in(card)
    cert2 = encryption(card, issuer, more=points)
    renewed = encryption(card, issuer, "renewed", more=points, start=NOW - 2 * DAY)

    def register(of: Party) -> list[Answer]:
        body = certificates(card, of)
        with ThreadPoolExecutor(8) as pool:
            return [*pool.map(lambda _: anywhere.ask("POST", "/login/register", body), range(8))]

    for one in (cert2, renewed):
        answers = register(one)
        assert {answer.status for answer in answers} == {200}, [answer.body for answer in answers]
        assert len({answer.json["registered"] for answer in answers}) == 1
    assert {answer.json["code"] for answer in register(cert2)} == {"key_older"}
    (kept,) = keys.of_organisation("2.16.886.111.100000")
    assert kept.certificate == renewed.der


def test_token_that_is_posted_by_many_at_once_is_let_in_once_at_a_django_site(
    anywhere: Browser, card: Party
) -> None:
    body = anywhere.signed(card)
    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(lambda _: anywhere.ask("POST", "/login/finish", body), range(8))]
    assert sorted(one.status for one in answers) == [200, *[403] * 7], [one.body for one in answers]


def test_account_of_a_django_site_that_logged_in_as_verified_does_not_fall_back(
    anywhere: Browser, card: Party
) -> None:
    from django.contrib.auth import get_user_model
    from django.db import connections
    from django.test import Client

    from xca_login.integrations.django.models import VerifiedAccount
    from xca_login.integrations.django.store import DjangoAccounts

    kept, at = DjangoAccounts(), [NOW + timedelta(seconds=number) for number in range(2)]
    account = Account("gpki", "2.16.886.111.100000", hashlib.sha256(key_of(card.certificate)).hexdigest())

    def verified(_: int) -> datetime | None:
        try:
            return kept.verified(account, at[0])
        finally:
            connections.close_all()

    def notice() -> int:
        with ThreadPoolExecutor(4) as pool:
            return [*pool.map(verified, range(8))].count(at[1])

    VerifiedAccount.objects.all().delete()
    assert kept.declared(account, at[0], is_permitted=False) is None
    assert anywhere.log_in(card).json["origin"] == "declared"
    assert notice() == 0
    refused = anywhere.log_in(card)
    assert (refused.status, refused.json["code"]) == (403, "origin_weaker")
    assert kept.declared(account, at[1], is_permitted=True) == at[0]
    assert notice() == 8  # until one of them is let in
    kept.told(account, at[0])
    assert notice() == 8
    kept.told(account, at[1])
    assert notice() == 0
    staff, _ = get_user_model().objects.get_or_create(username="staff", is_staff=True, is_superuser=True)
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(staff, "xca_login.integrations.django.backends.CardBackend")
    assert account.key in client.get("/admin/xca_login/verifiedaccount/").text
    VerifiedAccount.objects.all().delete()
    assert anywhere.log_in(card).status == 200


def test_session_of_a_django_site_is_a_new_one_at_each_login(project: Browser, card: Party) -> None:
    project.log_in(card)
    first = project.cookies["__Host-sessionid"]
    project.log_in(card)
    assert project.cookies["__Host-sessionid"] != first
    project.cookies["__Host-sessionid"] = first
    assert project.ask("GET", "/bids").status == 302


def test_session_of_a_django_site_ends_after_eight_hours_or_earlier(project: Browser, card: Party) -> None:
    from django.test import override_settings

    def seconds() -> int:
        cookies = [value for name, value in project.log_in(card).headers if name == "Set-Cookie"]
        (cookie,) = [one for one in cookies if one.startswith("__Host-sessionid=")]
        return int(cookie.partition("Max-Age=")[2].partition(";")[0])

    assert 28_000 < seconds() <= 28_800
    with override_settings(SESSION_COOKIE_AGE=600):
        assert seconds() <= 600
    with override_settings(SESSION_EXPIRE_AT_BROWSER_CLOSE=True):
        cookies = [value for name, value in project.log_in(card).headers if name == "Set-Cookie"]
        (cookie,) = [one for one in cookies if one.startswith("__Host-sessionid=")]
        assert "max-age" not in cookie.lower()
        assert "expires" not in cookie.lower()
        from django.core.checks import run_checks

        assert "xca_login.W003" in [one.id for one in run_checks()]


def test_holder_of_a_card_logs_in_at_a_django_site_under_asgi(project: Browser, card: Party) -> None:
    from django.core.asgi import get_asgi_application

    app: Any = get_asgi_application()
    body = project.signed(card)
    headers = {"Origin": project.origin, "Content-Type": "application/json"}
    cookie = {"Cookie": f"xca-browser={project.cookies['xca-browser']}"}
    done = asyncio.run(ask_asgi(app, "POST", "/login/finish", body, headers | cookie))
    assert (done.status, done.json.get("holder_name")) == (200, "a school")
    refused = asyncio.run(ask_asgi(app, "POST", "/login/finish", bytes(200_000), headers))
    assert (refused.status, refused.json["code"]) == (413, "request_too_long")


def test_login_whose_body_a_django_middleware_read_is_let_in(project: Browser, card: Party) -> None:
    from django.contrib.sessions.backends.db import SessionStore
    from django.test import RequestFactory

    from xca_login.integrations.django.views import finish

    body = project.signed(card)
    cookie = f"xca-browser={project.cookies['xca-browser']}"
    headers = {"Origin": project.origin, "Cookie": cookie}
    request = RequestFactory().post("/login/finish", body, "application/json", headers=headers)
    request.session = SessionStore()
    assert request.body == body
    assert finish(request).status_code == 200


def test_user_of_a_card_at_a_django_site_stays_the_same_and_can_be_closed(
    project: Browser, card: Party
) -> None:
    from xca_login.integrations.django.models import CardKey

    for _ in range(2):
        assert project.log_in(card).status == 200
    key = CardKey.objects.select_related("user").get()
    assert (key.organisation, key.rank, key.user.has_usable_password()) == (
        "2.16.886.111.100000",
        "secondary",
        False,
    )
    assert key.first_used < key.last_used
    key.user.is_active = False
    key.user.save()
    try:
        refused = Browser(project.origin).log_in(card)
    finally:
        key.user.is_active = True
        key.user.save()
    assert (refused.status, refused.json["code"]) == (403, "account_closed")


def test_database_of_a_django_site_that_is_down_refuses_logins_in_words_and_uses_nothing_up(
    project: Browser, card: Party, folder: Path
) -> None:
    body = project.signed(card)
    database, away = folder / "site.db", folder / "away.db"
    database.rename(away)
    try:
        refused = [project.ask("POST", f"/login/{action}", body) for action in ("begin", "finish")]
    finally:
        away.rename(database)
    assert project.ask("POST", "/login/finish", body).status == 200
    database.rename(away)
    try:
        refused.append(project.ask("POST", "/login/logout"))
    finally:
        away.rename(database)
    assert [(one.status, one.json["code"]) for one in refused] == [(503, "store_unavailable")] * 3
    assert project.ask("GET", "/bids").status == 200


@pytest.mark.parametrize("step", ["authenticate", "save"])
def test_token_counts_again_whose_session_a_django_site_could_not_keep(
    project: Browser, card: Party, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    from django.contrib.sessions.backends.db import SessionStore
    from django.db import OperationalError

    from xca_login.integrations.django.backends import CardBackend

    def fail(*_: object, **__: object) -> None:
        raise OperationalError

    body = project.signed(card)
    with monkeypatch.context() as patched:
        patched.setattr(CardBackend if step == "authenticate" else SessionStore, step, fail)
        refused = project.ask("POST", "/login/finish", body)
    assert (refused.status, refused.json["code"]) == (503, "store_unavailable")
    assert project.ask("GET", "/bids").status == 302
    assert project.ask("POST", "/login/finish", body).status == 200
    assert project.ask("POST", "/login/finish", body).json["code"] == "challenge_unknown"


def test_admin_of_a_django_site_lists_keys_and_adds_none(project: Browser, card: Party) -> None:
    from django.contrib.auth import get_user_model
    from django.test import Client

    project.log_in(card)
    staff, _ = get_user_model().objects.get_or_create(username="staff", is_staff=True, is_superuser=True)
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(staff, "xca_login.integrations.django.backends.CardBackend")
    page = client.get("/admin/xca_login/cardkey/")
    assert page.status_code == 200
    assert "a school" in page.text
    assert client.get("/admin/xca_login/cardkey/add/").status_code == 403


def test_key_that_a_card_registers_at_a_django_site_is_listed(
    project: Browser, card: Party, issuer: Party, keys: RegisteredKeys, points: Any
) -> None:
    from django.contrib.auth import get_user_model
    from django.test import Client

    from xca_login.integrations.django.models import EncryptionKey

    EncryptionKey.objects.all().delete()
    cert2 = encryption(card, issuer, more=points)
    body = certificates(card, cert2)

    def post(action: str, body: bytes = b"{}") -> Answer:
        return project.ask("POST", f"/login/{action}", body)

    assert (post("register", body).status, post("prove").status) == (401, 401)
    project.log_in(card)
    first = post("register", body).json
    nonce = Statement.parse(opened(cert2, base64.b64decode(post("prove").json["envelope"]))).nonce
    sent = json.dumps({"nonce": nonce}).encode()
    with ThreadPoolExecutor(4) as pool:
        answers = [*pool.map(lambda _: post("proved", sent), range(4))]
    assert sorted(one.status for one in answers) == [200, 403, 403, 403]
    again = post("register", body).json
    assert (first["proved"], again["registered"]) == (None, first["registered"])
    assert again["proved"] is not None
    older = encryption(card, issuer, more=points, start=NOW - 31 * DAY)
    body = certificates(card, older)
    assert post("register", body).json["code"] == "key_older"
    (kept,) = keys.of_organisation("2.16.886.111.100000")
    assert (kept.certificate, keys.note_opening(kept)) == (cert2.der, kept)
    staff, _ = get_user_model().objects.get_or_create(username="staff", is_staff=True, is_superuser=True)
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(staff, "xca_login.integrations.django.backends.CardBackend")
    page = client.get("/admin/xca_login/encryptionkey/")
    assert (page.status_code, "a school" in page.text) == (200, True)
    assert client.get("/admin/xca_login/encryptionkey/add/").status_code == 403


@pytest.mark.parametrize(
    ("asked", "shown"), [("/bids?a=1", "/bids?a=1"), ("//evil.example/", "/accounts/profile/")]
)
def test_page_of_a_django_site_leads_to_its_own_pages_alone(project: Browser, asked: str, shown: str) -> None:
    page = project.ask("GET", f"/login/?next={asked}")
    assert page.status == 200
    assert f'data-xca-login="/login" data-next="{shown}"' in page.body.decode()
    assert "same-origin-allow-popups" in (page.header("Cross-Origin-Opener-Policy") or "")


def test_settings_of_a_django_site_with_which_nobody_logs_in_are_told(project: Browser) -> None:
    from django.core.checks import Tags, run_checks
    from django.test import override_settings

    def found() -> list[str | None]:
        return [one.id for one in run_checks(tags=[Tags.security]) if "xca_login" in str(one.id)]

    assert found() == []
    with override_settings(SESSION_COOKIE_NAME="sessionid", SESSION_COOKIE_SECURE=False):
        assert found() == []  # the site is on this machine
    with override_settings(XCA_LOGIN=Exchange(SITE, Desk().verifier())):
        assert found() == ["xca_login.W004"]
    verified = Policy(binding=Binding.VERIFIED)
    with override_settings(XCA_LOGIN=Exchange(SITE, Desk().verifier(policy=verified))):
        assert found() == []
        with override_settings(SESSION_COOKIE_NAME="sessionid"):
            assert found() == ["xca_login.W002"]
        with override_settings(SESSION_COOKIE_SECURE=False):
            assert found() == ["xca_login.W002"]
    with override_settings(SECURE_CROSS_ORIGIN_OPENER_POLICY="same-origin"):
        assert found() == ["xca_login.W001"]
    backends = ["django.contrib.auth.backends.ModelBackend"]
    with override_settings(XCA_LOGIN=None, AUTHENTICATION_BACKENDS=backends, USE_TZ=False):
        assert found() == ["xca_login.E001", "xca_login.E002", "xca_login.E003"]
    with override_settings(MIDDLEWARE=[]):
        assert found() == ["xca_login.E004", "xca_login.E004"]
    with override_settings(TEMPLATES=[]):
        assert found() == ["xca_login.E005"]


def test_addresses_of_a_django_site_that_does_not_name_the_app_say_so(project: Browser) -> None:
    from django.core.exceptions import ImproperlyConfigured
    from django.test import override_settings

    from xca_login.integrations.django import urls

    with override_settings(INSTALLED_APPS=[]), pytest.raises(ImproperlyConfigured, match="INSTALLED_APPS"):
        importlib.reload(urls)


def test_tables_of_the_django_app_are_those_of_its_models(project: Browser) -> None:
    from django.core.management import call_command

    call_command("makemigrations", "xca_login", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_example_site_has_at_most_forty_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 40
