# SPDX-License-Identifier: Apache-2.0
"""Revocation at a site: lists are fetched and kept, responders asked, older answers refused."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import crl as asn1_crl  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.x509 import ocsp

from support.login_site import Desk
from xca_common.pki.malformed import Malformed
from xca_common.pki.revocation_list import RevocationList, is_signed
from xca_common.pki.standing import Standing, Unusable
from xca_login import Policy, Revocation, errors
from xca_login.evidence import Evidence, MalformedEvidence
from xca_login.revocation import GivenRevocation
from xca_login.testing.issuer import (
    LIST,
    RESPONDER,
    Responder,
    addresses,
    entry,
    published_at,
    revocation_list,
    serving,
)
from xca_login.testing.parties import DAY, NOW, Party, holder, party, responder
from xca_login.testing.tokens import sign

pytestmark = pytest.mark.fast


class Issuer:
    """What the issuer's addresses answer.

    Attributes:
        lists: the list that each path answers; nothing: 404.
        says: whether the responder says good; None: it does not answer.
        status: what it says instead; None: as says tells.
        signer: whom the CA lets answer; None: the CA answers.
        padding: bytes behind its answer.
        delay: seconds until it answers.
        response_at: as of when its answer is.
        response_for: how long its answer counts.
        asked: paths, in the order in which they were asked.
    """

    def __init__(self, desk: Desk, base: str) -> None:
        self.desk = desk
        self.base = base
        self.lists: dict[str, bytes] = {}
        self.says: bool | None = None
        self.status: ocsp.OCSPCertStatus | None = None
        self.signer: Party | None = None
        self.padding = 0
        self.delay = 0.0
        self.response_at = NOW
        self.response_for = DAY
        self.repeats_nonce = True
        self.asked: list[str] = []
        self._answers = threading.Event()
        self._answers.set()

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Nothing is answered before the end of the block."""
        self._answers.clear()
        try:
            yield
        finally:
            self._answers.set()

    def card(self, *paths: str, responder: bool = False) -> Party:
        return holder(self.desk.ca, more=addresses(self.base, *paths, responder=responder))

    def revocation_list(
        self,
        number: int,
        *revoked: tuple[Party, x509.ReasonFlags],
        at: datetime = NOW,
        until: datetime = NOW + DAY,
        part: str | None = None,
        signer: Party | None = None,
    ) -> bytes:
        return revocation_list(
            Party(self.desk.ca.certificate, (signer or self.desk.ca).key),
            number,
            *(entry(one, reason, at) for one, reason in revoked),
            at=at,
            until=until,
            more=[] if part is None else [published_at(self.base + part)],
        )

    def get(self, path: str, body: bytes) -> bytes | None:
        self.asked.append(path)
        self._answers.wait(10)
        if path != RESPONDER:
            return self.lists.get(path)
        time.sleep(self.delay)
        if self.says is None:
            return None
        says = ocsp.OCSPCertStatus.GOOD if self.says else ocsp.OCSPCertStatus.REVOKED
        answering = Responder(
            self.signer or self.desk.ca,
            is_delegated=self.signer is not None,
            status=self.status or says,
            at=self.response_at,
            until=self.response_at + self.response_for,
            nonce=None if self.repeats_nonce else b"",
        )
        return answering(body) + bytes(self.padding)


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


@pytest.fixture
def issuer(desk: Desk) -> Iterator[Issuer]:
    with serving() as served:
        issuer = Issuer(desk, served.url)
        served.answers = issuer
        yield issuer


def standing(revocation: Revocation, card: Party, desk: Desk, moment: datetime = NOW) -> Standing:
    return revocation.judge(card.certificate, desk.ca.certificate, moment).judgement.standing


def sources(folder: Path | None = None) -> Revocation:
    return Revocation(folder, ["127.0.0.1"])


def finish_fetching() -> None:
    for thread in threading.enumerate():
        if thread.name == "revocation list":
            thread.join(10)


def test_list_is_fetched_once_for_many_logins(issuer: Issuer, desk: Desk) -> None:
    card = issuer.card(LIST)
    issuer.lists[LIST] = issuer.revocation_list(1)
    revocation = sources()
    assert {standing(revocation, card, desk) for _ in range(5)} == {Standing.GOOD}
    assert issuer.asked == [LIST]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (x509.ReasonFlags.key_compromise, errors.CertificateRevoked),
        (x509.ReasonFlags.certificate_hold, errors.CertificateSuspended),
    ],
)
def test_card_on_the_list_is_refused(
    reason: x509.ReasonFlags, expected: type[errors.LoginRefused], issuer: Issuer, desk: Desk
) -> None:
    card = issuer.card(LIST)
    issuer.lists[LIST] = issuer.revocation_list(1, (card, reason))
    with pytest.raises(expected):
        desk.log_in(card, revocation=sources())


def test_address_that_does_not_answer_is_refused_and_not_asked_again_at_once(
    issuer: Issuer, desk: Desk
) -> None:
    card = issuer.card(LIST)
    revocation = sources()
    for _ in range(3):
        with pytest.raises(errors.RevocationUnknown):
            desk.log_in(card, revocation=revocation)
    assert issuer.asked == [LIST]
    issuer.lists[LIST] = issuer.revocation_list(1)
    assert standing(revocation, card, desk, NOW + timedelta(seconds=61)) is Standing.GOOD


def test_host_that_is_not_allowed_is_not_asked(issuer: Issuer, desk: Desk) -> None:
    issuer.lists[LIST] = issuer.revocation_list(1)
    with pytest.raises(errors.RevocationUnknown):
        desk.log_in(issuer.card(LIST), revocation=Revocation())
    assert issuer.asked == []


def test_list_with_a_lower_number_than_before_is_refused(issuer: Issuer, desk: Desk, tmp_path: Path) -> None:
    card = issuer.card(LIST)
    issuer.lists[LIST] = issuer.revocation_list(7, (card, x509.ReasonFlags.certificate_hold))
    assert standing(sources(tmp_path), card, desk) is Standing.SUSPENDED
    issuer.lists[LIST] = issuer.revocation_list(6, at=NOW + timedelta(minutes=1))
    another_process = sources(tmp_path)
    assert standing(another_process, card, desk, NOW + timedelta(minutes=11)) is Standing.SUSPENDED
    issuer.lists[LIST] = issuer.revocation_list(8, at=NOW + timedelta(minutes=12))
    later = sources(tmp_path)
    assert standing(later, card, desk, NOW + timedelta(minutes=13)) is Standing.GOOD
    assert len(list(tmp_path.iterdir())) == 1


def test_list_of_the_folder_serves_while_the_address_is_silent(
    issuer: Issuer, desk: Desk, tmp_path: Path
) -> None:
    card = issuer.card(LIST)
    issuer.lists[LIST] = issuer.revocation_list(1)
    assert standing(sources(tmp_path), card, desk) is Standing.GOOD
    issuer.lists.clear()
    assert standing(sources(tmp_path), card, desk) is Standing.GOOD
    assert standing(sources(tmp_path), card, desk, NOW + 2 * DAY) is Standing.UNKNOWN


def test_list_that_is_due_is_fetched_while_the_login_goes_on(issuer: Issuer, desk: Desk) -> None:
    card = issuer.card(LIST)
    issuer.lists[LIST] = issuer.revocation_list(1)
    revocation = sources()
    assert standing(revocation, card, desk) is Standing.GOOD
    issuer.lists[LIST] = issuer.revocation_list(2, (card, x509.ReasonFlags.key_compromise))
    later = NOW + timedelta(minutes=11)
    with issuer.holding():
        assert standing(revocation, card, desk, later) is Standing.GOOD
    finish_fetching()
    assert standing(revocation, card, desk, later) is Standing.REVOKED


def test_list_that_another_key_signed_says_nothing(issuer: Issuer, desk: Desk) -> None:
    card = issuer.card(LIST)
    issuer.lists[LIST] = issuer.revocation_list(1, signer=party("another ca", ca=True))
    assert standing(sources(), card, desk) is Standing.UNKNOWN


@pytest.mark.parametrize("part", [None, "/2.crl"])
def test_list_of_another_part_can_revoke_and_cannot_say_good(
    part: str | None, issuer: Issuer, desk: Desk
) -> None:
    card = issuer.card(LIST, "/complete.crl")
    issuer.lists[LIST] = issuer.revocation_list(1, part=part)
    assert standing(sources(), card, desk) is Standing.UNKNOWN
    issuer.lists[LIST] = issuer.revocation_list(1, (card, x509.ReasonFlags.key_compromise), part=part)
    assert standing(sources(), card, desk) is Standing.REVOKED
    issuer.lists[LIST] = issuer.revocation_list(1, part=LIST)
    assert standing(sources(), card, desk) is Standing.GOOD


def test_responder_is_asked_where_there_is_no_list(issuer: Issuer, desk: Desk) -> None:
    card = issuer.card(LIST, responder=True)
    issuer.says = True
    login = desk.log_in(card, revocation=sources())
    assert (len(login.evidence.lists), len(login.evidence.responses)) == (0, 1)
    issuer.says = False
    with pytest.raises(errors.CertificateRevoked):
        desk.log_in(card, revocation=sources())


def test_responder_is_asked_once_for_logins_at_the_same_time(issuer: Issuer, desk: Desk) -> None:
    card = issuer.card(responder=True)
    issuer.says, issuer.delay = True, 0.3
    revocation = sources()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: standing(revocation, card, desk), range(4)))
    assert found == [Standing.GOOD] * 4
    assert issuer.asked == [RESPONDER]


def test_response_without_nonce_that_is_older_than_ten_minutes_is_refused(issuer: Issuer, desk: Desk) -> None:
    card = issuer.card(responder=True)
    issuer.says, issuer.repeats_nonce = True, False
    assert standing(sources(), card, desk) is Standing.GOOD
    issuer.response_at = NOW - timedelta(minutes=11)
    assert standing(sources(), card, desk) is Standing.UNKNOWN


def test_response_that_is_older_than_one_before_is_refused(issuer: Issuer, desk: Desk) -> None:
    card = issuer.card(responder=True)
    issuer.says = True
    revocation = sources()
    assert standing(revocation, card, desk) is Standing.GOOD
    issuer.response_at = NOW - timedelta(minutes=1)
    later = NOW + timedelta(minutes=11)
    assert standing(revocation, card, desk, later) is Standing.UNKNOWN


def test_list_of_other_certificates_takes_no_lists_place(issuer: Issuer, desk: Desk, tmp_path: Path) -> None:
    card = issuer.card(LIST, "/complete.crl")

    def after(minutes: int) -> Standing:
        return standing(sources(tmp_path), card, desk, NOW + timedelta(minutes=minutes))

    issuer.lists[LIST] = issuer.revocation_list(7, part=LIST)
    assert after(0) is Standing.GOOD
    for minutes, part in ((11, "/2.crl"), (22, None)):
        issuer.lists[LIST] = issuer.revocation_list(900, part=part)
        assert after(minutes) is Standing.GOOD
    issuer.lists[LIST] = issuer.revocation_list(8, (card, x509.ReasonFlags.key_compromise), part=LIST)
    assert after(33) is Standing.REVOKED


def test_list_is_fetched_again_after_the_clock_was_set_back(issuer: Issuer, desk: Desk) -> None:
    card = issuer.card(LIST)
    revocation = sources()
    assert standing(revocation, card, desk, NOW + 1000 * DAY) is Standing.UNKNOWN
    issuer.lists[LIST] = issuer.revocation_list(1)
    assert standing(revocation, card, desk, NOW) is Standing.GOOD


def test_list_is_used_when_no_thread_can_be_started(
    issuer: Issuer, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = issuer.card(LIST)
    issuer.lists[LIST] = issuer.revocation_list(1)
    revocation = sources()
    assert standing(revocation, card, desk) is Standing.GOOD

    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    later = NOW + timedelta(minutes=11)
    with monkeypatch.context() as patched:
        patched.setattr("xca_login.revocation.Thread.start", fail)
        assert standing(revocation, card, desk, later) is Standing.GOOD
    issuer.lists[LIST] = issuer.revocation_list(2, (card, x509.ReasonFlags.key_compromise))
    standing(revocation, card, desk, later)
    finish_fetching()
    assert standing(revocation, card, desk, later) is Standing.REVOKED


def test_hold_on_a_list_is_undone_by_a_newer_answer_alone(issuer: Issuer, desk: Desk) -> None:
    card = issuer.card(LIST, responder=True)
    held_at = NOW - timedelta(hours=1)
    issuer.lists[LIST] = issuer.revocation_list(1, (card, x509.ReasonFlags.certificate_hold), at=held_at)
    revocation = sources()
    assert standing(revocation, card, desk) is Standing.SUSPENDED
    issuer.says, issuer.response_at = True, held_at
    assert standing(sources(), card, desk) is Standing.SUSPENDED
    issuer.response_at = NOW
    assert standing(revocation, card, desk, NOW + timedelta(minutes=1)) is Standing.GOOD


def test_revocation_that_a_responder_told_is_not_forgotten(issuer: Issuer, desk: Desk) -> None:
    card = issuer.card(LIST, responder=True)
    issuer.says = False
    revocation = sources()
    assert standing(revocation, card, desk) is Standing.REVOKED
    issuer.says = None
    assert standing(revocation, card, desk, NOW + timedelta(hours=1)) is Standing.REVOKED
    issuer.lists[LIST] = issuer.revocation_list(1)
    assert standing(revocation, card, desk, NOW + timedelta(hours=2)) is Standing.REVOKED


def test_responder_is_asked_again_when_its_answer_ended(issuer: Issuer, desk: Desk) -> None:
    card = issuer.card(responder=True)
    issuer.says, issuer.response_for = True, timedelta(minutes=2)
    revocation = sources()
    assert [standing(revocation, card, desk) for _ in range(2)] == [Standing.GOOD] * 2
    assert issuer.asked == [RESPONDER]
    later = issuer.response_at = NOW + timedelta(minutes=3)
    assert standing(revocation, card, desk, later) is Standing.GOOD


def test_responder_that_does_not_answer_is_not_asked_again_at_once(issuer: Issuer, desk: Desk) -> None:
    card = issuer.card(responder=True)
    revocation = sources()
    assert {standing(revocation, card, desk) for _ in range(3)} == {Standing.UNKNOWN}
    assert issuer.asked == [RESPONDER]
    issuer.says = True
    assert standing(revocation, card, desk, NOW + timedelta(seconds=61)) is Standing.GOOD


def test_answer_that_is_too_long_is_not_read(issuer: Issuer, desk: Desk) -> None:
    card = issuer.card(responder=True)
    issuer.says, issuer.padding = True, 1 << 16
    with pytest.raises(errors.RevocationUnknown, match="too long"):
        desk.log_in(card, revocation=sources())


def test_silence_is_that_nobody_answers(issuer: Issuer, desk: Desk) -> None:
    silent = Policy(silent_hosts=frozenset({"127.0.0.1"}))
    card = issuer.card(LIST, responder=True)
    revocation = sources()
    assert not desk.log_in(card, revocation=revocation, policy=silent).is_revocation_known
    issuer.says, issuer.status = True, ocsp.OCSPCertStatus.UNKNOWN
    with pytest.raises(errors.RevocationUnknown):
        desk.log_in(card, revocation=sources(), policy=silent)
    issuer.says = None
    issuer.lists[LIST] = issuer.revocation_list(1, part="/2.crl")
    with pytest.raises(errors.RevocationUnknown):
        desk.log_in(card, revocation=sources(), policy=silent)


def test_responder_whose_certificate_the_list_revokes_is_not_believed(issuer: Issuer, desk: Desk) -> None:
    card = issuer.card(LIST, responder=True)
    issuer.says, issuer.signer = True, responder(desk.ca)
    assert standing(sources(), card, desk) is Standing.GOOD
    listed = (issuer.signer, x509.ReasonFlags.key_compromise)
    issuer.lists[LIST] = issuer.revocation_list(1, listed, part="/2.crl")
    assert standing(sources(), card, desk) is Standing.UNKNOWN


def test_evidence_of_a_login_is_verified_again_years_later(issuer: Issuer, desk: Desk) -> None:
    card = issuer.card(LIST)
    issuer.lists[LIST] = issuer.revocation_list(1)
    challenge = desk.challenge()
    login = desk.verifier(sources()).verify(sign(card, challenge.text), challenge)
    kept = Evidence.load(login.evidence.dump())
    assert kept == login.evidence
    given = GivenRevocation(kept.lists, kept.responses)
    again = desk.verifier(given).verify(kept.token, challenge)
    assert again.account == login.account


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"form": "x", "at": 1}', b"\xff", b"[" * 100_000])
def test_evidence_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedEvidence):
        Evidence.load(data)


def test_list_that_one_process_fetched_serves_the_others(issuer: Issuer, desk: Desk, tmp_path: Path) -> None:
    card = issuer.card(LIST)
    issuer.lists[LIST] = issuer.revocation_list(1)
    assert standing(sources(tmp_path), card, desk) is Standing.GOOD
    another = sources(tmp_path)
    assert standing(another, card, desk, NOW + timedelta(minutes=9)) is Standing.GOOD
    assert issuer.asked == [LIST]
    assert standing(another, card, desk, NOW + timedelta(minutes=10)) is Standing.GOOD
    finish_fetching()
    assert issuer.asked == [LIST, LIST]


def test_list_is_fetched_again_before_it_ends_and_nobody_waits(issuer: Issuer, desk: Desk) -> None:
    card = issuer.card(LIST)
    issuer.lists[LIST] = issuer.revocation_list(1, until=NOW + timedelta(minutes=8))
    revocation = sources()
    assert standing(revocation, card, desk) is Standing.GOOD
    issuer.lists[LIST] = issuer.revocation_list(2, (card, x509.ReasonFlags.key_compromise))
    with issuer.holding():
        assert standing(revocation, card, desk, NOW + timedelta(minutes=5)) is Standing.GOOD
    finish_fetching()
    assert standing(revocation, card, desk, NOW + timedelta(minutes=5)) is Standing.REVOKED


def test_list_that_the_issuer_did_not_sign_is_not_read_any_further(issuer: Issuer, desk: Desk) -> None:
    card = issuer.card(LIST)
    listed = issuer.revocation_list(1, (card, x509.ReasonFlags.key_compromise))
    serial = card.certificate.serial_number
    encoded = serial.to_bytes(serial.bit_length() // 8 + 1)
    issuer.lists[LIST] = listed.replace(
        b"\x02" + bytes([len(encoded)]) + encoded, b"\x05" * (len(encoded) + 2)
    )
    assert issuer.lists[LIST] != listed
    with pytest.raises(errors.RevocationUnknown, match="the issuer did not sign its list"):
        desk.log_in(card, revocation=sources())


@pytest.mark.parametrize("source", [LIST, RESPONDER])
def test_what_another_process_got_meanwhile_counts_if_it_is_newer(
    source: str, issuer: Issuer, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = issuer.card(LIST) if source == LIST else issuer.card(responder=True)
    answer = issuer.get

    def answer_late(path: str, body: bytes) -> bytes | None:
        monkeypatch.setattr(issuer, "get", answer)
        issuer.lists[LIST] = issuer.revocation_list(2, (card, x509.ReasonFlags.key_compromise))
        issuer.says = False
        assert standing(sources(tmp_path), card, desk) is Standing.REVOKED
        issuer.lists[LIST], issuer.says = issuer.revocation_list(1), True
        return answer(path, body)

    monkeypatch.setattr(issuer, "get", answer_late)
    assert standing(sources(tmp_path), card, desk) is Standing.REVOKED


def test_list_that_another_process_replaces_while_it_is_read_is_read_then(
    issuer: Issuer, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = issuer.card(LIST)
    issuer.lists[LIST] = issuer.revocation_list(1)
    assert standing(sources(tmp_path), card, desk) is Standing.GOOD
    running = sources(tmp_path)
    read, later = Path.read_bytes, NOW + timedelta(minutes=11)

    def read_late(path: Path) -> bytes:
        monkeypatch.setattr(Path, "read_bytes", read)
        issuer.lists[LIST] = issuer.revocation_list(2, (card, x509.ReasonFlags.key_compromise))
        assert standing(sources(tmp_path), card, desk, later) is Standing.REVOKED
        issuer.lists[LIST] = issuer.revocation_list(1)  # an old one is played back
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_late)
    assert standing(running, card, desk, later) is Standing.REVOKED


def test_answer_of_a_responder_to_one_process_serves_the_others(
    issuer: Issuer, desk: Desk, tmp_path: Path
) -> None:
    card = issuer.card(responder=True)
    issuer.says = True
    assert standing(sources(tmp_path), card, desk) is Standing.GOOD
    issuer.says = None
    assert standing(sources(tmp_path), card, desk, NOW + timedelta(minutes=9)) is Standing.GOOD
    assert issuer.asked == [RESPONDER]
    assert standing(sources(tmp_path), card, desk, NOW + timedelta(minutes=11)) is Standing.UNKNOWN


def test_revocation_that_a_responder_told_one_process_counts_in_the_others(
    issuer: Issuer, desk: Desk, tmp_path: Path
) -> None:
    card = issuer.card(LIST, responder=True)
    issuer.says = False
    running = sources(tmp_path)
    issuer.lists[LIST] = issuer.revocation_list(1)
    assert standing(running, card, desk) is Standing.GOOD
    issuer.lists.clear()
    assert standing(sources(), card, desk) is Standing.REVOKED
    assert standing(sources(tmp_path), card, desk) is Standing.GOOD
    assert standing(sources(tmp_path), card, desk, NOW + 2 * DAY) is Standing.REVOKED
    assert standing(running, card, desk) is Standing.REVOKED


def test_answer_that_is_older_than_one_of_another_process_is_refused(
    issuer: Issuer, desk: Desk, tmp_path: Path
) -> None:
    card = issuer.card(responder=True)
    first = sources(tmp_path)
    issuer.says = True
    assert standing(first, card, desk) is Standing.GOOD
    later = NOW + timedelta(minutes=12)
    issuer.status, issuer.response_at = ocsp.OCSPCertStatus.REVOKED, later
    assert standing(sources(tmp_path), card, desk, later) is Standing.REVOKED
    issuer.status, issuer.response_at = None, NOW + timedelta(minutes=11)
    assert standing(first, card, desk, later) is Standing.REVOKED
    assert len(list(tmp_path.rglob("*.ocsp"))) == 1


@pytest.mark.parametrize("damage", [b"", b"\x30", bytes(1 << 17)])
def test_answer_in_the_folder_that_cannot_be_read_is_asked_for_again(
    damage: bytes, issuer: Issuer, desk: Desk, tmp_path: Path
) -> None:
    card = issuer.card(responder=True)
    issuer.says = True
    assert standing(sources(tmp_path), card, desk) is Standing.GOOD
    (kept,) = tmp_path.rglob("*.ocsp")
    kept.write_bytes(damage)
    assert standing(sources(tmp_path), card, desk) is Standing.GOOD
    assert issuer.asked == [RESPONDER] * 2
    assert kept.read_bytes() != damage


@pytest.fixture(scope="module")
def others() -> list[x509.RevokedCertificate]:
    """More entries than are read in one step; no card has one."""
    return [x509.RevokedCertificateBuilder(1 << 120 | number, NOW).build() for number in range(2500)]


def test_long_list_finds_each_entry_and_no_other(desk: Desk, others: list[x509.RevokedCertificate]) -> None:
    revoked, held, twice, free = (holder(desk.ca) for _ in range(4))
    hold, for_good = x509.ReasonFlags.certificate_hold, x509.ReasonFlags.key_compromise
    entries = [
        entry(revoked, for_good),
        *others,
        entry(twice, for_good),
        entry(held, hold),
        entry(twice, hold),
    ]
    found = RevocationList(revocation_list(desk.ca, 1, *entries))
    said = [
        found.statement(card.certificate, desk.ca.certificate, NOW).standing
        for card in (revoked, held, twice, free)
    ]
    assert said == [Standing.REVOKED, Standing.SUSPENDED, Standing.REVOKED, Standing.GOOD]


def test_entry_that_a_list_has_many_times_is_looked_at_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = holder(desk.ca)
    own = entry(card, x509.ReasonFlags.key_compromise)
    found = RevocationList(revocation_list(desk.ca, 1, *[own] * 2500))
    read: list[int] = []
    load = x509.load_der_x509_crl

    def loading(data: bytes) -> x509.CertificateRevocationList:
        crl = load(data)
        read.append(len(crl))
        return crl

    monkeypatch.setattr(x509, "load_der_x509_crl", loading)
    assert found.statement(card.certificate, desk.ca.certificate, NOW).standing is Standing.REVOKED
    assert read == [1]


def test_long_list_is_read_in_steps_between_which_logins_go_on(
    desk: Desk, others: list[x509.RevokedCertificate], monkeypatch: pytest.MonkeyPatch
) -> None:
    der = revocation_list(desk.ca, 1, *others)
    steps: list[int] = []
    pauses: list[float] = []
    load = x509.load_der_x509_crl

    def loading(data: bytes) -> x509.CertificateRevocationList:
        steps.append(len(data))
        return load(data)

    monkeypatch.setattr(x509, "load_der_x509_crl", loading)
    monkeypatch.setattr(time, "sleep", pauses.append)
    assert is_signed(der, desk.ca.certificate)
    assert RevocationList(der).is_by(desk.ca.certificate)
    assert max(steps) < len(der) / 2  # cryptography reads, and nothing else runs meanwhile
    assert len(pauses) == 2


def test_entry_that_is_not_understood_anywhere_in_a_long_list_makes_it_no_proof(
    desk: Desk, others: list[x509.RevokedCertificate]
) -> None:
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    odd = entry(holder(desk.ca), x509.ReasonFlags.key_compromise, more=[(strange, True)])
    card = holder(desk.ca)
    for entries in ([odd, *others], [*others, odd]):
        found = RevocationList(revocation_list(desk.ca, 1, *entries))
        with pytest.raises(Unusable):
            found.statement(card.certificate, desk.ca.certificate, NOW)


def test_list_with_a_part_that_goes_beyond_it_is_malformed(issuer: Issuer, desk: Desk) -> None:
    der = issuer.revocation_list(1, (holder(desk.ca), x509.ReasonFlags.key_compromise))
    whole = asn1_crl.CertificateList.load(der)
    revoked = whole["tbs_cert_list"]["revoked_certificates"]
    entries, last = revoked.dump(), revoked[0].dump()
    longer = last[:1] + bytes([last[1] + 2]) + last[2:]
    for odd in (
        der + b"\x00",
        der[:-1],
        der.replace(entries, entries[:1] + bytes([entries[1] + 1]) + entries[2:]),
        der.replace(last, longer),
    ):
        assert odd != der
        with pytest.raises(Malformed):
            RevocationList(odd)


def test_list_that_names_two_signature_algorithms_is_nobodys(issuer: Issuer, desk: Desk) -> None:
    def change(tbs: asn1_crl.TbsCertList) -> None:
        tbs["signature"] = {"algorithm": "sha384_rsa"}

    card = issuer.card(LIST)
    issuer.lists[LIST] = revocation_list(desk.ca, 1, change=change)
    with pytest.raises(errors.RevocationUnknown, match="the issuer did not sign its list"):
        desk.log_in(card, revocation=sources())


def test_list_that_did_not_change_is_not_read_again(
    issuer: Issuer, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = issuer.card(LIST)
    issuer.lists[LIST] = issuer.revocation_list(1)
    revocation = sources()
    assert standing(revocation, card, desk) is Standing.GOOD
    monkeypatch.setattr("xca_login.revocation.RevocationList", None)
    assert standing(revocation, card, desk, NOW + timedelta(minutes=11)) is Standing.GOOD
    finish_fetching()
    assert issuer.asked == [LIST, LIST]
    assert standing(revocation, card, desk, NOW + timedelta(minutes=12)) is Standing.GOOD
    assert issuer.asked == [LIST, LIST]
