# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin: cards in the states that they say, each test's own; a reader that keeps to itself."""

import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pkcs11_shim import module_path
from softhsm import Environment, IssuedCardState, issue, reset_user_code
from softhsm.card_fixture import CardFixture
from softhsm.virtual_reader import HICOS_ATR, VirtualReader

pytest_plugins = ["pytester"]

DOCUMENT = Path(__file__).parents[2] / "docs" / "ci.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
MARKDOWN_LINES = {"python": 10, "yaml": 20}
NEW_PIN = "New+2468"


def _tool(card: CardFixture, *arguments: str, **secrets: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["pkcs11-tool", "--module", card.module, *arguments],
        env=os.environ | card.variables | secrets,
        capture_output=True,
    )


def _sign(card: CardFixture, pin: str | None, to: Path) -> subprocess.CompletedProcess[bytes]:
    (to / "text").write_bytes(b"text")
    arguments = (
        f"--login --pin env:PIN --sign -m SHA256-RSA-PKCS --id 5349474e -i {to}/text -o {to}/signature"
    )
    return _tool(card, *shlex.split(arguments), PIN=pin or NEW_PIN)


def _init_pin(card: CardFixture, user_code: str) -> subprocess.CompletedProcess[bytes]:
    arguments = "--login --login-type so --so-pin env:CODE --init-pin --new-pin env:PIN"
    return _tool(card, *arguments.split(), CODE=user_code, PIN=NEW_PIN)


# Cards


def test_issued_card_waits_for_its_activation(xca_issued_card: CardFixture, tmp_path: Path) -> None:
    card = xca_issued_card
    assert (card.state, card.pin) == (IssuedCardState.ISSUED, None)
    assert b"CKR_USER_PIN_NOT_INITIALIZED" in _sign(card, None, tmp_path).stderr
    assert _init_pin(card, card.user_code).returncode == 0
    assert _sign(card, NEW_PIN, tmp_path).returncode == 0


def test_active_card_entered_by_a_program_signs(xca_active_card: CardFixture, tmp_path: Path) -> None:
    assert xca_active_card.state is IssuedCardState.ACTIVE
    assert _sign(xca_active_card, xca_active_card.pin, tmp_path).returncode == 0


def test_pin_locked_card_needs_its_user_code(xca_pin_locked_card: CardFixture, tmp_path: Path) -> None:
    card = xca_pin_locked_card
    assert card.state is IssuedCardState.PIN_LOCKED
    assert b"CKR_PIN_LOCKED" in _sign(card, card.pin, tmp_path).stderr
    assert _init_pin(card, card.user_code).returncode == 0
    assert _sign(card, NEW_PIN, tmp_path).returncode == 0


def test_user_code_locked_card_needs_its_issuer(xca_user_code_locked_card: CardFixture) -> None:
    card = xca_user_code_locked_card
    assert (card.state, card.pin) == (IssuedCardState.USER_CODE_LOCKED, None)
    assert b"CKR_PIN_LOCKED" in _init_pin(card, card.user_code).stderr
    reset_user_code(card.environment, card.number, "Other=97")
    assert _init_pin(card, "Other=97").returncode == 0


def test_environment_fixture_has_no_cards_until_some_are_issued(xca_environment: Environment) -> None:
    assert xca_environment.store.cards() == []
    number = issue(xca_environment, "Abcd2345").number
    assert [row.number for row in xca_environment.store.cards()] == [number]


def test_module_fixture_is_the_installed_one(xca_module: Path, xca_active_card: CardFixture) -> None:
    assert xca_module == module_path()
    assert xca_active_card.module != xca_module


def test_two_card_fixtures_of_a_test_are_two_cards(
    xca_active_card: CardFixture, xca_issued_card: CardFixture
) -> None:
    assert xca_active_card.number != xca_issued_card.number
    listed = _tool(xca_active_card, "--list-slots").stdout.decode()
    assert xca_active_card.number in listed
    assert xca_issued_card.number not in listed


def test_variables_of_a_card_overrule_those_that_lead_elsewhere(
    xca_active_card: CardFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XCA_PKCS11_CONF", "XCA_PKCS11_MODULE", "XCA_CARD_STORE", "XCA_CARD"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    assert _sign(xca_active_card, xca_active_card.pin, tmp_path).returncode == 0
    xcactl = [sys.executable, "-P", "-m", "xca_plugin.cli", "info"]
    done = subprocess.run(xcactl, env=os.environ | xca_active_card.variables, capture_output=True, text=True)
    assert xca_active_card.number in done.stdout


def test_card_fixture_shows_no_secret_in_its_repr(xca_active_card: CardFixture) -> None:
    shown = f"{xca_active_card} {xca_active_card!r} {xca_active_card.variables}"
    assert xca_active_card.user_code not in shown
    assert str(xca_active_card.pin) not in shown


def test_process_of_a_test_is_led_to_a_card_only_when_told(
    xca_active_card: CardFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dict(os.environ)
    assert not set(xca_active_card.variables.items()) & set(before.items())
    with monkeypatch.context() as context:
        xca_active_card.enter(context)
        assert xca_active_card.variables.items() <= os.environ.items()
    assert dict(os.environ) == before


# Other projects' sessions


def test_tests_in_parallel_share_no_card(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os
        from pathlib import Path

        import pkcs11
        import pytest
        import softhsm

        before = dict(os.environ)
        before.pop("PYTEST_CURRENT_TEST", None)


        @pytest.mark.parametrize("number", range(8))
        def test_card_locked_by_one_test_is_fresh_for_the_next(number, xca_active_card, monkeypatch):
            now = dict(os.environ)
            now.pop("PYTEST_CURRENT_TEST")
            assert now == before
            card = xca_active_card
            row, = card.environment.store.cards()
            assert (row.pin_tries, row.number) == (3, card.number)
            (card.environment.path / "mine").touch(exist_ok=False)
            Path(f"path-{number}").write_text(str(card.environment.path))
            if number % 4 == 0:
                softhsm.issue(card.environment, "Abcd2345")
            card.enter(monkeypatch)
            token = pkcs11.lib(str(card.module)).get_token(token_serial=card.number.encode())
            token.open(user_pin=card.pin).close()
            for wrong in ("wrong-1", "wrong-2", "wrong-3"):
                with pytest.raises((pkcs11.PinIncorrect, pkcs11.PinLocked)):
                    token.open(rw=True, user_pin=wrong)
            assert card.state is softhsm.IssuedCardState.PIN_LOCKED
        """
    )
    pytester.runpytest_subprocess("-n", "2").assert_outcomes(passed=8)
    paths = {file.read_text() for file in pytester.path.glob("path-*")}
    assert len(paths) == 8
    assert not any(Path(path).exists() for path in paths)


def test_project_that_uses_no_fixture_imports_nothing() -> None:
    source = (
        "import sys, pytest, _pytest.tmpdir; before = set(sys.modules); "
        "import softhsm.pytest_plugin; print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", source], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["softhsm", "softhsm.pytest_plugin"]


def test_card_that_cannot_be_issued_gives_every_test_the_first_reason(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import errno, os
        from softhsm import card_fixture

        issue = card_fixture.issue

        def issue_on_a_full_disk(*arguments):
            card_fixture.issue = issue
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        card_fixture.issue = issue_on_a_full_disk
        """
    )
    pytester.makepyfile("def test_one(xca_issued_card): pass\ndef test_two(xca_issued_card): pass\n")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=2)
    reasons = [line for line in result.outlines if line.startswith("E ")]
    assert len(reasons) == 2
    assert all("No space left on device" in reason for reason in reasons), reasons


def test_temporary_folder_of_a_long_name_is_the_reason_of_every_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pytester.mkdir("t" * 240)
    monkeypatch.setenv("TMPDIR", str(folder))
    pytester.makepyfile(
        """
        def test_one(xca_issued_card): pass
        def test_two(xca_active_card): pass
        def test_three(xca_environment): pass
        def test_four(xca_virtual_reader): pass
        """
    )
    result = pytester.runpytest_subprocess("-rs")
    result.assert_outcomes(errors=3, skipped=1)
    reasons = [line for line in result.outlines if "too long" in line and "Error: " in line]
    assert len(reasons) == 3
    assert len(set(reasons)) == 1
    assert str(folder) in reasons[0]
    assert sum("TMPDIR names" in line for line in result.outlines if line.startswith("E ")) == 3
    (skipped,) = [line for line in result.outlines if line.startswith("SKIPPED")]
    assert "too long for a socket; set TMPDIR" in skipped
    assert not list(folder.iterdir())


def test_cards_of_a_killed_run_are_gone_after_the_next_one(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pytester.mkdir("tmp")
    monkeypatch.setenv("TMPDIR", str(folder))
    kills = pytester.makepyfile(
        test_kills="""
        import os, signal

        def test_killed(xca_environment):
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert pytester.runpytest_subprocess(kills).ret == -signal.SIGKILL
    assert list(folder.glob("xca-*"))
    passes = pytester.makepyfile(test_passes="def test_passes(xca_environment): pass")
    pytester.runpytest_subprocess(passes).assert_outcomes(passed=1)
    assert not list(folder.glob("xca-*"))


def test_fixtures_have_a_line_of_help(pytester: pytest.Pytester) -> None:
    listed = pytester.runpytest_subprocess("--fixtures").stdout.str()
    for name in re.findall(r"^\| `(xca_\w+)`", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE):
        assert re.search(rf"^{name}\b.*\n    \S", listed, re.MULTILINE), name


# The virtual reader


def _opensc(reader: VirtualReader, *arguments: str) -> str:
    done = subprocess.run(
        ["opensc-tool", *arguments], env=os.environ | reader.variables, capture_output=True, text=True
    )
    return done.stdout


def _occupied(reader: VirtualReader) -> bool:
    (line,) = [line for line in _opensc(reader, "--list-readers").splitlines() if reader.name in line]
    return line.split()[1] == "Yes"


def test_virtual_reader_shows_a_card_that_comes_and_goes(xca_virtual_reader: VirtualReader) -> None:
    reader = xca_virtual_reader
    first_generation = bytes.fromhex("3BB813008131FA524348544D4F494341A5")
    assert not _occupied(reader)
    reader.insert(first_generation)
    assert _occupied(reader)
    assert _opensc(reader, "--atr").strip() == first_generation.hex(":")
    reader.insert()
    assert _opensc(reader, "--atr").strip() == HICOS_ATR.hex(":")
    reader.remove()
    assert not _occupied(reader)
    with pytest.raises(ValueError, match="33"):
        reader.insert(bytes(34))


def test_virtual_reader_with_a_card_of_a_test_passes_its_commands_on(
    xca_virtual_reader: VirtualReader,
) -> None:
    commands = []

    def card(command: bytes) -> bytes:
        commands.append(command)
        return bytes([len(commands)]) + b"\x90\x00"

    xca_virtual_reader.insert(card=card)
    assert "SW1=0x90, SW2=0x00" in _opensc(xca_virtual_reader, "--send-apdu", "00:CA:01:23:01")
    assert bytes.fromhex("00CA012301") in commands
    assert b"" in commands  # power-up


@pytest.mark.parametrize("after_effect", [False, True])
def test_virtual_reader_pulls_the_card_at_the_command_that_was_named(
    xca_virtual_reader: VirtualReader, after_effect: bool
) -> None:
    done = []

    def card(command: bytes) -> bytes:
        done.append(command)
        return b"\x90\x00"

    with pytest.raises(ValueError, match="no card"):
        xca_virtual_reader.pull_at(0x88)
    xca_virtual_reader.insert(card=card)
    xca_virtual_reader.pull_at(0x88, 2, after_effect=after_effect)
    assert "SW1=0x90" in _opensc(xca_virtual_reader, "--send-apdu", "00:88:00:01")
    assert xca_virtual_reader.has_card
    assert "SW1" not in _opensc(xca_virtual_reader, "--send-apdu", "00:88:00:02")
    assert not xca_virtual_reader.has_card
    assert (bytes.fromhex("00880002") in done) == after_effect
    xca_virtual_reader.remove()
    assert not _occupied(xca_virtual_reader)


def test_two_virtual_readers_keep_to_themselves(
    xca_virtual_reader: VirtualReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in xca_virtual_reader.variables.items():
        monkeypatch.setenv(name, value)
    with VirtualReader() as other:
        xca_virtual_reader.insert()
        assert (_occupied(xca_virtual_reader), _occupied(other)) == (True, False)
    assert not Path(other.variables["PCSCLITE_CSOCK_NAME"]).parent.exists()


def test_virtual_reader_is_reached_by_no_network(xca_virtual_reader: VirtualReader) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(xca_virtual_reader.variables["PCSCLITE_CSOCK_NAME"])
        daemon, _, _ = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    assert Path(f"/proc/{daemon}/comm").read_text() == "pcscd\n"
    assert Path(f"/proc/{daemon}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()


@pytest.mark.parametrize(
    ("refuse", "reason"),
    [
        ("mount -t tmpfs none /usr/lib/pcsc/drivers", "apt install pcscd vsmartcard-vpcd"),
        ("echo 0 >/proc/sys/user/max_user_namespaces", "unshare"),
    ],
    ids=["no driver", "no namespaces"],
)
def test_virtual_reader_where_none_can_run_skips_and_says_why(
    pytester: pytest.Pytester, xca_virtual_reader: VirtualReader, refuse: str, reason: str
) -> None:
    xca_virtual_reader.close()
    pytester.makepyfile("def test_virtual_reader_asked_for_is_there(xca_virtual_reader): pass")
    within = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f'{refuse} && exec "$@"', "sh"]
    result = pytester.run(*within, sys.executable, "-m", "pytest", "-rs")
    result.assert_outcomes(skipped=1)
    (line,) = [line for line in result.outlines if line.startswith("SKIPPED")]
    assert "virtual reader" in line
    assert reason in line


# docs/ci.md


def _blocks(kind: str) -> list[str]:
    return [text for language, text in BLOCKS if language == kind]


def test_ci_page_examples_counted_are_short() -> None:
    assert {language for language, _ in BLOCKS} == set(MARKDOWN_LINES)
    for language, text in BLOCKS:
        assert len([line for line in text.splitlines() if line]) <= MARKDOWN_LINES[language], text


def test_ci_page_examples_run_and_pass(pytester: pytest.Pytester) -> None:
    examples = {f"test_example_{number}": text for number, text in enumerate(_blocks("python"))}
    pytester.makepyfile(**examples)
    pytester.runpytest_subprocess().assert_outcomes(passed=len(examples))


def test_ci_page_pipelines_read_install_and_test() -> None:
    github, gitlab = (yaml.safe_load(text) for text in _blocks("yaml"))
    (job,) = github["jobs"].values()
    steps = [step["run"] for step in job["steps"] if "run" in step]
    for commands in (steps, gitlab["test"]["before_script"] + gitlab["test"]["script"]):
        _check(commands)


def _check(commands: list[Any]) -> None:
    packages = {word for line in commands if "apt-get install" in line for word in line.split()}
    assert {"softhsm2", "pcscd", "vsmartcard-vpcd"} <= packages
    assert any(" $XCA_PLUGIN " in line for line in commands if line.startswith("pip install"))
    assert commands[-1].startswith("pytest -n auto")
