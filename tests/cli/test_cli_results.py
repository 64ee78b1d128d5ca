# SPDX-License-Identifier: Apache-2.0
"""Results for scripts: JSON, certificates, receipts and completion, in every locale."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from support.cli.json_schemas import check
from support.cli.xcactl import PIN, USER_CODE, Workspace
from xca_plugin.cli.root import xcactl


@pytest.mark.parametrize(
    ("command", "schema"),
    [
        (("detect",), "detect"),
        (("info",), "info"),
        (("cert", "list"), "cert-list"),
        (("cert", "show"), "certificate"),
        (("cert", "show", "ROOT CA Cert"), "certificate"),
        (("events",), "events"),
    ],
)
def test_json_of_each_command_matches_its_schema(
    active: Workspace, closed: Workspace, command: tuple[str, ...], schema: str
) -> None:
    for workspace in (active, closed):
        result = workspace.run(*command, "--json")
        assert result.status == 0
        check(result.json, schema)


def test_json_of_a_real_card_is_as_documented(real: Workspace) -> None:
    check(real.card(), "info")


def test_json_of_verify_matches_its_schema(active: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "letter"
    file.write_text("dear all")
    assert active.run("sign", str(file), "--pin", "stdin", stdin=f"{PIN}\n").status == 0
    root = str(active.path / "pki" / "root.pem")
    good = active.run("verify", str(file), f"{file}.p7s", "--ca-file", root, "--json")
    check(good.json, "verify")
    assert (good.status, good.json["valid"]) == (0, True)
    file.write_text("dear nobody")
    bad = active.run("verify", str(file), f"{file}.p7s", "--ca-file", root, "--json")
    check(bad.json, "verify")
    assert (bad.status, bad.json["valid"]) == (62, False)


def test_receipt_of_an_activation_matches_its_schema(closed: Workspace, tmp_path: Path) -> None:
    receipt = tmp_path / "receipt.json"
    sources = ("--user-code", "env:CODE", "--new-pin", "env:NEW")
    workspace = closed.with_variables(CODE=USER_CODE, NEW=PIN)
    assert workspace.run("activate", "--yes", *sources, "--receipt", str(receipt)).status == 0
    record = json.loads(receipt.read_text())
    check(record, "receipt")
    assert record["card"] == closed.number
    assert receipt.stat().st_mode & 0o777 == 0o600
    assert USER_CODE not in receipt.read_text()
    assert PIN not in receipt.read_text()


def test_activation_that_fails_leaves_no_receipt(closed: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "receipts"
    folder.mkdir()
    workspace = closed.with_variables(CODE="Wrong-123", NEW=PIN)
    sources = ("--user-code", "env:CODE", "--new-pin", "env:NEW", "--receipt", f"{folder}/r.json")
    assert workspace.run("activate", "--yes", *sources).status == 33
    assert list(folder.iterdir()) == []


def test_events_after_a_wrong_pin_show_the_try(active: Workspace) -> None:
    active.run("pin", "verify", "--pin", "stdin", stdin="wrong-99\n")
    last = active.run("events", "--json", "--card", active.number).json["events"][-1]
    assert (last["event"], last["result_name"], last["card"]) == (
        "verify-pin",
        "CKR_PIN_INCORRECT",
        active.number,
    )
    shown = active.run("events").out
    assert re.search(r"login with the PIN +wrong", shown)
    assert "CKR_" not in shown
    assert active.run("events", "--json", "--card", "XC99999999999999").status == 17


def test_events_after_a_signature_and_a_decryption_tell_them_apart(active: Workspace) -> None:
    (active.home / "a.txt").write_text("text")
    (active.home / "cert2.pem").write_text(active.run("cert", "export", "cert2").out)
    assert active.run("encrypt", "a.txt", "--to", "cert2.pem").status == 0
    for arguments in (("sign", "a.txt"), ("decrypt", "a.txt.p7e", "-o", "b.txt")):
        assert active.run(*arguments, "--pin", "stdin", stdin=f"{PIN}\n").status == 0
    active.run("sign", "--force", "a.txt", "--pin", "stdin", stdin="wrong-99\n")
    events = active.run("events", "--json").json["events"]
    assert [event["event"] for event in events[-3:]] == ["sign", "decrypt", "verify-pin"]
    shown = active.run("--lang", "zh_TW", "events").out
    assert re.search(r"簽署 +完成.*\n.*解密 +完成.*\n.*以PIN碼登入 +錯誤", shown), shown


@pytest.mark.parametrize("encoding", ["pem", "der"])
def test_certificate_exported_in_each_format_is_right(
    active: Workspace, tmp_path: Path, encoding: str
) -> None:
    file = tmp_path / "certificate"
    assert active.run("cert", "export", "CA Cert", "--format", encoding, "-o", str(file)).status == 0
    text = subprocess.run(
        ["openssl", "x509", "-in", file, "-inform", encoding, "-noout", "-subject", "-nameopt", "utf8"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "組織及團體測試憑證管理中心" in text
    missing = active.run("cert", "export", "cert9")
    assert missing.status == 50
    assert "cert9" in missing.err


def test_certificate_export_to_standard_output_is_pem(active: Workspace) -> None:
    exported = active.run("cert", "export").out
    shown = active.run("cert", "show", "--json").json
    fingerprint = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256"],
        input=exported,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert fingerprint.split("=")[1].strip().replace(":", "").lower() == shown["sha256"]


@pytest.mark.parametrize(
    ("variables", "chinese"),
    [
        ({"LANG": "zh_TW.UTF-8"}, True),
        ({"LC_ALL": "zh_TW.UTF-8", "LANG": "C"}, True),
        ({"LANG": "C"}, False),
        ({"LANG": "C", "LC_ALL": "C"}, False),
        ({"LANGUAGE": "zh_TW", "LANG": "en_US.UTF-8"}, True),
        ({"LANG": "de_DE.UTF-8"}, False),
    ],
)
def test_language_without_an_option_is_the_locales(
    closed: Workspace, variables: dict[str, str], chinese: bool
) -> None:
    result = closed.with_variables(**variables).run("info")
    assert result.status == 0
    assert ("未開卡" in result.out) is chinese
    assert "國立臺灣大學" in result.out


@pytest.mark.parametrize("encoding", ["ascii", "big5", "iso8859-1"])
def test_terminal_that_cannot_show_chinese_fails_no_command(closed: Workspace, encoding: str) -> None:
    workspace = closed.with_variables(PYTHONIOENCODING=encoding)
    for command in ("info", "detect", "activate"):
        assert workspace.run("--lang", "zh_TW", command, "--help").status == 0
    assert workspace.run("--lang", "zh_TW", "info").status == 0
    # JSON is the same in any encoding.
    assert workspace.card() == closed.card()


def test_completion_of_a_beginning_offers_commands_and_cards(closed: Workspace) -> None:
    script = closed.with_variables(_XCACTL_COMPLETE="bash_source").run().out
    assert "complete -o nosort -F _xcactl_completion xcactl" in script
    completing = closed.with_variables(_XCACTL_COMPLETE="bash_complete")
    commands = completing.with_variables(COMP_WORDS="xcactl ac", COMP_CWORD="1").run().out
    assert commands.split() == ["plain,activate", "plain,accept"]
    cards = completing.with_variables(COMP_WORDS="xcactl info --card ", COMP_CWORD="3").run().out
    assert closed.number in cards


def test_xcactl_without_a_command_shows_the_help() -> None:
    assert "activate" in CliRunner().invoke(xcactl, []).output


def test_command_used_wrongly_ends_with_status_2() -> None:
    for arguments in (("no-such-command",), ("info", "--nonsense"), ("sign", "/nowhere/file")):
        assert CliRunner().invoke(xcactl, arguments).exit_code == 2
