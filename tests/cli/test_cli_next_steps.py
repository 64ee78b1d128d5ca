# SPDX-License-Identifier: Apache-2.0
"""Next steps, and what is told about results: each leads on, for the card that was meant."""

import re
from pathlib import Path

import pytest

from support.cli.xcactl import PIN, Workspace, install


def numbers(workspace: Workspace) -> list[str]:
    return sorted(folder.name for folder in (workspace.path / "issuer").iterdir())


def test_next_step_with_two_cards_names_the_card(two_cards: Workspace) -> None:
    _, second = numbers(two_cards)
    assert f"xcactl activate --card {second}" in two_cards.run("info", "--card", second).out
    refused = two_cards.run("pin", "verify", "--card", second, "--pin", "stdin", stdin=f"{PIN}\n")
    assert refused.status == 30
    assert f"xcactl activate --card {second}" in refused.err


def test_next_step_with_one_card_is_short(closed: Workspace) -> None:
    assert "xcactl activate\n" in closed.run("info", "--card", closed.number).out


def test_next_step_after_a_locked_user_code_runs_as_it_stands(closed: Workspace) -> None:
    for wrong in ("wrong-1", "wrong-2", "wrong-3"):
        arguments = ("--yes", "--last-try", "--user-code", "stdin", "--new-pin", "stdin")
        result = closed.run("activate", *arguments, stdin=f"{wrong}\n{PIN}\n")
    assert result.status == 34
    assert f"softhsm-card reset-user-code {closed.number}" in result.err
    assert f"softhsm-card reset-user-code {closed.number})" in closed.run("info").out


def test_locked_user_code_of_one_of_two_cards_is_told_with_its_number_once(two_cards: Workspace) -> None:
    _, second = numbers(two_cards)
    arguments = ("--card", second, "--yes", "--last-try", "--user-code", "stdin", "--new-pin", "stdin")
    for wrong in ("wrong-1", "wrong-2", "wrong-3"):
        two_cards.run("activate", *arguments, stdin=f"{wrong}\n{PIN}\n")
    shown = two_cards.run("info", "--card", second).out
    assert f"(a test card: softhsm-card reset-user-code {second})" in shown


def test_lapsed_card_is_told_to_be_replaced(lapsed: Workspace) -> None:
    shown = lapsed.run("info").out
    assert "Next: ask the issuer for a new card (a test card: softhsm-card issue)." in shown
    assert "02-2192-7111" in shown


def test_output_that_is_the_input_is_told_to_take_another_name(active: Workspace) -> None:
    (active.home / "letter.txt").write_text("text")
    result = active.run("sign", "letter.txt", "-o", "letter.txt", "--pin", "stdin", stdin=f"{PIN}\n")
    assert result.status == 63
    assert "Choose another name for the result." in result.err
    assert "rights" not in result.err


def test_setup_with_a_module_that_fails_does_not_lead_back_to_itself(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, tmp_path)
    result = workspace.run("setup", "--module", "nowhere.so")
    assert result.status == 11
    assert "Nothing was written." in result.err
    assert "A new one for a real card" not in result.err


def test_check_of_a_tool_that_was_never_registered_says_how_to_register_it(active: Workspace) -> None:
    result = active.run("tools", "check", "curl")
    assert result.status == 76
    assert "again" not in result.err
    assert "not registered, or out of date: xcactl tools register TOOL" in result.err


def test_last_try_is_told_in_words_and_colour(active: Workspace) -> None:
    for wrong in ("wrong-1", "wrong-2"):
        active.run("pin", "verify", "--pin", "stdin", stdin=f"{wrong}\n")
    shown = active.run("info").out
    assert re.search(r"PIN +1 try left: one more wrong value locks it", shown)
    assert "Ready to use, with care: one more wrong PIN locks the card." in shown
    with active.terminal("info") as screen:
        screen.expect(r"\x1b\[33m1 try left")


def test_help_says_what_an_option_takes_in_by_default(closed: Workspace) -> None:
    assert "by default all of them" in " ".join(closed.run("events", "--help").out.split())
    assert "All tools that are registered." in closed.run("tools", "unregister", "--help").out
    assert "All tools that are installed." in closed.run("tools", "register", "--help").out


def test_events_of_a_card_that_is_not_there_are_an_error(active: Workspace) -> None:
    result = active.run("events", "--card", "NOPE")
    assert (result.status, result.out) == (17, "")
    assert "The card NOPE is not here." in result.err


def test_events_without_any_module_lead_to_one(tmp_path: Path) -> None:
    result = Workspace(tmp_path, tmp_path).with_variables(XCA_PKCS11_CONF="").run("events")
    assert (result.status, result.out) == (23, "")
    assert "softhsm-card env" in result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "--pin", "Zx81!kq0"),
        ("verify", "Zx81!kq0"),
        ("verify", "--pinZx81!kq0"),
        ("Zx81!kq0",),
        ("change", "--pin", "stdin", "--new-pin", "Zx81!kq0"),
    ],
)
def test_secret_among_the_arguments_is_not_repeated_and_its_history_is_named(
    active: Workspace, arguments: tuple[str, ...]
) -> None:
    result = active.run("pin", *arguments, stdin=f"{PIN}\n")
    assert result.status in (2, 43)
    assert "Zx81" not in result.out + result.err
    assert "history of the shell" in result.err
    assert result.err.count("env:NAME") == 1


def test_written_results_are_told_on_stderr(active: Workspace) -> None:
    exported = active.run("cert", "export", "-o", "cert1.pem")
    assert (exported.out, exported.err) == ("", "The certificate is in cert1.pem\n")
    assert active.run("cert", "export").err == ""
    report = active.run("doctor", "--report", "report.json")
    assert "The report is in report.json" in report.err
    clock = next(line for line in report.out.splitlines() if "Clock: " in line)
    assert re.search(r"\d\d:\d\d:\d\d \+08:00", clock)
    assert not re.search(r"\d\dZ", report.out)


def test_receipt_of_an_activation_is_told_where_it_is(closed: Workspace) -> None:
    arguments = ("--yes", "--user-code", "stdin", "--new-pin", "stdin", "--receipt", "receipt.json")
    result = closed.run("activate", *arguments, stdin=f"Kp-4tzQ9w\n{PIN}\n")
    assert (result.status, "activation is in receipt.json" in result.err) == (0, True)


def test_reason_of_a_plugin_that_quotes_the_pin_is_shown_without_it(
    closed: Workspace, tmp_path: Path
) -> None:
    source = """
        from xca_plugin import hookimpl

        @hookimpl
        def xca_veto_new_pin(new_pin, user_code):
            return f"{new_pin.reveal()} and {user_code.reveal()} are known."
    """
    arguments = ("--yes", "--user-code", "stdin", "--new-pin", "stdin")
    workspace = install(closed, tmp_path, "gossip", source)
    result = workspace.run("activate", *arguments, stdin=f"Kp-4tzQ9w\n{PIN}\n")
    assert result.status == 39
    assert "… and … are known." in result.err


def test_locked_pin_of_a_card_with_a_locked_user_code_leads_to_the_issuer(active: Workspace) -> None:
    for wrong in ("wrong-1", "wrong-2", "wrong-3"):
        active.run("pin", "verify", "--last-try", "--pin", "stdin", stdin=f"{wrong}\n")
    sources = ("--last-try", "--user-code", "stdin", "--new-pin", "stdin")
    for wrong in ("wrong-1", "wrong-2", "wrong-3"):
        active.run("pin", "reset", *sources, stdin=f"{wrong}\n{PIN}\n")
    for arguments, status in ((("pin", "verify", "--pin", "stdin"), 36), (("activate", "--yes"), 31)):
        result = active.run(*arguments, stdin=f"{PIN}\n")
        assert result.status == status
        assert f"softhsm-card reset-user-code {active.number}" in result.err
    assert f"(a test card: softhsm-card reset-user-code {active.number})" in active.run("info").out


def test_doctor_does_not_lead_back_to_itself(tmp_path: Path) -> None:
    result = Workspace(tmp_path, tmp_path).with_variables(XCA_PKCS11_CONF="").run("doctor")
    assert "xcactl setup" in result.out
    assert "xcactl doctor" not in result.out


@pytest.mark.parametrize(
    ("language", "step"),
    [("en", "folder is a folder. Name a file in that folder."), ("zh_TW", "請改為指定該資料夾中的檔案。")],
)
def test_verify_of_a_folder_says_to_name_a_file_in_it(active: Workspace, language: str, step: str) -> None:
    (active.home / "folder").mkdir()
    (active.home / "file").touch()
    (active.home / "root.pem").touch()
    for files in (("folder",), ("file", "folder")):
        result = active.run("--lang", language, "verify", *files, "--ca-file", "root.pem")
        assert (result.status, step in result.err) == (2, True), result.err
    result = active.run("--lang", language, "verify", "file", "--ca-file", "folder")
    assert (result.status, step in result.err) == (2, True), result.err


@pytest.mark.parametrize("language", ["en", "zh_TW"])
@pytest.mark.parametrize(
    "command",
    [
        ("sign", "file", "-o"),
        ("encrypt", "file", "--to", "file", "-o"),
        ("decrypt", "file", "-o"),
        ("cert", "export", "cert1", "-o"),
        ("activate", "--receipt"),
        ("verify", "file", "--ca-file", "file", "--report"),
        ("doctor", "--report"),
        ("doctor", "--card-report"),
    ],
    ids=" ".join,
)
def test_result_that_no_file_can_be_is_told_what_to_name(
    active: Workspace, command: tuple[str, ...], language: str
) -> None:
    (active.home / "folder").mkdir()
    (active.home / "file").touch()
    a_folder = {
        "en": "folder is a folder. Name a file in that folder.",
        "zh_TW": "請改為指定該資料夾中的檔案。",
    }
    lost = {"en": "if you wrote a variable, it is empty.", "zh_TW": "若您寫的是變數，其值為空。"}
    for output, step in (("folder", a_folder), ("", lost), ("--help", lost)):
        result = active.run("--lang", language, *command, output)
        assert (result.status, step[language] in result.err) == (2, True), result.err


def test_recipient_that_an_empty_variable_left_out_is_told_without_a_command_that_fails(
    active: Workspace,
) -> None:
    (active.home / "file").touch()
    for lost in (("--to", "-o", "out"), ("--to", "")):
        result = active.run("--lang", "en", "encrypt", "file", *lost)
        assert result.status == 2
        assert "if you wrote a variable, it is empty." in result.err, result.err
        assert "cert export" not in result.err


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "The signature file text.p7s beside it is verified."),
        ("zh_TW", "驗證時使用旁邊的簽章檔案：text.p7s"),
    ],
)
def test_signature_that_nobody_named_is_told(active: Workspace, language: str, said: str) -> None:
    (active.home / "text").write_text("text")
    assert active.run("cert", "export", "ROOT CA Cert", "-o", "root.pem").status == 0
    assert active.run("sign", "text", "--pin", "stdin", stdin=f"{PIN}\n").status == 0
    verify = ("--lang", language, "verify", "text")
    result = active.run(*verify, "text", "--ca-file", "root.pem")
    assert (result.status, said in result.err) == (0, True), result.err
    assert said not in active.run(*verify, "text.p7s", "--ca-file", "root.pem").err


@pytest.mark.parametrize("language", ["en", "zh_TW"])
def test_revocation_that_was_asked_for_in_vain_is_not_told_to_be_asked_for(
    active: Workspace, language: str
) -> None:
    (active.home / "text").write_text("text")
    assert active.run("cert", "export", "ROOT CA Cert", "-o", "root.pem").status == 0
    assert active.run("sign", "text", "--pin", "stdin", stdin=f"{PIN}\n").status == 0
    verify = ("--lang", language, "verify", "text", "text.p7s", "--ca-file", "root.pem")
    result = active.run(*verify, "--fetch")
    assert (result.status, "--allow-host" in result.err, "--fetch" in result.err) == (78, True, False)


def test_certificate_that_is_not_for_encryption_is_named_by_its_holders_name(active: Workspace) -> None:
    (active.home / "text").write_text("text")
    active.run("cert", "export", "cert1", "-o", "cert1.pem")
    result = active.run("encrypt", "text", "--to", "cert1.pem")
    assert (result.status, "C=TW" in result.err) == (66, False), result.err


@pytest.mark.parametrize("command", [("info",), ("accept",), ("user-code", "change")])
def test_card_that_is_not_here_is_told_with_those_that_are(
    active: Workspace, command: tuple[str, ...]
) -> None:
    for language in ("en", "zh_TW"):
        result = active.run("--lang", language, *command, "--card", "XC00000000000001")
        assert (result.status, active.number in result.err) == (17, True), result.err
