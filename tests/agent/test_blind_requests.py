# SPDX-License-Identifier: Apache-2.0
"""Signatures and decryptions whose content no window can show: off, then asked each time."""

import base64
import fcntl
import hashlib
import json
import secrets
import stat
import threading
from pathlib import Path

import pytest
from asn1crypto import cms  # type: ignore[import-untyped]

from softhsm.card_fixture import CardFixture
from support.agent.agent_process import Agent, Start, enforcing, trust
from support.agent.component_client import SITE, Json, SiteClient, b64, post
from support.agent.page_visitor import visiting, words
from xca_plugin.agent.component.blind_sites import BlindSites
from xca_plugin.agent.component.result_codes import Code, Refusal
from xca_plugin.agent.component.signing import SignOperation
from xca_plugin.agent.process.settings import PagePin, Settings

ATTRIBUTES = cms.CMSAttributes(
    [{"type": "content_type", "values": ["data"]}, {"type": "message_digest", "values": [bytes(32)]}]
).dump()
# What a JSON Web Signature is made over: {"alg":"RS256"} and {"sub":"4711"}.
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiI0NzExIn0"
BLIND: dict[str, Json] = {
    "a hash": {"func": "MakeSignature", "signatureType": "RAW", "tbs": b64(hashlib.sha256().digest())},
    "no text": {
        "func": "MakeSignature",
        "signatureType": "PKCS1",
        "tbs": b64(b"\x00\x01"),
        "tbsEncoding": "base64",
    },
    "a text with controls": {"func": "MakeSignature", "signatureType": "PKCS1", "tbs": "contract\u0000"},
    "the hashes of an XML document": {
        "func": "MakeSignature",
        "signatureType": "PKCS1",
        "tbs": '<ds:SignedInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:Reference/></ds:SignedInfo>',
    },
    "a token": {
        "func": "MakeSignature",
        "signatureType": "PKCS1",
        "tbs": TOKEN,
    },
    "a bare block": {"func": "DecryptData", "cipherType": "PKCS1", "cipher": b64(bytes(256))},
}
each_blind = pytest.mark.parametrize("fields", BLIND.values(), ids=BLIND)


@pytest.fixture
def trusting(shared: Agent) -> SiteClient:
    """A site that is trusted and has to ask each time."""
    origin = f"https://{secrets.token_hex(4)}.example"
    trust(shared, origin)
    return SiteClient(shared, origin)


def asked(reply: Json) -> Json:
    consent: Json = reply["consent"]
    return consent


@each_blind
def test_blind_request_of_a_trusted_site_is_off_until_switched_on(
    trusting: SiteClient, active_card: CardFixture, fields: Json
) -> None:
    request = {**fields, "pin": active_card.pin}
    screen = asked(trusting.popup(request))
    assert screen["site"] == trusting.origin
    assert screen["blindness"]
    assert "facts" not in screen
    assert json.loads(trusting.popup(request)["refusal"])["ret_code"] == Code.CANCELLED
    # No ticket of anything else switches it on, and an agreement does not either.
    other = asked(trusting.popup({**request, "hashAlgorithm": "SHA512"}))
    for ticket in ("x", other["ticket"]):
        assert "blindness" in asked(trusting.popup(request, switch_on=ticket))
    assert "blindness" in asked(trusting.popup(request, ticket=screen["ticket"], number=active_card.number))
    consent = asked(trusting.popup(request, switch_on=screen["ticket"]))
    assert screen["blindness"] in consent["warnings"]
    assert not consent["forAWhile"]
    file = trusting.agent.home / ".config/xca/blind-sites"
    assert trusting.origin in file.read_text().split()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    # One consent each, whatever the person ticked.
    assert "forAWhile" in asked(trusting.popup(request))
    trusting.popup(request, ticket=consent["ticket"], number=consent["number"], forAWhile=True)
    assert "facts" in asked(trusting.popup(request))
    trusting.popup({"func": "MakeSignature", "tbs": "x", "pin": active_card.pin})
    consent = asked(trusting.popup({"func": "MakeSignature", "tbs": "x", "pin": active_card.pin}))
    given = {"ticket": consent["ticket"], "number": consent["number"]}
    signed = trusting.popup(
        {"func": "MakeSignature", "tbs": "x", "pin": active_card.pin}, forAWhile=True, **given
    )
    assert json.loads(signed["answer"])["ret_code"] == 0
    assert "facts" in asked(trusting.popup(request))


@each_blind
def test_blind_request_of_an_allowed_site_is_asked_each_time(
    allowed: SiteClient, active_card: CardFixture, fields: Json
) -> None:
    """The administrator's list covers none; the site is on the administrator's list of blind sites too."""
    request = {**fields, "pin": active_card.pin}
    shown = [value for _, value in asked(allowed.popup(request))["facts"]]
    assert fields.get("signatureType") != "RAW" or hashlib.sha256().hexdigest() in shown
    path = "/decrypt" if "cipher" in fields else "/sign"
    assert allowed.post(path, request)["ret_code"] == Code.CANCELLED


@pytest.mark.parametrize(
    ("tbs", "is_blind"),
    [
        ("\ufeff<?xml version='1.0'?>\n<SignedInfo>", True),
        ("<SignedInfo/>", True),
        (f"{TOKEN.partition('.')[0]}.any payload: RFC 7797", True),
        (b64(b'{"alg":"ES256","b64":false}').rstrip("=") + ".", True),
        ("<contract><Signature><SignedInfo/></Signature></contract>", False),
        ("<SignedInformation/>", False),
        ("I owe you 4711.50", False),
        ("立契約書人\u3000甲方", False),  # the blank of Chinese texts
        (TOKEN.partition(".")[2] + ".x", False),  # no header
        ("a < b", False),
    ],
)
def test_text_of_pkcs1_is_blind_if_it_signs_something_else(tbs: str, is_blind: bool) -> None:
    fields = {"signatureType": "PKCS1", "tbs": tbs}
    assert (SignOperation(fields, SITE).blindness is not None) == is_blind
    assert SignOperation({**fields, "signatureType": "PKCS7"}, SITE).blindness is None


def test_blind_request_without_a_window_says_where_it_is_switched_on(
    trusting: SiteClient, active_card: CardFixture
) -> None:
    answer = trusting.post("/sign", {**BLIND["a hash"], "pin": active_card.pin})
    assert answer["ret_code"] == Code.CANCELLED
    assert "開啟" in answer["message"]


def test_site_that_is_trusted_anew_has_blind_requests_switched_off(
    start_agent: Start, active_card: CardFixture
) -> None:
    agent = start_agent(active_card)
    file = agent.home / ".config/xca/blind-sites"
    file.write_text(f"https://other.example\n{SITE}\n")
    host = SITE.partition("//")[2]
    asking = SiteClient(agent)
    html = asking.http.get(f"{agent.url}/addDomain?domain={host}").text
    token = html.partition('name="token" value="')[2].partition('"')[0]
    added = post(f"{agent.url}/addDomain", headers={"Origin": agent.url}, data={"site": SITE, "token": token})
    assert added.status_code == 200
    assert file.read_text() == "https://other.example\n"
    assert "blindness" in asked(asking.popup({**BLIND["a hash"], "pin": active_card.pin}))


def test_blind_site_refused_on_the_page_of_sites_is_off_again(
    trusting: SiteClient, active_card: CardFixture
) -> None:
    file = trusting.agent.home / ".config/xca/blind-sites"
    with file.open("a") as sites:
        sites.write(f"{trusting.origin}\n")
    request = {**BLIND["a hash"], "pin": active_card.pin}
    assert "facts" in asked(trusting.popup(request))
    with visiting(trusting.agent) as visitor:
        before = visitor.see("/sites")
        form = {**visitor.form("/sites"), "action": "see", "site": trusting.origin}
        said = words(visitor.send("/sites", form).text)
    assert trusting.origin.partition(".")[0] in said
    button = "Refuse what no window can show"
    assert said.count(button) == before.count(button) - 1  # others may be switched on
    assert trusting.origin not in file.read_text()
    assert "blindness" in asked(trusting.popup(request))


def test_blind_requests_that_the_administrator_enforces_are_switched_on_by_nobody_else(
    tmp_path: Path, active_card: CardFixture
) -> None:
    """Neither the person's files nor the window count; the administrator's list does."""
    listed = "https://listed.example"
    with enforcing(tmp_path, active_card, trusted=(SITE, listed), blind=listed) as agent:
        request = {**BLIND["a hash"], "pin": active_card.pin}
        asking = SiteClient(agent)
        reply = asking.popup(request)
        assert asked(reply)["blindness"]
        assert "ticket" not in asked(reply)  # there is nothing to switch on with
        assert "管理者" in json.loads(reply["refusal"])["message"]
        assert "管理者" in asking.post("/sign", request)["message"]
        assert "blindness" in asked(asking.popup(request, switch_on="x"))
        assert (agent.home / ".config/xca/blind-sites").read_text() == f"{SITE}\n"
        assert "facts" in asked(SiteClient(agent, listed).popup(request))
        page = asking.http.get(f"{agent.url}/sites", headers={"Accept-Language": "en"}).text
        assert page.count("whose content no window can show") == 1
        assert "Refuse what no window can show" not in page  # pressing it would change nothing


def test_blind_site_switched_on_while_another_agent_writes_loses_none(tmp_path: Path) -> None:
    settings = Settings(1, PagePin.ACCEPT, frozenset(), tmp_path / "trusted-sites")
    sites, other = BlindSites(settings), "https://other.example"
    with (tmp_path / "blind-sites.lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        switching = threading.Thread(target=sites.switch_on, args=(SITE,))
        switching.start()
        switching.join(0.2)
        (tmp_path / "blind-sites").write_text(f"{other}\n")
    switching.join()
    assert sites.allows(SITE)
    assert sites.allows(other)


def test_blind_sites_that_the_administrator_enforces_take_no_other(tmp_path: Path) -> None:
    settings = Settings(
        1, PagePin.ACCEPT, frozenset(), tmp_path / "trusted-sites", blind=frozenset(), is_blind_enforced=True
    )
    with pytest.raises(Refusal):
        BlindSites(settings).switch_on(SITE)
    assert not settings.blind_sites.exists()


@pytest.mark.parametrize("signature_type", ["PKCS1", "PKCS7"])
def test_signed_attributes_are_never_signed(
    allowed: SiteClient, active_card: CardFixture, signature_type: str
) -> None:
    """A signature of them passes for the signature of another file, such as a login at another site."""
    request = {
        "func": "MakeSignature",
        "signatureType": signature_type,
        "tbs": b64(ATTRIBUTES),
        "tbsEncoding": "base64",
        "pin": active_card.pin,
    }
    answer = allowed.ask(request)
    assert answer["ret_code"] == Code.BAD_PARAMETER
    assert "signature" not in answer


def test_bare_block_that_fails_has_one_answer_and_the_same_work(
    allowed: SiteClient, active_card: CardFixture, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is wrong with it, the card decrypts a block once; the answer tells nothing."""
    request = {"func": "DecryptData", "cipherType": "PKCS1", "pin": active_card.pin}
    ciphers = {
        "short": b"short",
        "long": bytes(257),
        "empty block": bytes(255),
        "above the modulus": b"\xff" * 256,
        "no padding": (2**2000).to_bytes(256, "big"),
    }
    answers = {name: allowed.ask({**request, "cipher": b64(data)}) for name, data in ciphers.items()}
    assert {answer["ret_code"] for answer in answers.values()} <= {Code.NOT_DECRYPTED, Code.OK}
    failed = [answer for answer in answers.values() if answer["ret_code"]]
    assert all(answer == failed[0] for answer in failed)
    for name in ("short", "long", "empty block", "above the modulus"):
        assert answers[name]["ret_code"] == Code.NOT_DECRYPTED, name


def test_consent_for_one_question_answers_no_other(trusting: SiteClient, active_card: CardFixture) -> None:
    """The ticket stands for what was shown: the same request, shown in another way, is asked again."""
    request = {"func": "MakeSignature", "tbs": "contract-4711", "pin": active_card.pin}
    consent = asked(trusting.popup(request))
    trusting.http.headers["Accept-Language"] = "en"  # the window would show other words
    again = trusting.popup(request, ticket=consent["ticket"], number=consent["number"])
    assert asked(again)["notice"]
    assert "notice" not in consent
    given = {"ticket": asked(again)["ticket"], "number": active_card.number}
    answer = json.loads(trusting.popup(request, **given)["answer"])
    assert answer["ret_code"] == 0
    assert base64.b64decode(answer["signature"])
