# SPDX-License-Identifier: Apache-2.0
"""What the centre issues and publishes, judged by pkilint and by pyHanko's validator."""

import asyncio
import csv
import shutil
import subprocess
from datetime import timedelta
from functools import cache
from io import StringIO
from pathlib import Path

import pytest
from asn1crypto import crl as asn1_crl  # type: ignore[import-untyped]
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathValidationError, RevokedError

from support.centre.authority import NAME, NOW, REPOSITORY, card, issuer, key, root, school
from support.centre.web import SoftHierarchy
from xca_centre.authority.certificates import certify_again, certify_card, certify_other, holder
from xca_centre.authority.lists import Revocation, entry, revocation_list
from xca_centre.authority.ocsp import Responder, read_posted
from xca_common.card_making import CardCertificates, CardKeys
from xca_common.pki import profile
from xca_common.pki.ocsp_response import question

pytestmark = pytest.mark.integration  # starts many programs

FORCED = {
    "partition list held BR": {"cabf.crl_prohibited_reason_code"},
    "complete list held BR": {"cabf.crl_prohibited_reason_code"},
    "signer of tickets": {"itu.invalid_asn1_syntax"},
}
"""What pkilint finds, and docs/centre.md tells why.

A suspension is a certificateHold on the list, as the real CA has it; only the rules for web sites forbid it.
The purpose of tickets is an OID below 2.25 (X.667), whose arc has 128 bits; pkilint reads 32.
Its only remarks below a finding are on the way in which key identifiers are made, RFC 5280's first one.
"""
UNTIL = NOW + timedelta(hours=12)
SERIAL = card().signing.serial_number
HOLD = Revocation(SERIAL, NOW - timedelta(days=1), x509.ReasonFlags.certificate_hold)
COMPROMISE = HOLD._replace(reason=x509.ReasonFlags.key_compromise, compromised_since=NOW - timedelta(days=9))
STANDINGS = {"good": None, "held": HOLD, "revoked": COMPROMISE}


@cache
def responder() -> Responder:
    own = key("responder")
    name = x509.Name([*NAME, x509.NameAttribute(x509.NameOID.COMMON_NAME, "線上憑證狀態查詢")])
    certificate = issuer().appoint_responder(name, own.public_key(), NOW, NOW + timedelta(days=30))
    return Responder(issuer().certificate, certificate, own)


def company_card() -> CardCertificates:
    """The first card (正卡) of a company: another kind of holder, with its 統一編號."""
    keys = CardKeys("XC00000000000002", key("SIGN").public_key(), key("KEYX").public_key())
    company = holder("測試股份有限公司", [], profile.COMPANY, "primary", tax_id="12345675")
    return certify_card(issuer(3), 2, keys, company, NOW, 6)


def officers_card() -> CardCertificates:
    """The card of one of the first officers: of the authority itself."""
    keys = CardKeys("XC00000000000003", key("SIGN").public_key(), key("KEYX").public_key())
    name, oid = "組織及團體測試憑證管理中心", "2.16.886.111.990000"
    authority = holder(name, [], profile.ORGANISATION, "secondary", organisation_oid=oid)
    return certify_card(issuer(3), 4, keys, authority, NOW, 6)


def partition(standing: Revocation | None) -> bytes:
    return listed(standing, REPOSITORY.partition_path(2, 0))


def complete(standing: Revocation | None) -> bytes:
    return listed(standing, REPOSITORY.complete_path(2))


def listed(standing: Revocation | None, path: str) -> bytes:
    entries = [entry(standing)] if standing else []
    return revocation_list(issuer(), entries, 7, NOW, UNTIL, REPOSITORY.address(path))


def answer(standing: Revocation | None, nonce: bytes | None = None) -> bytes:
    request = read_posted(question(card().signing, issuer().certificate, nonce=nonce))
    return responder().answer(request, {SERIAL: standing}, NOW, UNTIL)


def answer_about_an_unknown_one() -> bytes:
    return responder().answer(read_posted(question(card().signing, issuer().certificate)), {}, NOW, UNTIL)


ROOT_LIST = revocation_list(root(), [], 1, NOW, NOW + timedelta(days=366), None)
CERTIFICATES = {
    "cert1": card(email="office@school.example").signing,
    "cert2": card().encryption,
    "cert1 of a company": company_card().signing,
    "cert2 of a company": company_card().encryption,
    "cert1 of an officer": officers_card().signing,
    "cert2 of an officer": officers_card().encryption,
    "certificate without a card": certify_other(issuer(3), 6, key("other").public_key(), school(), NOW, 3),
    "cert1 with an e-mail address since": certify_again(
        issuer(3), 7, company_card().signing, "office@company.example", NOW
    ),
    "issuer 2": issuer(2).certificate,
    "issuer 3": issuer(3).certificate,
    "root": root().certificate,
    "responder": responder().certificate,
    "signer of tickets": SoftHierarchy().ticket_signer(NOW).certificate,
    "sealing": SoftHierarchy().sealing(NOW).certificate,
}
LINTED = {
    **{
        name: (["lint_pkix_cert", "lint"], one.public_bytes(Encoding.DER))
        for name, one in CERTIFICATES.items()
    },
    **{
        f"{kind} list {name} {rules}": (["lint_crl", "lint", "-t", "CRL", "-p", rules], publish(standing))
        for kind, publish in {"partition": partition, "complete": complete}.items()
        for name, standing in STANDINGS.items()
        for rules in ("PKIX", "BR")
    },
    "list of the root": (["lint_crl", "lint", "-t", "ARL", "-p", "PKIX"], ROOT_LIST),
    **{
        f"answer {name}": (["lint_ocsp_response", "lint"], answer(standing, b"n" * 32))
        for name, standing in STANDINGS.items()
    },
    "answer unknown": (["lint_ocsp_response", "lint"], answer_about_an_unknown_one()),
}


@pytest.mark.skipif(shutil.which("lint_crl") is None, reason="there is no pkilint here")
@pytest.mark.parametrize("linted", LINTED)
def test_pkilint_finds_nothing_but_what_the_real_profile_forces(linted: str, tmp_path: Path) -> None:
    command, der = LINTED[linted]
    (tmp_path / "object.der").write_bytes(der)
    done = subprocess.run(
        [*command, "-f", "CSV", "-s", "NOTICE", tmp_path / "object.der"], capture_output=True, text=True
    )
    rows = csv.DictReader(StringIO(done.stdout))
    assert rows.fieldnames is not None, done.stderr  # it has read the object
    found = {row["code"] for row in rows}
    assert found == FORCED.get(linted, set()), done.stdout


@pytest.mark.parametrize("source", ["list", "answer"])
@pytest.mark.parametrize("standing", STANDINGS)
def test_pyhanko_agrees_on_every_state(source: str, standing: str) -> None:
    def as_asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
        return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))

    revocation = STANDINGS[standing]
    lists = [ROOT_LIST, *([partition(revocation)] if source == "list" else [])]
    answers = [answer(revocation)] if source == "answer" else []
    context = ValidationContext(
        trust_roots=[as_asn1(root().certificate)],
        other_certs=[as_asn1(issuer(number).certificate) for number in (3, 2)],
        crls=[asn1_crl.CertificateList.load(one) for one in lists],
        ocsps=[asn1_ocsp.OCSPResponse.load(one) for one in answers],
        moment=NOW + timedelta(minutes=1),
        revocation_mode="require",
        allow_fetching=False,
    )
    validator = CertificateValidator(as_asn1(card().signing), validation_context=context)
    validation = validator.async_validate_usage({"digital_signature"})  # type: ignore[no-untyped-call]
    if standing == "good":
        assert asyncio.run(validation).leaf.serial_number == SERIAL
        return
    with pytest.raises(RevokedError) as caught:
        asyncio.run(validation)
    assert isinstance(caught.value, PathValidationError)
    assert caught.value.reason.native == ("certificate_hold" if standing == "held" else "key_compromise")


@pytest.mark.skipif(shutil.which("javac") is None, reason="there is no Java here")
def test_java_agrees_on_every_state(tmp_path: Path) -> None:
    certificates = {"root": root().certificate, "issuer": issuer().certificate, "holder": card().signing}
    files = {f"{name}.cer": one.public_bytes(Encoding.DER) for name, one in certificates.items()}
    judged: dict[str, bytes] = {}
    for name, standing in STANDINGS.items():
        judged |= {f"{name}.crl": partition(standing), f"{name}.ocsp": answer(standing)}
    for name, der in (files | judged).items():
        (tmp_path / name).write_bytes(der)
    moment = str(int((NOW + timedelta(minutes=1)).timestamp() * 1000))
    done = subprocess.run(
        ["java", Path(__file__).parents[1] / "support/centre/Judge.java", *files, moment, *judged],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    said = ["GOOD"] * 2 + ["CERTIFICATE_HOLD"] * 2 + ["KEY_COMPROMISE"] * 2
    assert done.stdout.split("\n")[:-1] == said, done.stderr
