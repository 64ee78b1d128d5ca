# SPDX-License-Identifier: Apache-2.0
"""Holders register their keys for encryption, prove them, and a site encrypts to them."""

import base64
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from sqlalchemy import create_engine

from support.login_http import posted
from support.login_site import SITE, Desk, Saying
from support.postgresql import WITH_POSTGRESQL
from xca_common.i18n import CHINESE, ENGLISH
from xca_common.pki import profile
from xca_common.pki.authority import directory_attributes
from xca_common.pki.standing import Judgement, Standing
from xca_common.statement import Statement, StatementKind
from xca_login import Account, Policy, RegisteredKey, RegisteredKeys, errors
from xca_login.challenges import ChallengeStore, MemoryStore
from xca_login.http import CardLogin, Request
from xca_login.registered_keys import KeyStore, MemoryKeys
from xca_login.revocation import Known
from xca_login.sql_store import METADATA, SqlAccounts, SqlKeys, SqlStore, create_tables
from xca_login.testing.parties import DAY, NOW, Party, encryption, holder, opened, party
from xca_login.testing.tokens import sign

ORGANISATION = "2.16.886.111.100000"


@dataclass
class SayingOfEach:
    """A source that says of a certificate what a test said, of the others that they stand."""

    said: dict[bytes, Known] = field(default_factory=dict)

    def judge(self, certificate: x509.Certificate, issuer: x509.Certificate, moment: object) -> Known:
        return self.said.get(certificate.tbs_certificate_bytes, Known(Judgement(Standing.GOOD)))


class Registry:
    """A site that registers keys, its CA, and a card that logged in there.

    Attributes:
        card, cert2: the card's certificates.
        account: the card's account.
    """

    def __init__(self, desk: Desk, store: KeyStore, envelopes: ChallengeStore) -> None:
        self.desk = desk
        self.at = NOW
        self.revocation = SayingOfEach()
        self.store = store
        self.keys = RegisteredKeys(SITE, self.verifier(None), store, envelopes, clock=lambda: self.at)
        self.card = desk.school
        self.cert2 = encryption(self.card, desk.ca)
        self.account = self.verifier(None).check(self.card.der).account

    def verifier(self, policy: Policy | None) -> Any:
        verifier = self.desk.verifier(self.revocation, policy)
        verifier._clock = lambda: self.at
        return verifier

    def register(self, cert2: Party | None = None, card: Party | None = None) -> RegisteredKey:
        account = self.verifier(None).check((card or self.card).der).account
        return self.keys.register(account, (card or self.card).der, (cert2 or self.cert2).der)

    def nonce(self, cert2: Party | None = None) -> str:
        content = opened(cert2 or self.cert2, self.keys.begin_proof(self.account).content)
        return Statement.parse(content).nonce


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


@pytest.fixture
def registry(desk: Desk) -> Registry:
    return Registry(desk, MemoryKeys(), MemoryStore())


@pytest.fixture(params=["memory", "sqlite", WITH_POSTGRESQL])
def kept(request: pytest.FixtureRequest, desk: Desk, tmp_path: Path) -> Registry:
    """A site that keeps its keys in one of the stores."""
    if request.param == "memory":
        return Registry(desk, MemoryKeys(), MemoryStore())
    if request.param == "sqlite":
        engine = create_engine(f"sqlite:///{tmp_path / 'keys.db'}")
    else:
        engine = request.getfixturevalue("server")
        METADATA.drop_all(engine)
    create_tables(engine)
    return Registry(desk, SqlKeys(engine), SqlStore(engine))


def test_key_of_a_card_is_registered_with_both_certificates(kept: Registry) -> None:
    key = kept.register()
    assert (key.account, key.holder_name, key.rank) == (kept.account, "a school", "secondary")
    assert (key.certificate, key.registered, key.proved) == (kept.cert2.der, NOW, None)
    assert kept.keys.of(kept.account) == key
    assert [*kept.keys.of_organisation(ORGANISATION)] == [key]
    assert kept.keys.of(Account("gpki", ORGANISATION, "0" * 64)) is None
    assert [*kept.keys.of_organisation("2.16.886.111.100001")] == []


def test_key_is_proved_by_what_its_card_opens(kept: Registry) -> None:
    kept.register()
    statement = Statement.parse(opened(kept.cert2, kept.keys.begin_proof(kept.account).content))
    assert (statement.kind, statement.origin, statement.time) == (StatementKind.POSSESSION, SITE.origin, NOW)
    kept.at = NOW + timedelta(seconds=60)
    key = kept.keys.finish_proof(kept.account, statement.nonce)
    assert key.proved == kept.at
    assert kept.keys.of(kept.account) == key
    with pytest.raises(errors.PossessionUnknown):
        kept.keys.finish_proof(kept.account, statement.nonce)


def test_nonce_that_many_post_at_once_counts_once(kept: Registry) -> None:
    kept.register()
    nonce = kept.nonce()

    def proves(_: int) -> bool:
        try:
            return kept.keys.finish_proof(kept.account, nonce).proved is not None
        except errors.PossessionUnknown:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(proves, range(16))) == 1


def test_registrations_at_once_leave_the_newest_certificate(kept: Registry) -> None:
    renewed = encryption(kept.card, kept.desk.ca, "renewed", start=NOW - 2 * DAY)

    def registers(number: int) -> str:
        try:
            return kept.register(renewed if number % 3 == 0 else kept.cert2).fingerprint
        except errors.KeyOlder:
            return "older"

    with ThreadPoolExecutor(8) as pool:
        answers = {*pool.map(registers, range(24))}
    key = kept.keys.of(kept.account)
    assert key is not None
    assert key.certificate == renewed.der
    assert answers >= {key.fingerprint, "older"}
    assert len(kept.keys.of_organisation(ORGANISATION)) == 1


def test_certificate_that_is_registered_again_stays_proved(kept: Registry) -> None:
    kept.register()
    proved = kept.keys.finish_proof(kept.account, kept.nonce())
    kept.at = NOW + timedelta(hours=1)
    assert kept.register() == proved


def test_renewed_certificate_is_proved_anew_unless_its_key_stays(kept: Registry) -> None:
    key = kept.register()
    proved = kept.keys.finish_proof(kept.account, kept.nonce())
    same_key = kept.register(encryption(kept.card, kept.desk.ca, start=NOW - 3 * DAY))
    assert (same_key.key, same_key.proved) == (key.key, proved.proved)
    renewed = kept.register(encryption(kept.card, kept.desk.ca, "renewed", start=NOW - 2 * DAY))
    assert (renewed.proved, kept.keys.of(kept.account)) == (None, renewed)
    with pytest.raises(errors.KeyOlder):
        kept.register()
    assert kept.keys.of(kept.account) == renewed


def test_key_that_was_replaced_is_not_proved(kept: Registry) -> None:
    key = kept.register()
    nonce = kept.nonce()
    kept.register(encryption(kept.card, kept.desk.ca, "renewed", start=NOW - 2 * DAY))
    with pytest.raises(errors.PossessionUnknown):
        kept.keys.finish_proof(kept.account, nonce)
    with pytest.raises(errors.KeyUnregistered):
        kept.keys.note_opening(key)
    assert [one.proved for one in kept.keys.of_organisation(ORGANISATION)] == [None]


def test_first_real_opening_proves_a_key(kept: Registry) -> None:
    kept.at = NOW + timedelta(hours=1)
    assert kept.keys.note_opening(kept.register()).proved == kept.at
    first = kept.at
    kept.at = NOW + timedelta(hours=2)
    assert kept.keys.note_opening(kept.register()).proved == first


def test_further_cards_of_an_organisation_stand_beside_each_other(kept: Registry) -> None:
    further = holder(kept.desk.ca, key_name="further")
    keys = [kept.register(), kept.register(encryption(further, kept.desk.ca, "further 2"), further)]
    found = kept.keys.of_organisation(ORGANISATION)
    assert sorted(found, key=lambda one: one.key) == sorted(keys, key=lambda one: one.key)


@pytest.mark.parametrize("store", ["keys", "envelopes"])
def test_store_of_keys_that_cannot_be_reached_is_told(desk: Desk, tmp_path: Path, store: str) -> None:
    nowhere = create_engine(f"sqlite:///{tmp_path / 'nowhere' / 'keys.db'}")
    if store == "keys":
        registry = Registry(desk, SqlKeys(nowhere), MemoryStore())
        with pytest.raises(errors.StoreUnavailable):
            registry.register()
        return
    registry = Registry(desk, MemoryKeys(), SqlStore(nowhere))
    registry.register()
    with pytest.raises(errors.StoreUnavailable):
        registry.keys.begin_proof(registry.account)


def test_database_without_upserts_is_refused() -> None:
    class Dialect:
        name = "mysql"

    class Engine:
        dialect = Dialect

    for store in (SqlKeys, SqlAccounts):
        with pytest.raises(ValueError, match="SQLite"):
            store(Engine())  # type: ignore[arg-type]  # one that this machine has no driver of


def replace_ca(desk: Desk, ca: Party) -> Desk:
    """Return the same desk, which also trusts another CA."""
    other = Desk.__new__(Desk)
    vars(other).update(vars(desk))
    verifier = partial(desk.verifier, trusted=[desk.root, desk.ca, ca])
    other.verifier = verifier  # type: ignore[method-assign]  # of one test
    return other


def test_certificate_of_another_generation_of_the_ca_makes_no_pair(desk: Desk) -> None:
    ca = party("ca 2", desk.root, ca=True, subject=desk.ca.certificate.subject)
    registry = Registry(replace_ca(desk, ca), MemoryKeys(), MemoryStore())
    with pytest.raises(errors.PairWrong, match="issuers"):
        registry.register(encryption(registry.card, ca))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "another school"}, "holders"),
        (
            {"attributes_": directory_attributes(profile.SCHOOL, "primary", organisation_oid=ORGANISATION)},
            "directory attributes",
        ),
        ({"key_name": "a school"}, "same key"),
    ],
)
def test_certificates_of_two_cards_are_no_pair(
    registry: Registry, changes: Mapping[str, Any], reason: str
) -> None:
    with pytest.raises(errors.PairWrong, match=reason):
        registry.register(encryption(registry.card, registry.desk.ca, **changes))
    assert registry.keys.of(registry.account) is None


def test_card_that_did_not_log_in_is_not_registered(registry: Registry) -> None:
    other = holder(registry.desk.ca, key_name="other")
    with pytest.raises(errors.CardDifferent):
        registry.keys.register(registry.account, other.der, registry.cert2.der)


def test_certificate_for_signatures_is_not_registered_for_encryption(registry: Registry) -> None:
    with pytest.raises(errors.NotForEncryption):
        registry.register(registry.card)
    with pytest.raises(errors.NotForLogin):
        registry.keys.register(registry.account, registry.cert2.der, registry.cert2.der)
    with pytest.raises(errors.CertificateMalformed):
        registry.keys.register(registry.account, registry.card.der, b"no certificate")
    stranger = party("strangers", ca=True)
    with pytest.raises(errors.IssuerUnknown):
        registry.register(encryption(registry.card, stranger))


def test_envelope_of_another_account_proves_nothing(registry: Registry) -> None:
    registry.register()
    further = holder(registry.desk.ca, key_name="further")
    key = registry.register(encryption(further, registry.desk.ca, "further 2"), further)
    nonce = registry.nonce()
    for wrong in (nonce, "0" * 64, "", nonce.upper(), f"{nonce}\n"):
        with pytest.raises(errors.PossessionUnknown):
            registry.keys.finish_proof(key.account, wrong)
    assert registry.keys.finish_proof(registry.account, nonce).proved


def test_envelope_that_is_opened_too_late_proves_nothing(registry: Registry) -> None:
    registry.register()
    nonce = registry.nonce()
    registry.at = NOW + timedelta(seconds=301)
    with pytest.raises(errors.PossessionExpired):
        registry.keys.finish_proof(registry.account, nonce)
    with pytest.raises(errors.PossessionUnknown):
        registry.keys.finish_proof(registry.account, nonce)


def test_account_without_a_key_is_told(registry: Registry) -> None:
    with pytest.raises(errors.KeyUnregistered):
        registry.keys.begin_proof(registry.account)
    with pytest.raises(errors.KeyUnregistered):
        registry.keys.finish_proof(registry.account, "0" * 64)


def test_content_opens_with_each_of_the_registered_cards(registry: Registry) -> None:
    further = holder(registry.desk.ca, key_name="further")
    further2 = encryption(further, registry.desk.ca, "further 2")
    keys = [registry.register(), registry.register(further2, further)]
    output = BytesIO()
    registry.keys.encrypt(BytesIO("標單".encode()), output, [*keys, keys[0]])
    for one in (registry.cert2, further2):
        assert opened(one, output.getvalue()).decode() == "標單"
    with pytest.raises(ValueError, match="no key"):
        registry.keys.encrypt(BytesIO(b""), output, [])


JUDGEMENTS = {
    "recipient_suspended": Known(Judgement(Standing.SUSPENDED)),
    "recipient_revoked": Known(Judgement(Standing.REVOKED, since=NOW)),
    "recipient_unknown": Known(Judgement(Standing.UNKNOWN)),
}


@pytest.mark.parametrize("code", [*JUDGEMENTS, "recipient_expired"])
def test_nothing_is_encrypted_to_a_card_that_does_not_stand(registry: Registry, code: str) -> None:
    cert2 = encryption(registry.card, registry.desk.ca, end=NOW + timedelta(hours=12))
    key = registry.register(cert2)
    if code == "recipient_expired":
        registry.at = NOW + timedelta(hours=13)
    else:
        registry.revocation.said[cert2.certificate.tbs_certificate_bytes] = JUDGEMENTS[code]
    output = BytesIO()
    with pytest.raises(errors.EncryptionRefused) as refused:
        registry.keys.encrypt(BytesIO(b"a bid"), output, [key])
    assert (refused.value.code, output.getvalue()) == (code, b"")
    for language in (CHINESE, ENGLISH):
        assert "a school" in refused.value.message(language)
        assert refused.value.next_step(language)
    with pytest.raises(errors.LoginRefused):
        registry.keys.begin_proof(registry.account)
    with pytest.raises(errors.EncryptionRefused):
        registry.keys.standing_of(ORGANISATION)


def test_host_that_may_stay_silent_at_logins_lets_nothing_be_encrypted(desk: Desk) -> None:
    registry = Registry(desk, MemoryKeys(), MemoryStore())
    policy = Policy(silent_hosts=frozenset({"127.0.0.1"}))
    registry.keys = RegisteredKeys(SITE, registry.verifier(policy), registry.store, clock=lambda: registry.at)
    point = x509.DistributionPoint(
        [x509.UniformResourceIdentifier("http://127.0.0.1/1.crl")], None, None, None
    )
    more = [(x509.CRLDistributionPoints([point]), False)]
    cert2 = encryption(registry.card, desk.ca, more=more)
    key = registry.register(cert2)
    silence = Known(Judgement(Standing.UNKNOWN), hosts_are_silent=True)
    registry.revocation.said[cert2.certificate.tbs_certificate_bytes] = silence
    with pytest.raises(errors.RecipientUnknown):
        registry.keys.recipient(key)


def test_certificate_that_the_site_accepts_no_more_is_no_recipient(registry: Registry) -> None:
    key = registry.register()
    strict = RegisteredKeys(
        SITE, registry.verifier(Policy(ranks=frozenset({"primary"}))), registry.store, clock=lambda: NOW
    )
    with pytest.raises(errors.RecipientNotAccepted, match="card_rank"):
        strict.recipient(key)


def test_card_that_stands_opens_what_is_for_its_organisation(registry: Registry) -> None:
    with pytest.raises(errors.OrganisationUnregistered):
        registry.keys.standing_of(ORGANISATION)
    registry.register()
    further = holder(registry.desk.ca, key_name="further")
    key = registry.register(encryption(further, registry.desk.ca, "further 2"), further)
    revoked = JUDGEMENTS["recipient_revoked"]
    registry.revocation.said[registry.cert2.certificate.tbs_certificate_bytes] = revoked
    assert registry.keys.standing_of(ORGANISATION) == [key]


class Browser:
    """A browser at a site that registers keys; each of its posts comes from a page of the site."""

    def __init__(self, desk: Desk, *, registers: bool = True) -> None:
        verifier = desk.verifier(Saying())
        keys = RegisteredKeys(SITE, verifier, MemoryKeys(), clock=desk.clock) if registers else None
        self.card_login = CardLogin(SITE, verifier, keys=keys, clock=desk.clock)
        self.desk = desk
        self.cookies: dict[str, str] = {}

    def post(self, action: str, document: object, origin: str = SITE.origin) -> tuple[int, Any]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        request = Request("POST", f"/login/{action}", [origin], "application/json", cookies, body)
        response = self.card_login.answer(request)
        for name, value in response.headers:
            if name == "Set-Cookie":
                cookie, _, given = value.partition(";")[0].partition("=")
                self.cookies[cookie] = given
        return response.status, json.loads(response.body)

    def log_in(self) -> None:
        _, begun = self.post("begin", {})
        status, _ = self.post("finish", posted(sign(self.desk.school, begun["statement"].encode())))
        assert status == 200


def certificates(desk: Desk, cert2: Party) -> dict[str, str]:
    named = {"signing": desk.school, "encryption": cert2}
    return {name: base64.b64encode(one.der).decode() for name, one in named.items()}


def test_page_of_a_session_registers_and_proves_the_key(desk: Desk) -> None:
    browser, cert2 = Browser(desk), encryption(desk.school, desk.ca)
    browser.log_in()
    status, key = browser.post("register", certificates(desk, cert2))
    assert (status, key["holder_name"], key["proved"]) == (200, "a school", None)
    status, given = browser.post("prove", {})
    assert (status, given["seconds"]) == (200, 300)
    nonce = Statement.parse(opened(cert2, base64.b64decode(given["envelope"]))).nonce
    status, proved = browser.post("proved", {"nonce": nonce})
    assert (status, proved) == (200, key | {"proved": desk.at.isoformat()})
    status, again = browser.post("proved", {"nonce": nonce})
    assert (status, again["code"]) == (403, "possession_unknown")
    assert again["message"]["zh-TW"]


@pytest.mark.parametrize("action", ["register", "prove", "proved"])
def test_step_of_a_registration_is_refused_to_strangers(desk: Desk, action: str) -> None:
    browser = Browser(desk)
    body = certificates(desk, encryption(desk.school, desk.ca)) | {"nonce": "0" * 64}
    assert browser.post(action, body)[0] == 401
    browser.log_in()
    status, refused = browser.post(action, body, "https://evil.example")
    assert (status, refused["code"]) == (403, "request_foreign")
    elsewhere = Browser(desk, registers=False)
    elsewhere.log_in()
    assert elsewhere.post(action, body)[0] == 404


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("register", b""),
        ("register", b"[" * 100_000),
        ("register", {"signing": "A" * 8}),
        ("register", {"signing": 1, "encryption": 2}),
        ("register", {"signing": "é", "encryption": "é"}),
        ("proved", {"nonce": None}),
        ("proved", []),
    ],
)
def test_body_of_a_registration_that_is_none_is_told(desk: Desk, action: str, body: object) -> None:
    browser = Browser(desk)
    browser.log_in()
    status, refused = browser.post(action, body)
    assert (status, refused["code"]) == (400, "request_malformed")
