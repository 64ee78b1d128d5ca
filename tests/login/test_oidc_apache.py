# SPDX-License-Identifier: Apache-2.0
"""The OpenID Connect provider with somebody else's client: Apache's mod_auth_openidc."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from support.login_http import Browser, issuer_of
from support.login_site import Desk
from support.oidc import DIGEST, SECRET, Holder, provider

MODULES = Path("/usr/lib/apache2/modules")
APACHE = shutil.which("apache2", path="/usr/sbin:/usr/bin")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        APACHE is None or not (MODULES / "mod_auth_openidc.so").exists(),
        reason="there is no mod_auth_openidc here",
    ),
]


def settings_of_apache(folder: Path, port: int, issuer: str) -> str:
    modules = ("mpm_event", "authn_core", "authz_core", "authz_user", "headers", "auth_openidc")
    lines = [f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in modules]
    return "\n".join(
        [
            *lines,
            f"ServerName 127.0.0.1\nListen 127.0.0.1:{port}\nUser www-data\nGroup www-data",
            f"PidFile {folder}/pid\nErrorLog {folder}/log\nDefaultRuntimeDir {folder}",
            f"DocumentRoot {folder}/pages",
            f"OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration",
            f"OIDCClientID apache\nOIDCClientSecret {SECRET}\nOIDCCryptoPassphrase a-passphrase",
            f"OIDCRedirectURI http://127.0.0.1:{port}/callback\nOIDCPKCEMethod S256",
            'OIDCScope "openid profile organisation"\nOIDCRemoteUserClaim sub\nOIDCSessionType client-cookie',
            f"<Directory {folder}/pages>\nAuthType openid-connect\nRequire valid-user",
            'Header set X-Organisation "expr=%{reqenv:OIDC_CLAIM_org_oid}"\n</Directory>',
            "<Location /callback>\nAuthType openid-connect\nRequire valid-user\n</Location>\n",
        ]
    )


@contextmanager
def apache(port: int, issuer: str) -> Iterator[None]:
    with TemporaryDirectory(prefix="xca-apache-") as made:  # Apache's own user reads it; it reads no tmp_path
        folder = Path(made)
        folder.chmod(0o755)
        (folder / "pages").mkdir()
        (folder / "pages" / "bids.txt").write_text("bids")
        (folder / "apache.conf").write_text(settings_of_apache(folder, port, issuer))
        with _running(folder, port):
            yield


@contextmanager
def _running(folder: Path, port: int) -> Iterator[None]:
    assert APACHE is not None
    with subprocess.Popen([APACHE, "-X", "-f", folder / "apache.conf"]) as server:
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    assert server.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            yield
        finally:
            server.terminate()


def test_apache_lets_the_holder_of_a_card_in(tmp_path: Path) -> None:
    desk = Desk()
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    site = f"http://127.0.0.1:{port}"
    head = f'[[client]]\nid = "apache"\nname = "Apache"\nsecret = "{DIGEST}"\n'
    clients = f'{head}redirect_uris = ["{site}/callback"]\n'
    with (
        issuer_of(desk, tmp_path) as card,
        provider(tmp_path, desk, clients=clients) as origin,
        apache(port, origin),
    ):
        page = Browser(site)
        first = page.ask("GET", "/bids.txt", headers={"Accept": "text/html"})
        sent = first.header("Location") or ""
        assert sent.startswith(f"{origin}/authorize?"), first
        back = Holder(origin, card).through(sent)
        landed = page.ask("GET", back.removeprefix(site)).header("Location") or ""
        shown = page.ask("GET", landed.removeprefix(site))
        assert (shown.status, shown.body) == (200, b"bids")
        assert shown.header("X-Organisation") == "2.16.886.111.100000"
