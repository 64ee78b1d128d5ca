# SPDX-License-Identifier: Apache-2.0
"""Statements of web sites: signed or opened for the site that they name, and for no other."""

import base64
import secrets
from pathlib import Path

import pytest
from asn1crypto import cms  # type: ignore[import-untyped]

from softhsm.card_fixture import CardFixture
from support.agent.agent_process import Agent, trust
from support.agent.component_client import Json, SiteClient, b64, openssl
from xca_common.statement import ORIGIN_ATTRIBUTE
from xca_plugin.agent.component.result_codes import Code

NONCE = "6f2c" * 16
OTHER = "https://other.example"


@pytest.fixture(scope="module")
def asking(shared: Agent) -> SiteClient:
    """A site that is trusted and has to ask each time."""
    origin = f"https://{secrets.token_hex(4)}.example"
    trust(shared, origin)
    client = SiteClient(shared, origin)
    client.http.headers["Accept-Language"] = "en"
    return client


def statement(site: str, kind: str = "login", *lines: str) -> bytes:
    return "\n".join((f"xca-statement/1 {kind}", site, "20261126T133000Z", NONCE, *lines)).encode()


def signing(card: CardFixture, data: bytes, **fields: str) -> Json:
    kind = {"func": "MakeSignature", "signatureType": "PKCS7", "tbs": b64(data), "tbsEncoding": "base64"}
    return {**kind, "pin": card.pin, **fields}


def test_login_statement_is_shown_in_words_and_signed_with_the_origin(
    asking: SiteClient, active_card: CardFixture, tmp_path: Path
) -> None:
    content = statement(asking.origin)
    request = signing(active_card, content, withCardSN="true")
    consent = asking.popup(request)["consent"]
    assert consent["title"] == "Log in to the site with the card"
    facts = dict(consent["facts"])
    assert facts["Site that it is for"] == asking.origin
    assert facts["Made at, by the clock of the site"] == "2026-11-26 21:30:00 +08:00"
    assert not any("xca-statement" in value for value in facts.values())
    der = base64.b64decode(asking.ask(request)["signature"])
    signed = openssl("cms", "-verify", "-inform", "DER", "-binary", "-noverify", "-purpose", "any", stdin=der)
    assert signed == content
    (signer,) = cms.ContentInfo.load(der)["content"]["signer_infos"]
    attributes = [(item["type"].dotted, list(item["values"])) for item in signer["signed_attrs"]]
    assert len({kind for kind, _ in attributes}) == len(attributes) == 5
    (origin,) = dict(attributes)[ORIGIN_ATTRIBUTE]
    assert origin.dump() == b"\x0c" + bytes([len(asking.origin)]) + asking.origin.encode()


@pytest.mark.parametrize(
    ("kind", "lines", "title"),
    [
        ("registration", (f"cert2 {'0a' * 32}",), "Register the card's certificate"),
        ("withdraw", ("tender 115-1", f"bid {'0a' * 32}", f"receipt {'0b' * 32}"), "Withdraw a bid"),
    ],
)
def test_statement_of_a_kind_has_its_own_title_and_facts(
    asking: SiteClient, active_card: CardFixture, kind: str, lines: tuple[str, ...], title: str
) -> None:
    consent = asking.popup(signing(active_card, statement(asking.origin, kind, *lines)))["consent"]
    assert consent["title"].startswith(title)
    shown = [value for _, value in consent["facts"]]
    assert all(line.partition(" ")[2] in shown for line in lines)


@pytest.mark.parametrize(
    "fields",
    [
        {"signatureType": "PKCS1"},
        {"hashAlgorithm": "SHA1"},
        {"keyidb64": b64(b"KEYX")},
        {"nonce": "9f86d081"},
        {"tbs": b64(statement(OTHER))},
        {"tbs": b64(statement("https://site.example").replace(b"login", b"possession"))},
        {"tbs": b64(b" \n" + statement(OTHER))},
        {"tbs": b64(b"xca-statement/2 anything")},
    ],
)
def test_statement_signed_in_any_other_way_is_refused(
    asking: SiteClient, active_card: CardFixture, fields: Json
) -> None:
    answer = asking.ask(signing(active_card, statement(asking.origin), **fields))
    assert answer["ret_code"] == Code.BAD_PARAMETER
    assert "xca-statement" in answer["message"]


def test_statement_that_names_another_card_is_refused(asking: SiteClient, active_card: CardFixture) -> None:
    hashes = (f"cert1 {'0a' * 32}", f"cert2 {'0b' * 32}")
    for number, code in ((active_card.number, 0), ("XC99999999999999", Code.BAD_PARAMETER)):
        content = statement(asking.origin, "acceptance", f"card {number}", *hashes)
        assert asking.ask(signing(active_card, content))["ret_code"] == code


@pytest.mark.parametrize("cipher", ["-aes-256-gcm", "-aes256"])
@pytest.mark.parametrize("kind", ["possession", "rehearsal"])
def test_statement_in_an_envelope_gives_its_nonce_to_its_site_alone(
    asking: SiteClient, active_card: CardFixture, kind: str, cipher: str, tmp_path: Path
) -> None:
    (token,) = [
        slot["token"] for slot in asking.get("/pkcs11info?withcert=true").json()["slots"] if slot["token"]
    ]
    (der,) = [item["certb64"] for item in token["certs"] if item["label"] == "cert2"]
    cert2 = tmp_path / "cert2.pem"
    cert2.write_bytes(openssl("x509", "-inform", "DER", stdin=base64.b64decode(der)))

    def opened(content: bytes, encoding: str = "NONE") -> Json:
        sealed = openssl("cms", "-encrypt", cipher, "-binary", "-outform", "DER", cert2, stdin=content)
        fields = {"cipherType": "PKCS7", "cipher": b64(sealed), "plainEncoding": encoding}
        return asking.ask({"func": "DecryptData", "pin": active_card.pin, **fields})

    assert opened(statement(asking.origin, kind))["plain"] == NONCE
    assert opened(statement(asking.origin, kind), "base64")["plain"] == b64(NONCE.encode())
    failures = [
        opened(statement(OTHER, kind)),
        opened(statement(asking.origin, "login")),
        opened(b"\xef\xbb\xbf" + statement(asking.origin, kind)),
        opened(statement(asking.origin, kind) + b"\n"),
        opened(b"\xff"),
    ]
    assert {answer["ret_code"] for answer in failures} == {Code.NOT_DECRYPTED}
    assert all(answer == failures[0] for answer in failures)
