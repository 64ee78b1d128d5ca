# SPDX-License-Identifier: Apache-2.0
"""An issuer's addresses that are slow, endless, redirecting, wrong, bombs, or inside this network.

Whatever they do, a login is refused in words, after a limited time, and no more than a limited number of
bytes was read. Each is tried for lists and for responders.
"""

import gzip
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from support.login_site import Desk
from xca_common.pki import fetching
from xca_common.pki.ocsp_response import MOST_BYTES as MOST_RESPONSE_BYTES
from xca_common.pki.ocsp_response import question
from xca_login import Revocation, errors
from xca_login.testing.issuer import LIST, Responder, addresses, revocation_list, serving
from xca_login.testing.parties import NOW, Party, holder

SECONDS = 0.3
"""In place of the ten that all lists of a login, and all of its responders, may take."""
MOST_LIST_BYTES = 1 << 20
"""In place of the 64 MiB that a list may have."""
KERNEL_BYTES = 16 << 20
"""What a connection on this machine holds at most, between who writes and who reads."""
KINDS = ("list", "responder")

Behaviour = Callable[["Address", socket.socket], None]


@dataclass
class Address:
    """A server on this machine that does what a test says with each connection.

    Attributes:
        port: its port.
        good: the right answer to the last question.
        asked: the first lines of what was asked.
        sent: bytes that it could send.
    """

    port: int
    good: bytes = b""
    asked: list[bytes] = field(default_factory=list)
    sent: int = 0

    def send(self, connection: socket.socket, data: bytes) -> None:
        connection.sendall(data)
        self.sent += len(data)

    def answer(self, connection: socket.socket, body: bytes, *headers: str, status: str = "200 OK") -> None:
        head = "\r\n".join((f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""))
        self.send(connection, head.encode() + body)


@contextmanager
def behaving(behave: Behaviour) -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Address(server.getsockname()[1])
        is_over = threading.Event()

        def talk(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.settimeout(10)
                data = b""
                while b"\r\n\r\n" not in data:
                    part = connection.recv(1 << 16)
                    if not part:
                        return
                    data += part
                address.asked.append(data.partition(b"\r\n")[0])
                behave(address, connection)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):
                    pass

        def accept() -> None:
            while not is_over.is_set():
                with suppress(OSError):
                    connection, _ = server.accept()
                    threading.Thread(target=talk, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield address
        finally:
            is_over.set()
            with suppress(OSError), socket.create_connection(("127.0.0.1", address.port), 1):
                pass
            thread.join(5)


# --- what they do


def silence(address: Address, connection: socket.socket) -> None:
    while connection.recv(1 << 16):  # until the other side goes
        pass


def drip(data: bytes, before: bytes = b"") -> Behaviour:
    def behave(address: Address, connection: socket.socket) -> None:
        address.send(connection, before)
        while True:
            address.send(connection, data)
            time.sleep(SECONDS / 10)

    return behave


def pour(data: bytes, before: bytes = b"") -> Behaviour:
    def behave(address: Address, connection: socket.socket) -> None:
        address.send(connection, before)
        while True:
            address.send(connection, data)

    return behave


def body(content: bytes, *headers: str, status: str = "200 OK") -> Behaviour:
    return lambda address, connection: address.answer(connection, content, *headers, status=status)


def to_itself(address: Address, connection: socket.socket) -> None:
    address.answer(connection, b"", f"Location: http://127.0.0.1:{address.port}/1.crl", status="302 Found")


def cut_off(address: Address, connection: socket.socket) -> None:
    address.send(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + address.good[:-1])


def compressed(address: Address, connection: socket.socket) -> None:
    address.answer(connection, gzip.compress(address.good), "Content-Encoding: gzip")


def chunks_of_nothing(address: Address, connection: socket.socket) -> None:
    address.send(connection, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    address.send(connection, b"ffffffffffffffffffff\r\n")
    while True:
        address.send(connection, bytes(1 << 16))


_OK = b"HTTP/1.1 200 OK\r\n"
_BOMB = gzip.compress(bytes(32 << 20))
_DEFLATED = zlib.compress(bytes(32 << 20))
LATE = "did not answer in time"
SLOW: dict[str, Behaviour] = {
    "nothing at all": silence,
    "a byte of a status line at a time": drip(b"H"),
    "a byte of a header at a time": drip(b"x", _OK + b"X: "),
    "a byte of the body at a time": drip(b"\x30", _OK + b"Content-Length: 1000000\r\n\r\n"),
    "a chunk at a time": drip(b"1\r\n0\r\n", _OK + b"Transfer-Encoding: chunked\r\n\r\n"),
    "continue, again and again": drip(b"HTTP/1.1 100 Continue\r\n\r\n"),
}
ENDLESS: dict[str, Behaviour] = {
    "body": pour(bytes(1 << 16), _OK + b"\r\n"),
    "chunks": pour(b"10000\r\n" + bytes(1 << 16) + b"\r\n", _OK + b"Transfer-Encoding: chunked\r\n\r\n"),
    "one chunk": chunks_of_nothing,
    "length": pour(bytes(1 << 16), _OK + b"Content-Length: 99999999999999999999999\r\n\r\n"),
    "headers": pour(b"X: " + b"y" * 1000 + b"\r\n", _OK),
    "header": pour(b"y" * 1000, _OK + b"X: "),
    "status line": pour(b"H" * 1000),
}
WRONG: dict[str, Behaviour] = {
    "a page": body(b"<!DOCTYPE html><p>Please log in to this network", "Content-Type: text/html"),
    "nothing": body(b""),
    "an error": body(b"", status="500 Internal Server Error"),
    "no HTTP": lambda address, connection: address.send(connection, b"SSH-2.0-OpenSSH_9.2\r\n"),
    "a part": cut_off,
    "deep nesting": body(b"\x30\x80" * 30_000),
    "long lengths": body(b"\x30\x84\xff\xff\xff\xff" * 1000),
    "a long tag": body(b"\x3f" + b"\xff" * 60_000),
    "compressed": compressed,
    "a bomb in gzip": body(_BOMB, "Content-Encoding: gzip"),
    "a bomb in deflate": body(_DEFLATED, "Content-Encoding: deflate"),
    "a bomb in a transfer": body(_BOMB, "Transfer-Encoding: gzip"),
}


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """All lists of a login, and all of its responders, may take a moment alone."""
    monkeypatch.setattr("xca_login.revocation._SECONDS", SECONDS)


@pytest.fixture(autouse=True)
def without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def card_of(desk: Desk, kind: str, base: str) -> Party:
    lists = (LIST,) if kind == "list" else ()
    return holder(desk.ca, more=addresses(base, *lists, responder=kind == "responder"))


def refusal(desk: Desk, card: Party, hosts: tuple[str, ...] = ("127.0.0.1",)) -> str:
    """Return the words with which a login with a card is refused."""
    with pytest.raises(errors.RevocationUnknown) as caught:
        desk.log_in(card, revocation=Revocation(None, hosts))
    assert all(caught.value.next_step(language) for language in ("en", "zh_TW"))
    return caught.value.message("en")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", SLOW)
@pytest.mark.usefixtures("impatient")
def test_issuer_that_answers_slowly_is_given_up(kind: str, how: str, desk: Desk) -> None:
    with behaving(SLOW[how]) as address:
        start = time.monotonic()
        said = refusal(desk, card_of(desk, kind, f"http://127.0.0.1:{address.port}"))
        assert time.monotonic() - start < 30  # of a machine with much to do
    assert LATE in said
    assert len(address.asked) <= 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ENDLESS)
def test_issuer_that_answers_without_end_is_cut_off(
    kind: str, what: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = MOST_RESPONSE_BYTES
    if kind == "list":
        most = MOST_LIST_BYTES
        monkeypatch.setattr(fetching, "_MOST_BYTES", most)
    with behaving(ENDLESS[what]) as address:
        refusal(desk, card_of(desk, kind, f"http://127.0.0.1:{address.port}"))
    assert address.sent < most + KERNEL_BYTES
    assert len(address.asked) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", WRONG)
def test_issuer_that_answers_something_else_is_not_believed(kind: str, what: str, desk: Desk) -> None:
    with behaving(WRONG[what]) as address:
        card = card_of(desk, kind, f"http://127.0.0.1:{address.port}")
        address.good = revocation_list(desk.ca, 1)
        refusal(desk, card)
        assert len(address.asked) == 1


def test_answers_of_a_list_and_of_a_responder_are_not_mixed_up(desk: Desk) -> None:
    class Exchanged:
        def get(self, path: str, request: bytes) -> bytes:
            return revocation_list(desk.ca, 1) if request else Responder(desk.ca)(asked.pop())

    with serving() as served:
        card = holder(desk.ca, more=addresses(served.url, LIST, responder=True))
        asked = [question(card.certificate, desk.ca.certificate)]
        served.answers = Exchanged()
        refusal(desk, card)
        assert served.asked == ["/1.crl", "/ocsp"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "to"),
    [
        ("301 Moved", "http://127.0.0.1:{port}/good"),
        ("303 See Other", "http://[::1]:{port}/good"),
        ("307 Temporary", "//127.0.0.1:{port}/good"),
        ("308 Permanent", "/good"),
        ("302 Found", "file:///etc/passwd"),
        ("302 Found", "http://169.254.169.254/latest/meta-data/"),
    ],
)
def test_issuer_that_sends_on_is_not_followed(kind: str, to: str, status: str, desk: Desk) -> None:
    def behave(address: Address, connection: socket.socket) -> None:
        address.answer(connection, b"", f"Location: {to.format(port=address.port)}", status=status)

    with behaving(behave) as address:
        said = refusal(desk, card_of(desk, kind, f"http://127.0.0.1:{address.port}"))
        assert "it sends on to another address, which was not asked" in said
        assert len(address.asked) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_issuer_that_sends_on_in_a_loop_is_asked_once(kind: str, desk: Desk) -> None:
    with behaving(to_itself) as address:
        refusal(desk, card_of(desk, kind, f"http://127.0.0.1:{address.port}"))
        assert len(address.asked) == 1


@pytest.mark.usefixtures("impatient")
def test_addresses_that_are_slow_share_one_time(desk: Desk) -> None:
    with behaving(silence) as address:
        base = f"http://127.0.0.1:{address.port}"
        lists = [f"/{number}.crl" for number in range(4)]
        card = holder(desk.ca, more=addresses(base, *lists, responder=True))
        assert LATE in refusal(desk, card)
    assert [one.split()[0] for one in address.asked].count(b"GET") <= 1
    assert [one.split()[0] for one in address.asked].count(b"POST") <= 1


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The addresses that names resolve to, one after the other; each resolution takes one."""
    table: dict[str, list[str]] = {}
    resolve = socket.getaddrinfo

    def resolved(host: str, port: int, *arguments: Any, **options: Any) -> Any:
        return resolve(table[host].pop(0) if table.get(host) else host, port, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    return table


PRIVATE = (
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "198.18.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::127.0.0.1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2001:db8::1",
    "2001::1",
    "fc00::1",
    "fd00::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
)
INSIDE = (
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "localhost",
    "[::1]",
    "[::ffff:7f00:1]",
    "[::ffff:127.0.0.1%25lo]",
    "[0:0:0:0:0:0:0:1]",
    "crl.nat.gov.tw@127.0.0.1",
    "127.0.0.1#.nat.gov.tw",
    "127.0.0.1\\.nat.gov.tw",
    "127.0.0.1%2f.nat.gov.tw",
    "[::1].nat.gov.tw",
    "",
)


@pytest.mark.parametrize("kind", KINDS)
def test_issuer_whose_name_leads_into_this_network_is_not_asked(
    kind: str, desk: Desk, names: dict[str, list[str]]
) -> None:
    with behaving(body(b"")) as address:
        card = card_of(desk, kind, f"http://crl.nat.gov.tw:{address.port}")
        for where in PRIVATE:
            names["crl.nat.gov.tw"] = [where, "127.0.0.1"]
            assert "its host is not outside of this network" in refusal(desk, card, ()), where
            # It was resolved once: what it resolves to later is nothing that anybody judged.
            assert names["crl.nat.gov.tw"] == ["127.0.0.1"]
        assert address.asked == []


@pytest.mark.parametrize("kind", KINDS)
def test_issuer_whose_address_is_inside_this_network_is_not_asked(kind: str, desk: Desk) -> None:
    with behaving(body(b"")) as address:
        for host in INSIDE:
            said = refusal(desk, card_of(desk, kind, f"http://{host}:{address.port}"), ())
            assert "was not asked" in said or "no address that can be asked" in said, host
        assert address.asked == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("impatient")
def test_issuer_whose_name_is_resolved_without_end_is_given_up(
    kind: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: is_over.wait(20) and [])
    try:
        assert LATE in refusal(desk, card_of(desk, kind, "http://crl.nat.gov.tw"), ())
    finally:
        is_over.set()


@pytest.mark.parametrize("kind", KINDS)
def test_issuer_is_asked_again_after_the_clock_was_set_back(kind: str, desk: Desk) -> None:
    """What failed, or was known, in a future that is none any more stops nobody."""
    with serving() as served:
        revocation = Revocation(None, ["127.0.0.1"])
        card = card_of(desk, kind, served.url)
        later = revocation.judge(card.certificate, desk.ca.certificate, NOW.replace(year=NOW.year + 5))
        assert later.judgement.detail is not None
        served.asked.clear()

        class Good:
            def get(self, path: str, request: bytes) -> bytes:
                return Responder(desk.ca)(request) if request else revocation_list(desk.ca, 1)

        served.answers = Good()
        assert desk.log_in(card, revocation=revocation).is_revocation_known
        assert len(served.asked) == 1
