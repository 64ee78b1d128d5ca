# SPDX-License-Identifier: Apache-2.0
"""xcactl doctor: each check passing and failing, and a report without personal data."""

import json
import os
import platform
import re
import shlex
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_server
from threading import Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from softhsm import Environment, issue, revocation
from softhsm.virtual_reader import VirtualReader
from support.cli.json_schemas import check
from support.cli.web_proxy import proxy
from support.cli.xcactl import PIN, USER_CODE, XCACTL, Workspace
from support.module.cards import Card
from xca_common.pki.authority import Authority

NO_DAEMON = {"PCSCLITE_CSOCK_NAME": "/nowhere/pcscd.comm"}
LISTS = [f"http://xca.test/crl/{part}.crl" for part in ("partition-1", "complete")]
RESPONDER = "http://xca.test/ocsp"


def served(published: revocation.Published) -> dict[str, bytes]:
    """The responses of the web addresses in the certificates."""
    return {
        **dict.fromkeys(LISTS, published.crl.read_bytes()),
        RESPONDER: published.ocsp["cert1"].read_bytes(),
    }


@pytest.fixture
def port() -> int:
    """A port that is free now."""
    with create_server(("127.0.0.1", 0)) as server:
        number: int = server.getsockname()[1]
        return number


@pytest.fixture
def workspace(active: Workspace, port: int, tmp_path: Path) -> Workspace:
    """An activated card, no reader; programs take a free port for the agent's, which may be in use.

    On a busy machine a check may take longer than a person would wait for it.
    """
    folder = tmp_path / "port"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "from xca_plugin import agent_port\n"
        "from xca_plugin.checks import machine, run\n"
        f"agent_port.PORT = machine.PORT = {port}\n"
        "agent_port._SECONDS = run._SECONDS = 50\n"
    )
    return active.with_variables(**NO_DAEMON, PYTHONPATH=str(folder))


def examined(workspace: Workspace, *arguments: str) -> dict[str, list[dict[str, Any]]]:
    """The findings by check."""
    result = workspace.run("doctor", "--json", *arguments)
    check(result.json, "doctor")
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in result.json["findings"]:
        found.setdefault(finding["check"], []).append(finding)
    failed = [finding for finding in result.json["findings"] if finding["outcome"] == "failed"]
    assert result.status == (84 if failed else 0)
    assert all(finding["next_step"] for finding in failed)
    return found


def outcome(found: dict[str, list[dict[str, Any]]], name: str) -> tuple[str, str]:
    """Return the outcome of a check's only finding, and its whole text."""
    (finding,) = found[name]
    return finding["outcome"], f"{finding['finding']} {finding['next_step']}"


# --- all in order


def test_doctor_with_a_sound_card_finds_all_in_order(
    workspace: Workspace, xca_virtual_reader: VirtualReader
) -> None:
    published = revocation.publish(Environment(workspace.path), workspace.number)
    xca_virtual_reader.insert()
    with proxy(served(published)) as (address, _):
        found = examined(workspace.with_variables(http_proxy=address, **xca_virtual_reader.variables))
    skipped = {name for name in found if found[name][0]["outcome"] == "skipped"}
    assert skipped == {"acceptance", "deadline", "tools"}
    assert workspace.number in outcome(found, "cards")[1]
    assert found["card-state"][0]["card"] == workspace.number
    assert "GPKI" in found["readers"][0]["finding"]
    assert "政府測試憑證總管理中心" in outcome(found, "chain")[1]
    assert LISTS[0] in outcome(found, "crl")[1]
    assert RESPONDER in outcome(found, "ocsp")[1]


def test_doctor_with_a_stand_in_skips_readers_and_network(workspace: Workspace) -> None:
    found = examined(workspace)
    assert outcome(found, "reader-daemon")[0] == "skipped"
    assert outcome(found, "readers")[0] == "skipped"
    for name in ("crl", "ocsp"):
        assert outcome(found, name)[0] == "skipped"
        assert "end in .test" in outcome(found, name)[1]


def test_doctor_in_a_terminal_says_it_in_words(workspace: Workspace) -> None:
    shown = workspace.with_variables(LANGUAGE="zh_TW").run("doctor")
    assert shown.status == 0
    lines = shown.out.splitlines()
    assert f"通過    架構：{platform.machine()}，64 位元，與本程式相同" in lines
    assert f"通過    卡片狀態（{workspace.number}）：已開卡。" in lines
    assert any(line.startswith("略過    讀卡機服務：") for line in lines)
    assert "未通過" not in shown.out


def test_doctor_with_a_registered_tool_names_it(workspace: Workspace) -> None:
    assert workspace.run("tools", "register", "openssh").status == 0
    assert outcome(examined(workspace), "tools") == ("passed", "Registered: openssh None")


# --- not in order


def remembers(workspace: Workspace, **values: int) -> None:
    """Change the record of the card in the store."""
    Card(workspace.path).write(**values)


def test_doctor_with_a_closed_card_says_to_activate_it(closed: Workspace) -> None:
    workspace = closed.with_variables(**NO_DAEMON)
    found = examined(workspace)
    assert outcome(found, "card-state")[0] == "failed"
    assert "xcactl activate" in outcome(found, "card-state")[1]
    assert outcome(found, "deadline")[0] == "passed"
    Card(workspace.path).last_day(-1)
    found = examined(workspace)
    assert [outcome(found, name)[0] for name in ("card-state", "deadline")] == ["failed", "failed"]


def test_doctor_with_a_locked_card_says_to_reset_it(workspace: Workspace) -> None:
    remembers(workspace, user_code_tries=0)
    found = examined(workspace)
    assert outcome(found, "card-state")[0] == "passed"
    assert "user code is locked" in outcome(found, "card-state")[1]
    remembers(workspace, user_code_tries=3, pin_tries=0)
    found = examined(workspace)
    assert outcome(found, "card-state")[0] == "failed"
    assert "xcactl pin reset" in outcome(found, "card-state")[1]


@pytest.mark.parametrize(
    ("change", "word"), [(revocation.suspend, "suspended"), (revocation.revoke, "revoked")]
)
def test_doctor_with_a_revoked_certificate_says_so(
    workspace: Workspace, change: Callable[..., revocation.Published], word: str
) -> None:
    answers = served(change(Environment(workspace.path), workspace.number))
    with proxy(answers) as (address, _):
        found = examined(workspace.with_variables(http_proxy=address))
    for name in ("crl", "ocsp"):
        assert outcome(found, name)[0] == "failed"
        assert f"{word} since" in outcome(found, name)[1]


def test_doctor_with_silent_servers_says_so(workspace: Workspace) -> None:
    published = revocation.publish(Environment(workspace.path), workspace.number)
    forged = published.crl.read_bytes()[:-4] + b"\0\0\0\0"
    other = published.ocsp["cert2"].read_bytes()
    with proxy({LISTS[0]: b"<html>", LISTS[1]: forged, RESPONDER: other}) as (address, _):
        found = examined(workspace.with_variables(http_proxy=address))
    assert outcome(found, "crl")[0] == outcome(found, "ocsp")[0] == "failed"
    assert "did not sign" in outcome(found, "crl")[1]
    assert "is about other certificates" in outcome(found, "ocsp")[1]
    with proxy({}) as (address, _):
        found = examined(workspace.with_variables(http_proxy=address))
    assert "HTTP 404" in outcome(found, "crl")[1]
    assert "HTTP 404" in outcome(found, "ocsp")[1]


def _answer(
    workspace: Workspace, responder: x509.Certificate, key: rsa.RSAPrivateKey, days_ago: int = 0
) -> bytes:
    """Return a forged OCSP response that calls the card's certificate good."""
    authority = Authority.load(workspace.path / "pki")
    certificate = x509.load_pem_x509_certificate(workspace.run("cert", "export", "cert1").out.encode())
    at = datetime.now(UTC) - timedelta(days=days_ago)
    answer = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=certificate,
            issuer=authority.certificate,
            algorithm=hashes.SHA1(),
            cert_status=ocsp.OCSPCertStatus.GOOD,
            this_update=at,
            next_update=at + timedelta(days=1),
            revocation_time=None,
            revocation_reason=None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, responder)
        .certificates([responder])
        .sign(key, hashes.SHA256())
    )
    return answer.public_bytes(serialization.Encoding.DER)


def test_ocsp_answer_that_proves_nothing_is_not_believed(workspace: Workspace) -> None:
    published = revocation.suspend(Environment(workspace.path), workspace.number)
    authority = Authority.load(workspace.path / "pki")
    now = datetime.now(UTC)
    responder, key = authority.responder(now - timedelta(days=9), now + timedelta(days=9))
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anybody")])
    anybody = (
        x509.CertificateBuilder(name, name, stranger.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
        .sign(stranger, hashes.SHA256())
    )
    whole = published.ocsp["cert1"].read_bytes()
    for served_response, words in (
        (_answer(workspace, anybody, stranger), "neither the issuer nor anybody"),
        (_answer(workspace, responder, key, days_ago=3), "out of date"),
        (whole.replace(b"\x0a\x01\x06", b"\x0a\x01\x01", 1), "neither the issuer nor anybody"),
    ):
        with proxy({RESPONDER: served_response}) as (address, _):
            found = examined(workspace.with_variables(http_proxy=address))
        assert outcome(found, "ocsp")[0] == "failed"
        assert words in outcome(found, "ocsp")[1]
    with proxy({RESPONDER: _answer(workspace, responder, key)}) as (address, _):
        assert outcome(examined(workspace.with_variables(http_proxy=address)), "ocsp")[0] == "passed"


def test_doctor_with_an_unusable_inner_module_names_it(workspace: Workspace, tmp_path: Path) -> None:
    found = examined(workspace.with_variables(XCA_PKCS11_MODULE="/nowhere/inner.so"))
    assert "/nowhere/inner.so" in outcome(found, "inner-module")[1]
    assert outcome(found, "cards")[0] == "skipped"
    assert outcome(found, "module")[0] == outcome(found, "store")[0] == "passed"
    other = bytearray((workspace.path / "libsofthsm2.so").read_bytes())
    other[18:20] = struct.pack("<H", 243)  # e_machine: RISC-V
    library = tmp_path / "other.so"
    library.write_bytes(other)
    found = examined(workspace.with_variables(XCA_PKCS11_MODULE=str(library)))
    assert outcome(found, "architecture")[0] == outcome(found, "inner-module")[0] == "failed"
    assert "riscv" in outcome(found, "architecture")[1]
    assert platform.machine() in outcome(found, "architecture")[1]


def test_doctor_without_a_configuration_says_so(workspace: Workspace) -> None:
    found = examined(workspace.with_variables(XCA_PKCS11_CONF="/nowhere/pkcs11.conf"))
    assert outcome(found, "inner-module")[0] == "failed"
    failures = [name for name in found if outcome(found, name)[0] == "failed"]
    assert failures == ["inner-module", "reader-daemon"]


def test_doctor_with_an_unreliable_store_says_so(workspace: Workspace) -> None:
    store = workspace.path / "cards.db"
    store.chmod(0o666)
    assert "others may write it" in outcome(examined(workspace), "store")[1]
    store.chmod(0o600)
    store.write_bytes(b"not a database, whatever it was before" * 99)
    found = examined(workspace)
    failures = [name for name in found if outcome(found, name)[0] == "failed"]
    assert (failures[:1], "cards" in failures, "clock" in failures) == (["store"], False, False)


def test_doctor_with_a_clock_behind_says_so(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    monkeypatch.setattr(time, "time", tomorrow.timestamp)
    with Card(workspace.path).store.writing() as writer:
        writer.replace_secrets(workspace.number, event="repair")
    found = examined(workspace)
    assert outcome(found, "clock")[0] == "failed"
    assert f"{tomorrow:%Y-%m-%d}" in outcome(found, "clock")[1]


def test_event_with_a_wrong_clock_counts_until_the_next_one(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    with Card(workspace.path).store.writing() as writer:
        for moment in (now + timedelta(days=900), now - timedelta(minutes=1)):
            monkeypatch.setattr(time, "time", moment.timestamp)
            writer.replace_secrets(workspace.number, event="repair")
    monkeypatch.undo()
    assert outcome(examined(workspace), "clock")[0] == "passed"
    times = [event["at"] for event in workspace.run("events", "--json").json["events"]]
    assert times[-2] > times[-1]  # in the order in which they were recorded


def test_event_of_one_card_with_a_wrong_clock_does_not_count_against_the_others(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Card(workspace.path).store
    other = issue(Environment(workspace.path), USER_CODE)
    with store.writing() as writer:
        monkeypatch.setattr(time, "time", (datetime.now(UTC) + timedelta(days=900)).timestamp)
        writer.replace_secrets(other.number, event="repair")
    monkeypatch.undo()
    assert outcome(examined(workspace), "clock")[0] == "passed"


def advised(found: dict[str, list[dict[str, Any]]]) -> list[list[str]]:
    """The commands of xcactl in the next steps."""
    steps = [finding["next_step"] or "" for findings in found.values() for finding in findings]
    return [
        shlex.split(command.rstrip(".,;"))[1:]
        for step in steps
        for command in re.findall(r"xcactl (?:[a-z][a-z-]*|--?[a-z][\w-]*|XC\w+|[\w.-]+\.\w+| )+", step)
    ]


def test_advice_of_doctor_works_as_it_stands_with_several_cards(
    workspace: Workspace,
) -> None:
    locked = workspace.number
    remembers(workspace, pin_tries=0)
    closed = issue(Environment(workspace.path), USER_CODE).number
    commands = advised(examined(workspace))
    assert ["activate", "--card", closed] in commands
    assert ["pin", "reset", "--card", locked] in commands
    assert ["tools", "register", "--all"] in commands
    for command in commands:
        result = workspace.run(*command, *(["--dry-run"] if command[0] == "tools" else []))
        assert result.status not in (1, 2, 18), (command, result.err)


def test_doctor_asks_a_host_that_is_allowed(workspace: Workspace, tmp_path: Path) -> None:
    published = revocation.publish(Environment(workspace.path), workspace.number)
    with (tmp_path / "port" / "sitecustomize.py").open("a") as file:
        file.write("from xca_plugin.checks import certification\ncertification._HOSTS_OF_TESTS = ()\n")
    with proxy(served(published)) as (address, asked):
        behind = workspace.with_variables(http_proxy=address)
        assert outcome(examined(behind), "crl")[0] == "skipped"
        assert asked == []
        assert outcome(examined(behind, "--allow-host", "xca.test"), "crl")[0] == "passed"


def test_doctor_without_a_reader_says_that_a_real_card_needs_one(
    real: Workspace, xca_virtual_reader: VirtualReader
) -> None:
    found = examined(real.with_variables(**NO_DAEMON))
    assert outcome(found, "store")[0] == "skipped"
    assert "systemctl start pcscd" in outcome(found, "reader-daemon")[1]
    assert outcome(found, "cards")[0] != "failed"
    xca_virtual_reader.insert_upside_down()
    found = examined(real.with_variables(**xca_virtual_reader.variables))
    assert [finding["outcome"] for finding in found["readers"]] == ["failed", "passed"]
    assert "upside down" in found["readers"][0]["next_step"]


def test_doctor_with_a_real_card_judges_its_certificates(real: Workspace, tmp_path: Path) -> None:
    found = examined(real.with_variables(**NO_DAEMON))
    assert outcome(found, "certificate")[0] == outcome(found, "chain")[0] == "failed"
    key = ec.generate_private_key(ec.SECP256R1())
    name, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who)]) for who in ("holder", "nobody"))
    now = datetime.now(UTC)
    expired = (
        x509.CertificateBuilder(issuer, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3))
        .not_valid_after(now - timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "expired.der"
    file.write_bytes(expired.public_bytes(serialization.Encoding.DER))
    subprocess.run(
        [
            *("pkcs11-tool", "--module", inner(real)),
            *("--token-label", "HiCOS PKI Smart Card", "--write-object", str(file)),
            *("--type", "cert", "--id", b"SIGN".hex(), "--label", "cert1"),
        ],
        env={"SOFTHSM2_CONF": str(real.path / "softhsm2.conf"), "PATH": os.environ["PATH"]},
        check=True,
        capture_output=True,
    )
    found = examined(real.with_variables(**NO_DAEMON))
    assert "expired on" in outcome(found, "certificate")[1]
    assert "nobody" in outcome(found, "chain")[1]
    assert outcome(found, "crl")[0] == outcome(found, "ocsp")[0] == "skipped"


def inner(workspace: Workspace) -> str:
    """The inner module that a workspace's configuration names."""
    (path,) = (
        line.split("=")[1].strip()
        for line in (workspace.path / "pkcs11.conf").read_text().splitlines()
        if line.startswith("path") and line.endswith("libsofthsm2.so")
    )
    return path


# --- the agent's port


def test_doctor_with_a_taken_port_names_the_program(workspace: Workspace, port: int) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Page) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        found = examined(workspace)
        server.shutdown()
        thread.join()
    assert outcome(found, "port")[0] == "failed"
    assert str(port) in outcome(found, "port")[1]


def test_doctor_with_a_running_agent_finds_the_port_in_order(workspace: Workspace, port: int) -> None:
    command = [sys.executable, *XCACTL, "agent", "run", "--port", str(port)]
    with subprocess.Popen(command, env=workspace.environment, stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        assert str(port).encode() in agent.stdout.readline()
        found = examined(workspace)
        agent.terminate()
    assert outcome(found, "port")[0] == "passed"
    assert "agent listens" in outcome(found, "port")[1]


# --- the report


@pytest.fixture
def somebody(workspace: Workspace, tmp_path: Path) -> Workspace:
    """A workspace with the owner's name in every path."""
    home = tmp_path / "home" / "wang-xiaoming"
    (home / "王 小明").mkdir(parents=True)
    moved = workspace.copy(home / "王 小明" / "cards")
    return Workspace(moved.path, home, {**workspace.variables, "USER": "wang-xiaoming"})


def test_report_without_an_option_tells_nothing_of_anybody(somebody: Workspace, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    examined(somebody, "--report", str(report))
    assert report.stat().st_mode & 0o777 == 0o600
    text = report.read_text(encoding="utf-8")
    check(json.loads(text), "doctor")
    holder = somebody.card()["holder"].split(",O=")[1]
    for telling in (somebody.number, holder, "王", "wang", "小明", str(tmp_path), platform.node()):
        assert telling not in text
    assert "(card 1)" in text
    # Paths in the text of an error are removed, too.
    (somebody.path / "cards.db").write_bytes(b"not a database, whatever it was before" * 99)
    examined(somebody, "--report", str(report), "--force")
    text = report.read_text(encoding="utf-8")
    assert "…/cards.db" in text
    assert not any(telling in text for telling in ("王", "wang", "小明", str(tmp_path)))


def test_report_with_personal_data_tells_all(somebody: Workspace, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    examined(somebody, "--report", str(report), "--personal")
    assert report.stat().st_mode & 0o777 == 0o600
    text = report.read_text(encoding="utf-8")
    assert somebody.number in text
    assert str(somebody.path) in text


SECRET_LINES = {
    "no_value": f"[module]\n{PIN}\n",
    "no_section": f"environment = VENDOR_PIN={PIN}\n",
    "twice": f"[module]\npath = /x.so\n{PIN} = 1\n{PIN} = 2\n",
    "section_twice": f"[{PIN}]\n[{PIN}]\n",
    "another_line_of_a_value": f"[module]\npath = /x.so\n  environment = VENDOR_PIN={PIN}\n",
    "no_utf8": f"[module]\nenvironment = VENDOR_PIN={PIN}\udcff\n",
}


@pytest.mark.parametrize("lines", SECRET_LINES.values(), ids=SECRET_LINES)
def test_report_of_a_configuration_that_means_nothing_copies_no_line(
    workspace: Workspace, tmp_path: Path, lines: str
) -> None:
    configuration = tmp_path / "pkcs11.conf"
    configuration.write_bytes(lines.encode("utf-8", "surrogateescape"))
    report = tmp_path / "report.json"
    found = examined(
        workspace.with_variables(XCA_PKCS11_CONF=str(configuration)), "--report", str(report), "--personal"
    )
    assert outcome(found, "inner-module")[0] == "failed"
    assert "pkcs11.conf" in outcome(found, "inner-module")[1]
    assert PIN not in report.read_text(encoding="utf-8")


def test_check_that_crashes_asks_for_the_anonymous_report(workspace: Workspace, tmp_path: Path) -> None:
    with (tmp_path / "port" / "sitecustomize.py").open("a") as file:
        file.write("machine.agent_at = None\n")
    ended, said = outcome(examined(workspace), "port")
    assert ended == "failed"
    assert "xcactl doctor --report report.json" in said
    assert "--json" not in said


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_configuration_that_is_no_file_is_not_waited_for(
    workspace: Workspace, tmp_path: Path, kind: str
) -> None:
    configuration = tmp_path / "pipe"
    if kind == "pipe":
        os.mkfifo(configuration)
    else:
        configuration = Path("/dev/zero")
    report = tmp_path / "report"
    result = workspace.with_variables(XCA_PKCS11_CONF=str(configuration)).run(
        "doctor", "--report", str(report)
    )
    assert result.status == 84
    assert "No answer within" not in result.out
    assert json.loads(report.read_text())["findings"]


def test_report_that_cannot_be_written_is_an_error(workspace: Workspace) -> None:
    result = workspace.run("doctor", "--report", "/nowhere/report.json")
    assert result.status == 63
    assert workspace.run("doctor", "--personal").status == 2


def test_card_report_shows_the_card_and_its_module_and_nothing_personal(
    activated: Workspace, tmp_path: Path
) -> None:
    workspace = activated.copy(tmp_path / "card")
    events = workspace.run("events", "--json").json
    result = workspace.run("doctor", "--card-report", "card.json")
    assert result.status == 0, result.err
    said = (workspace.home / "card.json").read_text()
    report = json.loads(said)
    check(report, "card-report")
    (token,) = (
        slot["token"] for slot in report["slots"] if slot["token"].get("label") == "HiCOS PKI Smart Card"
    )
    assert token["pin_lengths"] == [6, 8]
    assert {"USER_PIN_INITIALIZED", "LOGIN_REQUIRED", "TOKEN_INITIALIZED"} <= {*token["flags"]}
    assert "RSA_PKCS" in {each["mechanism"] for each in token["mechanisms"]}
    kinds = {(each["class"], each["label"]) for each in token["objects"]}
    assert {("CERTIFICATE", "cert1"), ("CERTIFICATE", "cert2")} <= kinds
    (certificate,) = (each for each in token["objects"] if each["label"] == "cert1")
    assert certificate["attributes"]["MODIFIABLE"] is False
    assert certificate["lengths"]["VALUE"] > 500
    card = workspace.card()
    personal = [card["number"], card["reader"], str(tmp_path)]
    personal += re.findall("[\u4e00-\u9fff]+", json.dumps(card, ensure_ascii=False))
    assert len(personal) > 3
    assert [each for each in personal if each in said] == []
    assert re.search("[0-9a-fA-F]{17,}", said) is None
    assert workspace.run("events", "--json").json == events  # nothing was tried


def test_card_report_of_a_stranger_token_shows_no_label_and_no_name(real: Workspace, tmp_path: Path) -> None:
    configuration = real.environment["XCA_PKCS11_CONF"]
    inner = re.search(r"path = (.*)", Path(configuration).read_text())
    softhsm = re.search(r"SOFTHSM2_CONF=(.*)", Path(configuration).read_text())
    assert inner is not None
    assert softhsm is not None
    token = ["pkcs11-tool", "--module", inner[1], "--token-label", "HiCOS PKI Smart Card"]
    (tmp_path / "data").write_text("what it holds")
    for command in (
        [*token, "--login", "--login-type", "so", "--so-pin", USER_CODE, "--init-pin", "--pin", PIN],
        [
            *(*token, "--login", "--pin", PIN, "--write-object", str(tmp_path / "data"), "--type", "data"),
            *("--label", "Wang Xiao-Ming 0912345678", "--application-label", "Wang"),
        ],
    ):
        subprocess.run(
            command,
            env={"SOFTHSM2_CONF": softhsm[1], "PATH": "/usr/bin:/bin"},
            check=True,
            capture_output=True,
        )
    result = real.run("doctor", "--card-report", "card.json")
    assert result.status == 0, result.err
    said = (real.home / "card.json").read_text()
    check(json.loads(said), "card-report")
    assert '"DATA"' in said
    assert "another of 25 characters" in said
    assert [each for each in ("Wang", "0912345678", "what it holds") if each in said] == []


@pytest.mark.parametrize("other", [("--json",), ("--report", "report.json"), ("--personal",)])
def test_card_report_with_another_report_is_refused(closed: Workspace, other: tuple[str, ...]) -> None:
    result = closed.run("doctor", "--card-report", "card.json", *other)
    assert result.status == 2
    assert not (closed.home / "card.json").exists()
