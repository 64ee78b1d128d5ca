# SPDX-License-Identifier: Apache-2.0
"""The query of certificates, their download, and the lists of an organisation: who is shown what."""

from datetime import timedelta
from importlib.resources import files
from typing import Any

import pytest
import schemathesis
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import update
from starlette.testclient import TestClient

from support.centre.cases import SCHOOL
from support.centre.web import ENGLISH, Card
from support.moved_clock import MovedClock
from xca_centre.certificate_sets import serial_of
from xca_centre.life.certificate import CertificateEvent, Reason
from xca_centre.store.tables import CERTIFICATE_SETS
from xca_centre.web.frame import Frame

pytestmark = pytest.mark.integration

ACCEPT, SUSPEND = CertificateEvent.ACCEPT, CertificateEvent.SUSPEND
RESUME, REVOKE = CertificateEvent.RESUME, CertificateEvent.REVOKE
JSON = {"Accept": "application/json"}


def serial(card: Card) -> str:
    return serial_of(card.signing.certificate)


def found(client: TestClient, **asked: str) -> Any:
    answer = client.get("/api/certificates", params=asked, headers=JSON)
    assert answer.status_code == 200, answer.text
    return answer.json()["certificates"]


def test_query_by_card_number_or_serial_number_shows_the_state_of_both_certificates(
    client: TestClient, school_card: Card
) -> None:
    school_card.happen(ACCEPT)
    by_card = client.get("/certificates", params={"card": f" {school_card.number.lower()} "}).text
    for certificate in (school_card.signing, school_card.encryption):
        assert serial_of(certificate.certificate) in by_card
    assert by_card.count('class="state good">有效') == 2
    assert SCHOOL.name in by_card
    by_serial = client.get(
        "/certificates", params={"serial": serial(school_card).lower()}, headers=ENGLISH
    ).text
    assert by_serial.count('class="state good">Valid') == 1


def test_query_names_each_state_as_the_issuer_does(client: TestClient, school_card: Card) -> None:
    labels = []
    steps = ((ACCEPT, None), (SUSPEND, None), (RESUME, None), (REVOKE, Reason.KEY_COMPROMISE))
    for event, reason in ((None, None), *steps):
        if event:
            school_card.happen(event, reason)
        entry = found(client, card=school_card.number)[0]
        labels.append((entry["state"], entry["label"]["zh-TW"]))
    assert labels == [
        ("issued", "未開卡"),
        ("valid", "有效"),
        ("held", "停用"),
        ("valid", "有效"),
        ("revoked", "廢止"),
    ]


def test_query_tells_of_what_is_not_accepted_or_not_published_the_state_alone(
    client: TestClient, frame: Frame, school_card: Card, foundation_card: Card
) -> None:
    foundation_card.happen(ACCEPT)
    with frame.database.change() as change:
        own = CERTIFICATE_SETS.c.id == foundation_card.certificates
        change.connection.execute(update(CERTIFICATE_SETS).where(own).values(is_published=False))
    for card, name in ((school_card, SCHOOL.name), (foundation_card, "財團法人")):
        (entry, _) = found(client, card=card.number)
        assert entry["download"] is None
        assert not {"holder", "organisation", "rank"} & entry.keys()
        assert name not in client.get("/certificates", params={"card": card.number}).text
        for form in ("cer", "pem", "p7b"):
            assert client.get(f"/certificates/{serial(card)}.{form}").status_code == 404


def test_query_is_narrowed_by_state_and_days_of_issue(
    client: TestClient, school_card: Card, clock: MovedClock
) -> None:
    school_card.happen(ACCEPT)
    day = f"{clock.at + timedelta(hours=8):%Y-%m-%d}"
    for asked, count in (
        ({"state": "valid"}, 2),
        ({"state": "held"}, 0),
        ({"issued_from": day, "issued_to": day}, 2),
        ({"issued_from": "2099-01-01"}, 0),
        ({"issued_to": "2000-01-01"}, 0),
        ({"serial": serial(school_card)}, 1),
        ({"serial": "AB12"}, 0),
    ):
        assert len(found(client, card=school_card.number, **asked)) == count, asked


def test_certificate_past_its_end_has_expired_before_anybody_noted_it(
    client: TestClient, school_card: Card, clock: MovedClock
) -> None:
    school_card.happen(ACCEPT)
    clock.at = school_card.signing.certificate.not_valid_after_utc + timedelta(seconds=1)
    assert [entry["state"] for entry in found(client, card=school_card.number)] == ["expired", "expired"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"card": "XC1"}, "card"),
        ({"serial": "XYZ"}, "serial"),
        ({"state": "valid"}, "card"),
        ({"card": "XC00000000000001", "issued_from": "1.1.2026"}, "issued_from"),
    ],
)
def test_query_that_is_incomplete_says_beside_the_field_what_is_wrong(
    client: TestClient, asked: dict[str, str], field: str
) -> None:
    page = client.get("/certificates", params=asked)
    assert (page.status_code, f'id="{field}-wrong"' in page.text) == (400, True)
    assert client.get("/api/certificates", params=asked, headers=JSON).json()["code"] == "form_incomplete"


def test_certificate_is_downloaded_in_three_forms(client: TestClient, school_card: Card) -> None:
    school_card.happen(ACCEPT)
    path = f"/certificates/{serial(school_card)}"
    der, pem, p7b = (client.get(f"{path}.{form}") for form in ("cer", "pem", "p7b"))
    own = school_card.signing.certificate
    assert x509.load_der_x509_certificate(der.content) == x509.load_pem_x509_certificate(pem.content) == own
    chain = pkcs7.load_der_pkcs7_certificates(p7b.content)
    assert len(chain) == 3
    assert own in chain
    assert der.headers["content-disposition"] == f'attachment; filename="{serial(school_card)}.cer"'
    assert client.get(f"{path}.exe").status_code == 404


def test_primary_card_sees_all_certificates_and_a_secondary_one_its_own(
    client: TestClient, frame: Frame, school_card: Card, foundation_card: Card
) -> None:
    primary = Card(frame, "XC00000000000003", SCHOOL.oid, SCHOOL.name, "primary")
    for card in (primary, school_card):
        card.happen(ACCEPT)
    seen = []
    for card in (primary, school_card):
        card.log_in(client)
        listed = client.get("/api/organisation/certificates", headers=JSON).json()["certificates"]
        seen.append({entry["card"] for entry in listed})
        page = client.get("/organisation/certificates").text
        assert (foundation_card.number in page, card.number in page) == (False, True)
    assert seen == [{primary.number, school_card.number}, {school_card.number}]


def test_list_of_what_expires_soon_has_what_can_be_renewed_now(
    client: TestClient, school_card: Card, clock: MovedClock
) -> None:
    school_card.happen(ACCEPT)
    ends = school_card.signing.certificate.not_valid_after_utc
    for days, count in ((62, 0), (59, 2)):
        clock.at = ends - timedelta(days=days)
        school_card.log_in(client)
        listed = client.get("/api/organisation/expiring", headers=JSON).json()["certificates"]
        assert len(listed) == count
        assert (
            school_card.number in client.get("/organisation/expiring").text.partition("<main")[2]
        ) == bool(count)


@pytest.mark.parametrize("path", ["/organisation/certificates", "/organisation/expiring"])
def test_list_is_for_who_is_logged_in_with_an_accepted_card(
    client: TestClient, school_card: Card, path: str
) -> None:
    assert client.get(path).headers["location"].startswith("/login?next=%2Forganisation")
    assert client.get(f"/api{path}", headers=JSON).status_code == 401
    school_card.log_in(client)
    assert client.get(path).headers["location"].startswith("/login/done?next=%2Forganisation")
    assert client.get(f"/api{path}", headers=JSON).json()["code"] == "not_accepted"


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


DESCRIPTION = schemathesis.openapi.from_path(str(files("xca_centre.web") / "openapi.yaml"))
DESCRIPTION.config.phases.coverage.enabled = False  # thousands of requests


@DESCRIPTION.parametrize()
@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_api_fuzzed_answers_as_described(case: Any, client: TestClient) -> None:
    sent = case.as_transport_kwargs(base_url=str(client.base_url))
    sent = {name: sent[name] for name in ("method", "url", "params", "json", "data") if name in sent}
    if isinstance(sent.get("data"), (bytes, str)):
        sent["content"] = sent.pop("data")
    media = {"Content-Type": case.media_type} if case.media_type else {}
    answer = client.request(**sent, headers={**JSON, **media})
    case.validate_response(answer, checks=CHECKS)
