# SPDX-License-Identifier: Apache-2.0
"""The settings of an OpenID Connect provider, and its command."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import uvicorn
from click.testing import CliRunner, Result

from support.login_site import Desk
from support.oidc import CLIENTS, settings_file
from xca_login import Account
from xca_login.commands import xca_login
from xca_login.oidc import serving
from xca_login.oidc import settings as oidc_settings
from xca_login.oidc.client import secret_digest_of
from xca_login.oidc.settings import BadSettings
from xca_login.testing.issuer import revocation_list

ORIGIN = "https://login.example.gov.tw"
CLIENT = '[[client]]\nid = "a"\nname = "a"\nredirect_uris = ["https://a.example/"]\n'


def run(*words: str | Path, language: str = "en") -> Result:
    return CliRunner().invoke(xca_login, [str(one) for one in words], env={"LANGUAGE": language})


@pytest.mark.fast
def test_settings_are_read_whole(tmp_path: Path) -> None:
    account = f"gpki/2.16.886.111.100000/{'0' * 64}"
    named = f'declared_accounts = ["{account}"]'
    found = oidc_settings.read(settings_file(tmp_path, ORIGIN, f"verified_origin = true\n{named}"))
    assert found.declared_accounts == {Account(*account.split("/"))}
    assert (found.site.origin, found.folder, found.ca) == (ORIGIN, tmp_path / "kept", tmp_path / "ca")
    assert (found.database.drivername, found.verified_origin) == ("sqlite", True)
    assert not found.lets_test_cards_in
    assert list(found.clients) == ["bids", "archive", "archive-too", "app"]
    assert found.clients["archive"].sector == "archive.example.org"
    assert found.clients["app"].secret_digest is None


@pytest.mark.fast
def test_paths_in_settings_begin_at_the_folder_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, elsewhere = tmp_path / "own", tmp_path / "elsewhere"
    own.mkdir()
    elsewhere.mkdir()
    settings_file(own, ORIGIN, 'database = "sqlite:///oidc.db"')
    absolute = settings_file(elsewhere, ORIGIN, f'database = "sqlite:///{own / "oidc.db"}"')
    monkeypatch.chdir(elsewhere)
    found = oidc_settings.read(Path("../own/oidc.toml"))
    assert found.folder.resolve() == own / "kept"
    assert found.ca.resolve() == own / "ca"
    assert Path(found.database.database or "").resolve() == own / "oidc.db"
    assert oidc_settings.read(absolute).database.database == str(own / "oidc.db")


@pytest.mark.fast
@pytest.mark.parametrize(
    ("clients", "more", "said"),
    [
        ("", "", "no client"),
        (CLIENT * 2, "", "two clients a"),
        (CLIENT, "orgin = 1", "no setting orgin"),
        (f"{CLIENT}scopes = 'openid'", "", "has to be a list"),
        (CLIENT, "verified_origin = 1", "true or false"),
        (CLIENT, 'declared_accounts = ["gpki/2.16.886.111.100000"]', "no account"),
        (CLIENT, "test_cards = 'pki'", "exclude each other"),
        (CLIENT, 'database = "x"', "no URL"),
        (CLIENT, 'database = "mysql://a/b"', "PostgreSQL or SQLite"),
        (CLIENT, 'database = "sqlite://"', "in a file"),
        (CLIENT, 'database = "postgresql://a:b@c/d"', "0600"),
        (CLIENT, 'database = "postgresql://a@c/d?password=b"', "0600"),
        (f"{CLIENT}secret = 'plain'", "", "oidc-secret"),
        (f"{CLIENT}scopes = ['email', 'openid']", "", "openid"),
        (f"{CLIENT}scopes = ['profile']", "", "openid"),
        (f"{CLIENT}subject = 'both'", "", "public or pairwise"),
        (f"{CLIENT}sector = 'a.example'", "", "pairwise"),
        (f"{CLIENT}post_logout_redirect_uris = ['/left']", "", "/left is neither"),
        (f"{CLIENT}".replace('id = "a"', 'id = "a b"'), "", "client 1: id"),
        (CLIENT.replace("https://a.example/", "http://a.example/"), "", "is neither"),
        (CLIENT.replace("https://a.example/", "https://*.a.example/"), "", "is neither"),
        (CLIENT.replace("https://a.example/", "https://a.example/#x"), "", "is neither"),
        (CLIENT.replace("https://a.example/", "https://u:p@a.example/"), "", "is neither"),
        (CLIENT.replace("https://a.example/", "javascript:alert(1)"), "", "is neither"),
        (CLIENT.replace("https://a.example/", "https://a.example:x/"), "", "no address"),
        (CLIENT.replace('["https://a.example/"]', "[]"), "", "redirect_uris is empty"),
        (CLIENT.replace('["https://a.example/"]', "[1]"), "", "list of texts"),
        (CLIENT.replace('name = "a"\n', ""), "", "name is missing"),
        (
            f"{CLIENT}subject = 'pairwise'".replace('"]', '", "https://b.example/"]'),
            "",
            "sector is needed",
        ),
        (f"{CLIENT}subject = 'pairwise'\nsector = 'A.example'", "", "in lower case"),
        (CLIENT, "#" * (1 << 20), "more than 1 MiB"),
        ("[client", "", "no TOML"),
        ("client = [1]", "", "[[client]]"),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_setting_that_is_wrong_is_named(tmp_path: Path, clients: str, more: str, said: str) -> None:
    path = settings_file(tmp_path, ORIGIN, more, clients)
    path.chmod(0o644)
    with pytest.raises(BadSettings) as caught:
        oidc_settings.read(path)
    assert said in caught.value.message("en")
    assert caught.value.message("zh_TW") != caught.value.message("en")


@pytest.mark.fast
def test_sector_of_a_client_with_several_hosts_is_the_one_that_is_named(tmp_path: Path) -> None:
    client = CLIENT.replace('"]', '", "https://b.example/"]') + "subject = 'pairwise'\nsector = 'example.org'"
    found = oidc_settings.read(settings_file(tmp_path, ORIGIN, "", client))
    assert found.clients["a"].sector == "example.org"


@pytest.mark.fast
@pytest.mark.parametrize("origin", ["http://login.example.gov.tw", "https://login.example.gov.tw/", "x"])
def test_provider_does_not_start_without_https(tmp_path: Path, origin: str) -> None:
    done = run("oidc", settings_file(tmp_path, origin))
    assert (done.exit_code, origin in done.stderr) == (5, True)
    assert "無法使用" in run("oidc", settings_file(tmp_path, origin), language="zh_TW").stderr


@pytest.mark.fast
def test_provider_does_not_answer_other_machines_without_https(tmp_path: Path) -> None:
    path = settings_file(tmp_path, ORIGIN)
    done = run("oidc", path, "--host", "0.0.0.0")
    assert (done.exit_code, "--certificate" in done.stderr) == (5, True)
    assert run("oidc", path, "--certificate", "x").exit_code == 2
    assert run("oidc", path, "--certificate", tmp_path / "x", "--key", tmp_path / "x").exit_code == 5


@pytest.mark.fast
def test_provider_with_several_processes_sends_each_answer_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connected(*_: object, fd: int, **__: object) -> None:
        with socket.socket(fileno=os.dup(fd)) as listening:
            with socket.create_connection(listening.getsockname()), listening.accept()[0] as connection:
                assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            asked.append(fd)

    asked: list[int] = []
    monkeypatch.setattr(uvicorn, "run", connected)
    monkeypatch.setattr(serving, "make_app", lambda settings: None)
    serving.serve(settings_file(tmp_path, ORIGIN), "127.0.0.1", 0, 2, None, lambda said: None)
    assert len(asked) == 1


@pytest.mark.fast
def test_provider_at_a_taken_port_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "make_app", lambda settings: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("oidc", settings_file(tmp_path, ORIGIN), "--port", port)
    assert (done.exit_code, f"127.0.0.1:{port}" in done.stderr) == (1, True)
    assert "Address already in use" in done.stderr


@pytest.mark.fast
def test_provider_does_not_start_without_cas_or_a_database(tmp_path: Path) -> None:
    done = run("oidc", settings_file(tmp_path, ORIGIN))
    assert (done.exit_code, str(tmp_path / "ca") in done.stderr) == (5, True)
    nowhere = 'database = "postgresql://nobody@127.0.0.1:1/x"'
    done = run("oidc", settings_file(tmp_path, ORIGIN, nowhere))
    assert (done.exit_code, "database cannot be reached" in done.stderr) == (5, True)
    assert run("oidc", tmp_path / "absent").exit_code == 5


@pytest.mark.fast
def test_provider_names_the_file_of_its_database_that_cannot_be_made(tmp_path: Path) -> None:
    done = run("oidc", settings_file(tmp_path, ORIGIN, 'database = "sqlite:///absent/oidc.db"'))
    assert (done.exit_code, f"{tmp_path / 'absent' / 'oidc.db'}: " in done.stderr) == (5, True), done.stderr


@pytest.mark.fast
def test_provider_with_postgresql_names_the_package_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    done = run("oidc", settings_file(tmp_path, ORIGIN, 'database = "postgresql://nobody@127.0.0.1:1/x"'))
    assert (done.exit_code, "install it: " in done.stderr, "psycopg" in done.stderr) == (5, True, True)


@pytest.mark.fast
def test_provider_for_a_trial_names_what_is_missing_of_the_test_ca(tmp_path: Path) -> None:
    desk = Desk()
    path = settings_file(tmp_path, ORIGIN)
    path.write_text(path.read_text("utf-8").replace('ca = "ca"', 'test_cards = "pki"'), encoding="utf-8")
    (tmp_path / "pki").mkdir()
    for name, content in (
        ("ca.pem", desk.ca.pem),
        ("root.pem", b"no certificate"),
        ("root.pem", desk.root.pem),
        ("complete.crl", b"no list"),
    ):
        done = run("oidc", path)
        assert (done.exit_code, f"pki/{name}: " in done.stderr) == (5, True), done.stderr
        assert "softhsm-card publish" in done.stderr
        (tmp_path / "pki" / name).write_bytes(content)
    assert "pki/complete.crl: " in run("oidc", path).stderr


@pytest.mark.fast
def test_provider_for_a_trial_says_once_that_it_lets_test_cards_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk()
    path = settings_file(tmp_path, ORIGIN)
    path.write_text(path.read_text("utf-8").replace('ca = "ca"', 'test_cards = "pki"'), encoding="utf-8")
    (tmp_path / "pki").mkdir()
    for name, content in (
        ("ca.pem", desk.ca.pem),
        ("root.pem", desk.root.pem),
        ("complete.crl", revocation_list(desk.ca, 1)),
    ):
        (tmp_path / "pki" / name).write_bytes(content)
    monkeypatch.setattr("uvicorn.run", lambda *_, **__: None)
    for language, words in (("en", "Test cards are let in"), ("zh_TW", "只有測試卡可以登入")):
        done = run("oidc", path, "--port", "8441", language=language)
        assert (done.exit_code, done.stdout.count(words), done.stderr) == (0, 1, "")
    assert caplog.text == ""


@pytest.mark.fast
def test_secret_of_a_client_is_made_with_what_stands_for_it() -> None:
    secret, setting = run("oidc-secret").stdout.split()
    path_digest = secret_digest_of(setting)
    assert path_digest is not None
    assert len(secret) == 43
    assert secret not in setting


@pytest.mark.integration
def test_provider_of_two_processes_answers_and_ends(tmp_path: Path) -> None:
    desk = Desk()
    (tmp_path / "ca").mkdir()
    desk.ca.write(tmp_path / "ca" / "ca.crt")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    origin = f"http://127.0.0.1:{port}"
    path = settings_file(tmp_path, origin, "", CLIENTS)
    words: list[str | Path] = [
        Path(sys.executable).with_name("xca-login"),
        "oidc",
        path,
        "--port",
        str(port),
        "--workers",
        "2",
    ]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env={**os.environ, "LANGUAGE": "en"}
    ) as program:
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    keys = [httpx.get(f"{origin}/jwks").json() for _ in range(4)]
                    break
                except httpx.TransportError:
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
            assert keys == [keys[0]] * 4
        finally:
            program.send_signal(signal.SIGINT)
            said, _ = program.communicate(timeout=30)
    assert f"listens at {origin}." in said


@pytest.mark.fast
def test_settings_of_the_document_are_read(tmp_path: Path) -> None:
    document = Path(__file__).parents[2] / "docs" / "oidc.md"
    path = tmp_path / "oidc.toml"
    path.write_text(
        document.read_text("utf-8").partition("```toml\n")[2].partition("```")[0], encoding="utf-8"
    )
    found = oidc_settings.read(path)
    assert (found.site.origin, list(found.clients)) == (ORIGIN, ["files"])
