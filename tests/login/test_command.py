# SPDX-License-Identifier: Apache-2.0
"""The command xca-login as a program: with all that it needs, and where something is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = "from xca_login.cli import main; main()"


def run(program: str, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "LANGUAGE": "en"}
    return subprocess.run(
        [sys.executable, "-c", program, *words], env=environment, capture_output=True, text=True, timeout=60
    )


def test_program_tells_what_it_can_do_in_the_language_of_its_user() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("xca-login"), "--help"],
        env={**os.environ, "LANGUAGE": "zh_TW"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "verify-evidence" in done.stdout
    assert "用法" in done.stdout


def test_program_without_click_names_the_extra_to_install() -> None:
    done = run(f"import sys; sys.modules['click'] = None; {MAIN}", "demo")
    assert (done.returncode, done.stdout) == (1, "")
    assert "needs the Python package click" in done.stderr
    assert "pip install 'xca-login[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["oidc", "oidc.toml"], ["oidc-secret"]], ids=lambda words: words[0])
def test_provider_without_its_packages_names_what_to_install(words: list[str]) -> None:
    done = run(f"import sys; sys.modules['authlib'] = None; {MAIN}", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "needs Python packages that are not installed: authlib" in done.stderr
    assert "-m pip install " in done.stderr
    assert "'authlib>=" in done.stderr
