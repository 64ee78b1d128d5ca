# SPDX-License-Identifier: Apache-2.0
"""A card's whole life: in a terminal, and through the hooks."""

import subprocess
import textwrap
from pathlib import Path

import pytest

from support.cli.xcactl import NEW_PIN, NEW_USER_CODE, PIN, USER_CODE, Workspace


def test_card_in_a_terminal_lives_through_its_states(closed: Workspace, tmp_path: Path) -> None:
    with closed.terminal("info") as seen:
        seen.expect_exact("not activated")
        seen.expect_exact("3 tries left")
        seen.expect_exact("xcactl activate")
    with closed.terminal("activate") as talk:
        talk.expect_exact(closed.number)
        talk.expect_exact("國立臺灣大學")
        talk.expect_exact("90 days left")
        talk.expect_exact("Activate this card? [y/N]: ")
        talk.sendline("y")
        talk.expect_exact("User code (upper and lower case differ): ")
        talk.sendline(USER_CODE)
        talk.expect_exact("New PIN (6 to 8 characters): ")
        talk.sendline("12345678")
        talk.expect_exact("follow one another")
        talk.expect_exact("New PIN (6 to 8 characters): ")
        talk.sendline(PIN)
        talk.expect_exact("New PIN again: ")
        talk.sendline(NEW_PIN)
        talk.expect_exact("do not match")
        for prompt in ("New PIN (6 to 8 characters): ", "New PIN again: "):
            talk.expect_exact(prompt)
            talk.sendline(PIN)
        talk.expect_exact("The card is activated.")
    assert talk.exitstatus == 0

    file = tmp_path / "letter.txt"
    file.write_text("dear all\n")
    with closed.terminal("sign", str(file)) as talk:
        talk.expect_exact("PIN: 3 tries left")
        talk.expect_exact("PIN: ")
        talk.sendline(PIN)
        talk.expect_exact("Signed: ")
    assert talk.exitstatus == 0
    root = closed.path / "pki" / "root.pem"
    verified = closed.run("verify", str(file), f"{file}.p7s", "--ca-file", str(root))
    assert verified.status == 0
    assert "國立臺灣大學" in verified.out

    with closed.terminal("pin", "change") as talk:
        talk.expect_exact("Current PIN: ")
        talk.sendline(PIN)
        for prompt in ("New PIN (6 to 8 characters): ", "New PIN again: "):
            talk.expect_exact(prompt)
            talk.sendline(NEW_PIN)
        talk.expect_exact("The PIN is changed.")
    assert talk.exitstatus == 0
    with closed.terminal("user-code", "change") as talk:
        talk.expect_exact("Current user code (upper and lower case differ): ")
        talk.sendline(USER_CODE)
        for prompt in ("New user code (6 to 10 characters): ", "New user code again: "):
            talk.expect_exact(prompt)
            talk.sendline(NEW_USER_CODE)
        talk.expect_exact("The user code is changed.")
    assert talk.exitstatus == 0
    with closed.terminal("pin", "reset") as talk:
        talk.expect_exact("User code (upper and lower case differ): ")
        talk.sendline(NEW_USER_CODE)
        for prompt in ("New PIN (6 to 8 characters): ", "New PIN again: "):
            talk.expect_exact(prompt)
            talk.sendline(PIN)
        talk.expect_exact("unlocked")
    assert talk.exitstatus == 0
    assert closed.run("pin", "verify", "--pin", "stdin", stdin=f"{PIN}\n").status == 0
    assert closed.card()["state"] == "active"

    asked = [event["event"] for event in closed.run("events", "--json").json["events"]]
    for event in ("issue", "activate", "change-pin", "change-user-code", "reset-pin", "verify-pin"):
        assert event in asked


def test_card_in_a_chinese_terminal_lives_through_its_states(closed: Workspace) -> None:
    with closed.terminal("--lang", "zh_TW", "activate") as talk:
        for words in ("卡號", "卡片持有者資訊", "卡片效期", "未開卡", "開卡期限", "用戶代碼"):
            talk.expect_exact(words)
        talk.expect_exact("進行開卡？ [是 y／否 N]：")
        talk.sendline("y")
        talk.expect_exact("用戶代碼（英文字母有大小寫區別）：")
        talk.sendline(USER_CODE)
        for prompt in ("新的PIN碼（請輸入6~8碼組合，且不為空白）：", "再次輸入新的PIN碼："):
            talk.expect_exact(prompt)
            talk.sendline(PIN)
        talk.expect_exact("開卡成功")
    assert talk.exitstatus == 0


LIFE_THROUGH_HOOKS = textwrap.dedent(
    f"""
    import hashlib
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding
    from xca_plugin import Cards, CardState, Hash, Padding, Secret, errors

    cards = Cards()
    [card] = cards.detect()
    assert card == cards.find(card.number) == cards.read(card)
    assert (card.state, card.pin_tries, card.user_code_tries) == (CardState.NOT_ACTIVATED, 3, 3)
    assert card.days_left == 90
    assert not card.real
    assert card.certificate.organisation_oid == "2.16.886.111.100000"

    def refused(situation, ask, *secrets):
        try:
            ask(card, *map(Secret, secrets))
        except situation as error:
            return error
        raise AssertionError(situation)

    refused(errors.NotActivated, cards.verify_pin, "{PIN}")
    refused(errors.NotActivated, cards.reset_pin, "{USER_CODE}", "{PIN}")
    assert refused(errors.WrongUserCode, cards.activate, "Wrong-123", "{PIN}").tries_left == 2
    card = cards.activate(card, Secret("{USER_CODE}"), Secret("{PIN}"))
    assert (card.state, card.pin_tries, card.user_code_tries) == (CardState.ACTIVE, 3, 3)
    refused(errors.AlreadyActive, cards.activate, "{USER_CODE}", "{PIN}")

    assert refused(errors.WrongPin, cards.verify_pin, "1a2b3c4d").tries_left == 2
    assert refused(errors.WrongPin, cards.change_pin, "1a2b3c4e", "{NEW_PIN}").tries_left == 1
    refused(errors.LastTryNotConfirmed, cards.verify_pin, "1a2b3c4f")
    card = cards.read(card)
    refused(errors.PinLocked, cards.verify_pin, "1a2b3c4f")
    assert cards.read(card).pin_tries == 0
    refused(errors.PinLocked, cards.verify_pin, "{PIN}")
    card = cards.reset_pin(card, Secret("{USER_CODE}"), Secret("{NEW_PIN}"))
    assert card.pin_tries == 3
    card = cards.change_pin(card, Secret("{NEW_PIN}"), Secret("{PIN}"))
    card = cards.change_user_code(card, Secret("{USER_CODE}"), Secret("{NEW_USER_CODE}"))
    refused(errors.WrongUserCode, cards.change_user_code, "{USER_CODE}", "Other-123")
    assert cards.verify_pin(card, Secret("{PIN}")).pin_tries == 3

    certificates = {{each.label: each for each in cards.certificates(card)}}
    assert list(certificates) == ["cert1", "cert2", "CA Cert", "ROOT CA Cert"]
    keys = {{
        label: x509.load_der_x509_certificate(each.der).public_key() for label, each in certificates.items()
    }}
    algorithms = ((Hash.SHA1, hashes.SHA1()), (Hash.SHA256, hashes.SHA256()), (Hash.SHA512, hashes.SHA512()))
    for name, algorithm in algorithms:
        digest = hashlib.new(name, b"data").digest()
        signature = cards.sign(card, Secret("{PIN}"), digest, digest_hash=name)
        keys["cert1"].verify(signature, b"data", padding.PKCS1v15(), algorithm)
        signature = cards.sign(card, Secret("{PIN}"), digest, digest_hash=name, padding=Padding.PSS)
        pss = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
        keys["cert1"].verify(signature, b"data", pss, algorithm)
    secret = keys["cert2"].encrypt(b"secret", padding.PKCS1v15())
    assert cards.decrypt(card, Secret("{PIN}"), secret, padding=Padding.PKCS1V15) == b"secret"
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    assert cards.decrypt(card, Secret("{PIN}"), keys["cert2"].encrypt(b"secret", oaep)) == b"secret"
    try:
        cards.decrypt(card, Secret("{PIN}"), bytes(256))
    except errors.NotDecryptable:
        print("all of it")
    """
)


def test_card_through_the_hooks_lives_through_its_states(closed: Workspace) -> None:
    result = closed.program(LIFE_THROUGH_HOOKS)
    assert (result.status, result.out) == (0, "all of it\n"), result.err


def test_program_running_during_a_change_elsewhere_asks_once_more(active: Workspace) -> None:
    """The module answers CKR_DEVICE_REMOVED. The program asks once more, and no try is spent."""
    result = active.program(
        textwrap.dedent(
            f"""
            import subprocess, sys
            from xca_plugin import Cards, Secret, errors
            cards = Cards()
            [card] = cards.detect()
            cards.verify_pin(card, Secret("{PIN}"))
            change = ["pin", "change", "--pin", "stdin", "--new-pin", "stdin"]
            change = [sys.executable, "-m", "xca_plugin.cli", *change]
            subprocess.run(change, input=b"{PIN}\\n{NEW_PIN}\\n", check=True, capture_output=True)
            assert cards.verify_pin(card, Secret("{NEW_PIN}")).pin_tries == 3
            try:
                cards.verify_pin(card, Secret("{PIN}"))
            except errors.WrongPin as error:
                print(error.tries_left)
            """
        )
    )
    assert (result.status, result.out) == (0, "2\n"), result.err


def test_pkcs11_tool_and_xcactl_on_one_card_see_the_same_state(closed: Workspace) -> None:
    """Activated by pkcs11-tool, locked by it, unlocked by xcactl."""
    module = closed.program("from pkcs11_shim import module_path; print(module_path())").out.strip()
    # The card's label has blanks, so the tool is told the slot; its secrets in argv are for tests only.
    tool = ["pkcs11-tool", "--module", module, "--token-label", "HiCOS PKI Smart Card"]
    so = ["--login", "--login-type", "so", "--so-pin", USER_CODE]
    init = [*tool, *so, "--init-pin", "--new-pin", PIN]
    subprocess.run(init, env=closed.environment, check=True, capture_output=True)
    assert closed.card()["state"] == "active"
    for pin in ("000000a", "000000b", "000000c"):
        login = subprocess.run(
            [*tool, "--login", "--pin", pin, "--test"], env=closed.environment, capture_output=True
        )
        assert login.returncode != 0
    assert closed.card()["next_action"] == "reset-pin"
    secrets = f"{USER_CODE}\n{NEW_PIN}\n"
    assert closed.run("pin", "reset", "--user-code", "stdin", "--new-pin", "stdin", stdin=secrets).status == 0
    assert closed.card()["pin_tries_left"] == 3


@pytest.mark.parametrize("language", ["en", "zh_TW"])
def test_help_in_either_language_is_translated(closed: Workspace, language: str) -> None:
    helps = closed.run("--lang", language, "activate", "--help").out
    assert ("用戶代碼" in helps) is (language == "zh_TW")
    assert ("user code" in helps) is (language == "en")


def test_card_whose_record_cannot_be_written_is_told_to_be_active(closed: Workspace) -> None:
    workspace = closed.with_variables(CODE=USER_CODE, NEW=PIN)
    sources = ("--user-code", "env:CODE", "--new-pin", "env:NEW")
    result = workspace.run("activate", "--yes", *sources, "--receipt", "/dev/full")
    assert result.status == 63
    assert result.out.splitlines()[0] == "The card is activated."
    assert "No space left on device" in result.err
    assert "Do not activate it again" in result.err
    assert workspace.card()["state"] == "active"
