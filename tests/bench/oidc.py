# SPDX-License-Identifier: Apache-2.0
"""How many codes an OpenID Connect provider exchanges, with PKCE: python tests/bench/oidc.py [CODES]

One process of `xca-login oidc` serves, with SQLite. The figure is of its own processor time: programs beside
it take none of that.
"""

import base64
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import psutil
from authlib.common.security import generate_token
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import RSAKey
from sqlalchemy import URL

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.login_site import Desk
from support.oidc import BACK, FORM, SECRET, settings_file
from xca_login import Binding
from xca_login.login import Account
from xca_login.oidc.store import Code, OidcStore, open_database
from xca_login.sessions import Session
from xca_login.sql_store import SqlSessions, encode_session

_CLIENTS = 4
_VERIFIER = generate_token(48)


def main(count: int) -> None:
    """Measure, and print the figures."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        desk = Desk()
        (folder / "ca").mkdir()
        desk.ca.write(folder / "ca" / "ca.crt")
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        settings = settings_file(folder, f"http://127.0.0.1:{port}")
        command: list[str | Path] = [
            Path(sys.executable).with_name("xca-login"),
            "oidc",
            settings,
            "--port",
            str(port),
        ]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            try:
                _wait(port)
                codes = _codes(folder, desk, count)
                process = psutil.Process(server.pid)
                _exchange(port, codes[:100])
                before, start = sum(process.cpu_times()[:2]), time.perf_counter()
                _exchange(port, codes[100:])
                seconds, used = time.perf_counter() - start, sum(process.cpu_times()[:2]) - before
            finally:
                server.terminate()
    key = RSAKey.generate_key(2048)
    start = time.process_time()
    for _ in range(300):
        jwt.encode({"alg": "RS256"}, {"sub": "a"}, key, ["RS256"])
    signing = (time.process_time() - start) / 300
    each = used / (count - 100)
    by_clock = (count - 100) / seconds
    print(f"{1 / each:.0f} codes a second of processor time; {by_clock:.0f} a second by the clock")
    print(f"one takes {each * 1000:.2f} ms, of which the signature (RSA-2048) {signing * 1000:.2f} ms")


def _wait(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _codes(folder: Path, desk: Desk, count: int) -> list[str]:
    """Keep so many codes, as the provider's pages do."""
    engine = open_database(URL.create("sqlite", database=str(folder / "kept" / "oidc.db")))
    store = OidcStore(engine)
    account = Account("gpki", "2.16.886.111.100000", "ab" * 32)
    until = desk.at + timedelta(hours=8)
    session = Session(
        account, "學校", "2.16.886.1.100.3.1", None, None, "primary", Binding.VERIFIED, desk.at, until
    )
    SqlSessions(engine).add("a session", session)
    names = [f"code-{number}" for number in range(count)]
    at = int(time.time())
    scope, challenge = "openid profile organisation", create_s256_code_challenge(_VERIFIER)
    kept = encode_session(session), at + 3600  # all of them last until they are exchanged
    for name in names:
        store.add_code(Code(name, "bids", BACK, scope, "a nonce", challenge, "a session", *kept), at)
    return names


def _exchange(port: int, codes: list[str]) -> None:
    """Exchange codes, over connections that stay open."""
    credentials = base64.b64encode(f"bids:{SECRET}".encode()).decode()
    headers = FORM | {"Authorization": f"Basic {credentials}"}
    fields = {"grant_type": "authorization_code", "redirect_uri": BACK, "code_verifier": _VERIFIER}
    failed: list[bytes] = []

    def run(own: list[str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for code in own:
            connection.request("POST", "/token", urlencode({**fields, "code": code}), headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                failed.append(body)

    threads = [threading.Thread(target=run, args=(codes[number::_CLIENTS],)) for number in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise SystemExit(f"{len(failed)} refused: {failed[0]!r}")


if __name__ == "__main__":
    os.environ.setdefault("LANGUAGE", "en")
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
