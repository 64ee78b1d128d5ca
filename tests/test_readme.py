# SPDX-License-Identifier: Apache-2.0
"""What the READMEs show works as shown, and both show the same."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from softhsm import Environment, issue

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", ROOT / "README.zh-TW.md"]
USER_CODE, PIN = "Abcd2345", "7401852"


def blocks(readme: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", readme.read_text(), re.MULTILINE | re.DOTALL)


def without_comments(code: str) -> str:
    return re.sub(r"\s*[#;] .*", "", code)


@pytest.mark.parametrize("language", ["python", "ini"])
def test_readme_in_both_languages_shows_the_same_code(language: str) -> None:
    english, chinese = ([without_comments(code) for code in blocks(file, language)] for file in READMES)
    assert english
    assert chinese == english


@pytest.mark.parametrize("readme", READMES, ids=["en", "zh-TW"])
def test_readme_examples_run_and_work(readme: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    issuing, plugin, library = blocks(readme, "python")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(issuing, names)
    environment = Environment(tmp_path / "cards")
    (tmp_path / "house_rules.py").write_text(plugin)
    told = "import syslog, sys; syslog.syslog = lambda text: print('told:', text)\n"
    refused = (
        "import house_rules\nfrom xca_plugin import Cards, Secret, errors\n"
        "cards = Cards([house_rules])\n"
        "try:\n"
        f"    cards.activate(cards.detect()[0], Secret({USER_CODE!r}), Secret('x2024yz'))\n"
        "except errors.PinRefused as error:\n    print(error)\n"
    )
    accepted = library.replace("Cards()", "Cards([house_rules])")
    done = subprocess.run(
        [sys.executable, "-c", f"{told}{refused}{accepted}\nprint(card.state)"],
        env={**os.environ, **environment.exports(), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "A PIN must not contain a year." in done.stdout
    (card,) = environment.store.cards()
    assert f"told: card {card.number} was activated" in done.stdout
    assert done.stdout.endswith("active\n")


def test_readme_command_of_another_tool_activates(tmp_path: Path) -> None:
    environment = Environment.create(tmp_path / "cards")
    issue(environment, USER_CODE)
    (line,) = re.findall(r"^ *\$ (pkcs11-tool .*--init-pin.*)$", READMES[0].read_text(), re.MULTILINE)
    # With one card in the environment its slot is the first; a person names it.
    subprocess.run(
        ["sh", "-euc", line],
        env={**os.environ, **environment.exports(), "CODE": USER_CODE, "PIN": PIN},
        capture_output=True,
        check=True,
    )
    (card,) = environment.store.cards()
    assert card.activated_at is not None


def test_demo_runs_again_and_leaves_a_card_to_enter(tmp_path: Path) -> None:
    for language, said in (("en", "The card stays in"), ("zh_TW", "卡片保留在")):
        done = subprocess.run(
            ["sh", "softhsm/demo.sh", str(tmp_path / "demo")],
            cwd=ROOT,
            env={**os.environ, "LANGUAGE": language},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "Verified OK" in done.stdout
        assert said in done.stdout
        assert "CKR_USER_PIN_NOT_INITIALIZED" in done.stderr
        assert "CMS Verification successful" in done.stderr
    entered = subprocess.run(
        ["sh", "-euc", f". '{tmp_path}/demo/enter'; xcactl info --json"],
        env={"PATH": os.defpath, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(entered.stdout)["state"] == "active"


@pytest.mark.parametrize("readme", READMES, ids=["en", "zh-TW"])
def test_readme_commands_from_a_new_card_to_a_signed_file_work(readme: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"(?:^ {4}\$ .*\n)+", readme.read_text(), re.MULTILINE)
    (block,) = (each for each in blocks if "softhsm-card issue" in each and "xcactl sign" in each)
    commands = re.findall(r"^ {4}\$ (.*)$", block, re.MULTILINE)
    (tmp_path / "contract.txt").write_text("contract")
    terminal = pexpect.spawn(
        "sh",
        ["-euc", "\n".join(commands)],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8", "LANGUAGE": "en"},
        cwd=tmp_path,
        encoding="utf-8",
        timeout=60,
    )
    with terminal:
        for secret in (USER_CODE, USER_CODE, "y", USER_CODE, PIN, PIN, PIN):
            terminal.expect(r": ?$")
            terminal.sendline(secret)
        terminal.expect(pexpect.EOF)
    assert terminal.exitstatus == 0, terminal.before
