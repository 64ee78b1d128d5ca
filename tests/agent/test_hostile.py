# SPDX-License-Identifier: Apache-2.0
"""Attacks by other sites, other programs and the strings of a card."""

import asyncio
import base64
import json
import os
import resource
import secrets
import signal
import socket
import stat
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page
from starlette.testclient import TestClient

from softhsm import Application, Environment, issue
from softhsm.card_fixture import CardFixture
from support.agent.agent_process import SECONDS, Agent, Start, trust, until
from support.agent.component_client import SITE, Json, SiteClient, b64, get, options, post
from support.agent.web_sites import site
from xca_plugin import own_loop
from xca_plugin.agent.component.popup_paths import FIRST_WORDS
from xca_plugin.agent.component.result_codes import Code
from xca_plugin.agent.process.socket_owner import owner_of

STRANGER = "https://evil.example"


def signing(card: CardFixture, **fields: str) -> Json:
    return {"func": "MakeSignature", "tbs": "contract-4711", "pin": card.pin, **fields}


@pytest.fixture
def trusting(shared: Agent) -> SiteClient:
    """A site that is trusted and has to ask each time."""
    origin = f"https://{secrets.token_hex(4)}.example"
    trust(shared, origin)
    return SiteClient(shared, origin)


def raw(agent: Agent, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", agent.port), timeout=SECONDS) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


# --- who may ask


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "localhost", "localhost:1", "127.0.0.1.evil.example:{port}", ""],
)
@pytest.mark.parametrize("path", ["/", "/pkcs11info", "/agent.json", "/static/xca.css"])
def test_request_for_another_host_is_refused(allowed: SiteClient, host: str, path: str) -> None:
    """DNS rebinding: the browser thinks that it talks to the site."""
    headers = f"Host: {host.format(port=allowed.agent.port)}\r\nOrigin: {SITE}\r\nConnection: close\r\n"
    answer = raw(allowed.agent, f"GET {path} HTTP/1.1\r\n{headers}\r\n".encode())
    assert answer.startswith((b"HTTP/1.1 421", b"HTTP/1.1 400"))
    assert b"XC0" not in answer


def test_agent_listens_on_loopback_addresses_only(allowed: SiteClient) -> None:
    port = allowed.agent.port
    assert get(f"http://127.0.0.1:{port}/agent.json").status_code == 200
    assert get(f"http://[::1]:{port}/agent.json").status_code == 200
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if int(local.rpartition(":")[2], 16) == port and state == "0A":
                listening.add(local.rpartition(":")[0])
    assert listening == {"0100007F", "0" * 24 + "01000000"}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_connection_of_another_user_is_not_answered(allowed: SiteClient) -> None:
    ask = f"import urllib.request as r; print(r.urlopen('{allowed.agent.url}/agent.json').status)"
    for somebody, answered in ((0, True), (65534, False)):
        done = subprocess.run(["/usr/bin/python3", "-I", "-c", ask], user=somebody, capture_output=True)
        assert (done.stdout == b"200\n") is answered
    assert b"Connection reset" in done.stderr or b"RemoteDisconnected" in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_connection_closed_by_another_user_is_not_taken_for_roots(allowed: SiteClient) -> None:
    """The system lists a socket that is already closed as root's."""
    port = allowed.agent.port
    ask = (
        f"import socket; connection = socket.create_connection(('127.0.0.1', {port})); "
        f"connection.sendall(b'GET /pkcs11info HTTP/1.1\\r\\nHost: localhost:{port}\\r\\n"
        "Origin: https://passed-for-root.example\\r\\n\\r\\n'); connection.close()"
    )
    allowed.agent.process.send_signal(signal.SIGSTOP)
    try:
        subprocess.run(["/usr/bin/python3", "-I", "-c", ask], user=65534, check=True)
        closed = f" 0100007F:{port:04X} 05 "  # FIN_WAIT2; its own end is nobody's now
        until(lambda: closed in Path("/proc/net/tcp").read_text())
    finally:
        allowed.agent.process.send_signal(signal.SIGCONT)
    # This page lists the sites whose requests the agent read.
    allowed.get("/pkcs11info")
    visits = get(f"{allowed.agent.url}/selfTest.htm").text
    assert SITE in visits
    assert "passed-for-root" not in visits


def test_connection_of_an_unknown_user_is_not_answered(
    start_agent: Start, xca_active_card: CardFixture
) -> None:
    """Without a free file descriptor the agent cannot look up the user of a connection."""
    agent = start_agent(xca_active_card)
    process = agent.process.pid
    before = resource.prlimit(process, resource.RLIMIT_NOFILE)
    most = max(int(entry.name) for entry in Path(f"/proc/{process}/fd").iterdir()) + 2
    head = f"GET /agent.json HTTP/1.1\r\nHost: localhost:{agent.port}\r\n\r\n".encode()
    with ExitStack() as stack:
        # More connections wait than there are descriptors: the agent accepts until none is left.
        agent.process.send_signal(signal.SIGSTOP)
        try:
            resource.prlimit(process, resource.RLIMIT_NOFILE, (most, before[1]))
            waiting = [
                stack.enter_context(socket.create_connection(("127.0.0.1", agent.port), timeout=SECONDS))
                for _ in range(most)
            ]
            for connection in waiting:
                connection.sendall(head)
        finally:
            agent.process.send_signal(signal.SIGCONT)
        try:
            answer = waiting[0].recv(4096)
        except ConnectionResetError:
            answer = b""
        assert answer == b""
        resource.prlimit(process, resource.RLIMIT_NOFILE, before)
    assert get(f"{agent.url}/agent.json").status_code == 200


@pytest.mark.parametrize(
    "origin",
    [STRANGER, "null", "http://portal.example.gov.tw", f"{SITE}.evil.example", f"{SITE}:8443"],
)
def test_unknown_site_asking_learns_the_version_only(
    allowed: SiteClient, active_card: CardFixture, origin: str
) -> None:
    stranger = SiteClient(allowed.agent, origin)
    for path in ("/pkcs11info", "/pkcs11info?withcert=true", "/sign", "/decrypt", "/getChallenge"):
        response = stranger.http.post(
            f"{allowed.agent.url}{path}", json=signing(active_card), headers={"Origin": origin}
        )
        assert response.json()["ret_code"] == 0x76000031
        assert "access-control-allow-origin" not in response.headers
        assert active_card.number not in response.text
    picture = stranger.get("/p11Image.bmp")
    told = json.loads(picture.content[54:].split(b"\0")[0])
    assert told == stranger.post("/pkcs11info")
    assert told["ret_code"] == 0x76000031
    assert told["serverVersion"].startswith("1.3.4.9")
    assert told["slots"] == []
    # They can read it all the same: it tells pages that they are not trusted.
    assert picture.headers["access-control-allow-origin"] == origin
    assert json.loads(stranger.popup(signing(active_card))["answer"])["ret_code"] == 0x76000031


def test_program_without_origin_learns_nothing(allowed: SiteClient, active_card: CardFixture) -> None:
    url = allowed.agent.url
    for response in (get(f"{url}/pkcs11info"), post(f"{url}/sign", json=signing(active_card))):
        assert response.json()["ret_code"] == 0x76000031
    assert active_card.number.encode() not in get(f"{url}/p11Image.bmp").content


@pytest.mark.parametrize(("origin", "shared"), [(SITE, True), (STRANGER, False)])
def test_preflight_of_a_trusted_site_only_allows_reading(
    allowed: SiteClient, origin: str, shared: bool
) -> None:
    """CORS, and access to the local network from a public site."""
    asks = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Private-Network": "true",
    }
    response = options(f"{allowed.agent.url}/sign", headers=asks)
    assert response.status_code == 204
    assert (response.headers.get("access-control-allow-origin") == origin) is shared
    assert response.headers["access-control-allow-private-network"] == "true"
    assert "access-control-allow-credentials" not in response.headers
    asks["Access-Control-Request-Headers"] = 'content-type, X-Requested-With,bad name,"evil"'
    response = options(f"{allowed.agent.url}/sign", headers=asks)
    assert response.headers["access-control-allow-headers"] == "content-type, X-Requested-With, badname"


@pytest.mark.fast
@pytest.mark.parametrize("origin", [None, SITE, STRANGER, "null", "http://localhost", "http://localhost:1"])
@pytest.mark.parametrize(
    "path", ["/popup", "/addDomain", "/activate", "/change-pin", "/reset-pin", "/change-user-code"]
)
def test_post_of_a_foreign_origin_is_refused(client: TestClient, origin: str | None, path: str) -> None:
    headers = {} if origin is None else {"Origin": origin}
    said = {"site": SITE, "request": "{}"}
    assert client.post(path, json=said, headers=headers).status_code == 403


@pytest.mark.parametrize("site_of", ["cross-site", "same-site"])
def test_page_fetched_or_framed_by_another_site_is_refused(allowed: SiteClient, site_of: str) -> None:
    fetch = {"Sec-Fetch-Site": site_of, "Sec-Fetch-Mode": "no-cors"}
    assert get(f"{allowed.agent.url}/", headers=fetch).status_code == 403
    window = {"Sec-Fetch-Site": site_of, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert get(f"{allowed.agent.url}/", headers=window).status_code == 200
    # Its frames stay empty anyway, and the card is not read.
    frame = {**window, "Sec-Fetch-Dest": "iframe"}
    assert get(f"{allowed.agent.url}/", headers=frame).status_code == 403
    led = get(f"{allowed.agent.url}/selfTest.htm?run=yes", headers=window).text
    assert 'class="check"' not in led


@pytest.mark.parametrize("site_of", ["cross-site", "same-site"])
@pytest.mark.parametrize(
    "path",
    [
        *("/activate", "/change-pin", "/reset-pin", "/change-user-code", "/user-code-reset/ticket?ticket=0"),
        *("/files/sign", "/files/decrypt"),
    ],
)
def test_page_that_asks_for_a_secret_is_not_shown_to_who_was_led_there(
    allowed: SiteClient, path: str, site_of: str
) -> None:
    window = {"Sec-Fetch-Site": site_of, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    browser = {**window, "Accept": "text/html", "Accept-Language": "en"}
    led = get(f"{allowed.agent.url}{path}", headers=browser)
    assert led.status_code == 403
    assert "Another web site opened this page." in led.text
    assert "<form" not in led.text.partition("<main")[2]
    for own in ("same-origin", "none"):
        shown = get(f"{allowed.agent.url}{path}", headers={**browser, "Sec-Fetch-Site": own})
        assert shown.status_code in (200, 303)


# --- consent


def test_trusted_site_signing_without_popup_is_cancelled(
    trusting: SiteClient, active_card: CardFixture
) -> None:
    answer = trusting.post("/sign", signing(active_card))
    assert (answer["ret_code"], answer["func"]) == (Code.CANCELLED, "sign")
    assert "signature" not in answer
    answer = trusting.post("/makeCsr", {"pin": active_card.pin})
    assert answer["messagedata"] == answer["message"]


def test_consent_of_a_nonce_with_line_breaks_shows_them_and_begins_no_line(
    trusting: SiteClient, active_card: CardFixture
) -> None:
    nonce = "x\nType of signature: none"
    consent = trusting.popup(signing(active_card, signatureType="PKCS7", nonce=nonce))["consent"]
    assert "x<U+000A>Type of signature: none" in [value for _, value in consent["facts"]]
    text = b64(b"first\nsecond")
    consent = trusting.popup(signing(active_card, tbs=text, tbsEncoding="base64"))["consent"]
    assert "first\nsecond" in [value for _, value in consent["facts"]]


@pytest.mark.parametrize(
    ("content", "shown", "count"),
    [
        ((bytes(range(200)) * 34)[:6666], None, None),
        (bytes(range(200)) * 50, 6666, 10_000),
        (b"a" * 20_000, None, None),
        ("印".encode() * 20_001, 60_000, 60_003),
    ],
    ids=["binary", "long binary", "text", "long text"],
)
def test_consent_of_long_content_says_how_much_is_shown(
    trusting: SiteClient, active_card: CardFixture, content: bytes, shown: int | None, count: int | None
) -> None:
    request = signing(active_card, signatureType="PKCS7", tbs=b64(content), tbsEncoding="base64")
    consent = trusting.popup(request)["consent"]
    label, value = next(fact for fact in consent["facts"] if fact[0].startswith("待簽內容"))
    if shown is None:
        assert label == "待簽內容"
        assert len(value) in (20_000, 3 * 6666 - 1)
    else:
        assert f" {count} " in label
        assert f" {shown} " in label


def test_decryption_asked_for_is_not_parsed_before_consent(trusting: SiteClient) -> None:
    request = {"func": "DecryptData", "cipherType": "PKCS7", "cipher": b64(b"x"), "pin": "123456"}
    assert trusting.popup(request)["consent"]["title"]


@pytest.mark.fast
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_owner_of_a_connection_is_its_user(family: socket.AddressFamily, host: str) -> None:
    with socket.create_server((host, 0), family=family) as server:
        end = server.getsockname()[:2]
        with socket.create_connection(end) as connection:
            own = connection.getsockname()[:2]
            owner = owner_of(family, own, end)
            assert owner is not None
            assert (owner.user, owner.inode) == (os.getuid(), os.fstat(connection.fileno()).st_ino)
            assert owner_of(family, own, (host, 1)) is None


@pytest.mark.fast
def test_popup_html_has_no_id_that_a_fragment_could_name(client: TestClient) -> None:
    for path in (*FIRST_WORDS, "/addDomain?domain=other.example.gov.tw"):
        html = client.get(path).text
        assert "data-consent-delay" in html
        assert " id=" not in html, path
        assert "<a name=" not in html


def test_consent_of_every_kind_shows_site_and_content(trusting: SiteClient, active_card: CardFixture) -> None:
    consent = trusting.popup(signing(active_card))["consent"]
    assert consent["site"] == trusting.origin
    assert any(active_card.number in value for _, value in consent["card"])
    assert "contract-4711" in [value for _, value in consent["facts"]]
    assert "僅簽章值，不含簽署內容（SHA-256）" in [value for _, value in consent["facts"]]
    # It shows everything that is signed.
    more = trusting.popup(signing(active_card, signatureType="PKCS7", nonce="and all my shares"))["consent"]
    assert "and all my shares" in [value for _, value in more["facts"]]
    request = trusting.popup({"func": "makeCsr", "challenge": "secret-4711"})["consent"]
    assert "secret-4711" in [value for _, value in request["facts"]]
    disguised = trusting.popup(signing(active_card, signatureType="PKCS7", tbs="pay 10\u202e00"))["consent"]
    assert not any("\u202e" in value for _, value in disguised["facts"])
    hidden = trusting.popup(signing(active_card, tbs="pay\n\tall\u3164"))["consent"]
    assert "pay\n\tall<U+3164>" in [value for _, value in hidden["facts"]]


def test_ticket_for_another_request_or_twice_is_refused(
    trusting: SiteClient, active_card: CardFixture
) -> None:
    card = active_card
    consent = trusting.popup(signing(card))["consent"]
    said = {"ticket": consent["ticket"], "number": consent["number"]}
    # For another text, site or card the person is asked again.
    assert "consent" in trusting.popup(signing(card, tbs="another"), **said)
    assert "answer" in SiteClient(trusting.agent, STRANGER).popup(signing(card), **said)
    assert "consent" in trusting.popup(signing(card), **{**said, "number": "XC99999999999999"})
    assert "consent" in trusting.popup(signing(card), ticket="x", number=card.number)
    assert json.loads(trusting.popup(signing(card), **said)["answer"])["ret_code"] == 0
    assert "consent" in trusting.popup(signing(card), **said)
    # The same ticket in another spelling.
    assert "consent" in trusting.popup(signing(card), **{**said, "ticket": f"{said['ticket']}!!"})


def test_allowance_covers_signing_of_that_site_only(trusting: SiteClient, active_card: CardFixture) -> None:
    card = active_card
    assert "consent" in trusting.popup(signing(card))
    assert trusting.ask(signing(card), forAWhile=True)["ret_code"] == 0
    assert json.loads(trusting.popup(signing(card, tbs="next"))["answer"])["ret_code"] == 0
    assert trusting.post("/sign", signing(card, tbs="next"))["ret_code"] == 0
    change = {"func": "changeUserPINCode", "currentPIN": card.pin, "newpin": "new4711", "cardid": card.number}
    assert "consent" in trusting.popup(change)
    assert "consent" in trusting.popup({"func": "makeCsr", "pin": card.pin})


def test_allowance_with_a_wrong_pin_ends(trusting: SiteClient, active_card: CardFixture) -> None:
    wrong = trusting.ask(signing(active_card, pin="wrong-1"), forAWhile=True)
    assert wrong["ret_code"] == Code.LOGIN_FAILED
    assert "consent" in trusting.popup(signing(active_card))
    assert trusting.ask(signing(active_card), forAWhile=True)["ret_code"] == 0  # and the tries are full again
    # It also ends them: a site that does not know the PIN must not go on trying.
    wrong = json.loads(trusting.popup(signing(active_card, pin="wrong-2"))["answer"])
    assert wrong["ret_code"] == Code.LOGIN_FAILED
    assert "consent" in trusting.popup(signing(active_card))
    assert trusting.ask(signing(active_card))["ret_code"] == 0


def test_allowance_of_a_site_trusted_again_is_gone(trusting: SiteClient, active_card: CardFixture) -> None:
    assert trusting.ask(signing(active_card), forAWhile=True)["ret_code"] == 0
    file = trusting.agent.home / ".config/xca/trusted-sites"
    file.write_text(file.read_text().replace(f"{trusting.origin}\n", ""))
    refused = json.loads(trusting.popup(signing(active_card))["answer"])
    assert refused["ret_code"] == Code.NOT_TRUSTED
    trust(trusting.agent, trusting.origin)
    assert "consent" in trusting.popup(signing(active_card))


def test_page_pin_with_ask_is_ignored(start_agent: Start, xca_active_card: CardFixture) -> None:
    """A PIN that the site sends is ignored, even a wrong one, and the popup asks."""
    card = xca_active_card
    asking = SiteClient(start_agent(card, page_pin="ask", allow=SITE))
    request = signing(card, pin="wrong-1")
    consent = asking.popup(request)["consent"]
    assert consent["pin"]
    assert not consent["forAWhile"]  # the window would ask all the same
    assert asking.post("/sign", request)["ret_code"] == Code.CANCELLED
    assert asking.ask(request)["ret_code"] == Code.NO_PIN
    assert asking.ask(request, pin=card.pin)["ret_code"] == 0
    change = {"func": "changeUserPINCode", "currentPIN": "wrong-1", "newpin": "x", "cardid": card.number}
    assert asking.popup(change)["consent"]["newPin"]
    assert asking.ask(change, pin=card.pin, newPin="new4711")["ret_code"] == 0


# --- trusting a site


def test_add_domain_opened_without_a_click_trusts_nobody(shared: Agent) -> None:
    stranger = SiteClient(shared, STRANGER)
    page = stranger.http.get(f"{shared.url}/addDomain?domain=evil.example")
    assert page.status_code == 200
    assert STRANGER in page.text
    assert stranger.post("/pkcs11info")["ret_code"] == 0x76000031


def test_add_domain_token_trusts_one_site_once(start_agent: Start, xca_active_card: CardFixture) -> None:
    agent = start_agent(xca_active_card, trusted=(SITE,))
    url, stranger = agent.url, SiteClient(agent, STRANGER)
    page = stranger.http.get(f"{url}/addDomain?domain=evil.example").text
    token = page.partition('name="token" value="')[2].partition('"')[0]
    own = {"Origin": url}

    def press(site: str, token: str) -> int:
        return post(f"{url}/addDomain", data={"site": site, "token": token}, headers=own).status_code

    assert press(STRANGER, "") == 400
    assert press("https://other.example", token) == 400
    assert stranger.post("/pkcs11info")["ret_code"] == 0x76000031
    assert press(STRANGER, token) == 200
    assert stranger.post("/pkcs11info")["ret_code"] == 0
    assert press(STRANGER, token) == 400
    file = agent.home / ".config/xca/trusted-sites"
    assert file.read_text().split() == [SITE, STRANGER]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    # The lines that the person wrote stay as they are.
    elsewhere = agent.home / "sites"
    elsewhere.write_text(f"# ours\n{SITE}")
    file.unlink()
    file.symlink_to(elsewhere)
    assert stranger.post("/pkcs11info")["ret_code"] == 0x76000031
    page = stranger.http.get(f"{url}/addDomain?domain=evil.example").text
    assert press(STRANGER, page.partition('name="token" value="')[2].partition('"')[0]) == 200
    assert elsewhere.read_text() == f"# ours\n{SITE}\n{STRANGER}\n"
    file.write_text(f"{SITE}\n")
    assert stranger.post("/pkcs11info")["ret_code"] == 0x76000031


@pytest.mark.parametrize(
    ("referer", "offered"),
    [
        ("http://evil.example:8080/page", "http://evil.example:8080"),
        ("http://evil.example.org/", "https://evil.example"),
        ("http://other.example/evil.example", "https://evil.example"),
        ("http://[::1", "https://evil.example"),
        ("http://u@evil.example/", "https://evil.example"),
    ],
)
def test_add_domain_opener_of_that_host_is_offered(allowed: SiteClient, referer: str, offered: str) -> None:
    address = f"{allowed.agent.url}/addDomain?domain=evil.example"
    page = get(address, headers={"Referer": referer}).text
    assert f'name="site" value="{offered}"' in page


def test_add_domain_host_with_an_underscore_is_offered(allowed: SiteClient) -> None:
    page = allowed.http.get(f"{allowed.agent.url}/addDomain?domain=my_host.example").text
    assert 'value="https://my_host.example"' in page


def test_add_domain_of_a_trusted_site_tells_that_site_only(allowed: SiteClient) -> None:
    address = f"{allowed.agent.url}/addDomain?domain={SITE.partition('//')[2]}"
    for referer, told in ((f"{SITE}/login", True), (f"{STRANGER}/", False), ("", False)):
        page = get(address, headers={"Referer": referer}).text
        assert ("domain_added" in page) is told


@pytest.mark.fast
@pytest.mark.parametrize("domain", ["", "<b>", "a b", "https://evil.example", "a/b", "例子.tw", "..", "a\n"])
def test_add_domain_without_a_host_offers_nothing(client: TestClient, domain: str) -> None:
    response = client.get("/addDomain", params={"domain": domain})
    assert response.status_code == 400
    assert "<form" not in response.text


# --- limits on size and time


def test_body_over_the_limit_is_refused(allowed: SiteClient) -> None:
    url = allowed.agent.url
    big = b"x" * (8 * 1024 * 1024 + 1)
    assert post(f"{url}/sign", content=big, headers={"Origin": SITE}).status_code == 413
    # The same without a Content-Length.
    chunks = (b"x" * 65536 for _ in range(129))
    assert post(f"{url}/sign", content=chunks, headers={"Origin": SITE}).status_code == 413
    # The body of an untrusted site is not parsed; that of a trusted one has a limit on fields.
    many = json.dumps({str(number): 1 for number in range(300)})
    assert SiteClient(allowed.agent, STRANGER).post("/sign", "{")["ret_code"] == Code.NOT_TRUSTED
    assert allowed.post("/sign", many)["ret_code"] == Code.BAD_JSON
    assert allowed.get("/agent.json").status_code == 403
    assert allowed.http.get(f"{url}/agent.json").status_code == 200


def test_slow_requests_are_cut_off_while_others_are_answered(allowed: SiteClient) -> None:
    """Heads and bodies that never end are cut off. Meanwhile 500 other requests are answered."""
    port = allowed.agent.port
    head = f"GET /pkcs11info HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: {SITE}\r\nConnection: close\r\n"

    async def one() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{head}\r\n".encode())
        answer = await reader.read()
        writer.close()
        told: Json = json.loads(answer.partition(b"\r\n\r\n")[2])
        return int(told["ret_code"])

    async def all_at_once() -> list[int]:
        return await asyncio.gather(*(one() for _ in range(500)))

    with (
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as slow_head,
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as slow_body,
    ):
        start = time.monotonic()
        slow_head.sendall(head.encode())
        slow_body.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        assert own_loop.run(all_at_once()) == [0] * 500
        assert slow_body.recv(4096).startswith(b"HTTP/1.1 408")
        while slow_head.recv(4096):
            pass
        assert time.monotonic() - start > 2


def test_form_that_is_cut_off_does_nothing(shared: Agent) -> None:
    """A form that is cut off would still be read as a form, with other values."""
    page = get(f"{shared.url}/addDomain?domain=evil.example.org").text
    token = page.partition('name="token" value="')[2].partition('"')[0]
    form = f"token={token}&site=https%3A%2F%2Fevil.example.org".encode()
    head = (
        f"POST /addDomain HTTP/1.1\r\nHost: localhost:{shared.port}\r\nOrigin: {shared.url}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
    )
    raw_head = f"{head}Content-Length: {len(form) + 1}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", shared.port), timeout=SECONDS) as connection:
        connection.sendall(raw_head + form)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(4096) == b""
    assert SiteClient(shared, "https://evil.example.org").post("/pkcs11info")["ret_code"] == 0x76000031


@pytest.mark.fast
@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[]",
        b"{}",
        b'{"site": 1, "request": "{}"}',
        b'{"site": "", "request": "", "agreement": 1}',
        b'{"site": "\\ud800", "request": ""}',
        b'{"site": "", "request": "", "agreement": {"ticket": "\\ud800", "number": ""}}',
        b"[" * 100_000,
    ],
)
def test_popup_request_that_makes_no_sense_is_refused(client: TestClient, said: bytes) -> None:
    ours = {"Origin": str(client.base_url), "Content-Type": "application/json"}
    assert client.post("/popup", content=said, headers=ours).status_code == 400


# --- framing, markup, logs


@pytest.mark.parametrize(
    "path", ["/", "/popupForm", "/addDomain?domain=a.example", "/agent.json", "/p11Image.bmp", "/waiting.gif"]
)
def test_answer_of_every_path_forbids_frames_and_inline_script(allowed: SiteClient, path: str) -> None:
    response = allowed.http.get(f"{allowed.agent.url}{path}")
    policy = response.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "no-store" in response.headers["cache-control"]


@pytest.mark.browser
def test_popup_in_a_frame_is_refused_by_the_browser(allowed: SiteClient, page: Page) -> None:
    with site(f'<iframe src="{allowed.agent.url}/popupForm"></iframe>') as origin:
        refused = []
        page.on("console", lambda message: refused.append(message.text))
        page.goto(origin)
        page.wait_for_event("console", lambda message: True) if not refused else None
        assert any("frame-ancestors" in text for text in refused)


@pytest.mark.browser
def test_card_with_markup_in_its_strings_runs_nothing(
    start_agent: Start, xca_environment: Environment, page: Page
) -> None:
    holder = r"C=TW,O=\<img src\=x onerror\=alert(1)\>\"\\ O\,CN\=x"
    card = issue(xca_environment, "Kp-4tzQ9w", Application(holder=holder))
    asking = SiteClient(start_agent(CardFixture(xca_environment, card.number, "", None), trusted=(SITE,)))
    (token,) = [
        slot["token"] for slot in asking.get("/pkcs11info?withcert=true").json()["slots"] if slot["token"]
    ]
    name = token["certs"][0]["subjectDN"]
    assert not set(name) & set('<>"\\')
    assert name.count(",") == 1  # between C and O
    alarms: list[str] = []

    def shut(dialog: Dialog) -> None:
        alarms.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", shut)
    page.goto(asking.agent.url)
    page.get_by_text(card.number).first.wait_for()
    assert "<img src" in page.inner_text("body")
    assert not alarms


def test_log_after_operations_holds_no_secret(trusting: SiteClient, active_card: CardFixture) -> None:
    card = active_card
    answer = trusting.ask(signing(card, signatureType="PKCS7"))
    trusting.ask(signing(card, pin="wrong-1"))
    trusting.ask(signing(card))  # the tries are full again
    trusting.get("/pkcs11info?withcert=true")
    trusting.http.get(f"{trusting.agent.url}/sign?pin={card.pin}")
    raw(trusting.agent, b"POST /sign pin=%s\r\n\r\n" % str(card.pin).encode())
    assert answer["ret_code"] == 0
    log = trusting.agent.log
    for told in (
        card.pin,
        "wrong-1",
        "contract-4711",
        base64.b64encode(b"contract-4711").decode(),
        answer["certb64"][:40],
        card.number,
    ):
        assert str(told) not in log
