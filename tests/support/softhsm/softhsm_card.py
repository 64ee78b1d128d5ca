# SPDX-License-Identifier: Apache-2.0
"""The command softhsm-card, and tools that read its cards."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softhsm import Environment

USER_CODE = "Tw-7iJk#q"
PIN = "82645193"
_INIT_PIN = ["--login", "--login-type", "so", "--so-pin", "env:CODE", "--init-pin", "--new-pin", "env:PIN"]

Done = subprocess.CompletedProcess[bytes]


@dataclass(frozen=True)
class Issuer:
    """softhsm-card with one environment."""

    path: Path

    @property
    def environment(self) -> Environment:
        return Environment(self.path)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "softhsm.cli", "--dir", str(self.path), *arguments]

    def run(self, *arguments: str, stdin: str = "", before: tuple[str, ...] = (), umask: int = -1) -> Done:
        return subprocess.run(
            [*before, *self.command(*arguments)],
            input=stdin.encode(),
            capture_output=True,
            umask=umask,
            cwd="/",  # the installed package, which has its catalogue compiled
        )

    def issue(self, *options: str, user_code: str = USER_CODE) -> dict[str, Any]:
        """One new card, as --json shows it."""
        done = self.run("issue", "--user-code", "stdin", "--json", *options, stdin=f"{user_code}\n")
        assert done.returncode == 0, done.stderr.decode()
        (card,) = json.loads(done.stdout)
        return card  # type: ignore[no-any-return]

    def cards(self) -> dict[str, dict[str, Any]]:
        done = self.run("list", "--json")
        assert done.returncode == 0, done.stderr.decode()
        return {card["number"]: card for card in json.loads(done.stdout)}

    def inner(self, *arguments: str, **secrets: str) -> Done:
        """Run pkcs11-tool on SoftHSM itself, past the guarded module; secrets are its env: sources."""
        return subprocess.run(
            ["pkcs11-tool", "--module", str(self.environment.inner_module), *arguments],
            env=os.environ | {"SOFTHSM2_CONF": str(self.environment.inner_configuration)} | secrets,
            capture_output=True,
        )

    def login(self, number: str, *arguments: str, pin: str = PIN) -> Done:
        return self.inner(*_token(number), "--login", "--pin", "env:PIN", *arguments, PIN=pin)

    def init_pin(self, number: str, user_code: str) -> Done:
        """Activate or reset the PIN past the guarded module."""
        return self.inner(*_token(number), *_INIT_PIN, CODE=user_code, PIN=PIN)

    def read_certificate(self, number: str, label: str, target: Path) -> Path:
        options = ["--read-object", "--type", "cert", "--label", label, "-o", str(target)]
        assert self.inner(*_token(number), *options).returncode == 0
        return target

    def labels(self) -> list[str]:
        """Labels of the tokens that SoftHSM shows; it always shows a blank one too, which has none."""
        lines = self.inner("--list-slots").stdout.decode().splitlines()
        return [line.split(":", 1)[1].strip() for line in lines if "token label" in line]

    def activate(self, number: str, user_code: str = USER_CODE) -> Done:
        """Activate or reset the PIN through the guarded module, with a stranger's tool."""
        reader = self.cards()[number]["reader"]
        return self.guarded("--slot-description", reader, *_INIT_PIN, CODE=user_code, PIN=PIN)

    def guarded(self, *arguments: str, **secrets: str) -> Done:
        exports = self.environment.exports()
        return subprocess.run(
            ["pkcs11-tool", "--module", exports["PKCS11_MODULE"], *arguments],
            env=os.environ | exports | secrets,
            capture_output=True,
        )


def _token(number: str) -> tuple[str, str]:
    return "--token-label", f"xca-card:{number}"


def openssl(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    return subprocess.run(
        ["openssl", *map(str, arguments)], input=stdin, capture_output=True, check=True
    ).stdout
