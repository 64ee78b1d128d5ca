# SPDX-License-Identifier: Apache-2.0
"""How fast a site verifies logins: beside bare RSA and pyHanko, with lists of several sizes, and over HTTP.

Usage: sh tests/bench/run.sh, which runs this and the others. A number sets over how many logins the memory is
measured: python tests/bench/logins.py 100000.
"""

import asyncio
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Final

import psutil
from asn1crypto import cms  # type: ignore[import-untyped]
from asn1crypto import crl as asn1_crl
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from pyhanko.sign.validation import async_validate_detached_cms
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko_certvalidator import ValidationContext

from bench.measuring import ratio, rounds
from support.login_http import posted
from support.login_site import SITE, Desk
from xca_common.pki import profile, strict_certificate
from xca_common.pki.authority import directory_attributes
from xca_common.pki.revocation_list import RevocationList, is_signed
from xca_login import Revocation, Trust, Verifier
from xca_login.der import element
from xca_login.testing.issuer import LIST, Answers, addresses, revocation_list, serving
from xca_login.testing.parties import NOW, Party, holder
from xca_login.testing.tokens import sign, signed
from xca_login.token import Token

CALLS: Final = 200
"""Calls of a column in one round."""
ENTRIES: Final = (0, 10_000, 1_000_000)
SECONDS: Final = 4.0
"""How long the site is asked for each figure."""
CLIENTS: Final = 8
FEW: Final = 2_000
_SINCE: Final = b"\x17\x0d260101000000Z"


def each(call: Callable[[], object]) -> float:
    """Return the processor time of one call, in microseconds."""
    start = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - start) / CALLS * 1e6


def compared(desk: Desk, card: Party, revocation: Revocation) -> None:
    """Measure verify() beside what others need for the same signatures: from the bytes to the verdict."""
    trust = Trust.of(strict_certificate.load(one.der) for one in (desk.root, desk.ca))

    def new() -> Verifier:
        return Verifier(SITE, trust, revocation, clock=desk.clock)

    verifier = new()
    challenge = desk.challenge()
    der = sign(card, challenge.text)
    token = Token.read(der)
    verifier.verify(der, challenge)  # from now on the list is there, and the card is known
    own, issuer = card.key.public_key(), desk.ca.key.public_key()
    certificate = card.certificate

    def bare() -> None:
        own.verify(token.signature, token.message, PKCS1v15(), hashes.SHA256())
        issuer.verify(certificate.signature, certificate.tbs_certificate_bytes, PKCS1v15(), hashes.SHA256())

    # What a careful site would keep for pyHanko: the CAs' certificates, the list, and an event loop.
    detached = signed(card, challenge.text)
    root, ca = (asn1_x509.Certificate.load(one.der) for one in (desk.root, desk.ca))
    listed = asn1_crl.CertificateList.load(revocation_list(desk.ca, 1))
    loop = asyncio.new_event_loop()

    def of_pyhanko(*, with_list: bool) -> None:
        context = ValidationContext(
            [root],
            other_certs=[ca],
            allow_fetching=False,
            crls=[listed] if with_list else [],
            revocation_mode="hard-fail" if with_list else "soft-fail",
        )
        status = loop.run_until_complete(
            async_validate_detached_cms(
                challenge.text,
                cms.ContentInfo.load(detached)["content"],
                signer_validation_context=context,
                key_usage_settings=KeyUsageConstraints(key_usage={"digital_signature"}),
            )
        )
        assert status.bottom_line

    columns = {
        "bare RSA": lambda: each(bare),
        "reading": lambda: each(lambda: Token.read(der)),
        "verify": lambda: each(lambda: verifier.verify(der, challenge)),
        "first login": lambda: each(lambda: new().verify(der, challenge)),
        "pyHanko": lambda: each(lambda: of_pyhanko(with_list=True)),
        "pyHanko without a list": lambda: each(lambda: of_pyhanko(with_list=False)),
    }
    found = rounds(columns, 7)
    loop.close()
    time_of = {name: median(values) for name, values in found.items()}
    print(
        f"verify {time_of['verify']:.0f} µs, {ratio(found['verify'], found['bare RSA']):.1f} × its bare RSA"
    )
    print(
        f"first login of a card {time_of['first login']:.0f} µs, "
        f"{ratio(found['first login'], found['bare RSA']):.1f} × its bare RSA"
    )
    for name in ("pyHanko", "pyHanko without a list"):
        print(
            f"{name} {time_of[name]:.0f} µs, {ratio(found[name], found['verify']):.1f} × verify, "
            f"{ratio(found[name], found['first login']):.1f} × the first login of a card"
        )
    # The CA's signature was verified at the first login: of its two only the token's is left.
    rsa, parsing = time_of["bare RSA"] / 2 / time_of["verify"], time_of["reading"] / time_of["verify"]
    print(f"of verify: RSA {rsa:.0%}, parsing of the token {parsing:.0%}, the rest {1 - rsa - parsing:.0%}")


def list_of(issuer: Party, number: int, serials: Iterable[int]) -> bytes:
    """Return a CRL of an issuer with these serial numbers."""
    whole = asn1_crl.CertificateList.load(revocation_list(issuer, number))
    tbs = whole["tbs_cert_list"]
    rows = bytearray()
    for serial in serials:
        encoded = serial.to_bytes(serial.bit_length() // 8 + 1)
        rows += element(b"\x30", element(b"\x02", encoded) + _SINCE)
    before = [tbs[name].dump() for name in ("version", "signature", "issuer", "this_update", "next_update")]
    listed = element(b"\x30", bytes(rows)) if rows else b""
    content = element(b"\x30", b"".join([*before, listed, tbs["crl_extensions"].dump()]))
    signature = issuer.key.sign(content, PKCS1v15(), hashes.SHA256())
    return element(
        b"\x30", content + whole["signature_algorithm"].dump() + element(b"\x03", b"\0" + signature)
    )


def sizes(desk: Desk, folder: Path, entries: int) -> None:
    """Measure a list of a size: what loading takes, and what a login takes then, and meanwhile."""
    with serving() as served:
        card, listed = (holder(desk.ca, more=addresses(served.url, LIST)) for _ in range(2))
        serials = [listed.certificate.serial_number, *(1 << 120 | 7919 * one for one in range(entries))]
        older, newer = (list_of(desk.ca, number, serials if entries else ()) for number in (1, 2))
        start = time.process_time()
        assert is_signed(older, desk.ca.certificate)
        assert RevocationList(older).is_by(desk.ca.certificate)
        seconds = time.process_time() - start
        tracemalloc.start()
        loaded = RevocationList(older)
        held = tracemalloc.get_traced_memory()[0] / 1e6
        tracemalloc.stop()
        served.answers = Answers({LIST: older})
        verifier = desk.verifier(Revocation(folder / str(entries), ["127.0.0.1"]))
        challenge = desk.challenge()
        token = sign(card, challenge.text)
        verifier.verify(token, challenge)
        took = each(lambda: verifier.verify(token, challenge))
        loaded.statement(listed.certificate, desk.ca.certificate, NOW)  # the signature is verified once
        found = each(lambda: loaded.statement(listed.certificate, desk.ca.certificate, NOW))
        served.answers = Answers({LIST: newer})
        first, longest, held_up = while_renewed(desk, card, verifier, newer)
    print(f"list of {entries:,} ({len(older) / 1e6:.1f} MB): loaded in {seconds:.2f} s, index {held:.1f} MB;")
    print(f"    verify {took:.0f} µs; what the list says of a card that is on it {found:.0f} µs;")
    print(
        f"    when it has changed the first login takes {first:.1f} ms; while the new one is fetched and read"
    )
    print(f"    the longest one takes {longest:.1f} ms by the clock, {held_up:.1f} ms of the process")


def while_renewed(desk: Desk, card: Party, verifier: Verifier, newer: bytes) -> tuple[float, float, float]:
    """Return how long logins take, in milliseconds, from when a list is due until the new one is used.

    The first one; the longest one; and the most processor time that the process used during one: what holds
    a login up in this process, without what other programs do.
    """
    desk.at += timedelta(minutes=11)
    challenge = desk.challenge()
    token = sign(card, challenge.text)
    times: list[float] = []
    used: list[float] = []
    lists: tuple[bytes, ...] = ()
    while lists != (newer,):
        start, own = time.perf_counter(), time.process_time()
        lists = verifier.verify(token, challenge).evidence.lists
        times.append((time.perf_counter() - start) * 1000)
        used.append((time.process_time() - own) * 1000)
    for thread in threading.enumerate():
        if thread.name == "revocation list":
            thread.join()
    return times[0], max(times), max(used)


@contextmanager
def site(folder: Path, workers: int, stores: str) -> Iterator[tuple[int, psutil.Process]]:
    """Run the example site with so many workers; give its port and its first process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    program = _PROGRAM.format(port=port, folder=str(folder), stores=stores)
    (folder / "bench_site.py").write_text(program, encoding="utf-8")
    command = [sys.executable, str(folder / "bench_site.py"), str(workers)]
    path = os.pathsep.join(("tests", str(folder)))
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.1)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


_PROGRAM: Final = """
import socket
import sys
from pathlib import Path
from unittest.mock import patch

import uvicorn
from sqlalchemy import URL

sys.path.insert(0, "examples/login")
import starlette_site
from xca_login.http import CardLogin
from xca_login.oidc.store import open_database
from xca_login.sql_store import SqlSessions, SqlStore, create_tables

folder = Path({folder!r})


def card_login(site, verifier):
    if {stores!r} == "memory":
        return CardLogin(site, verifier)
    engine = open_database(URL.create("sqlite", database=str(folder / "site.db")))
    create_tables(engine)
    return CardLogin(site, verifier, SqlStore(engine), SqlSessions(engine))


with patch.object(starlette_site, "CardLogin", card_login):
    app = starlette_site.make_app("http://127.0.0.1:{port}", folder, ["127.0.0.1"])

if __name__ == "__main__":
    workers = int(sys.argv[1])
    with socket.create_server(("127.0.0.1", {port}), backlog=2048) as listening:
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # docs/login.md, several processes
        uvicorn.run(
            "bench_site:app", fd=listening.fileno(), workers=workers, log_level="error", access_log=False
        )
"""


class Signer:
    """A card that signs challenges of one length. Of a token only what differs is made anew."""

    def __init__(self, card: Party) -> None:
        self._card = card
        self._kept: tuple[bytes, Token] | None = None

    def token(self, text: bytes) -> bytes:
        """Return the token of a challenge."""
        if self._kept is None:
            self._kept = text, Token.read(sign(self._card, text))
        old_text, old = self._kept
        assert len(text) == len(old_text)
        digest = hashlib.sha256(text).digest()
        message = old.message.replace(old.message_digest, digest)
        signature = self._card.key.sign(message, PKCS1v15(), hashes.SHA256())
        der = old.der.replace(old_text, text).replace(old.message_digest, digest)
        return der.replace(old.signature, signature)


class Client:
    """A browser, as cheap as one can be: it takes processor time away from the site.

    Args:
        port: the site's.
    """

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = f"Host: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"

    def post(self, path: str, body: bytes, cookie: str = "") -> tuple[str, bytes]:
        """Return the head and the body of an answer, which must be 200."""
        head = f"POST {path} HTTP/1.1\r\n{self._head}Content-Type: application/json\r\n"
        head += f"Cookie: {cookie}\r\n" if cookie else ""
        self._connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._received()
        start, _, answer = data.partition(b"\r\n\r\n")
        assert start.startswith(b"HTTP/1.1 200 "), data
        size = int(start.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(answer) < size:
            answer += self._received()
        return start.decode("ascii"), answer

    def log_in(self, signer: Signer) -> float:
        """Log in, and return how many seconds that took, without the signature."""
        start = time.perf_counter()
        head, answer = self.post("/login/begin", b"")
        cookie = head.partition("set-cookie: ")[2].partition(";")[0]
        signing = time.perf_counter()
        body = posted(signer.token(json.loads(answer)["statement"].encode()))
        signing = time.perf_counter() - signing
        self.post("/login/finish", body, cookie)
        return time.perf_counter() - start - signing

    def _received(self) -> bytes:
        data = self._connection.recv(1 << 16)
        assert data, "the site hung up"
        return data


@dataclass(frozen=True)
class Figures:
    """What logins over HTTP took.

    Attributes:
        times: seconds that each login took, without its signature.
        seconds: for how long logins were counted.
        of_site: seconds of processor time of all the site's processes.
        of_clients: likewise of the clients.
    """

    times: list[float]
    seconds: float
    of_site: float
    of_clients: float

    @property
    def rate(self) -> float:
        """Logins a second."""
        return len(self.times) / self.seconds


def over_http(port: int, process: psutil.Process, card: Party, pause: float) -> Figures:
    """Log in from several clients.

    Args:
        port: the site's.
        process: the first one of the site.
        card: whose.
        pause: seconds from one login of a client to its next; 0: none.
    """
    before, own, begun = of_processes(process), time.process_time(), time.perf_counter()
    end = begun + SECONDS
    signer = Signer(card)

    def client(number: int) -> list[float]:
        one = Client(port)
        times: list[float] = []
        for turn in count():
            due = begun + (turn + number / CLIENTS) * pause
            time.sleep(max(due - time.perf_counter(), 0))
            if time.perf_counter() >= end:
                return times
            times.append(one.log_in(signer))
        return times

    with ThreadPoolExecutor(CLIENTS) as pool:
        times = [one for times in pool.map(client, range(CLIENTS)) for one in times]
    seconds = time.perf_counter() - begun
    return Figures(times, seconds, of_processes(process) - before, time.process_time() - own)


def of_processes(process: psutil.Process) -> float:
    """Return the seconds of processor time of a process and of those below it."""
    return sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True)))


@contextmanager
def published(desk: Desk, folder: Path) -> Iterator[list[tuple[x509.ExtensionType, bool]]]:
    """Serve the CA's list, and write the CA to where the site reads it; give what names the list in cards."""
    (folder / "ca").mkdir(parents=True)
    for name, one in (("root", desk.root), ("ca", desk.ca)):
        (folder / "ca" / f"{name}.crt").write_bytes(one.pem)
    with serving() as issuer:
        issuer.answers = Answers({LIST: revocation_list(desk.ca, 1)})
        yield addresses(issuer.url, LIST)


def memory(desk: Desk, folder: Path, named: list[tuple[x509.ExtensionType, bool]], logins: int) -> None:
    """Measure what many logins leave behind in the example site, with its stores in memory.

    Each card logs in a hundred times and never out. Of its sessions sixteen stay: the site has them all after
    a sixth of the logins, and the second half is what counts.
    """
    kinds = [f"2.16.886.111.{100_000 + number}" for number in range(max(logins // 100, CLIENTS))]
    cards = [
        holder(
            desk.ca,
            attributes_=directory_attributes(profile.SCHOOL, "secondary", organisation_oid=oid),
            more=named,
        )
        for oid in kinds
    ]
    parts = 10

    with site(folder, 1, "memory") as (port, process):

        def client(signers: Sequence[Signer], part: int) -> None:
            one = Client(port)
            each = logins // parts // CLIENTS
            for turn in range(part * each, (part + 1) * each):
                one.log_in(signers[turn % len(signers)])

        signers = [[Signer(card) for card in cards[number::CLIENTS]] for number in range(CLIENTS)]
        resident = []
        with ThreadPoolExecutor(CLIENTS) as pool:
            for part in range(parts):
                list(pool.map(client, signers, [part] * CLIENTS))
                resident.append(process.memory_info().rss)
    later = resident[parts // 2 - 1 :]
    slope = (later[-1] - later[0]) / (logins / parts * (len(later) - 1))
    print(f"memory of the site over {logins:,} logins of {len(cards):,} cards, after each tenth:")
    print(
        "    " + ", ".join(f"{one / 1e6:.1f}" for one in resident) + f" MB; at last {slope:.0f} bytes a login"
    )


def over_the_network(folder: Path, card: Party) -> None:
    """Measure the example site: one and two workers, each with stores of its own or with shared ones.

    The clients run on the same machine, and take a part of it. What shows that workers do not hold each other
    up is the processor time of a login: it is the same however many there are.
    """
    for stores in ("memory", "SQLite"):
        alone = 0.0
        for workers in (1, 2):
            with site(folder, workers, stores) as (port, process):
                over_http(port, process, card, 0)  # warms up
                full = over_http(port, process, card, 0)
                half = over_http(port, process, card, 2 * CLIENTS / full.rate)
            takes, of_client = (total / len(full.times) * 1000 for total in (full.of_site, full.of_clients))
            alone = alone or takes
            used = (full.of_site + full.of_clients) / full.seconds
            slow = quantiles(half.times, n=100)[98] * 1000
            kind = f"site, {workers} workers, stores in {stores}"
            print(f"{kind}: {full.rate:.0f} logins a second by the clock;")
            print(f"    {takes:.2f} ms of processor time each, {takes / alone:.2f} × as with one worker:")
            possible = workers / takes * 1000
            print(f"    {possible:.0f} logins a second of {workers} cores; p99 {slow:.0f} ms at half load;")
            print(f"    clients {of_client:.2f} ms each, and both took {used:.1f} of {os.cpu_count()} cores")


def main() -> None:
    """Measure and print."""
    desk = Desk()
    logins = int(sys.argv[1]) if sys.argv[1:] else FEW
    with TemporaryDirectory(prefix="xca-bench-") as name, serving() as issuer:
        folder = Path(name)
        issuer.answers = Answers({LIST: revocation_list(desk.ca, 1)})
        card = holder(desk.ca, more=addresses(issuer.url, LIST))
        compared(desk, card, Revocation(folder / "lists", ["127.0.0.1"]))
        for entries in ENTRIES:
            sizes(desk, folder, entries)
        with published(desk, folder / "site") as named:
            memory(desk, folder / "site", named, logins)
            over_the_network(folder / "site", holder(desk.ca, more=named))


if __name__ == "__main__":
    main()
