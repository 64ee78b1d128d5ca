# SPDX-License-Identifier: Apache-2.0
"""How fast a site verifies logins: beside bare RSA and pyHanko, with lists of several sizes, and over HTTP.

Usage: sh tests/bench/run.sh, which runs this and the others. A number sets over how many logins the memory is
measured: python tests/bench/logins.py 100000.
"""

import asyncio
import http.client
import json
import os
import resource
import socket
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Final

from asn1crypto import cms  # type: ignore[import-untyped]
from asn1crypto import crl as asn1_crl
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from pyhanko.sign.validation import async_validate_detached_cms
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko_certvalidator import ValidationContext

from bench.measuring import ratio, rounds
from support.login_http import posted
from support.login_site import SITE, Desk
from xca_common.pki.revocation_list import RevocationList, is_signed
from xca_login import Revocation, Verifier
from xca_login.http import CardLogin, Request
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


def each(call: Callable[[], object]) -> float:
    """Return the processor time of one call, in microseconds."""
    start = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - start) / CALLS * 1e6


def compared(desk: Desk, card: Party, verifier: Verifier) -> None:
    """Measure verify() beside what others need for the same signatures."""
    challenge = desk.challenge()
    der = sign(card, challenge.text)
    token = Token.read(der)
    verifier.verify(der, challenge)  # the list is there from now on
    own, issuer = card.key.public_key(), desk.ca.key.public_key()
    certificate = card.certificate
    detached = cms.ContentInfo.load(signed(card, challenge.text, [desk.ca]))["content"]
    trusted = [asn1_x509.Certificate.load(one.der) for one in (desk.root, desk.ca)]

    def bare() -> None:
        own.verify(token.signature, token.message, PKCS1v15(), hashes.SHA256())
        issuer.verify(certificate.signature, certificate.tbs_certificate_bytes, PKCS1v15(), hashes.SHA256())

    def of_pyhanko() -> None:
        context = ValidationContext(trusted[:1], other_certs=trusted[1:], allow_fetching=False)
        status = asyncio.run(
            async_validate_detached_cms(
                challenge.text,
                detached,
                signer_validation_context=context,
                key_usage_settings=KeyUsageConstraints(key_usage={"digital_signature"}),
            )
        )
        assert status.bottom_line

    columns = {
        "bare RSA": lambda: each(bare),
        "reading": lambda: each(lambda: Token.read(der)),
        "verify": lambda: each(lambda: verifier.verify(der, challenge)),
        "pyHanko": lambda: each(of_pyhanko),
    }
    found = rounds(columns, 7)
    time_of = {name: median(values) for name, values in found.items()}
    print(
        f"verify {time_of['verify']:.0f} µs, {ratio(found['verify'], found['bare RSA']):.1f} × its bare RSA"
    )
    print(f"pyHanko {time_of['pyHanko']:.0f} µs, {ratio(found['pyHanko'], found['verify']):.1f} × verify")
    rsa, parsing = (time_of[name] / time_of["verify"] for name in ("bare RSA", "reading"))
    print(f"of verify: RSA {rsa:.0%}, parsing of the token {parsing:.0%}, the rest {1 - rsa - parsing:.0%}")


def list_of(issuer: Party, entries: int, listed: Party) -> bytes:
    """Return a CRL with so many entries; it names a party too."""
    der = revocation_list(issuer, 1)
    whole = asn1_crl.CertificateList.load(der)
    when = b"\x17\x0d260101000000Z"
    serials = [listed.certificate.serial_number, *(1 << 120 | 7919 * number for number in range(entries))]
    rows = bytearray()
    for serial in serials if entries else ():
        encoded = serial.to_bytes(serial.bit_length() // 8 + 1)
        row = bytes((2, len(encoded))) + encoded + when
        rows += bytes((0x30, len(row))) + row
    tbs = whole["tbs_cert_list"]
    if rows:
        size = len(rows).to_bytes((len(rows).bit_length() + 7) // 8)
        tbs["revoked_certificates"] = asn1_crl.RevokedCertificates.load(
            bytes((0x30, 0x80 | len(size))) + size + rows
        )
    content = tbs.dump(force=True)
    whole["signature"] = issuer.key.sign(content, PKCS1v15(), hashes.SHA256())
    return bytes(whole.dump(force=True))


def sizes(desk: Desk, folder: Path, entries: int) -> None:
    """Measure a list of a size: what loading takes, and what a login takes then."""
    with serving() as served:
        card, listed = (holder(desk.ca, more=addresses(served.url, LIST)) for _ in range(2))
        der = list_of(Party(desk.ca.certificate, desk.ca.key), entries, listed)
        start = time.process_time()
        assert is_signed(der, desk.ca.certificate)
        RevocationList(der).index()
        seconds = time.process_time() - start
        tracemalloc.start()
        loaded = RevocationList(der)
        loaded.index()
        held = tracemalloc.get_traced_memory()[0] / 1e6
        tracemalloc.stop()
        served.answers = Answers({LIST: der})
        verifier = desk.verifier(Revocation(folder / str(entries), ["127.0.0.1"]))
        challenge = desk.challenge()
        token = sign(card, challenge.text)
        verifier.verify(token, challenge)
        took = each(lambda: verifier.verify(token, challenge))
        loaded.statement(listed.certificate, desk.ca.certificate, NOW)  # the signature is verified once
        found = each(lambda: loaded.statement(listed.certificate, desk.ca.certificate, NOW))
        pause = longest_pause(lambda: RevocationList(der).index(), lambda: verifier.verify(token, challenge))
    print(f"list of {entries:,} ({len(der) / 1e6:.1f} MB): loaded in {seconds:.2f} s, index {held:.1f} MB;")
    print(f"    verify {took:.0f} µs; what the list says of a card that is on it {found:.0f} µs;")
    print(f"    a login while it is loaded takes at most {pause * 1000:.0f} ms")


def longest_pause(load: Callable[[], object], log_in: Callable[[], object]) -> float:
    """Return the longest time that a login took while something else was loaded."""
    thread = Thread(target=load)
    thread.start()
    longest = 0.0
    while thread.is_alive():
        start = time.perf_counter()
        log_in()
        longest = max(longest, time.perf_counter() - start)
    return longest


def memory(desk: Desk, card: Party, verifier: Verifier, logins: int) -> None:
    """Measure what many logins leave behind in a process."""
    card_login = CardLogin(SITE, verifier)
    resident = []
    for number in range(logins):
        if number * 10 // logins != (number - 1) * 10 // logins:
            resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize())
        origins = [SITE.origin]
        begun = card_login.answer(Request("POST", "/login/begin", origins, "", ""))
        cookie = dict(begun.headers)["Set-Cookie"].partition(";")[0]
        body = posted(sign(card, json.loads(begun.body)["statement"].encode()))
        done = card_login.answer(Request("POST", "/login/finish", origins, "application/json", cookie, body))
        assert done.status == 200, done.body
    later = resident[len(resident) // 2 :]
    slope = (later[-1] - later[0]) / (logins / 10 * (len(later) - 1))
    print(f"memory over {logins:,} logins: {resident[-1] / 1e6:.0f} MB, at last {slope:.0f} bytes a login")


@contextmanager
def site(folder: Path, workers: int) -> Iterator[int]:
    """Run the example site with so many workers; give its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    program = (
        "import sys; sys.path.insert(0, 'examples/login')\n"
        "from pathlib import Path\nfrom starlette_site import make_app\n"
        f"app = make_app('http://127.0.0.1:{port}', Path({str(folder)!r}), ['127.0.0.1'])\n"
    )
    (folder / "bench_site.py").write_text(program, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "bench_site:app",
        "--app-dir",
        str(folder),
        "--port",
        str(port),
    ]
    process = subprocess.Popen(
        [*command, "--workers", str(workers), "--log-level", "error", "--no-access-log"],
        env={**os.environ, "PYTHONPATH": "tests"},
    )
    try:
        for _ in range(600):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
                connection.request("GET", "/")
                connection.getresponse().read()
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def over_http(port: int, card: Party, pause: float) -> list[float]:
    """Log in from several clients; return how many seconds each login took, without its signature."""
    end = time.perf_counter() + SECONDS
    headers = {"Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/json"}

    def client(number: int) -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        times: list[float] = []
        for turn in count():
            due = end - SECONDS + (turn + number / CLIENTS) * pause
            time.sleep(max(due - time.perf_counter(), 0))
            if time.perf_counter() >= end:
                return times
            start = time.perf_counter()
            connection.request("POST", "/login/begin", b"", headers)
            begun = connection.getresponse()
            statement = json.loads(begun.read())["statement"].encode()
            cookie = (begun.getheader("Set-Cookie") or "").partition(";")[0]
            signing = time.perf_counter()
            body = posted(sign(card, statement))
            signing = time.perf_counter() - signing
            connection.request("POST", "/login/finish", body, headers | {"Cookie": cookie})
            done = connection.getresponse()
            assert done.status == 200, done.read()
            done.read()
            times.append(time.perf_counter() - start - signing)
        return times

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [one for times in pool.map(client, range(CLIENTS)) for one in times]


def served(desk: Desk, folder: Path) -> None:
    """Measure the example site with one and with two workers. The clients run on the same machine."""
    (folder / "ca").mkdir()
    for name, one in (("root", desk.root), ("ca", desk.ca)):
        (folder / "ca" / f"{name}.crt").write_bytes(one.pem)
    with serving() as issuer:
        issuer.answers = Answers({LIST: revocation_list(desk.ca, 1)})
        card = holder(desk.ca, more=addresses(issuer.url, LIST))
        for workers in (1, 2):
            with site(folder, workers) as port:
                over_http(port, card, 0)  # warms up
                rate = len(over_http(port, card, 0)) / SECONDS
                half = over_http(port, card, 2 * CLIENTS / rate)
            slow = quantiles(half, n=100)[98] * 1000
            print(
                f"site with {workers} workers: {rate:.0f} logins a second; at half of that p99 {slow:.0f} ms"
            )


def main() -> None:
    """Measure and print."""
    desk = Desk()
    logins = int(sys.argv[1]) if sys.argv[1:] else FEW
    with TemporaryDirectory(prefix="xca-bench-") as name, serving() as issuer:
        folder = Path(name)
        issuer.answers = Answers({LIST: revocation_list(desk.ca, 1)})
        card = holder(desk.ca, more=addresses(issuer.url, LIST))
        verifier = desk.verifier(Revocation(folder / "lists", ["127.0.0.1"]))
        compared(desk, card, verifier)
        for entries in ENTRIES:
            sizes(desk, folder, entries)
        now = Verifier(SITE, verifier._trust, verifier._revocation)
        memory(desk, card, now, logins)
        (folder / "site").mkdir()
        served(desk, folder / "site")


if __name__ == "__main__":
    main()
