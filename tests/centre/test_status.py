# SPDX-License-Identifier: Apache-2.0
"""What relying parties are told follows from the database, and from nothing older than it."""

import base64
import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import select
from starlette.testclient import TestClient

from support.centre.authority import card, key
from support.centre.authority import issuer as another_issuer
from support.centre.centre import OPERATOR, RULES, Centre
from support.centre.key_token import soft_module
from support.killed_process import TRANSACTIONS, killed
from support.login_http import asgi_site
from support.moved_clock import MovedClock
from xca_centre import certificate_sets
from xca_centre.authority import certificates
from xca_centre.authority.lists import revocation_list
from xca_centre.authority.ocsp import MALFORMED, MOST_REQUEST_BYTES, TRY_LATER, UNAUTHORIZED, Responder
from xca_centre.authority.repository import partition_of
from xca_centre.certificate_sets import PUBLISH, change_state
from xca_centre.errors import ChangeInFuture
from xca_centre.life.certificate import CertificateEvent, Reason
from xca_centre.status import answers, published_lists
from xca_centre.status.published_lists import PublishedLists
from xca_centre.store.database import Database
from xca_centre.store.job_queue import work_on_one
from xca_centre.store.tables import OCSP_ANSWERS
from xca_common.pki.addresses import list_addresses, responder_addresses
from xca_common.pki.certificate_file import certificates_in
from xca_common.pki.ocsp_response import OcspResponse, question
from xca_common.pki.revocation_list import RevocationList
from xca_common.pki.standing import Standing
from xca_login import Revocation

pytestmark = pytest.mark.integration

ACCEPT, SUSPEND = CertificateEvent.ACCEPT, CertificateEvent.SUSPEND
RESUME, REVOKE = CertificateEvent.RESUME, CertificateEvent.REVOKE
LOST = Reason.KEY_COMPROMISE
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with soft_module(tmp_path_factory.mktemp("tokens")) as module:
        yield module


@pytest.fixture
def centre(module: Path, tmp_path: Path, database: Database, clock: MovedClock) -> Centre:
    return Centre(module, tmp_path / "ca", database, clock)


@pytest.fixture
def web(centre: Centre) -> Iterator[TestClient]:
    with TestClient(centre.app, base_url="http://xca.test") as client:
        yield client


class Asking:
    """Asks a centre about a certificate, as its addresses say."""

    def __init__(self, centre: Centre, web: TestClient, certificate: x509.Certificate) -> None:
        self._centre, self._web, self._certificate = centre, web, certificate
        issuer = centre.hierarchy.issuer_of(certificate)
        assert issuer is not None
        self._issuer = issuer.certificate

    def respond(self, nonce: bytes | None = None) -> OcspResponse:
        (address,) = responder_addresses(self._certificate)
        answer = self._web.post(address, content=question(self._certificate, self._issuer, nonce=nonce))
        assert answer.headers["content-type"] == "application/ocsp-response"
        return OcspResponse(answer.content)

    def by_responder(self, nonce: bytes | None = None) -> Standing:
        return self.respond(nonce).statement(self._certificate, self._issuer, self._centre.clock()).standing

    def crl(self, which: int) -> RevocationList:
        answer = self._web.get(list_addresses(self._certificate)[which])
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pkix-crl")
        return RevocationList(answer.content)

    def by_lists(self) -> list[Standing]:
        return [
            self.crl(which).statement(self._certificate, self._issuer, self._centre.clock()).standing
            for which in (0, 1)
        ]


def work(centre: Centre) -> None:
    """Do the jobs that are due, and those that are due in the next minutes."""
    lists = PublishedLists(centre.database, centre.hierarchy, centre.clock)
    for _ in range(2):
        while work_on_one(centre.database, {PUBLISH: lists.work}):
            pass
        centre.clock.move(timedelta(minutes=1))


def test_state_of_a_certificate_is_told_at_once_by_the_responder_and_then_by_lists(
    centre: Centre, web: TestClient
) -> None:
    identity, made = centre.issue()
    asking = [Asking(centre, web, each) for each in (made.signing, made.encryption)]
    for event, reason, told in (
        (None, None, Standing.SUSPENDED),
        (ACCEPT, None, Standing.GOOD),
        (SUSPEND, None, Standing.SUSPENDED),
        (RESUME, None, Standing.GOOD),
        (REVOKE, LOST, Standing.REVOKED),
    ):
        if event is not None:
            centre.happen(identity, event, reason)
        for each in asking:
            assert [each.by_responder(), each.by_responder(b"n" * 16)] == [told, told]
        work(centre)
        for each in asking:
            assert each.by_lists() == [told, told]


def test_answer_is_signed_once_and_again_at_half_its_life(centre: Centre, web: TestClient) -> None:
    identity, made = centre.issue()
    centre.happen(identity, ACCEPT)
    asking = Asking(centre, web, made.signing)
    first = asking.respond().der
    centre.clock.move(5 * HOUR)
    assert asking.respond().der == first
    centre.clock.move(3 * HOUR)
    second = asking.respond()
    assert second.der != first
    assert asking.respond().der == second.der
    assert asking.by_responder() is Standing.GOOD


def test_answer_signed_before_a_change_is_never_served_after_it(
    centre: Centre, web: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity, made = centre.issue()
    centre.happen(identity, ACCEPT)
    asking = Asking(centre, web, made.signing)
    answer = Responder.answer

    def suspended_meanwhile(self: Responder, *arguments: object) -> bytes:
        der = answer(self, *arguments)  # type: ignore[arg-type]
        monkeypatch.undo()
        centre.happen(identity, SUSPEND)
        return der

    monkeypatch.setattr(Responder, "answer", suspended_meanwhile)
    assert asking.by_responder() is Standing.SUSPENDED
    assert asking.by_responder() is Standing.SUSPENDED
    # One that was kept for the version before does not count, whenever it is written.
    with centre.database.read() as connection:
        (kept,) = connection.execute(select(OCSP_ANSWERS)).all()
    centre.happen(identity, RESUME)
    assert asking.by_responder() is Standing.GOOD
    with centre.database.change() as change:
        change.connection.execute(OCSP_ANSWERS.update().values(der=kept.der, version=kept.version))
    assert asking.by_responder() is Standing.GOOD


def test_certificate_of_another_generation_or_of_nobody_is_not_vouched_for(
    centre: Centre, web: TestClient
) -> None:
    identity, made = centre.issue(2)
    centre.happen(identity, ACCEPT)
    second, third = (centre.hierarchy.generations[number] for number in (2, 3))
    path = centre.hierarchy.repository.responder_path(2)
    wrong = web.post(path, content=question(made.signing, third.certificate)).content
    assert b"\x82\x00" in wrong  # unknown, [2] IMPLICIT NULL
    foreign = web.post(path, content=question(made.signing, another_issuer().certificate))
    assert foreign.content == UNAUTHORIZED
    assert Asking(centre, web, made.signing).by_responder() is Standing.GOOD
    assert second.certificate.subject == third.certificate.subject


def test_network_that_asks_too_often_about_what_was_never_issued_is_told_to_wait(
    centre: Centre, web: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity, made = centre.issue()
    centre.happen(identity, ACCEPT)
    monkeypatch.setattr(answers, "UNKNOWN_OF_A_NETWORK", 2)
    path = centre.hierarchy.repository.responder_path(3)
    never = [question(card(3, email=f"{each}@school.example").signing, made.issuer) for each in range(3)]
    said = [web.post(path, content=each) for each in never]
    assert [each.content == TRY_LATER for each in said] == [False, False, True]
    assert said[2].headers["cache-control"] == "no-store"
    # What was issued is answered for, and after the hour everything is.
    assert Asking(centre, web, made.signing).by_responder() is Standing.GOOD
    centre.clock.move(HOUR)
    assert web.post(path, content=never[2]).content != TRY_LATER


def test_request_is_answered_by_get_too(centre: Centre, web: TestClient) -> None:
    _, made = centre.issue()
    der = question(made.signing, made.issuer)
    path = centre.hierarchy.repository.responder_path(3)
    for safe in ("", "/+="):
        got = web.get(f"{path}/{quote(base64.b64encode(der).decode(), safe=safe)}")
        statement = OcspResponse(got.content).statement(made.signing, made.issuer, centre.clock())
        assert statement.standing is Standing.SUSPENDED
        assert got.headers["cache-control"] == "public, max-age=1"


def test_request_that_is_none_is_told_so_and_not_kept(centre: Centre, web: TestClient) -> None:
    path = centre.hierarchy.repository.responder_path(3)
    for answer in (
        web.post(path, content=b"none"),
        web.post(path, content=bytes(MOST_REQUEST_BYTES + 1)),
        web.get(f"{path}/none"),
    ):
        assert answer.content == MALFORMED
        assert answer.headers["cache-control"] == "no-store"


def test_list_number_rises_and_is_never_lower_than_the_time(centre: Centre, web: TestClient) -> None:
    _, made = centre.issue()
    asking = Asking(centre, web, made.signing)
    lists = PublishedLists(centre.database, centre.hierarchy, centre.clock)
    begun = int(centre.clock().timestamp())
    assert asking.crl(0).number == begun
    lists.publish(3, 0)
    assert asking.crl(0).number == begun + 1
    centre.clock.move(-10 * HOUR)
    lists.publish(3, 0)
    assert asking.crl(0).number == begun + 2
    centre.clock.move(11 * HOUR)
    lists.publish(3, 0)
    assert asking.crl(0).number == int(centre.clock().timestamp())


def test_list_tells_since_when_a_key_may_be_known_to_others(centre: Centre, web: TestClient) -> None:
    certificates, made = centre.issue()
    centre.happen(certificates, CertificateEvent.ACCEPT)
    since = centre.clock() - timedelta(days=3)
    revoke = CertificateEvent.REVOKE, OPERATOR, RULES, Reason.KEY_COMPROMISE
    with centre.database.change() as change:
        with pytest.raises(ChangeInFuture):
            change_state(change, certificates, *revoke, compromised_since=centre.clock() + timedelta(days=1))
        change_state(change, certificates, *revoke, compromised_since=since)
    read = x509.load_der_x509_crl(web.get("/repository/XCA/CRL3/CRL_0000.crl").content)
    entry = read.get_revoked_certificate_by_serial_number(made.signing.serial_number)
    assert entry is not None
    assert entry.revocation_date_utc == centre.clock().replace(microsecond=0)
    told = entry.extensions.get_extension_for_class(x509.InvalidityDate).value
    assert told.invalidity_date_utc == since.replace(microsecond=0)


def test_list_that_was_overtaken_is_not_published(
    centre: Centre, web: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity, made = centre.issue()
    centre.happen(identity, ACCEPT)
    lists = PublishedLists(centre.database, centre.hierarchy, centre.clock)

    def overtaken(*arguments: object) -> bytes:
        monkeypatch.undo()
        centre.happen(identity, REVOKE, LOST)
        lists.publish(3, 0)
        return revocation_list(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(published_lists, "revocation_list", overtaken)
    lists.publish(3, 0)
    asking = Asking(centre, web, made.signing)
    assert asking.by_lists() == [Standing.REVOKED, Standing.REVOKED]


def test_list_is_renewed_at_half_its_life(centre: Centre, web: TestClient) -> None:
    _, made = centre.issue()
    asking = Asking(centre, web, made.signing)
    for which in (0, 1):
        first = asking.crl(which).der
        centre.clock.move(11 * HOUR)
        assert asking.crl(which).der == first
        centre.clock.move(4 * HOUR)
        assert asking.crl(which).number > RevocationList(first).number  # type: ignore[operator]


def test_lists_published_at_once_have_numbers_of_their_own(centre: Centre, web: TestClient) -> None:
    _, made = centre.issue()
    lists = PublishedLists(centre.database, centre.hierarchy, centre.clock)
    begun = int(centre.clock().timestamp())
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: lists.publish(3, 0), range(8)))
    assert Asking(centre, web, made.signing).crl(0).number == begun + 7


def test_list_that_many_ask_for_at_once_is_signed_once(centre: Centre, web: TestClient) -> None:
    _, made = centre.issue()
    lists = PublishedLists(centre.database, centre.hierarchy, centre.clock)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: lists.find(3, 0), range(8)))
    assert {each.number for each in found if each} == {int(centre.clock().timestamp())}
    assert Asking(centre, web, made.signing).crl(0).number == int(centre.clock().timestamp())


def test_complete_list_without_workers_is_no_older_than_its_own_life(centre: Centre, web: TestClient) -> None:
    identity, made = centre.issue()
    centre.happen(identity, ACCEPT)
    asking = Asking(centre, web, made.signing)
    assert asking.by_lists() == [Standing.GOOD, Standing.GOOD]
    centre.happen(identity, SUSPEND)
    centre.clock.move(20 * HOUR)
    assert asking.crl(1).statement(made.signing, made.issuer, centre.clock()).standing is Standing.SUSPENDED


def test_complete_list_names_what_every_partition_does(
    centre: Centre, web: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, first = centre.issue()
    for home in (certificate_sets, certificates, published_lists):
        monkeypatch.setattr(home, "partition_of", lambda sequence: partition_of(sequence * 5_000))
    monkeypatch.setattr(certificate_sets, "PARTITION_SIZE", 2)
    second = centre.issue()[1]
    addresses = [list_addresses(each.signing)[0] for each in (first, second)]
    assert len(set(addresses)) == 2
    for made in (first, second):
        assert Asking(centre, web, made.signing).by_lists() == [Standing.SUSPENDED, Standing.SUSPENDED]
    complete = x509.load_der_x509_crl(web.get(list_addresses(first.signing)[1]).content)
    assert len(complete) == 4
    assert [len(x509.load_der_x509_crl(web.get(each).content)) for each in addresses] == [2, 2]


@pytest.mark.parametrize(
    "path",
    [
        "/repository/XCA/CRL3/CRL_0001.crl",
        "/repository/XCA/CRL3/CRL_00000.crl",
        "/repository/XCA/CRL3/CRL_.crl",
        "/repository/XCA/CRL3/CRL_99999999999999999999.crl",
        "/repository/XCA/CRL4/complete.crl",
        "/repository/XCA/CRL3/other.crl",
        "/cgi-bin/OCSP4/ocsp_server.exe",
    ],
)
def test_address_that_no_certificate_names_is_not_found(centre: Centre, web: TestClient, path: str) -> None:
    centre.issue()
    assert web.get(path).status_code == 404


def test_complete_list_is_there_before_anything_was_issued(centre: Centre, web: TestClient) -> None:
    path = centre.hierarchy.repository.complete_path(3)
    assert len(x509.load_der_x509_crl(web.get(path).content)) == 0
    assert web.get(centre.hierarchy.repository.partition_path(3, 0)).status_code == 404


def test_certificates_of_the_cas_are_given_out_in_pkcs7(centre: Centre, web: TestClient) -> None:
    issuers = web.get("/repository/Certs/IssuedToThisCA.p7b")
    assert sorted(certificates_in(issuers.content)) == sorted(
        each.certificate.public_bytes(Encoding.DER) for each in centre.hierarchy.generations.values()
    )
    root = web.get("/repository/Certs/IssuedToRoot.p7b").content
    assert certificates_in(root) == [centre.hierarchy.root.public_bytes(Encoding.DER)]
    arls = x509.load_der_x509_crl(web.get("/repository/CRL/CA.crl").content)
    assert arls.issuer == centre.hierarchy.root.subject


def test_token_that_went_leaves_what_still_counts(centre: Centre, web: TestClient, module: Path) -> None:
    identity, made = centre.issue()
    centre.happen(identity, ACCEPT)
    asking = Asking(centre, web, made.signing)
    work(centre)
    kept, answered = asking.crl(0).der, asking.respond().der
    tokens = module.with_name("tokens")
    tokens.rename(module.with_name("away"))
    try:
        assert asking.respond().der == answered
        path = centre.hierarchy.repository.responder_path(3)
        asked = question(made.signing, made.issuer, nonce=b"n" * 16)
        assert web.post(path, content=asked).content == TRY_LATER
        # The responder's certificate, of thirty days, is due to be renewed.
        centre.clock.move(timedelta(days=16))
        assert web.post(path, content=question(made.signing, made.issuer)).content == TRY_LATER
        centre.clock.move(-timedelta(days=16))
        assert asking.respond().der == answered
        centre.clock.move(20 * HOUR)
        assert asking.crl(0).der == kept
        centre.clock.move(5 * HOUR)
        assert web.get(list_addresses(made.signing)[0]).status_code == 503
    finally:
        module.with_name("away").rename(tokens)
    assert asking.by_lists()[0] is Standing.GOOD


def test_list_is_published_though_its_worker_is_killed_anywhere(
    module: Path, tmp_path: Path, sqlite_address: str, clock: MovedClock
) -> None:
    database = Database(sqlite_address, clock)
    centre = Centre(module, tmp_path / "ca", database, clock)
    identity, made = centre.issue()
    with TestClient(centre.app, base_url="http://xca.test") as web:
        work(centre)
        asking = Asking(centre, web, made.signing)
        centre.happen(identity, ACCEPT)
        number = asking.crl(0).number or 0
        database.close()

        def publish() -> None:
            own = Database(sqlite_address, clock)
            lists = PublishedLists(own, centre.hierarchy, clock)
            while work_on_one(own, {PUBLISH: lists.work}):
                pass

        nth = 1
        while killed(nth, publish, TRANSACTIONS):
            assert (asking.crl(0).number or 0) >= number
            number = asking.crl(0).number or 0
            clock.move(timedelta(minutes=6))  # the lease ends
            nth += 1
        assert nth > 4
        work(centre)
        assert asking.by_lists() == [Standing.GOOD, Standing.GOOD]
    database.close()


class TestOverHttp:
    """Clients that are not ours, and those of ours that ask the real centre."""

    @pytest.fixture
    def served(self, module: Path, tmp_path: Path, sqlite_address: str) -> Iterator[Centre]:
        clock = MovedClock()
        clock.at = datetime.now(UTC)  # OpenSSL's clock is the computer's
        database = Database(sqlite_address, clock)
        made: list[Centre] = []

        def app(origin: str) -> object:
            made.append(Centre(module, tmp_path / "served", database, clock, origin))
            return made[0].app

        with asgi_site(app):
            yield made[0]
        database.close()

    @pytest.mark.parametrize("digest", ["-sha1", "-sha256"])
    def test_openssl_is_answered_about_several_certificates(
        self, served: Centre, digest: str, tmp_path: Path
    ) -> None:
        (good, first), (_, second) = served.issue(), served.issue()
        served.happen(good, ACCEPT)
        pem = Encoding.PEM
        (tmp_path / "root.pem").write_bytes(first.root.public_bytes(pem))
        (tmp_path / "ca.pem").write_bytes(first.issuer.public_bytes(pem))
        (tmp_path / "one.pem").write_bytes(first.signing.public_bytes(pem))
        (tmp_path / "two.pem").write_bytes(second.encryption.public_bytes(pem))
        (address,) = responder_addresses(first.signing)
        about = ["-issuer", "ca.pem", digest, "-cert", "one.pem", "-cert", "two.pem", "-url", address]
        done = subprocess.run(
            ["openssl", "ocsp", *about, "-CAfile", "root.pem", "-verify_other", "ca.pem"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert "Response verify OK" in done.stderr, done.stderr
        assert "Nonce" not in done.stderr
        assert "one.pem: good" in done.stdout
        assert "two.pem: revoked" in done.stdout
        assert "Reason: certificateHold" in done.stdout

    def test_site_learns_of_every_state(self, served: Centre) -> None:
        identity, made = served.issue(2)
        for event, reason, told in (
            (None, None, Standing.SUSPENDED),
            (ACCEPT, None, Standing.GOOD),
            (SUSPEND, None, Standing.SUSPENDED),
            (RESUME, None, Standing.GOOD),
            (REVOKE, Reason.CESSATION_OF_OPERATION, Standing.REVOKED),
        ):
            if event is not None:
                served.happen(identity, event, reason)
            work(served)
            site = Revocation(hosts=["127.0.0.1"])
            known = site.judge(made.signing, made.issuer, served.clock())
            assert known.judgement.standing is told, (event, known.judgement)

    def test_file_signed_with_a_card_is_verified_with_what_the_centre_says(
        self, served: Centre, tmp_path: Path
    ) -> None:
        identity, made = served.issue()
        pem = Encoding.PEM
        (tmp_path / "root.pem").write_bytes(made.root.public_bytes(pem))
        (tmp_path / "ca.pem").write_bytes(made.issuer.public_bytes(pem))
        (tmp_path / "card.pem").write_bytes(made.signing.public_bytes(pem))
        (tmp_path / "key.pem").write_bytes(
            key("SIGN").private_bytes(pem, PrivateFormat.PKCS8, NoEncryption())
        )
        (tmp_path / "contract.txt").write_text("契約")
        signing = [
            "-sign",
            "-nodetach",
            "-binary",
            "-md",
            "sha256",
            "-signer",
            "card.pem",
            "-inkey",
            "key.pem",
        ]
        files = ["-certfile", "ca.pem", "-in", "contract.txt", "-outform", "DER", "-out", "contract.p7m"]
        subprocess.run(["openssl", "cms", *signing, *files], cwd=tmp_path, check=True)

        def verify() -> tuple[int, str]:
            trusted = ["--ca-file", "root.pem", "--fetch", "--allow-host", "127.0.0.1"]
            done = subprocess.run(
                ["xcactl", "--lang", "en", "verify", "contract.p7m", *trusted],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                env={**os.environ, "HOME": str(tmp_path)},
            )
            said = re.search(r"certificate (?:is|was) (suspended|revoked)", done.stderr)
            return done.returncode, said[1] if said else ""

        assert verify() == (62, "suspended")
        served.happen(identity, ACCEPT)
        assert verify() == (0, "")
        served.happen(identity, SUSPEND)
        assert verify() == (62, "suspended")
        served.happen(identity, REVOKE, LOST)
        assert verify() == (62, "revoked")
