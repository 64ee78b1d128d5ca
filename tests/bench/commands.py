# SPDX-License-Identifier: Apache-2.0
"""What a person waits for: `xcactl info` and `xcactl activate` next to pkcs11-tool doing the same.

Usage: sh tests/bench/run.sh, which runs this and module.py.
"""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

from bench.measuring import closed_card, rounds
from pkcs11_shim import module_path, rules
from support.module.cards import PIN, USER_CODE, Card

XCACTL = [sys.executable, "-m", "xca_plugin.cli"]
TOOL = ["pkcs11-tool", "--module", str(module_path()), "--token-label", rules.CARD_LABEL]


def seconds(card: Card, command: list[str], secrets: str = "") -> float:
    """Run a command on a card and return its wall time."""
    environment = os.environ | card.environment(USER_CODE=USER_CODE, NEW_PIN=PIN)
    start = time.perf_counter()
    subprocess.run(command, env=environment, input=secrets, capture_output=True, text=True, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    with closed_card() as card:
        numbers = itertools.count()

        def fresh() -> Card:
            return card.copy(card.path.with_name(f"copy-{next(numbers)}"))

        secrets = f"{USER_CODE}\n{PIN}\n"
        xcactl_activate = [*XCACTL, "activate", "--yes", "--user-code", "stdin", "--new-pin", "stdin"]
        so_login = ["--login", "--login-type", "so", "--so-pin", "env:USER_CODE"]
        tool_activate = [*TOOL, *so_login, "--init-pin", "--new-pin", "env:NEW_PIN"]
        columns: dict[str, Callable[[], float]] = {
            "xcactl info": lambda: seconds(card, [*XCACTL, "info"]),
            "pkcs11-tool --list-slots": lambda: seconds(card, [*TOOL, "--list-slots"]),
            "pkcs11-tool --list-objects": lambda: seconds(card, [*TOOL, "--list-objects"]),
            "xcactl activate": lambda: seconds(fresh(), xcactl_activate, secrets),
            "pkcs11-tool --init-pin": lambda: seconds(fresh(), tool_activate),
        }
        for name, times in rounds(columns).items():
            print(f"{name:28}{median(times):6.3f} s   ({min(times):.3f} … {max(times):.3f})")


if __name__ == "__main__":
    main()
