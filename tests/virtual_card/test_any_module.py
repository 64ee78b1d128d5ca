# SPDX-License-Identifier: Apache-2.0
"""What is seen of a card without a secret. It works with any PKCS#11 module and a card in a real reader:

XCA_TEST_INNER_MODULE=/usr/lib/vendor.so sh tests/run.sh -s tests/virtual_card/test_any_module.py
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from pkcs11_shim import module_path
from support.cli.xcactl import Workspace
from support.virtual_card import card_files
from support.virtual_card.card_in_reader import CardInReader
from support.virtual_card.myeid_card import Instruction

READING = ("--list-slots", "--list-mechanisms", "--list-objects")
COMMANDS = (("detect",), ("info",), ("cert", "list"), ("doctor",))


def _seen(folder: Path, variables: Mapping[str, str]) -> str:
    """Return what a stranger's tool and xcactl say of the card; none of them logs in."""
    said = []
    for option in READING:
        tool = ["pkcs11-tool", "--module", str(module_path()), option]
        environment = os.environ | variables
        done = subprocess.run(tool, env=environment, capture_output=True, text=True, errors="replace")
        said += [f"--- pkcs11-tool {option}: status {done.returncode}", done.stdout, done.stderr]
    workspace = Workspace(folder, folder, variables)
    for command in COMMANDS:
        result = workspace.run(*command)
        said += [f"--- xcactl {' '.join(command)}: status {result.status}", result.out, result.err]
    return "\n".join(said)


def test_card_looked_at_without_a_secret_gets_no_try(real: CardInReader, tmp_path: Path) -> None:
    real.card.set_tries(card_files.PIN, 1)
    seen = _seen(tmp_path, real.variables)
    assert seen.count("status 0") == len(READING) + len(COMMANDS)
    assert card_files.NUMBER in seen
    reading = {Instruction.SELECT, Instruction.READ_BINARY, Instruction.GET_DATA, Instruction.VERIFY}
    assert set(real.card.commands) <= reading
    assert real.card.tries(card_files.PIN) == 1
    assert real.card.tries(card_files.USER_CODE) == 3


@pytest.mark.skipif("XCA_TEST_INNER_MODULE" not in os.environ, reason="XCA_TEST_INNER_MODULE names no module")
def test_card_behind_a_module_of_your_own_is_shown(tmp_path: Path) -> None:
    configuration = tmp_path / "pkcs11.conf"
    configuration.write_text(f"[module]\npath = {os.environ['XCA_TEST_INNER_MODULE']}\n")
    seen = _seen(tmp_path, {**os.environ, "XCA_PKCS11_CONF": str(configuration), "HOME": str(tmp_path)})
    print(seen)
    assert "--- xcactl detect: status 0" in seen
