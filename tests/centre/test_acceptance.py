# SPDX-License-Identifier: Apache-2.0
"""Acceptance: what a card signed makes its certificates valid, in time, once, and nothing else does."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from starlette.applications import Starlette
from starlette.testclient import TestClient

from support.centre.authority import card, issuer, key, school
from support.moved_clock import MovedClock
from xca_centre.acceptance import ACCEPTANCE, SignedAcceptance, accept, accept_by_login, is_final
from xca_centre.acceptance_routes import PATH, acceptance_routes
from xca_centre.authority.certificates import certify_card
from xca_centre.certificate_sets import NewSet, Use, add, change_state, find, reserve
from xca_centre.errors import (
    AcceptanceDiffers,
    AcceptanceForeign,
    AcceptanceLapsed,
    AcceptanceMalformed,
    AcceptanceRefused,
    AcceptanceSignatureWrong,
    AcceptanceTooLong,
    CentreError,
    CertificateExpired,
    CertificateRevoked,
    CertificateSuspended,
    StoreUnavailable,
)
from xca_centre.issuer_rules import Issuer, load
from xca_centre.life.certificate import CertificateEvent, CertificateState, Reason
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.database import Database
from xca_centre.store.tables import EVENTS, JOBS
from xca_common.card_making import CardKeys
from xca_common.pki.cms_types import cms
from xca_common.statement import Statement, StatementKind
from xca_login.testing.parties import Party
from xca_login.testing.tokens import attribute, attributes, origin, sign
from xca_login.token import MOST_BYTES

RULES = load(Issuer.XCA)
ORIGIN = "https://xca.example.gov.tw"
ELSEWHERE = "https://xca.example"
NUMBER = "XC00000000000001"
HOLDER = Actor(Role.HOLDER, NUMBER)
OFFICER = Actor(Role.FIRST_REVIEWER, "lin")
SIGN = Party(card().signing, key("SIGN"))
KEYX = Party(card().encryption, key("KEYX"))
OTHER_KEYS = CardKeys("XC00000000000002", key("SIGN 2").public_key(), key("KEYX 2").public_key())
OTHER = certify_card(issuer(), 2, OTHER_KEYS, school(), card().signing.not_valid_before_utc, 6)
OTHER_SIGN = Party(OTHER.signing, key("SIGN 2"))
SECOND = timedelta(seconds=1)


def statement(**changes: Any) -> Statement:
    """What the card signs, but for these values."""
    digests = {name: sha256(each.der).hexdigest() for name, each in (("cert1", SIGN), ("cert2", KEYX))}
    fields = {"card": NUMBER, **digests}
    changed = {name: changes.pop(name) for name in fields.keys() & changes.keys()}
    made = Statement(
        StatementKind.ACCEPTANCE,
        ORIGIN,
        card().signing.not_valid_before_utc,
        "6f" * 32,
        tuple({**fields, **changed}.items()),
    )
    return replace(made, **changes)


def signed(by: Party = SIGN, *, page: str = ORIGIN, change: Any = None, **changes: Any) -> bytes:
    """An acceptance as the agent signs it, but for these values."""
    how = {} if change is None else {"change": change}
    return sign(by, statement(**changes).encode(), more=[origin(page)], **how)


def self_made(serial: int) -> Party:
    """A certificate that no CA of the centre issued, with the key of a stranger."""
    own, name = key("a stranger"), card().signing.issuer
    made = (
        x509.CertificateBuilder(name, name, own.public_key(), serial)
        .not_valid_before(card().signing.not_valid_before_utc)
        .not_valid_after(card().signing.not_valid_after_utc)
        .sign(own, SHA256())
    )
    return Party(made, own)


@pytest.fixture
def sqlite(sqlite_address: str, clock: MovedClock) -> Iterator[Database]:
    made = Database(sqlite_address, clock)
    yield made
    made.close()


def issue(database: Database) -> UUID:
    """Issue the certificates of two cards; returns the id of the first one's."""
    with database.change() as change:
        number = reserve(change, 2, 4)
        both = [(Use.SIGNING, card().signing), (Use.ENCRYPTION, card().encryption)]
        others = [(Use.SIGNING, OTHER.signing), (Use.ENCRYPTION, OTHER.encryption)]
        lapses_at = change.now + timedelta(days=90)
        new = NewSet(NUMBER, "2.16.886.111.100000", "secondary", 2, number, both, lapses_at, True)
        another = replace(new, card=OTHER_KEYS.number, sequence=number + 2, certificates=others)
        add(change, another, OFFICER)
        return add(change, new, OFFICER)


def state_of(database: Database, certificates: UUID) -> CertificateState:
    with database.read() as connection:
        return find(connection, certificates).standing.state


def happen(
    database: Database, certificates: UUID, event: CertificateEvent, by: Actor, reason: Reason | None = None
) -> None:
    with database.change() as change:
        change_state(change, certificates, event, by, RULES, reason)


def written(database: Database) -> tuple[int, int]:
    """How many events and jobs there are."""
    with database.read() as connection:
        return tuple(  # type: ignore[return-value]  # two
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (EVENTS, JOBS)
        )


def test_acceptance_in_time_makes_both_certificates_valid_and_is_kept(
    database: Database, clock: MovedClock
) -> None:
    identity, data = issue(database), signed()
    clock.move(timedelta(days=5))
    accepted = accept(database, RULES, ORIGIN, data, database.clock())
    assert (accepted.id, accepted.standing.state) == (identity, CertificateState.VALID)
    assert accepted.accepted == clock.at
    with database.read() as connection:
        event = connection.execute(select(EVENTS).where(EVENTS.c.kind == ACCEPTANCE)).one()
    facts = json.loads(event.facts)
    assert (event.subject, event.role, event.name) == (str(identity), "holder", NUMBER)
    assert facts["made"] == card().signing.not_valid_before_utc.isoformat()


def test_acceptance_that_comes_again_is_answered_alike_and_changes_nothing(
    database: Database, clock: MovedClock
) -> None:
    issue(database)
    first = accept(database, RULES, ORIGIN, signed(), database.clock())
    before = written(database)
    clock.move(timedelta(days=200))
    assert accept(database, RULES, ORIGIN, signed(), database.clock()) == first
    assert accept(database, RULES, ORIGIN, signed(nonce="70" * 32), database.clock()) == first
    assert written(database) == before


def test_acceptance_that_comes_again_after_a_suspension_does_not_lift_it(
    sqlite: Database, clock: MovedClock
) -> None:
    identity = issue(sqlite)
    accept(sqlite, RULES, ORIGIN, signed(), sqlite.clock())
    happen(sqlite, identity, CertificateEvent.SUSPEND, HOLDER)
    again = accept(sqlite, RULES, ORIGIN, signed(), sqlite.clock())
    assert (again.accepted, again.standing.state) == (clock.at, CertificateState.HELD)


def test_acceptances_at_the_same_moment_are_one(database: Database) -> None:
    identity = issue(database)
    with ThreadPoolExecutor(4) as pool:
        answers = [*pool.map(lambda _: accept(database, RULES, ORIGIN, signed(), database.clock()), range(4))]
    assert [answer == answers[0] for answer in answers] == [True] * 4
    assert (answers[0].version, state_of(database, identity)) == (2, CertificateState.VALID)
    with database.read() as connection:
        kept = select(func.count()).where(EVENTS.c.kind == ACCEPTANCE)
        assert connection.execute(kept).scalar_one() == 1


@pytest.mark.parametrize(("late", "expected"), [(-SECOND, None), (0 * SECOND, AcceptanceLapsed)])
def test_acceptance_counts_until_the_last_day_ends_by_the_clock_of_the_centre(
    sqlite: Database, clock: MovedClock, late: timedelta, expected: type[CentreError] | None
) -> None:
    identity, data = issue(sqlite), signed(time=clock.at)
    clock.move(timedelta(days=90) + late)
    if expected is None:
        accept(sqlite, RULES, ORIGIN, data, sqlite.clock())
        return
    with pytest.raises(expected) as refusal:
        accept(sqlite, RULES, ORIGIN, data, sqlite.clock())
    assert is_final(refusal.value)
    assert state_of(sqlite, identity) is CertificateState.ISSUED


def test_acceptance_that_was_here_in_time_counts_although_its_change_begins_after_the_last_day(
    sqlite_address: str, clock: MovedClock
) -> None:
    arrival = clock.at + timedelta(days=90) - SECOND
    times = iter([clock.at, arrival, arrival + timedelta(minutes=1)])
    database = Database(sqlite_address, lambda: next(times))
    issue(database)
    routes = acceptance_routes(database, RULES, ORIGIN)
    answer = TestClient(Starlette(routes=[*routes])).post(PATH, content=signed())
    database.close()
    assert (answer.status_code, answer.json()["accepted"]) == (200, arrival.isoformat())


@pytest.mark.parametrize(
    ("event", "by", "reason", "expected", "final"),
    [
        (CertificateEvent.SUSPEND, HOLDER, None, CertificateSuspended, False),
        (CertificateEvent.REVOKE, OFFICER, Reason.KEY_COMPROMISE, CertificateRevoked, True),
        (CertificateEvent.REFUSE, HOLDER, None, CertificateRevoked, True),
    ],
)
def test_acceptance_of_what_is_suspended_is_refused_for_now_and_of_what_is_revoked_for_good(
    sqlite: Database,
    event: CertificateEvent,
    by: Actor,
    reason: Reason | None,
    expected: type[CentreError],
    final: bool,
) -> None:
    identity = issue(sqlite)
    happen(sqlite, identity, event, by, reason)
    before = written(sqlite)
    with pytest.raises(expected) as refusal:
        accept(sqlite, RULES, ORIGIN, signed(), sqlite.clock())
    assert is_final(refusal.value) is final
    assert written(sqlite) == before


def test_acceptance_after_a_suspension_is_lifted_counts(sqlite: Database) -> None:
    identity, data = issue(sqlite), signed()
    happen(sqlite, identity, CertificateEvent.SUSPEND, HOLDER)
    with pytest.raises(CertificateSuspended):
        accept(sqlite, RULES, ORIGIN, data, sqlite.clock())
    happen(sqlite, identity, CertificateEvent.RESUME, HOLDER)
    assert accept(sqlite, RULES, ORIGIN, data, sqlite.clock()).standing.state is CertificateState.VALID


def test_acceptance_of_expired_certificates_is_refused_for_good(sqlite: Database, clock: MovedClock) -> None:
    identity = issue(sqlite)
    clock.at = card().signing.not_valid_after_utc + SECOND
    happen(sqlite, identity, CertificateEvent.EXPIRE, Actor(Role.CENTRE, "jobs"))
    with pytest.raises(CertificateExpired) as refusal:
        accept(sqlite, RULES, ORIGIN, signed(), sqlite.clock())
    assert is_final(refusal.value)


def unsigned_attribute(data: cms.SignedData) -> None:
    data["signer_infos"][0]["unsigned_attrs"] = [attribute("content_type", cms.ContentType("data"))]


def without_certificate(data: cms.SignedData) -> None:
    data["certificates"] = cms.CertificateSet([])


def two_signers(data: cms.SignedData) -> None:
    other = cms.ContentInfo.load(signed(OTHER_SIGN))["content"]["signer_infos"][0]
    data["signer_infos"] = cms.SignerInfos([data["signer_infos"][0], other])


def other_certificate(data: cms.SignedData) -> None:
    """Put the card's certificate in the place of that of who signed."""
    data["certificates"] = [cms.CertificateChoices("certificate", cms.Certificate.load(SIGN.der))]
    data["signer_infos"][0]["sid"] = cms.SignerIdentifier(
        "issuer_and_serial_number",
        {
            "issuer": cms.Certificate.load(SIGN.der).issuer,
            "serial_number": SIGN.certificate.serial_number,
        },
    )


def swapped() -> dict[str, str]:
    fields = dict(statement().fields)
    return {"cert1": fields["cert2"], "cert2": fields["cert1"]}


def login() -> bytes:
    return statement(kind=StatementKind.LOGIN, fields=()).encode()


TEXT = statement().encode()
SELF_MADE = self_made(SIGN.certificate.serial_number)
"""A certificate with the serial number of the card's, which no CA of the centre issued."""
UNKNOWN = self_made(12345)

OTHER_TYPE = attribute("content_type", cms.ContentType("signed_data"))

NEGATIVES: dict[str, tuple[Callable[[], bytes], type[AcceptanceRefused]]] = {
    "nothing": (lambda: b"", AcceptanceMalformed),
    "more than is read": (lambda: signed() + bytes(MOST_BYTES), AcceptanceTooLong),
    "a byte too many": (lambda: signed() + b"\0", AcceptanceMalformed),
    "a login": (lambda: sign(SIGN, login(), more=[origin(ORIGIN)]), AcceptanceMalformed),
    "a text": (lambda: sign(SIGN, b"xca-statement/1 acceptance"), AcceptanceMalformed),
    "a line more": (lambda: sign(SIGN, TEXT + b"\n", more=[origin(ORIGIN)]), AcceptanceMalformed),
    "no signed attributes": (lambda: sign(SIGN, TEXT, signed_attributes=[]), AcceptanceMalformed),
    "no signed type": (
        lambda: sign(SIGN, TEXT, signed_attributes=attributes(TEXT)[1:]),
        AcceptanceMalformed,
    ),
    "an attribute that is not signed": (lambda: signed(change=unsigned_attribute), AcceptanceMalformed),
    "no certificate": (lambda: signed(change=without_certificate), AcceptanceMalformed),
    "two signers": (lambda: signed(change=two_signers), AcceptanceMalformed),
    "another type of content": (
        lambda: sign(SIGN, TEXT, signed_attributes=[OTHER_TYPE, attributes(TEXT)[1]]),
        AcceptanceMalformed,
    ),
    "for another site": (lambda: signed(origin=ELSEWHERE, page=ELSEWHERE), AcceptanceForeign),
    "asked for by a page of another site": (lambda: signed(page=ELSEWHERE), AcceptanceForeign),
    "another text than was signed": (
        lambda: sign(SIGN, statement(nonce="70" * 32).encode(), inside=TEXT),
        AcceptanceSignatureWrong,
    ),
    "a digest of another text": (
        lambda: sign(SIGN, TEXT, signed_attributes=attributes(b"another")),
        AcceptanceSignatureWrong,
    ),
    "padding of another kind": (
        lambda: sign(SIGN, TEXT, scheme=padding.PSS(padding.MGF1(SHA256()), 32)),
        AcceptanceSignatureWrong,
    ),
    "a weak algorithm": (
        lambda: sign(SIGN, TEXT, change=with_sha1, algorithm={"algorithm": "sha1_rsa"}),
        AcceptanceSignatureWrong,
    ),
    "another card's signature": (lambda: signed(OTHER_SIGN), AcceptanceSignatureWrong),
    "another card's signature with this one's certificate": (
        lambda: signed(OTHER_SIGN, change=other_certificate),
        AcceptanceSignatureWrong,
    ),
    "the key for encryption": (lambda: signed(KEYX), AcceptanceSignatureWrong),
    "the key for encryption under the name of the other": (
        lambda: signed(KEYX, **swapped()),
        AcceptanceDiffers,
    ),
    "another card's number": (lambda: signed(card=OTHER_KEYS.number), AcceptanceDiffers),
    "another card's second certificate": (
        lambda: signed(cert2=sha256(Party(OTHER.encryption, key("KEYX 2")).der).hexdigest()),
        AcceptanceDiffers,
    ),
    "another card for this one's number": (
        lambda: signed(OTHER_SIGN, cert1=sha256(OTHER_SIGN.der).hexdigest()),
        AcceptanceDiffers,
    ),
}


def with_sha1(data: cms.SignedData) -> None:
    data["signer_infos"][0]["digest_algorithm"] = {"algorithm": "sha1"}


@pytest.fixture(scope="module")
def shared(sqlite_template: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, UUID]]:
    """A database with the certificates of two cards, for tests that change nothing."""
    path = tmp_path_factory.mktemp("acceptance") / "centre.db"
    path.write_bytes(sqlite_template.read_bytes())
    path.chmod(0o600)
    made = Database(f"sqlite:///{path}", MovedClock())
    yield made, issue(made)
    made.close()


@pytest.mark.parametrize("case", NEGATIVES)
def test_acceptance_that_is_not_the_cards_own_is_refused_for_good(
    shared: tuple[Database, UUID], case: str
) -> None:
    database, identity = shared
    make, expected = NEGATIVES[case]
    before = written(database)
    with pytest.raises(AcceptanceRefused) as refusal:
        accept(database, RULES, ORIGIN, make(), database.clock())
    assert type(refusal.value) is expected
    assert is_final(refusal.value)
    assert (written(database), state_of(database, identity)) == (before, CertificateState.ISSUED)


GOOD = signed()


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_acceptance_with_another_byte_is_refused_or_says_the_same(at: int, difference: int) -> None:
    altered = bytearray(GOOD)
    altered[at] ^= difference
    try:
        read = SignedAcceptance.read(bytes(altered), ORIGIN)
    except AcceptanceRefused:
        return
    assert (read.statement, read.token.certificate) == (statement(), SIGN.certificate)


def test_acceptance_by_a_login_with_the_cards_own_certificate_counts_and_with_another_does_not(
    sqlite: Database, clock: MovedClock
) -> None:
    identity = issue(sqlite)
    for party, is_right in ((KEYX, False), (SELF_MADE, False), (SIGN, True)):
        token = sign(party, login(), more=[origin(ORIGIN)])
        with sqlite.change() as change:
            if is_right:
                accepted = accept_by_login(change, RULES, token, clock.at)
                assert (accepted.id, accepted.standing.state) == (identity, CertificateState.VALID)
                assert accept_by_login(change, RULES, token, clock.at) == accepted
            else:
                with pytest.raises(AcceptanceDiffers):
                    accept_by_login(change, RULES, token, clock.at)


def client(database: Database) -> TestClient:
    routes = acceptance_routes(database, RULES, ORIGIN)
    return TestClient(Starlette(routes=routes), base_url=ORIGIN)


def test_posted_acceptance_is_answered_with_what_the_certificates_are_now(
    database: Database, clock: MovedClock
) -> None:
    issue(database)
    web = client(database)
    answers = [web.post(PATH, content=signed()) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    expected = {
        "outcome": "accepted",
        "card": NUMBER,
        "accepted": clock.at.isoformat(),
        "state": "valid",
    }
    assert [answer.json() for answer in answers] == [expected, expected]
    assert answers[0].headers["cache-control"] == "no-store"
    assert not answers[0].cookies


@pytest.mark.parametrize(
    ("case", "status", "code"),
    [
        ("a login", 400, "acceptance_malformed"),
        ("for another site", 403, "acceptance_foreign"),
        ("the key for encryption", 403, "acceptance_signature"),
        ("another card's number", 403, "acceptance_differs"),
        ("more than is read", 413, "acceptance_too_long"),
    ],
)
def test_refusal_of_a_posted_acceptance_is_a_problem_in_both_languages(
    shared: tuple[Database, UUID], case: str, status: int, code: str
) -> None:
    make, _ = NEGATIVES[case]
    answer = client(shared[0]).post(PATH, content=make(), headers={"Accept-Language": "zh-TW"})
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (problem["status"], problem["code"], problem["final"]) == (status, code, True)
    assert problem["type"] == f"{ORIGIN}/problems/{code.replace('_', '-')}"
    assert problem["message"]["en"] != problem["message"]["zh-TW"]
    assert problem["message"]["zh-TW"] in problem["detail"]
    assert problem["next_step"]["zh-TW"] in problem["detail"]
    assert "Retry-After" not in answer.headers


def test_refusal_that_may_pass_says_when_to_ask_again(sqlite: Database) -> None:
    happen(sqlite, issue(sqlite), CertificateEvent.SUSPEND, HOLDER)
    answer = client(sqlite).post(PATH, content=signed())
    assert (answer.status_code, answer.json()["code"]) == (409, "certificate_suspended")
    assert (answer.json()["final"], answer.headers["retry-after"]) == (False, "60")


def test_acceptance_while_the_database_is_silent_is_to_be_sent_again(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue(sqlite)

    def silent() -> None:
        raise StoreUnavailable

    monkeypatch.setattr(sqlite, "change", silent)
    answer = client(sqlite).post(PATH, content=signed())
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.json()["final"] is False


def test_stranger_learns_nothing_of_which_cards_there_are(shared: tuple[Database, UUID]) -> None:
    """A key of his own signs for a card that there is, and for one that there is not."""
    web = client(shared[0])
    own = {"cert1": sha256(SELF_MADE.der).hexdigest()}
    answers = [
        web.post(PATH, content=signed(SELF_MADE, card=number, **own)).content
        for number in (NUMBER, OTHER_KEYS.number, "XC99999999999999")
    ]
    unknown = {"cert1": sha256(UNKNOWN.der).hexdigest()}
    answers.append(web.post(PATH, content=signed(UNKNOWN, **unknown)).content)
    assert json.loads(answers[0])["code"] == "acceptance_differs"
    assert len({*answers}) == 1


def test_acceptance_is_only_posted(shared: tuple[Database, UUID]) -> None:
    assert client(shared[0]).get(PATH).status_code == 405
