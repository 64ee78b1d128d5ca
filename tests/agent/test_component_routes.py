# SPDX-License-Identifier: Apache-2.0
"""The component's answers over HTTP, verified by OpenSSL as servers do."""

import base64
import hashlib
import json
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from asn1crypto import cms, x509  # type: ignore[import-untyped]
from starlette.testclient import TestClient

from softhsm import Environment, issue
from softhsm.card_fixture import CardFixture
from support.agent.agent_process import Start, configure, running
from support.agent.component_client import SITE, Json, SiteClient, b64, openssl, post, verify
from support.agent.page_visitor import visiting
from support.odd_certificates import odd_ones, put
from xca_plugin.agent.component.result_codes import Code, MinorCode

TEXT = "1735689600,登入 + 50%"
HASHES = ("SHA1", "SHA256", "SHA384", "SHA512")


def signing(card: CardFixture, **fields: str) -> Json:
    return {"func": "MakeSignature", "tbs": TEXT, "tbsEncoding": "NONE", "pin": card.pin, **fields}


def authorities(asking: SiteClient, folder: Path) -> Path:
    """Return the certificates of the issuers on the card."""
    path = folder / "ca.pem"
    held = asking.get("/pkcs11info?withcert=true").json()["slots"][0]["token"]["certs"]
    ders = [base64.b64decode(item["certb64"]) for item in held if item["usage"].startswith("keyCertSign")]
    path.write_bytes(b"".join(openssl("x509", "-inform", "DER", stdin=der) for der in ders))
    return path


# --- information


def test_information_with_a_card_lists_reader_and_card(allowed: SiteClient, active_card: CardFixture) -> None:
    for answer in (allowed.get("/pkcs11info").json(), allowed.post("/pkcs11info")):
        assert (answer["func"], answer["ret_code"], answer["last_error"]) == ("pkcs11info", 0, 0)
        assert answer["agent"]["name"] == "xca-plugin"
        (held,) = [slot for slot in answer["slots"] if slot["token"]]
        assert held["token"]["serialNumber"] == active_card.number
        assert held["token"]["label"] == "HiCOS PKI Smart Card"
        assert held["token"]["flags"] == 1037
        assert (held["token"]["ulMinPinLen"], held["token"]["ulMaxPinLen"]) == (6, 8)
        assert (held["token"]["ulSessionCount"], held["token"]["ulFreePublicMemory"]) == (0, 4294967295)
        assert "certs" not in held["token"]
        assert held["flags"] == 7
        assert len({slot["slotDescription"] for slot in answer["slots"]}) == len(answer["slots"])


# Pages compare them as strings.
@pytest.mark.parametrize(
    "gate",
    ["1.3.4.103305", "1.3.4.10", "1.3.4.3", "1.3.4.103328", "1.3.4.103327", "1.3.4.13", "1.3.4.103319"],
)
def test_version_compared_by_pages_is_high_enough(allowed: SiteClient, gate: str) -> None:
    assert not allowed.get("/pkcs11info").json()["serverVersion"] < gate


def test_information_with_certificates_lists_them(allowed: SiteClient) -> None:
    answer = allowed.get("/pkcs11info?withcert=true").json()
    (token,) = [slot["token"] for slot in answer["slots"] if slot["token"]]
    held = {item["label"]: item for item in token["certs"]}
    assert list(held)[:2] == ["cert1", "cert2"]
    assert held["cert1"]["usage"] == "digitalSignature"
    assert held["cert2"]["usage"] == "keyEncipherment|dataEncipherment"
    issuers = {item["usage"] for label, item in held.items() if "CA" in label.upper()}
    assert issuers == {"keyCertSign|cRLSign"}
    signer = held["cert1"]
    der = base64.b64decode(signer["certb64"])
    said = openssl("x509", "-inform", "DER", "-noout", "-serial", "-fingerprint", "-sha1", stdin=der).decode()
    assert f"serial={signer['sn']}" in said
    assert signer["thumbprint"] in said.replace(":", "")
    assert base64.b64decode(signer["id"]) == b"SIGN"
    parsed = x509.Certificate.load(der)
    assert signer["notBeforeT"] == int(parsed.not_valid_before.timestamp())
    assert signer["notAfterT"] == int(parsed.not_valid_after.timestamp())
    assert signer["notAfter"].endswith("Z")
    assert signer["signatureAlgorithm"] == "1.2.840.113549.1.1.11"
    assert signer["subjectDN"].startswith("C=TW,")
    assert signer["issuerDN"].split(",")[0] == "C=TW"
    assert signer["holderRank"] in ("primary", "secondary")
    assert signer["subjectID"].startswith("2.16.886.")
    keys = {base64.b64decode(key["id"]): key["keyb64"] for key in token["keys"]}
    assert set(keys) == {b"SIGN", b"KEYX"}
    openssl("pkey", "-pubin", "-inform", "DER", "-noout", stdin=base64.b64decode(keys[b"SIGN"]))


def test_bitmap_and_information_are_the_same(allowed: SiteClient) -> None:
    picture = allowed.get("/p11Image.bmp?1735689600")
    assert picture.headers["Access-Control-Allow-Origin"] == SITE
    text = picture.content[54:].split(b"\0")[0].decode("ascii")
    drawn, told = json.loads(text), allowed.get("/pkcs11info").json()
    assert {**told, **drawn, "slots": told["slots"]} == told
    (drawn_token,) = [slot["token"] for slot in drawn["slots"] if slot["token"]]
    (token,) = [slot["token"] for slot in told["slots"] if slot["token"]]
    assert drawn_token.items() <= token.items()
    # Some pages draw it on a canvas of 300 pixels and read no more of it.
    assert len(text) <= 900


# --- signatures


@pytest.mark.parametrize("hash_name", HASHES)
def test_signature_of_text_in_each_hash_verifies(
    allowed: SiteClient, active_card: CardFixture, hash_name: str, tmp_path: Path
) -> None:
    request = signing(
        active_card, signatureType="PKCS1", hashAlgorithm=hash_name, tbs=TEXT.replace("%", "%25")
    )
    answer = allowed.post("/sign", request)
    assert answer["cardSN"] == active_card.number
    verify(answer, hash_name, TEXT.encode(), tmp_path)


def test_history_of_a_card_names_the_site_that_had_it_sign(
    allowed: SiteClient, active_card: CardFixture
) -> None:
    answer = allowed.post("/sign", signing(active_card, signatureType="PKCS1"))
    assert answer["cardSN"] == active_card.number
    last = active_card.environment.store.events(active_card.number)[-1]
    assert (last.event, last.program) == ("sign", f"agent {SITE.partition('://')[2]}")


@pytest.mark.parametrize("hash_name", HASHES)
def test_signature_of_a_ready_hash_verifies(
    allowed: SiteClient, active_card: CardFixture, hash_name: str, tmp_path: Path
) -> None:
    tbs = b64(hashlib.new(hash_name, b"document").digest())
    answer = allowed.ask(signing(active_card, signatureType="RAW", tbs=tbs, tbsEncoding="base64"))
    verify(answer, hash_name, b"document", tmp_path)


@pytest.mark.parametrize("hash_name", HASHES)
def test_signature_of_a_whole_digest_info_verifies(
    allowed: SiteClient, active_card: CardFixture, hash_name: str, tmp_path: Path
) -> None:
    starts = {
        "SHA1": "3021300906052b0e03021a05000414",
        "SHA256": "3031300d060960864801650304020105000420",
        "SHA384": "3041300d060960864801650304020205000430",
        "SHA512": "3051300d060960864801650304020305000440",
    }
    tbs = b64(bytes.fromhex(starts[hash_name]) + hashlib.new(hash_name, b"document").digest())
    answer = allowed.ask(signing(active_card, signatureType="RAW", tbs=tbs))
    verify(answer, hash_name, b"document", tmp_path)


@pytest.mark.parametrize("encoding", ["hex", "BASE64", "utf-8"])
def test_signature_of_another_encoding_than_base64_is_of_the_text(
    allowed: SiteClient, active_card: CardFixture, encoding: str, tmp_path: Path
) -> None:
    answer = allowed.post("/sign", signing(active_card, tbs="aGk=", tbsEncoding=encoding))
    verify(answer, "SHA256", b"aGk=", tmp_path)


def test_signature_of_base64_in_every_spelling_verifies(
    allowed: SiteClient, active_card: CardFixture, tmp_path: Path
) -> None:
    content = b">>>???"  # plus signs and slashes in base64
    request = json.dumps(signing(active_card, tbs=b64(content), tbsEncoding="base64"))
    assert "+" in request
    bodies = (
        "tbsPackage=" + request.replace("+", "%2B"),
        "tbsPackage=" + quote(request, safe=""),
        request,
        "tbsPackage=" + json.dumps({**json.loads(request), "tbs": quote(b64(content), safe="")}),
    )
    for body in bodies:
        verify(allowed.post("/sign", body), "SHA256", content, tmp_path)


def test_signatures_of_many_requests_at_once_verify(
    allowed: SiteClient, active_card: CardFixture, tmp_path: Path
) -> None:
    """The card signs one after the other, and each request gets its own signature."""
    texts = [f"document {number}" for number in range(8)]
    with ThreadPoolExecutor(len(texts)) as clients:
        answers = list(clients.map(lambda tbs: allowed.post("/sign", signing(active_card, tbs=tbs)), texts))
    for tbs, answer in zip(texts, answers, strict=True):
        verify(answer, "SHA256", tbs.encode(), tmp_path)


def test_signed_data_holds_the_attributes_that_servers_read(
    allowed: SiteClient, active_card: CardFixture, tmp_path: Path
) -> None:
    answer = allowed.post(
        "/sign",
        signing(
            active_card,
            signatureType="PKCS7",
            hashAlgorithm="SHA256",
            nonce="9f86d081",
            withCardSN="true",
            keyidb64=b64(b"SIGN"),
            checkValidity="false",
        ),
    )
    assert answer["ret_code"] == 0, answer
    der = base64.b64decode(answer["signature"])
    ca = authorities(allowed, tmp_path)
    verified = openssl(
        "cms", "-verify", "-inform", "DER", "-binary", "-purpose", "any", "-CAfile", ca, stdin=der
    )
    assert verified == TEXT.encode()
    signed_data = cms.ContentInfo.load(der)["content"]
    assert [item.chosen.dump() for item in signed_data["certificates"]] == [
        base64.b64decode(answer["certb64"])
    ]
    (signer,) = signed_data["signer_infos"]
    assert signer["signature_algorithm"]["algorithm"].native == "rsassa_pkcs1v15"
    attributes = {item["type"].dotted: item["values"][0].dump() for item in signer["signed_attrs"]}
    # Servers take everything after the first two bytes of these two for the text.
    assert attributes["1.2.840.113549.1.9.25.3"][2:] == b"9f86d081"
    assert attributes["2.16.886.1.100.2.204"][2:] == active_card.number.encode()
    signing_time = attributes["1.2.840.113549.1.9.5"]
    assert signing_time[:2] == b"\x17\x0d"
    assert signing_time.endswith(b"Z")


@pytest.mark.parametrize("absent", ["", "__NotExistedTag__"])
def test_signed_data_leaves_out_what_is_not_asked_for(
    allowed: SiteClient, active_card: CardFixture, absent: str
) -> None:
    answer = allowed.post(
        "/sign",
        signing(active_card, signatureType="PKCS7", nonce=absent, withCardSN=absent, withSigningTime="false"),
    )
    (signer,) = cms.ContentInfo.load(base64.b64decode(answer["signature"]))["content"]["signer_infos"]
    kinds = {item["type"].native for item in signer["signed_attrs"]}
    assert kinds == {"content_type", "message_digest"}


def test_request_with_unknown_fields_is_carried_out(
    allowed: SiteClient, active_card: CardFixture, tmp_path: Path
) -> None:
    """All fields that the vendor's library sends."""
    request = signing(
        active_card,
        signatureType="PKCS1",
        hashAlgorithm="SHA256",
        nonce="__NotExistedTag__",
        newpin="",
        sid="",
        printername="x",
        isTest="false",
        withSCAP="true",
        cardid=active_card.number,
    )
    answer = allowed.post("/sign", {**request, "slotDescription": 0, "ports": [1, {"a": None}]})
    verify(answer, "SHA256", TEXT.encode(), tmp_path)
    assert answer["SCAP"] == ""  # none is known, and pages take a text apart
    # Only PKCS #7 has an attribute for it.
    assert allowed.post("/sign", {**request, "nonce": "x" * 200})["ret_code"] == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"tbs": ""}, Code.NO_DATA),
        ({"signatureType": "PKCS9"}, Code.WRONG_TYPE),
        ({"hashAlgorithm": "MD5"}, Code.BAD_PARAMETER),
        ({"hashAlgorithm": "SAH256"}, Code.BAD_PARAMETER),
        ({"tbsEncoding": "base64", "tbs": "no base64!"}, Code.BAD_BASE64),
        ({"signatureType": "RAW", "tbs": b64(b"short")}, Code.BAD_PARAMETER),
        ({"signatureType": "RAW", "tbs": b64(bytes.fromhex("3031300d") + bytes(47))}, Code.BAD_PARAMETER),
        ({"keyidb64": b64(b"SIGN02")}, Code.KEY_NOT_FOUND),
        ({"keyidb64": "//79"}, Code.KEY_NOT_FOUND),
        ({"keyidb64": b64(b"KEYX")}, Code.UNSUPPORTED),
        ({"slotDescription": "Some other reader"}, Code.NO_CARD),
        ({"cardid": "XC99999999999999"}, Code.NO_CARD),
        ({"nonce": "x" * 128, "signatureType": "PKCS7"}, Code.BAD_PARAMETER),
        ({"pin": "12"}, Code.LOGIN_FAILED),
    ],
)
def test_request_with_a_wrong_field_answers_its_code(
    allowed: SiteClient, active_card: CardFixture, fields: Json, code: Code
) -> None:
    answer = allowed.post("/sign", signing(active_card, **fields))
    assert (answer["func"], answer["ret_code"]) == ("sign", code)
    assert answer["message"]
    assert "signature" not in answer


@pytest.mark.parametrize(
    "body",
    [
        b"tbsPackage=",
        b"{",
        b"[]",
        b"tbsPackage=%",
        b'{"tbs": "\\ud800"}',
        b'{"tbs": "\xff"}',
        b"%7b%22tbs%22:%22%ff%22%7d",
    ],
)
def test_request_that_is_no_json_answers_bad_json(allowed: SiteClient, body: bytes) -> None:
    answer = post(f"{allowed.agent.url}/sign", content=body, headers={"Origin": SITE}).json()
    assert (answer["func"], answer["ret_code"]) == ("sign", Code.BAD_JSON)


# --- the encryption key


@pytest.fixture
def cert2(allowed: SiteClient, tmp_path: Path) -> Path:
    answer = allowed.get("/pkcs11info?withcert=true").json()
    (token,) = [slot["token"] for slot in answer["slots"] if slot["token"]]
    (der,) = [item["certb64"] for item in token["certs"] if item["label"] == "cert2"]
    path = tmp_path / "cert2.pem"
    path.write_bytes(openssl("x509", "-inform", "DER", stdin=base64.b64decode(der)))
    return path


def decrypting(card: CardFixture, **fields: str) -> Json:
    return {"func": "DecryptData", "pin": card.pin, **fields}


@pytest.mark.parametrize("cipher", ["-des3", "-aes256", "-aes128", "-aes-256-gcm"])
def test_decryption_of_enveloped_data_returns_the_content(
    allowed: SiteClient, active_card: CardFixture, cert2: Path, cipher: str
) -> None:
    content = '機密內容 "quoted"'.encode()
    der = openssl("cms", "-encrypt", cipher, "-binary", "-outform", "DER", cert2, stdin=content)
    wrapped = "\r\n".join(b64(der)[start : start + 64] for start in range(0, len(b64(der)), 64))
    request = {"func": "DecryptData", "cipherType": "PKCS7", "pin": active_card.pin}
    answer = allowed.post("/decrypt", {**request, "cipher": quote(wrapped), "plainEncoding": "NONE"})
    assert (answer["func"], answer["ret_code"]) == ("decrypt", 0), answer
    assert answer["plain"] == content.decode()
    answer = allowed.post("/decrypt", {**request, "cipher": b64(der), "plainEncoding": "base64"})
    assert base64.b64decode(answer["plain"]) == content


def test_decryption_of_one_block_returns_the_content(
    allowed: SiteClient, active_card: CardFixture, cert2: Path
) -> None:
    block = openssl("pkeyutl", "-encrypt", "-certin", "-inkey", cert2, stdin=b"\xff\x00key")
    request = decrypting(active_card, cipher=b64(block), plainEncoding="base64")
    assert base64.b64decode(allowed.ask(request)["plain"]) == b"\xff\x00key"
    # A page that wants text does not learn whether the block was decrypted.
    no_text = allowed.ask({**request, "plainEncoding": "NONE"})
    broken = allowed.ask({**request, "cipher": b64(b"short"), "plainEncoding": "NONE"})
    assert no_text == broken
    assert no_text["ret_code"] == Code.NOT_DECRYPTED


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"cipher": ""}, Code.NO_CIPHER),
        ({"cipher": b64(b"x" * 10)}, Code.NOT_DECRYPTED),
        ({"cipher": b64(b"x"), "cipherType": "PKCS7"}, Code.BAD_CIPHER_DER),
        ({"cipher": b64(b"x"), "cipherType": "PGP"}, Code.BAD_CIPHER_TYPE),
        ({"cipher": b64(b"x"), "plainEncoding": "hex"}, Code.BAD_PARAMETER),
    ],
)
def test_decryption_of_a_wrong_cipher_answers_its_code(
    allowed: SiteClient, active_card: CardFixture, fields: Json, code: Code
) -> None:
    answer = allowed.ask(decrypting(active_card, **fields))
    assert (answer["func"], answer["ret_code"]) == ("decrypt", code)


def test_decryption_of_anothers_block_reveals_nothing(allowed: SiteClient, active_card: CardFixture) -> None:
    answers = [
        allowed.ask(decrypting(active_card, cipher=b64(bytes([number]) * 256))) for number in range(1, 9)
    ]
    # OpenSSL 3.2 and newer answer with random bytes, which may happen to be text.
    refused = [answer for answer in answers if answer["ret_code"]]
    assert len(refused) > len(answers) / 2
    assert {answer["ret_code"] for answer in refused} == {Code.NOT_DECRYPTED}


# --- the rest of the functions


def test_certificate_request_of_a_key_verifies(
    allowed: SiteClient, active_card: CardFixture, tmp_path: Path
) -> None:
    answer = allowed.ask(
        {
            "func": "makeCsr",
            "keyid": "U0lHTg==",
            "hashAlgorithm": "SHA256",
            "pin": active_card.pin,
            "challenge": "abc",
        }
    )
    assert (answer["func"], answer["ret_code"]) == ("csr", 0), answer
    csr = base64.b64decode(answer["csr"])
    said = openssl("req", "-inform", "DER", "-verify", "-noout", "-text", stdin=csr).decode()
    assert "challengePassword" in said
    assert "sha256WithRSAEncryption" in said
    refused = allowed.ask({"func": "makeCsr", "hashAlgorithm": "MD5", "pin": active_card.pin})
    assert refused["ret_code"] == Code.BAD_PARAMETER
    assert refused["messagedata"] == refused["message"]


def test_certificate_of_a_key_is_written(
    start_agent: Start, xca_active_card: CardFixture, tmp_path: Path
) -> None:
    card = xca_active_card
    asking = SiteClient(start_agent(card, trusted=(SITE,)))
    csr = base64.b64decode(asking.ask({"func": "makeCsr", "pin": card.pin})["csr"])
    key, ca, request = tmp_path / "ca.key", tmp_path / "ca.pem", tmp_path / "csr"
    request.write_bytes(csr)
    openssl(
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        key,
        "-out",
        ca,
        "-subj",
        "/CN=CA",
    )
    days = ("-days", "300")
    pem = openssl("x509", "-req", "-inform", "DER", "-in", request, "-CA", ca, "-CAkey", key, *days)
    other = ca.read_text()
    stranger = asking.ask({"func": "writecert", "type": "pki", "value": quote(other), "pin": card.pin})
    assert (stranger["func"], stranger["ret_code"]) == ("writeCert", Code.KEY_NOT_FOUND)
    answer = asking.ask({"func": "writecert", "type": "pki", "value": quote(pem.decode()), "pin": card.pin})
    assert (answer["func"], answer["ret_code"]) == ("writeCert", 0), answer
    # It comes once more, inside a PKCS #7, in base64 whose + became a blank.
    (tmp_path / "new.pem").write_bytes(pem)
    p7b = openssl(
        "crl2pkcs7", "-nocrl", "-certfile", tmp_path / "new.pem", "-certfile", ca, "-outform", "DER"
    )
    again = {"func": "writecert", "value": b64(p7b).replace("+", " "), "pin": card.pin}
    assert asking.ask(again)["ret_code"] == 0
    # The card signs with the new certificate.
    signed = asking.ask(signing(card, signatureType="PKCS1"))
    assert openssl("x509", "-inform", "DER", stdin=base64.b64decode(signed["certb64"])) == pem
    verify(signed, "SHA256", TEXT.encode(), tmp_path)
    assert (
        asking.ask({"func": "writecert", "value": "AAAA", "pin": card.pin})["ret_code"] == Code.NO_CERTIFICATE
    )


def test_challenge_asked_for_twice_differs(allowed: SiteClient) -> None:
    first, second = (allowed.post("/getChallenge") for _ in range(2))
    assert (first["func"], first["ret_code"]) == ("getChallenge", 0)
    assert len(bytes.fromhex(first["challenge"])) == 8
    assert first["challenge"] != second["challenge"]


@pytest.mark.parametrize(
    ("func", "page"),
    [
        ("umakeSig", "/"),
        ("bulidResetUserPINRequest", "/reset-pin"),
        ("resetUserPIN", "/reset-pin"),
        ("bulidUnblockCardRequest", "/reset-pin"),
        ("unblockCard", "/reset-pin"),
        ("buildOpenCardGetUserPINRequest", "/activate"),
        ("buildOpenCardValidateUserRequest", "/activate"),
        ("openCard", "/activate"),
    ],
)
def test_function_of_the_centre_names_the_agents_page(allowed: SiteClient, func: str, page: str) -> None:
    path = "/umakeSig" if func == "umakeSig" else "/CardManagement/sendCardCommand"
    answer = allowed.post(path, {"func": func, "sid": "USER0001", "newpin": "654321"})
    assert (answer["func"], answer["ret_code"]) == (func, 1979711502)
    assert f"{allowed.agent.url}{page}" in answer["message"]
    assert allowed.http.get(f"{allowed.agent.url}{page}").status_code == 200


@pytest.mark.parametrize(
    "func",
    [
        "openCard",
        "buildOpenCardGetUserPINRequest",
        "buildOpenCardValidateUserRequest",
        "resetUserPIN",
        "unblockCard",
        "changeUserPINCode",
    ],
)
def test_secrets_of_a_card_with_a_centre_are_changed_for_the_centre_alone(
    start_agent: Start, xca_issued_card: CardFixture, func: str
) -> None:
    centre = "http://localhost:8443"
    agent = start_agent(xca_issued_card, trusted=(SITE, centre))
    store = Path(xca_issued_card.variables["XCA_PKCS11_CONF"]).parent
    settings = agent.home / ".config/xca/centre.conf"
    settings.write_text(f"[centre]\nurl = {centre}\nissuer = {store / 'pki' / 'ca.pem'}\n")
    path, asked = "/CardManagement/sendCardCommand", {"func": func, "cardid": xca_issued_card.number}

    refused = SiteClient(agent, SITE).post(path, asked)
    assert (refused["func"], refused["ret_code"]) == (func, Code.FAILED)
    assert centre in refused["message"]
    shown = SiteClient(agent, SITE).popup(asked)
    assert centre in shown["consent"]["told"]  # the window tells it before the site is told
    assert json.loads(shown["refusal"])["ret_code"] == Code.FAILED
    assert SiteClient(agent, centre).post(path, asked)["ret_code"] in (Code.UNSUPPORTED, Code.NOT_ACTIVATED)

    settings.write_text("[centre]\nurl = nothing\n")
    for site in (SITE, centre):
        assert SiteClient(agent, site).post(path, asked)["ret_code"] == Code.FAILED


@pytest.mark.parametrize("path", ["/PrintCard/sendCommand_PrintCardCtrl", "/eIDPM/ListEID"])
def test_function_of_other_cards_answers_unsupported(allowed: SiteClient, path: str) -> None:
    answer = allowed.post(path, {"func": "ListEID"})
    assert "msg" not in answer
    assert (answer["func"], answer["ret_code"]) == ("ListEID", 1979711502)


def test_secondary_card_file_asked_for_answers_in_msg(allowed: SiteClient) -> None:
    answer = allowed.post("/MOEACA/sendCommand_exDynamicCreateFile", {"func": "exDynamicCreateFile"})
    assert (answer["func"], answer["ret_code"]) == ("exDynamicCreateFile", 1979711502)
    assert answer["msg"] == answer["message"]


def test_root_page_read_by_an_installer_tells_the_version(allowed: SiteClient) -> None:
    found = re.search(r"version:(?P<version>[\d.]+)", allowed.http.get(f"{allowed.agent.url}/").text)
    assert found
    assert found["version"] == allowed.get("/pkcs11info").json()["serverVersion"]


@pytest.mark.parametrize(
    ("language", "caption"),
    [("en", "Version of the component, for web sites:"), ("zh-TW", "供網站辨識的元件版本：")],
)
def test_version_on_the_root_page_has_a_caption(allowed: SiteClient, language: str, caption: str) -> None:
    with visiting(allowed.agent, language) as visitor:
        assert re.search(rf"{caption} version:[\d.]+", visitor.see("/"))


def test_message_of_an_error_tells_the_reason_the_tries_and_what_to_do(
    start_agent: Start, xca_active_card: CardFixture
) -> None:
    asking = SiteClient(start_agent(xca_active_card, trusted=(SITE,)))
    for pin, said in (
        ("wrong-01", "剩兩次。請確認"),
        ("wrong-02", "剩一次。若不確定PIN碼，請至 http://localhost:61161/reset-pin"),
    ):
        assert said in asking.ask(signing(xca_active_card, pin=pin))["message"]
    locked = asking.ask(signing(xca_active_card, pin="wrong-03"), lastTry=True)
    assert "已鎖卡。請至 http://localhost:61161/reset-pin" in locked["message"]


def test_error_without_a_minor_code_leaves_last_error_out(
    allowed: SiteClient, active_card: CardFixture
) -> None:
    refused = allowed.post("/sign", signing(active_card, tbs=""))
    assert "last_error" not in refused
    assert "message2" not in refused
    failed = allowed.post("/sign", signing(active_card, pin="12"))
    assert (failed["ret_code"], failed["last_error"]) == (Code.LOGIN_FAILED, MinorCode.PIN_LEN_RANGE)
    assert failed["message2"] == MinorCode.PIN_LEN_RANGE.text


@pytest.mark.fast
@pytest.mark.parametrize("path", ["/PrintCard/sendCommand_PrintCardCtrl", "/eIDPM/ListEID", "/sign"])
def test_path_of_the_protocol_with_another_method_answers_unsupported(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert response.json()["ret_code"] == 1979711502


def test_function_that_is_unknown_answers_unsupported(allowed: SiteClient) -> None:
    answer = allowed.ask({"func": 'printCard"<'})
    assert (answer["func"], answer["ret_code"]) == ("printCard＂＜", 1979711502)


# --- PINs


def test_wrong_pin_three_times_locks_the_card(start_agent: Start, xca_active_card: CardFixture) -> None:
    card = xca_active_card
    asking = SiteClient(start_agent(card, trusted=(SITE,)))
    seen = []
    for wrong in ("wrong-1", "wrong-2", "wrong-3"):
        answer = asking.ask(signing(card, pin=wrong), lastTry=True)
        assert answer["ret_code"] == 1980760070
        seen.append(answer["last_error"])
    assert seen == [-2147483646, -2147483647, 164]
    assert asking.ask(signing(card))["last_error"] == MinorCode.PIN_LOCKED
    (token,) = [slot["token"] for slot in asking.get("/pkcs11info").json()["slots"] if slot["token"]]
    assert token["flags"] & 0x40000


def test_last_try_without_confirmation_is_not_spent(start_agent: Start, xca_active_card: CardFixture) -> None:
    card = xca_active_card
    asking = SiteClient(start_agent(card, allow=SITE))
    for wrong in ("wrong-1", "wrong-2"):
        asking.post("/sign", signing(card, pin=wrong))
    # Even an allowed site needs consent for this.
    assert asking.post("/sign", signing(card))["ret_code"] == Code.CANCELLED
    consent = asking.popup(signing(card))["consent"]
    assert consent["lastTry"]
    again = asking.popup(signing(card), ticket=consent["ticket"], number=consent["number"])["consent"]
    assert again["lastTry"]
    assert asking.ask(signing(card), lastTry=True)["ret_code"] == 0


def test_last_try_reached_while_the_popup_asks_is_asked_for(
    start_agent: Start, xca_active_card: CardFixture
) -> None:
    card = xca_active_card
    asking = SiteClient(start_agent(card, trusted=(SITE,)))
    consent = asking.popup(signing(card, pin="wrong-3"))["consent"]
    assert not consent["lastTry"]
    for wrong in ("wrong-1", "wrong-2"):
        asking.ask(signing(card, pin=wrong))
    given = {"ticket": consent["ticket"], "number": consent["number"]}
    again = asking.popup(signing(card, pin="wrong-3"), **given)["consent"]
    assert again["lastTry"]
    assert asking.ask(signing(card), lastTry=True)["ret_code"] == 0


def test_pin_change_with_the_card_named_changes_the_pin(
    start_agent: Start, xca_active_card: CardFixture
) -> None:
    card = xca_active_card
    asking = SiteClient(start_agent(card, trusted=(SITE,)))
    request = {
        "func": "changeUserPINCode",
        "currentPIN": card.pin,
        "newpin": "7%2B42!x9",
        "cardid": card.number,
    }
    nameless = {name: value for name, value in request.items() if name != "cardid"}
    assert asking.ask(nameless)["ret_code"] == 0x77301027
    assert asking.ask({**request, "cardid": "XC99999999999999"})["ret_code"] == Code.NO_CARD
    assert asking.ask({**request, "newpin": "123"})["last_error"] == MinorCode.PIN_LEN_RANGE
    assert asking.ask({**request, "newpin": "111111"})["ret_code"] == Code.BAD_NEW_PIN
    answer = asking.ask(request)
    assert (answer["func"], answer["ret_code"]) == ("changeUserPINCode", 0), answer
    assert asking.ask(signing(card, pin="7%2B42!x9"))["ret_code"] == 0


def test_pin_change_given_up_keeps_its_pins_until_done(xca_active_card: CardFixture, tmp_path: Path) -> None:
    """The site is told of a timeout. The card goes on and completes the change."""
    card = xca_active_card
    configure(tmp_path, trusted=(SITE,))
    told = (
        "import signal; from xca_plugin.agent.process import card_worker; from xca_plugin.cli import main; "
        "signal.signal(signal.SIGUSR1, lambda *_: setattr(card_worker, 'OPERATION_SECONDS', 0.1)); "
        "signal.signal(signal.SIGUSR2, lambda *_: setattr(card_worker, 'OPERATION_SECONDS', 60)); main()"
    )
    with running(tmp_path, card.variables, program=("-c", told)) as agent:
        asking = SiteClient(agent)
        request = {
            "func": "changeUserPINCode",
            "currentPIN": card.pin,
            "newpin": "new4711",
            "cardid": card.number,
        }
        consent = asking.popup(request)["consent"]
        # The module waits for this lock before it does anything.
        with card.environment.store.lock(exclusive=True):
            agent.process.send_signal(signal.SIGUSR1)
            reply = asking.popup(request, ticket=consent["ticket"], number=consent["number"])
            assert json.loads(reply["answer"])["ret_code"] == Code.FAILED
            agent.process.send_signal(signal.SIGUSR2)
        assert asking.ask(signing(card, pin="new4711"))["ret_code"] == 0


def test_signature_with_an_inactive_card_answers_not_activated(
    start_agent: Start, xca_issued_card: CardFixture
) -> None:
    asking = SiteClient(start_agent(xca_issued_card, trusted=(SITE,)))
    answer = asking.ask(signing(xca_issued_card, pin="123456"))
    assert answer["ret_code"] + (1 << 32) == 0x81000225


# --- readers


def test_signature_with_two_cards_needs_a_named_card(
    start_agent: Start, xca_active_card: CardFixture
) -> None:
    card = xca_active_card
    asking = SiteClient(start_agent(card, allow=SITE))
    other = issue(card.environment, "Kp-4tzQ9w")
    slots = {
        slot["token"]["serialNumber"]: slot["slotDescription"]
        for slot in asking.get("/pkcs11info").json()["slots"]
        if slot["token"]
    }
    assert set(slots) == {card.number, other.number}
    request = signing(card)
    assert asking.post("/sign", request)["ret_code"] == Code.BAD_PARAMETER
    for choice in (
        {"slotDescription": slots[card.number]},
        {"readername": slots[card.number]},
        {"cardid": card.number},
        {"slotDescription": list(slots).index(card.number)},
    ):
        answer = asking.post("/sign", {**request, **choice})
        assert (answer["ret_code"], answer["cardSN"]) == (0, card.number)
    nowhere = asking.post("/sign", {**request, "slotDescription": "9" * 5000})
    assert nowhere["ret_code"] == Code.BAD_PARAMETER  # it says nothing, and several are here
    contradiction = {"slotDescription": slots[other.number], "cardid": card.number}
    assert asking.post("/sign", {**request, **contradiction})["ret_code"] == Code.NO_CARD


def test_signature_with_two_cards_asks_which_and_remembers_it_for_the_site(
    start_agent: Start, xca_active_card: CardFixture
) -> None:
    card = xca_active_card
    agent = start_agent(card, trusted=(SITE, "https://other.example.gov.tw"))
    asking, other_site = SiteClient(agent), SiteClient(agent, "https://other.example.gov.tw")
    other = issue(card.environment, "Kp-4tzQ9w")
    request = signing(card)
    question = asking.popup(request)
    assert {each["number"] for each in question["consent"]["cards"]} == {card.number, other.number}
    assert json.loads(question["refusal"])["ret_code"] == Code.CANCELLED
    # A card that is not there is not chosen.
    assert "cards" in asking.popup(request, choice={"number": "XC99999999999999"})["consent"]
    consent = asking.popup(request, choice={"number": card.number})["consent"]
    assert consent["number"] == card.number
    reply = asking.popup(request, ticket=consent["ticket"], number=card.number)
    assert json.loads(reply["answer"])["cardSN"] == card.number
    assert "cards" in asking.popup(request)["consent"]
    asking.popup(request, choice={"number": card.number, "remember": True})
    assert asking.ask(request)["cardSN"] == card.number
    assert "cards" in other_site.popup(request)["consent"]
    # Once the site is no longer trusted, its card is forgotten.
    trusted = agent.home / ".config/xca/trusted-sites"
    lines = trusted.read_text()
    trusted.write_text("")
    assert json.loads(asking.popup(request)["answer"])["ret_code"] == Code.NOT_TRUSTED
    trusted.write_text(lines)
    assert "cards" in asking.popup(request)["consent"]


def test_signature_without_a_card_answers_no_card(
    start_agent: Start, xca_environment: Environment, active_card: CardFixture
) -> None:
    empty = CardFixture(xca_environment, active_card.number, "", active_card.pin)
    asking = SiteClient(start_agent(empty, allow=SITE))
    assert asking.get("/pkcs11info").json()["slots"] == []
    assert asking.post("/sign", signing(active_card))["ret_code"] == Code.NO_CARD


# --- odd certificates


def test_certificates_that_cannot_be_read_are_left_out(
    start_agent: Start, xca_active_card: CardFixture
) -> None:
    environment = xca_active_card.environment
    ones = odd_ones()
    for name in ("no end", "no DER", "nothing", "year nought"):
        put(environment.inner_module, environment.inner_configuration, ones[name], id="ODD", label=name)
    asking = SiteClient(start_agent(xca_active_card, allow=SITE))
    answer = asking.ask({"func": "GetUserCert"})
    (token,) = [slot["token"] for slot in answer["slots"] if slot["token"]]
    labels = [certificate["label"] for certificate in token["certs"]]
    assert {"cert1", "cert2", "no end"} <= set(labels)
    assert not {"no DER", "nothing", "year nought"} & set(labels)
    (endless,) = [certificate for certificate in token["certs"] if certificate["label"] == "no end"]
    assert (endless["notAfter"], endless["notAfterT"]) == ("99991231235959Z", 253402300799)
    assert asking.ask(signing(xca_active_card))["ret_code"] == 0
