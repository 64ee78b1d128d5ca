# SPDX-License-Identifier: Apache-2.0
"""Questions for secrets at a terminal: their order, wrong answers, and a PIN that the program makes."""

import re
import shlex
import sys
from pathlib import Path

import pexpect
import pytest

from support.cli.xcactl import NEW_PIN, PIN, USER_CODE, XCACTL, Workspace, install

CODE_PROMPT = "User code (upper and lower case differ): "
NEW_PIN_PROMPT = "New PIN (6 to 8 characters): "
MADE = re.compile(r"Your new PIN: (\d{8})")


def test_activation_with_a_wrong_user_code_asks_again_before_the_new_pin(closed: Workspace) -> None:
    with closed.terminal("activate", "--yes") as talk:
        talk.expect_exact(CODE_PROMPT)
        talk.sendline("Wrong-123")
        talk.expect_exact("The user code is wrong. 2 tries are left.")
        talk.expect_exact(CODE_PROMPT)
        assert NEW_PIN_PROMPT not in str(talk.before)
        talk.sendline(USER_CODE)
        for prompt in (NEW_PIN_PROMPT, "New PIN again: "):
            talk.expect_exact(prompt)
            talk.sendline(PIN)
        talk.expect_exact("The card is activated.")
    assert talk.exitstatus == 0


@pytest.mark.parametrize(
    ("command", "prompt", "kind"),
    [
        (("pin", "change"), "Current PIN: ", "PIN"),
        (("pin", "reset"), CODE_PROMPT, "user code"),
        (("user-code", "change"), "Current user code (upper and lower case differ): ", "user code"),
    ],
)
def test_wrong_present_secret_is_asked_again_until_one_try_is_left(
    active: Workspace, command: tuple[str, ...], prompt: str, kind: str
) -> None:
    with active.terminal(*command) as talk:
        for wrong, left in (("wrong-1", "2 tries are left"), ("wrong-2", "1 try is left")):
            talk.expect_exact(prompt)
            talk.sendline(wrong)
            talk.expect_exact(f"The {kind} is wrong. {left}.")
        talk.expect_exact("reset")
        assert "New" not in str(talk.before)
    assert talk.exitstatus == (35 if kind == "PIN" else 33)
    card = active.card()
    assert 1 in (card["pin_tries_left"], card["user_code_tries_left"])


@pytest.mark.parametrize(
    ("language", "hidden", "left", "unchanged", "spent"),
    [
        (
            "en",
            "Nothing is shown while you type.",
            "2 tries are left.",
            "Stopped. Nothing was changed.",
            "Stopped. What was done until then is not undone.",
        ),
        (
            "zh_TW",
            "輸入時畫面不會顯示任何字元。",
            "還可再試2次。",
            "已中止，未做任何變更。",
            "已中止；先前完成的部分不會復原。",
        ),
    ],
)
def test_question_that_the_person_ends_says_what_was_done(
    active: Workspace, language: str, hidden: str, left: str, unchanged: str, spent: str
) -> None:
    for wrong, said in ((None, unchanged), ("wrong-1", spent)):
        with active.terminal("--lang", language, "pin", "verify") as talk:
            talk.expect_exact(hidden)
            talk.expect("PIN(碼：|: )")
            if wrong:
                talk.sendline(wrong)
                talk.expect_exact(left)
                talk.expect("PIN(碼：|: )")
            talk.sendintr()
            talk.expect_exact(said)
        assert talk.exitstatus == 1


def test_wrong_user_code_from_a_source_ends_before_the_new_pin_is_asked(active: Workspace) -> None:
    workspace = active.with_variables(WRONG="Wrong-123")
    with workspace.terminal("pin", "reset", "--user-code", "env:WRONG") as talk:
        talk.expect_exact("2 tries are left")
        assert NEW_PIN_PROMPT not in str(talk.before)
    assert talk.exitstatus == 33


def test_secret_that_cannot_be_typed_because_of_a_pipe_is_told_so(active: Workspace) -> None:
    command = f"{shlex.join([sys.executable, *XCACTL])} pin verify </dev/null"
    shell = pexpect.spawn(
        "/bin/sh",
        ["-c", command],
        env=active.environment,
        cwd=str(active.home),
        encoding="utf-8",
        timeout=20,
        dimensions=(40, 200),
    )
    shell.expect_exact("the standard input, where it would be typed, is not a terminal")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 43
    assert "there is no terminal to ask at" in active.run("pin", "verify").err


@pytest.mark.parametrize(("language", "words"), [("en", "Nothing was typed"), ("zh_TW", "沒有輸入任何字元")])
def test_enter_alone_at_a_hidden_question_is_answered(active: Workspace, language: str, words: str) -> None:
    with active.terminal("--lang", language, "pin", "verify") as talk:
        question = "PIN: " if language == "en" else "PIN碼："
        talk.expect_exact(question)
        talk.sendline("")
        talk.expect_exact(words)
        talk.expect_exact(question)
        talk.sendline(PIN)
        talk.expect(pexpect.EOF)
    assert talk.exitstatus == 0


@pytest.mark.parametrize(
    ("language", "step"), [("en", "Leave --pin out to be asked"), ("zh_TW", "請不要加上 --pin")]
)
def test_source_that_cannot_be_read_at_a_terminal_is_told_to_be_left_out(
    active: Workspace, language: str, step: str
) -> None:
    with active.terminal("--lang", language, "pin", "verify", "--pin", "file:/nope") as talk:
        talk.expect_exact(step)
    assert talk.exitstatus == 43
    assert step not in active.run("--lang", language, "pin", "verify", "--pin", "file:/nope").err


@pytest.mark.parametrize(
    "command",
    [
        ("sign", "text", "-o", "-"),
        ("decrypt", "text.p7e", "-o", "-"),
        ("sign", "text", "--timestamp-request", "-"),
    ],
)
def test_result_that_no_terminal_shows_is_refused_before_the_card_is_shown(
    active: Workspace, command: tuple[str, ...]
) -> None:
    for name in ("text", "text.p7e"):
        (active.home / name).write_text("text")
    with active.terminal(*command) as talk:
        talk.expect_exact("This content is not for a terminal")
        assert "tries left" not in str(talk.before)
    assert talk.exitstatus == 2


def test_user_code_without_a_terminal_for_the_new_pin_costs_no_try(closed: Workspace) -> None:
    result = closed.with_variables(WRONG="Wrong-123").run("activate", "--yes", "--user-code", "env:WRONG")
    assert result.status == 43
    assert closed.card()["user_code_tries_left"] == 3


@pytest.mark.parametrize(
    ("language", "shown"),
    [("en", "Nothing is shown while you type."), ("zh_TW", "輸入時畫面不會顯示任何字元。")],
)
def test_hidden_prompt_says_that_nothing_will_be_shown(active: Workspace, language: str, shown: str) -> None:
    with active.terminal("--lang", language, "pin", "verify") as talk:
        talk.expect_exact(shown)
        talk.expect("PIN(碼：|: )")
        talk.sendline(PIN)


def test_change_of_the_pin_in_chinese_asks_for_the_current_one(active: Workspace) -> None:
    with active.terminal("--lang", "zh_TW", "pin", "change") as talk:
        talk.expect_exact("目前的PIN碼：")
        talk.sendline(PIN)
        talk.expect_exact("新的PIN碼")
        talk.sendintr()


def shown_pin(talk: "pexpect.spawn[str]") -> str:
    talk.expect(MADE)
    assert isinstance(talk.match, re.Match)
    return str(talk.match[1])


def test_pin_that_the_program_makes_is_shown_once_and_sets_the_card(closed: Workspace) -> None:
    with closed.terminal("activate", "--yes") as talk:
        talk.expect_exact(CODE_PROMPT)
        talk.sendline(USER_CODE)
        talk.expect_exact("Press Enter alone to have a PIN made for you.")
        talk.expect_exact(NEW_PIN_PROMPT)
        talk.sendline("")
        refused = shown_pin(talk)
        talk.expect_exact("I have written it down (我已記下) [y/N]: ")
        talk.sendline("n")
        # On the terminal's second screen, which is left then.
        talk.expect_exact("\x1b[?1049l")
        talk.expect_exact("That PIN was discarded, and nothing was changed.")
        talk.expect_exact(NEW_PIN_PROMPT)
        assert closed.card()["state"] == "not-activated"
        talk.sendline("")
        made = shown_pin(talk)
        talk.expect_exact("[y/N]: ")
        talk.sendline("y")
        talk.expect_exact("The card is activated.")
        assert made not in str(talk.before)
    assert talk.exitstatus == 0
    assert made != refused
    assert closed.run("pin", "verify", "--pin", "stdin", stdin=f"{made}\n").status == 0
    kept = [file for file in closed.path.rglob("*") if file.is_file() and made.encode() in file.read_bytes()]
    assert kept == []


def test_made_pin_of_a_reset_in_chinese_is_confirmed_in_the_official_words(active: Workspace) -> None:
    with active.terminal("--lang", "zh_TW", "pin", "reset") as talk:
        talk.expect_exact("用戶代碼（英文字母有大小寫區別）：")
        talk.sendline(USER_CODE)
        talk.expect_exact("直接按 Enter，可由程式產生PIN碼")
        talk.expect_exact("且不為空白）：")
        talk.sendline("")
        talk.expect(r"您的新PIN碼：\d{8}")
        talk.expect_exact("我已記下 [是 y／否 N]：")
        talk.sendline("是")
        talk.expect_exact("\x1b[?1049l")
    assert talk.exitstatus == 0


@pytest.mark.parametrize(
    ("terminal", "warned", "taken_back"), [("dumb", True, ""), ("linux", False, "\x1b[H\x1b[J")]
)
def test_made_pin_in_a_terminal_with_one_screen_is_wiped_or_said_to_stay(
    closed: Workspace, terminal: str, warned: bool, taken_back: str
) -> None:
    with closed.with_variables(TERM=terminal).terminal("activate", "--yes") as talk:
        talk.expect_exact(CODE_PROMPT)
        talk.sendline(USER_CODE)
        talk.expect_exact(NEW_PIN_PROMPT)
        talk.sendline("")
        shown_pin(talk)
        talk.expect_exact("[y/N]: ")
        assert ("This terminal cannot erase what it shows" in str(talk.before)) is warned
        talk.sendline("n")
        talk.expect_exact("That PIN was discarded")
        assert taken_back in str(talk.before)
        talk.sendintr()


def test_new_user_code_that_is_the_old_one_is_refused_and_asked_again(active: Workspace) -> None:
    given = f"{USER_CODE}\n{USER_CODE}\n"
    result = active.run(
        "user-code", "change", "--user-code", "stdin", "--new-user-code", "stdin", stdin=given
    )
    assert result.status == 49
    assert "The new user code is the old one." in result.err
    with active.terminal("user-code", "change") as talk:
        talk.expect_exact("Current user code")
        talk.sendline(USER_CODE)
        talk.expect_exact("New user code (6 to 10 characters): ")
        talk.sendline(USER_CODE)
        talk.expect_exact("The new user code is the old one.")
        talk.expect_exact("New user code (6 to 10 characters): ")
        talk.sendintr()
    assert active.card()["user_code_tries_left"] == 3


def test_made_pin_that_every_rule_refuses_ends_in_a_question(closed: Workspace, tmp_path: Path) -> None:
    source = """
        from xca_plugin import hookimpl

        @hookimpl
        def xca_veto_new_pin(new_pin):
            return "A letter is missing." if new_pin.reveal().isdigit() else None
    """
    with install(closed, tmp_path, "letters", source).terminal("activate", "--yes") as talk:
        talk.expect_exact(CODE_PROMPT)
        talk.sendline(USER_CODE)
        talk.expect_exact(NEW_PIN_PROMPT)
        talk.sendline("")
        talk.expect_exact("A letter is missing.")
        for prompt in (NEW_PIN_PROMPT, "New PIN again: "):
            talk.expect_exact(prompt)
            talk.sendline("Kd740185")
        talk.expect_exact("The card is activated.")
    assert talk.exitstatus == 0


def test_change_of_the_pin_offers_no_made_one(active: Workspace) -> None:
    with active.terminal("pin", "change") as talk:
        talk.expect_exact("Current PIN: ")
        talk.sendline(PIN)
        talk.expect_exact(NEW_PIN_PROMPT)
        assert "Press Enter" not in str(talk.before)
        talk.sendintr()


def test_accepted_user_code_of_a_real_card_is_said_to_prove_nothing(real: Workspace) -> None:
    with real.terminal("activate", "--yes") as talk:
        talk.expect_exact(CODE_PROMPT)
        talk.sendline("Wrong-123")
        talk.expect_exact("is wrong")
    with real.terminal("activate", "--yes") as talk:
        talk.expect_exact(CODE_PROMPT)
        talk.sendline(USER_CODE)
        talk.expect_exact("this does not prove that the user code")
        for prompt in ("New PIN (4 to 255 characters): ", "New PIN again: "):
            talk.expect_exact(prompt)
            talk.sendline(NEW_PIN)
        talk.expect_exact("The card is activated.")
    assert talk.exitstatus == 0


def test_new_pin_that_is_the_user_code_is_refused_and_asked_again(closed: Workspace) -> None:
    same = "Kp4tzQ9w"
    with closed.terminal("user-code", "change") as talk:
        talk.expect_exact("Current user code")
        talk.sendline(USER_CODE)
        for prompt in ("New user code (6 to 10 characters): ", "New user code again: "):
            talk.expect_exact(prompt)
            talk.sendline(same)
        talk.expect_exact("The user code is changed.")
    with closed.terminal("activate", "--yes") as talk:
        talk.expect_exact(CODE_PROMPT)
        talk.sendline(same)
        talk.expect_exact(NEW_PIN_PROMPT)
        talk.sendline(same)
        talk.expect_exact("It is the user code.")
        talk.expect_exact(NEW_PIN_PROMPT)
        talk.sendintr()
    assert closed.card()["state"] == "not-activated"
