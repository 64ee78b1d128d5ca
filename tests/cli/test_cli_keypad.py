# SPDX-License-Identifier: Apache-2.0
"""Readers with a keypad: the person types there, and the program asks for nothing."""

from pathlib import Path

import pytest

from support.agent.agent_process import configure, running
from support.agent.component_client import SITE, SiteClient
from support.agent.page_visitor import visiting, words
from support.cli.xcactl import NEW_PIN, NEW_USER_CODE, PIN, USER_CODE, Workspace
from support.module import compiling
from xca_plugin import Secret, TypedAtReader

TYPE_THERE = "This reader has a keypad. Type there, not here, when it asks for:"


@pytest.fixture(scope="session")
def keypad_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiling.library(
        tmp_path_factory.mktemp("keypad") / "keypad.so", compiling.TESTS / "inner" / "keypad.c"
    )


def behind_keypad(workspace: Workspace, library: Path, softhsm: Path, **typed: str) -> Workspace:
    """Put the keypad in front of SoftHSM; each is what the person types there."""
    return workspace.with_variables(XCA_PKCS11_MODULE=str(library), KEYPAD_REAL=str(softhsm), **typed)


@pytest.fixture
def blank(real: Workspace, issued: Workspace, keypad_library: Path) -> Workspace:
    """A card without a PIN in such a reader."""
    softhsm = issued.path / "libsofthsm2.so"
    return behind_keypad(real, keypad_library, softhsm, KEYPAD_USER_CODE=USER_CODE, KEYPAD_NEW=NEW_PIN)


@pytest.fixture
def used(active: Workspace, keypad_library: Path) -> Workspace:
    """A card with a PIN in such a reader. It counts for itself: no card store knows it."""
    (token,) = (active.path / "tokens").glob("*/token.object")
    ours = f"xca-card:{active.number}".encode()
    token.write_bytes(token.read_bytes().replace(ours, b"HiCOS PKI Smart Card".ljust(len(ours))))
    softhsm = active.path / "libsofthsm2.so"
    (active.path / "cards.db").unlink()
    (active.path / "pkcs11.conf").write_text(
        f"[module]\npath = {softhsm}\nenvironment = SOFTHSM2_CONF={active.path}/softhsm2.conf\n"
    )
    return behind_keypad(active, keypad_library, softhsm, KEYPAD_PIN=PIN)


def test_activation_at_a_keypad_asks_for_nothing_here(blank: Workspace) -> None:
    with blank.terminal("activate", "--yes") as talk:
        talk.expect_exact(TYPE_THERE)
        talk.expect_exact("User code")
        talk.expect_exact("the new PIN, also repeated")
        talk.expect_exact("the new PIN once more, which proves it")
        talk.expect_exact("The card is activated.")
    assert talk.exitstatus == 0
    checked = blank.with_variables(KEYPAD_PIN=NEW_PIN).run("pin", "verify", "--yes")
    assert (checked.status, "The PIN is right." in checked.out) == (0, True), checked.err
    assert "PIN and user code are typed there" in blank.run("info").out
    assert blank.run("info", "--json").json["has_keypad"] is True


def test_pin_is_changed_and_reset_at_a_keypad(used: Workspace) -> None:
    changed = used.with_variables(KEYPAD_NEW=NEW_PIN).run("pin", "change", "--yes")
    assert (changed.status, TYPE_THERE in changed.err) == (0, True), changed.err
    assert used.run("pin", "verify", "--yes").status == 35
    assert used.with_variables(KEYPAD_PIN=NEW_PIN).run("pin", "verify", "--yes").status == 0
    reset = used.with_variables(KEYPAD_USER_CODE=USER_CODE, KEYPAD_NEW=PIN).run("pin", "reset", "--yes")
    assert reset.status == 0, reset.err
    assert used.run("pin", "verify", "--yes").status == 0


def test_user_code_is_changed_at_a_keypad(used: Workspace) -> None:
    before = used.with_variables(KEYPAD_USER_CODE=USER_CODE, KEYPAD_NEW=NEW_USER_CODE)
    changed = before.run("user-code", "change", "--yes")
    assert changed.status == 0, changed.err
    assert before.run("user-code", "change", "--yes").status == 33


def test_file_is_signed_after_a_login_at_a_keypad(used: Workspace) -> None:
    (used.home / "letter.txt").write_text("text")
    signed = used.run("sign", "--yes", "letter.txt")
    assert (signed.status, TYPE_THERE in signed.err) == (0, True), signed.err
    assert (used.home / "letter.txt.p7s").exists()


@pytest.mark.parametrize(("language", "said"), [("en", "was cancelled"), ("zh_TW", "已取消或逾時")])
def test_cancelled_entry_at_a_keypad_is_told(used: Workspace, language: str, said: str) -> None:
    result = used.with_variables(KEYPAD_PIN="").run("--lang", language, "pin", "verify", "--yes")
    assert result.status == 25
    assert said in result.err


def test_old_and_new_value_from_two_places_are_refused(used: Workspace) -> None:
    arguments = ("pin", "change", "--yes", "--pin", "stdin")
    result = used.with_variables(KEYPAD_NEW=NEW_PIN).run(*arguments, stdin=f"{PIN}\n")
    assert result.status == 21


def test_agent_asks_for_nothing_that_is_typed_at_a_keypad(used: Workspace) -> None:
    configure(used.home, trusted=(SITE,))
    with running(used.home, used.with_variables(KEYPAD_NEW=NEW_PIN).environment) as agent:
        site = SiteClient(agent)
        consent = site.popup({"func": "MakeSignature", "tbs": "contract-4711"})["consent"]
        assert (consent["pin"], "請在讀卡機上輸入" in consent["keypad"]) == (False, True)
        assert site.ask({"func": "MakeSignature", "tbs": "contract-4711"})["ret_code"] == 0
        with visiting(agent) as visitor:
            for path in ("/change-pin", "/files/decrypt"):
                html = visitor.client.get(path).text
                assert ("type on the reader" in html, 'type="password"' in html) == (True, False)
            form = {**visitor.form("/change-pin"), "agreed": "yes"}
            assert "The PIN is changed." in words(visitor.send("/change-pin", form).text)


def test_secret_that_is_typed_at_the_reader_cannot_be_revealed() -> None:
    secret = TypedAtReader()
    secret.wipe()
    assert not secret.is_wiped
    assert secret not in (Secret(""), TypedAtReader())
    with pytest.raises(TypeError):
        secret.reveal()
