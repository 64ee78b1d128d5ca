# SPDX-License-Identifier: Apache-2.0
"""Tries left: what a person sees of them, and which failures cost none."""

import os
from pathlib import Path
from threading import Thread

import pytest

from support.cli.xcactl import NEW_PIN, NEW_USER_CODE, PIN, SECRETS, USER_CODE, XCACTL, Workspace, install

PROMPT = {"pin": "PIN: ", "user code": "ser code (upper and lower case differ): "}
BEFORE = {"pin": "PIN: {}", "user code": "user code: {}"}
COMMANDS = {
    "pin": ("pin", "verify"),
    # The new user code is asked after the old one and never reaches the card here.
    "user code": ("user-code", "change", "--new-user-code", "env:NEW"),
}
LOCKED = {"pin": ("is locked", "xcactl pin reset", 36), "user code": ("is locked", "用戶代碼重設", 34)}
STATUS = {"pin": 35, "user code": 33}


@pytest.mark.parametrize("secret", ["pin", "user code"])
def test_wrong_pins_in_a_terminal_tell_two_one_and_locked(active: Workspace, secret: str) -> None:
    workspace = active.with_variables(NEW=NEW_USER_CODE)
    with workspace.terminal(*COMMANDS[secret]) as talk:
        talk.expect_exact(BEFORE[secret].format("3 tries left"))
        for wrong, after in (("wrong-1a", "2 tries are left"), ("wrong-2a", "1 try is left")):
            talk.expect_exact(PROMPT[secret])
            talk.sendline(wrong)
            talk.expect_exact(after)
    assert talk.exitstatus == STATUS[secret]
    message, advice, status = LOCKED[secret]
    with workspace.terminal(*COMMANDS[secret]) as talk:
        talk.expect_exact(BEFORE[secret].format("1 try left"))
        talk.expect_exact("To go on, type: last try")
        talk.expect_exact("Enter alone ends the command: ")
        talk.sendline("last try")
        talk.expect_exact(PROMPT[secret])
        talk.sendline("wrong-3a")
        talk.expect_exact(
            {"pin": "The PIN is wrong, and ", "user code": "The user code is wrong, and "}[secret]
        )
        talk.expect_exact(message)
        talk.expect_exact(advice)
    assert talk.exitstatus == status
    # A locked card is refused before any prompt.
    with workspace.terminal(*COMMANDS[secret]) as talk:
        talk.expect_exact(message)
        assert "wrong" not in str(talk.before)
    assert talk.exitstatus == status


def test_locked_user_code_of_a_closed_card_says_reset_and_how(closed: Workspace) -> None:
    for wrong, status in (("wrong-1", 33), ("wrong-2", 33), ("wrong-3", 34)):
        result = closed.with_variables(WRONG=wrong, NEW=PIN).run(
            "--lang",
            "zh_TW",
            "activate",
            "--yes",
            "--last-try",
            "--user-code",
            "env:WRONG",
            "--new-pin",
            "env:NEW",
        )
        assert result.status == status
    assert "請進行用戶代碼重設" in result.err
    assert "02-2192-7111" in result.err
    assert closed.card()["next_action"] == "see-issuer"


def spent(workspace: Workspace, wrong_pins: int) -> Workspace:
    for wrong in range(wrong_pins):
        assert workspace.run("pin", "verify", "--pin", "stdin", stdin=f"wrong-{wrong}\n").status == 35
    return workspace


def test_last_try_is_refused_without_confirmation(active: Workspace) -> None:
    workspace = spent(active, 2)
    assert workspace.run("pin", "verify", "--pin", "stdin", stdin=f"{PIN}\n").status == 41
    assert workspace.card()["pin_tries_left"] == 1
    with workspace.terminal("pin", "verify") as talk:
        talk.expect_exact("Enter alone ends the command: ")
        talk.sendline("yes")
        talk.expect_exact("Nothing was tried")
    assert talk.exitstatus == 41
    assert workspace.card()["pin_tries_left"] == 1
    assert workspace.run("pin", "verify", "--last-try", "--pin", "stdin", stdin=f"{PIN}\n").status == 0
    assert workspace.card()["pin_tries_left"] == 3


@pytest.mark.parametrize(
    "bad", ["12345", "123456789", "12 45678", "", "1234\t678", "12345六七", "１２３４５６"]
)
def test_pin_of_the_wrong_form_costs_no_try(active: Workspace, bad: str) -> None:
    result = active.run("pin", "verify", "--pin", "stdin", stdin=f"{bad}\n")
    assert result.status == (38 if bad else 43)
    assert ("6 to 8 characters" if bad else "empty") in result.err
    assert active.card()["pin_tries_left"] == 3


@pytest.mark.parametrize(
    "bad", ["Abc12", "Abc12345678", "Abc 1234", "Abc\x0712", "用戶代碼用戶", "Ａｂｃ１２３"]
)
def test_user_code_of_the_wrong_form_costs_no_try(closed: Workspace, bad: str) -> None:
    secrets = f"{bad}\n{PIN}\n"
    result = closed.run("activate", "--yes", "--user-code", "stdin", "--new-pin", "stdin", stdin=secrets)
    assert result.status == 37
    assert "6 to 10 characters" in result.err
    assert closed.card()["user_code_tries_left"] == 3


def test_wrong_forms_are_asked_again_in_a_terminal(active: Workspace) -> None:
    with active.terminal("pin", "verify") as talk:
        for _ in range(4):
            talk.expect_exact("PIN: ")
            talk.sendline("123")
            talk.expect_exact("6 to 8 characters")
        talk.expect_exact("PIN: ")
        talk.sendline(PIN)
        talk.expect_exact("The PIN is right.")
    assert talk.exitstatus == 0


@pytest.mark.parametrize(
    ("new_pin", "reason"),
    [
        ("77777777", "the same"),
        ("345678", "follow one another"),
        ("876543", "follow one another"),
        ("000000", "the same"),
        ("111100", "organisation's number"),
    ],
)
def test_weak_pin_costs_no_try(closed: Workspace, new_pin: str, reason: str) -> None:
    secrets = f"{USER_CODE}\n{new_pin}\n"
    result = closed.run("activate", "--yes", "--user-code", "stdin", "--new-pin", "stdin", stdin=secrets)
    assert result.status == 39
    assert reason in result.err
    card = closed.card()
    assert (card["state"], card["user_code_tries_left"]) == ("not-activated", 3)


def test_part_of_the_card_number_is_refused(closed: Workspace) -> None:
    secrets = f"{USER_CODE}\n{closed.number[-7:]}\n"
    result = closed.run("activate", "--yes", "--user-code", "stdin", "--new-pin", "stdin", stdin=secrets)
    assert result.status == 39
    assert "card number" in result.err


def test_old_pin_is_refused_as_the_new_one(active: Workspace) -> None:
    result = active.run("pin", "change", "--pin", "stdin", "--new-pin", "stdin", stdin=f"{PIN}\n{PIN}\n")
    assert result.status == 39
    assert "old PIN" in result.err


def test_dry_run_costs_no_try(closed: Workspace) -> None:
    wrong = closed.with_variables(WRONG="Wrong-123", NEW=PIN)
    result = wrong.run("activate", "--dry-run", "--user-code", "env:WRONG", "--new-pin", "env:NEW")
    assert result.status == 0
    assert "Nothing was changed" in result.out
    card = closed.card()
    assert (card["state"], card["user_code_tries_left"]) == ("not-activated", 3)
    assert wrong.run("activate", "--dry-run").status == 0


def test_dry_run_finds_what_would_be_refused(active: Workspace, lapsed: Workspace) -> None:
    assert active.run("activate", "--dry-run").status == 31
    assert lapsed.run("activate", "--dry-run").status == 32


def test_dry_run_looks_at_the_values(closed: Workspace) -> None:
    workspace = closed.with_variables(SHORT="Abc", WEAK="111111", CODE=USER_CODE)
    assert workspace.run("activate", "--dry-run", "--user-code", "env:SHORT").status == 37
    assert (
        workspace.run("activate", "--dry-run", "--user-code", "env:CODE", "--new-pin", "env:WEAK").status
        == 39
    )


def test_activation_of_an_active_card_offers_change_and_reset(active: Workspace) -> None:
    workspace = active.with_variables(CODE=USER_CODE, NEW=NEW_PIN)
    result = workspace.run("activate", "--yes", "--user-code", "env:CODE", "--new-pin", "env:NEW")
    assert result.status == 31
    assert "xcactl pin change" in result.err
    assert "xcactl pin reset" in result.err


def test_activation_of_a_lapsed_card_says_whom_to_ask(lapsed: Workspace) -> None:
    result = lapsed.run("activate", "--yes")
    assert result.status == 32
    assert "revoked" in result.err
    assert "02-2192-7111" in result.err


def test_activation_with_few_days_left_says_so(late: Workspace, closed: Workspace) -> None:
    assert "10 days left). After it the certificate is revoked" in late.run("activate", "--dry-run").err
    assert "Activate it soon" not in closed.run("activate", "--dry-run").err


def test_activation_without_consent_does_nothing(closed: Workspace) -> None:
    sources = ("--user-code", "env:CODE", "--new-pin", "env:NEW")
    workspace = closed.with_variables(CODE=USER_CODE, NEW=PIN)
    assert workspace.run("activate", *sources).status == 42
    with workspace.terminal("activate", *sources) as talk:
        talk.expect_exact("[y/N]: ")
        talk.sendline("n")
        talk.expect_exact("Nothing was done")
    assert talk.exitstatus == 42
    assert workspace.card()["state"] == "not-activated"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("env:NOT_SET", "not set"),
        ("env:EMPTY", "empty"),
        ("file:/nowhere/pin", "No such file"),
        ("fd:77", "Bad file descriptor"),
        ("stdin", "empty"),
        ("pass:12345678", "not a source"),
        ("12345678", "not a source"),
    ],
)
def test_source_without_a_secret_is_an_error(active: Workspace, source: str, words: str) -> None:
    result = active.with_variables(EMPTY="").run("pin", "verify", "--pin", source)
    assert result.status == 43
    assert words in result.err
    assert "12345678" not in result.err
    assert active.card()["pin_tries_left"] == 3


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("env:NOT_SET", "this variable is not set"),
        ("file:/nowhere/code", "No such file"),
        ("file:/", "Is a directory"),
        ("fd:77", "Bad file descriptor"),
    ],
)
def test_source_that_cannot_be_used_is_told_before_consent_is_asked_for(
    closed: Workspace, source: str, words: str
) -> None:
    for sources in (("--user-code", source), ("--user-code", "env:CODE", "--new-pin", source)):
        result = closed.with_variables(CODE=USER_CODE).run("activate", *sources)
        assert result.status == 43, result.err
        assert f"No value for {sources[-2]}: {source}: {words}" in result.err


def test_secret_from_a_pipe_that_is_named_is_read_once(active: Workspace, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = Thread(target=pipe.write_text, args=(f"{PIN}\n",))
    writer.start()
    assert active.run("pin", "verify", "--pin", f"file:{pipe}").status == 0
    writer.join()


def test_secret_without_source_and_terminal_is_an_error(active: Workspace) -> None:
    result = active.run("pin", "verify")
    assert result.status == 43
    assert "--pin env:NAME" in result.err


def test_secret_source_of_any_kind_is_read(active: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "pin"
    file.write_text(f"{PIN}\n{NEW_PIN}\n")
    assert active.with_variables(MY_PIN=PIN).run("pin", "verify", "--pin", "env:MY_PIN").status == 0
    assert active.run("pin", "verify", "--pin", f"file:{file}").status == 0
    with file.open() as opened:
        descriptor = opened.fileno()
        assert active.run("pin", "verify", "--pin", f"fd:{descriptor}", fds=[descriptor]).status == 0
    # A file that is named twice gives its first line, then its second.
    assert active.run("pin", "change", "--pin", f"file:{file}", "--new-pin", f"file:{file}").status == 0
    assert active.run("pin", "verify", "--pin", "stdin", stdin=f"{NEW_PIN}\n").status == 0


def test_secret_of_any_command_is_in_no_processes_arguments(closed: Workspace) -> None:
    workspace = closed.with_variables(NEW=NEW_PIN)
    with workspace.terminal("activate", "--yes", "--new-pin", "env:NEW") as talk:
        talk.expect_exact("User code (")
        arguments = Path(f"/proc/{talk.pid}/cmdline").read_text()
        assert "activate" in arguments
        assert not any(secret in arguments for secret in SECRETS)
        talk.sendintr()
        talk.expect_exact("Stopped. Nothing was changed.")
    assert talk.exitstatus == 1
    assert closed.card()["user_code_tries_left"] == 3


def test_person_may_spend_the_try_that_the_module_is_told_to_keep(active: Workspace) -> None:
    with (active.path / "pkcs11.conf").open("a") as configuration:
        configuration.write("[guard]\nkeep_last_try = yes\n")
    workspace = active.with_variables(WRONG="wrong-1a", AGAIN="wrong-2a", RIGHT=PIN)
    for wrong in ("WRONG", "AGAIN"):
        assert workspace.run("pin", "verify", "--pin", f"env:{wrong}").status == 35
    assert workspace.run("pin", "verify", "--pin", "env:RIGHT").status == 41
    assert workspace.run("pin", "verify", "--pin", "env:RIGHT", "--last-try").status == 0


# --- another program spends tries while a person types


MEANWHILE = {
    "pin verify": (("pin", "verify"), PROMPT["pin"], "pin_tries_left"),
    "pin change": (("pin", "change", "--new-pin", "env:NEW"), PROMPT["pin"], "pin_tries_left"),
    "sign": (("sign", "text"), PROMPT["pin"], "pin_tries_left"),
    "pin reset": (("pin", "reset", "--new-pin", "env:NEW"), PROMPT["user code"], "user_code_tries_left"),
    "user-code change": (
        ("user-code", "change", "--new-user-code", "env:NEW_CODE"),
        PROMPT["user code"],
        "user_code_tries_left",
    ),
    "activate": (
        ("activate", "--yes", "--new-pin", "env:NEW"),
        PROMPT["user code"],
        "user_code_tries_left",
    ),
}


def spend_two(workspace: Workspace, secret: str) -> None:
    """Spend two tries of a secret in other processes."""
    if secret == "pin_tries_left":
        spent(workspace, 2)
        return
    for wrong in range(2):
        program = f"""
from xca_plugin import CardError, Cards, Secret
cards = Cards()
try:
    cards.change_user_code(cards.detect()[0], Secret("wrong-{wrong}"), Secret("whatever-1"))
except CardError as error:
    print(type(error).__name__)
"""
        assert workspace.program(program).out == "WrongUserCode\n"


@pytest.mark.parametrize("answer", ["no", "last try"])
@pytest.mark.parametrize(("command", "question", "secret"), MEANWHILE.values(), ids=MEANWHILE)
def test_tries_that_others_spend_during_the_prompt_lead_to_the_question(
    active: Workspace, closed: Workspace, command: tuple[str, ...], question: str, secret: str, answer: str
) -> None:
    workspace = (closed if command[0] == "activate" else active).with_variables(
        NEW=NEW_PIN, NEW_CODE=NEW_USER_CODE
    )
    (workspace.home / "text").write_text("tender\n")
    with workspace.terminal(*command) as talk:
        talk.expect_exact(question)
        spend_two(workspace, secret)
        talk.sendline("wrong-3a")
        talk.expect_exact("Only one try is left")
        talk.expect_exact("Enter alone ends the command: ")
        assert workspace.card()[secret] == 1
        talk.sendline(answer)
        talk.expect_exact("Nothing was tried" if answer == "no" else "is locked")
    assert workspace.card()[secret] == (1 if answer == "no" else 0)


@pytest.mark.parametrize(
    ("language", "forgotten"),
    [
        ("en", "If it is forgotten, reset it with the user code: xcactl pin reset"),
        ("zh_TW", "若忘記PIN碼，請以用戶代碼重設PIN碼：xcactl pin reset"),
    ],
)
def test_last_try_that_is_not_confirmed_leads_to_the_reset_of_a_forgotten_pin(
    active: Workspace, language: str, forgotten: str
) -> None:
    spend_two(active, "pin_tries_left")
    result = active.with_variables(PIN=PIN).run("--lang", language, "pin", "verify", "--pin", "env:PIN")
    assert result.status == 41
    assert forgotten in result.err
    with active.terminal("--lang", language, "pin", "verify") as talk:
        talk.expect_exact("Enter alone ends" if language == "en" else "直接按 Enter 則結束")
        talk.sendline("no")
        talk.expect_exact(forgotten)
    assert talk.exitstatus == 41
    assert active.card()["pin_tries_left"] == 1


@pytest.mark.parametrize(
    ("language", "typed"),
    [("en", "  LAST  Try "), ("en", "最後一次"), ("zh_TW", "最後　一次"), ("zh_TW", "ＬＡＳＴ try")],
)
def test_last_try_is_confirmed_in_letters_of_any_case_and_width(
    active: Workspace, language: str, typed: str
) -> None:
    spend_two(active, "pin_tries_left")
    with active.terminal("--lang", language, "pin", "verify") as talk:
        talk.expect_exact("Enter alone ends" if language == "en" else "直接按 Enter 則結束")
        talk.sendline(typed)
        talk.expect_exact("PIN: " if language == "en" else "PIN碼：")
        talk.sendline(PIN)
        talk.expect_exact("The PIN is right." if language == "en" else "PIN碼正確")
    assert talk.exitstatus == 0


@pytest.mark.parametrize("language", ["en", "zh_TW"])
@pytest.mark.parametrize(
    "command",
    [("pin", "reset", "--new-pin", "env:NEW"), ("user-code", "change", "--new-user-code", "env:CODE")],
    ids=["reset", "change"],
)
def test_last_try_that_is_not_confirmed_leads_from_a_forgotten_user_code_to_the_issuer(
    active: Workspace, command: tuple[str, ...], language: str
) -> None:
    spend_two(active, "user_code_tries_left")
    result = active.with_variables(CODE=USER_CODE, NEW=NEW_PIN).run(
        "--lang", language, *command, "--user-code", "env:CODE"
    )
    assert result.status == 41
    assert "用戶代碼重設" in result.err
    assert "xcactl pin reset" not in result.err


def test_last_try_left_by_others_is_kept_without_a_terminal(active: Workspace, tmp_path: Path) -> None:
    """A plugin spends the two tries after the card was read and before the login."""
    source = f"""
        import os, subprocess, sys
        from xca_plugin import hookimpl

        @hookimpl
        def xca_veto_new_pin(card):
            if os.environ.pop("SPEND", None):
                for wrong in ("wrong-1", "wrong-2"):
                    subprocess.run(
                        [sys.executable, *{XCACTL!r}, "pin", "verify", "--pin", "stdin"],
                        input=wrong.encode(), capture_output=True,
                    )
    """
    workspace = install(active, tmp_path, "meanwhile", source).with_variables(
        SPEND="yes", WRONG="wrong-3", NEW=NEW_PIN
    )
    command = ("pin", "change", "--pin", "env:WRONG", "--new-pin", "env:NEW")
    assert workspace.run(*command).status == 41
    assert active.card()["pin_tries_left"] == 1
    assert active.with_variables(WRONG="wrong-3", NEW=NEW_PIN).run(*command, "--last-try").status == 36


def test_program_spends_the_last_try_only_of_a_card_that_shows_it(active: Workspace) -> None:
    program = f"""
from xca_plugin import CardError, Cards, Secret
from xca_plugin.keys import CardPrivateKey
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

cards, others = Cards(), Cards()
(seen,) = cards.detect()
wrong, right = Secret("wrong-3"), Secret({PIN!r})

def spend(*values):
    for value in values:
        (card,) = others.detect()
        try:
            others.verify_pin(card, Secret(value))
        except CardError as error:
            pass

def tell(work):
    try:
        work()
        print("done")
    except CardError as error:
        print(type(error).__name__, others.detect()[0].pin_tries)

key = CardPrivateKey(cards, seen, right)
late = CardPrivateKey(cards, seen, wrong)
spend("wrong-1", "wrong-2")
tell(lambda: cards.verify_pin(seen, wrong))
tell(lambda: late.sign(b"data", PKCS1v15(), hashes.SHA256()))
knowing = CardPrivateKey(cards, cards.read(seen), right)
tell(lambda: knowing.sign(b"data", PKCS1v15(), hashes.SHA256()))
spend("wrong-4", "wrong-5")
tell(lambda: knowing.sign(b"data", PKCS1v15(), hashes.SHA256()))
tell(lambda: cards.verify_pin(cards.read(seen), wrong))
"""
    result = active.program(program)
    assert result.out.splitlines() == [
        "LastTryNotConfirmed 1",
        "LastTryNotConfirmed 1",
        "done",
        "LastTryNotConfirmed 1",
        "PinLocked 0",
    ], result.err
