# SPDX-License-Identifier: Apache-2.0
"""The card's whole life with nothing but the module and a stranger's tool."""

import os
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from pkcs11_shim import module_path, rules
from support.module.cards import PIN, PLAIN, PLAIN_PIN, USER_CODE, WRONG, Card

NEW_PIN, NEW_USER_CODE = "newpin-1", "NewCode-99"


SECRETS = (USER_CODE, PIN, NEW_PIN, NEW_USER_CODE, PLAIN_PIN, *WRONG, "12345")


def source(secret: str) -> str:
    """Return the words that make pkcs11-tool take a secret from its environment."""
    return f"env:SECRET_{SECRETS.index(secret)}"


class Tool:
    """pkcs11-tool on one card."""

    def __init__(self, card: Card, module: Path, label: str, **environment: str) -> None:
        self._command = ["pkcs11-tool", "--module", str(module), "--token-label", label]
        secrets = {f"SECRET_{n}": secret for n, secret in enumerate(SECRETS)}
        self._environment = os.environ | card.environment(**environment, **secrets)

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._command, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",  # a digest on stdout
            timeout=30,
            check=False,
        )

    def refused(self, reason: str, *arguments: str) -> None:
        """Do what must fail, with a CK_RV's name as the reason."""
        done = self(*arguments)
        assert done.returncode == 1
        assert reason in done.stderr

    def done(self, *arguments: str) -> str:
        """Do what must succeed."""
        done = self(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


def so(user_code: str) -> list[str]:
    return ["--login", "--login-type", "so", "--so-pin", source(user_code)]


def user(pin: str) -> list[str]:
    return ["--login", "--pin", source(pin)]


@pytest.fixture
def tool(closed: Card) -> Tool:
    return Tool(closed, module_path(), rules.CARD_LABEL)


def test_pkcs11_tool_leads_a_card_through_its_life(closed: Card, tool: Tool, tmp_path: Path) -> None:
    listed = tool.done("--list-slots")
    assert rules.CARD_LABEL in listed
    assert closed.number in listed
    tool.refused("CKR_USER_PIN_NOT_INITIALIZED", *user(PIN), "--list-objects")

    # 開卡
    tool.refused("CKR_PIN_INCORRECT", *so(WRONG[0]), "--init-pin", "--new-pin", source(PIN))
    tool.refused("CKR_PIN_LEN_RANGE", *so(USER_CODE), "--init-pin", "--new-pin", source("12345"))
    tool.done(*so(USER_CODE), "--init-pin", "--new-pin", source(PIN))
    initialized = "PIN initialized"  # so is the other token's
    assert tool.done("--list-slots").count(initialized) == listed.count(initialized) + 1

    # A signature that the card's certificate verifies
    text, signature, der = (tmp_path / name for name in ("text", "signature", "der"))
    text.write_bytes(b"to be signed")
    tool.done("--read-object", "--type", "cert", "--id", "5349474e", "--output-file", str(der))
    tool.done(
        *user(PIN),
        *("--sign", "--mechanism", "SHA256-RSA-PKCS", "--id", "5349474e"),
        *("--input-file", str(text), "--output-file", str(signature)),
    )
    key = x509.load_der_x509_certificate(der.read_bytes()).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(signature.read_bytes(), text.read_bytes(), padding.PKCS1v15(), hashes.SHA256())

    # 更改PIN碼
    tool.refused("CKR_PIN_INCORRECT", *user(WRONG[0]), "--change-pin", "--new-pin", source(NEW_PIN))
    tool.done(*user(PIN), "--change-pin", "--new-pin", source(NEW_PIN))
    tool.refused("CKR_PIN_INCORRECT", *user(PIN), "--list-objects")
    tool.done(*user(NEW_PIN), "--list-objects")

    # 鎖卡, 鎖卡解碼
    for wrong in WRONG[:2]:
        tool.refused("CKR_PIN_INCORRECT", *user(wrong), "--list-objects")
    tool.refused("CKR_PIN_LOCKED", *user(WRONG[2]), "--list-objects")
    assert "user PIN locked" in tool.done("--list-slots")
    tool.refused("CKR_PIN_LOCKED", *user(NEW_PIN), "--list-objects")
    tool.done(*so(USER_CODE), "--init-pin", "--new-pin", source(PIN))
    tool.done(*user(PIN), "--list-objects")

    # 用戶代碼
    tool.done(*so(USER_CODE), "--change-pin", "--new-pin", source(NEW_USER_CODE))
    for wrong in WRONG[:2]:
        tool.refused("CKR_PIN_INCORRECT", *so(wrong), "--init-pin", "--new-pin", source(NEW_PIN))
    tool.refused("CKR_PIN_LOCKED", *so(WRONG[2]), "--init-pin", "--new-pin", source(NEW_PIN))
    tool.refused("CKR_PIN_LOCKED", *so(NEW_USER_CODE), "--init-pin", "--new-pin", source(NEW_PIN))
    tool.done(*user(PIN), "--list-objects")


def test_pkcs11_tool_without_a_pin_can_neither_wipe_nor_litter_a_card(
    closed: Card, tool: Tool, tmp_path: Path
) -> None:
    litter = tmp_path / "litter"
    litter.write_bytes(b"litter")
    tool.refused(
        "CKR_TOKEN_WRITE_PROTECTED", "--init-token", "--label", "mine", "--so-pin", source(USER_CODE)
    )
    tool.refused("CKR_USER_NOT_LOGGED_IN", "--write-object", str(litter), "--type", "data", "--label", "x")
    objects = tool.done("--list-objects")
    tool("--delete-object", "--type", "cert", "--id", "5349474e")
    assert tool.done("--list-objects") == objects


def test_another_token_is_the_same_with_and_without_the_module(card: Card) -> None:
    through = Tool(card, module_path(), PLAIN)
    direct = Tool(card, card.library, PLAIN, SOFTHSM2_CONF=str(card.path / "softhsm2.conf"))
    for arguments in (
        ["--list-objects"],
        ["--list-mechanisms"],
        [*user(WRONG[0]), "--list-objects"],
        [*user(PLAIN_PIN), "--list-objects"],
        ["--hash", "--mechanism", "SHA256", "--input-file", str(card.configuration)],
    ):
        ours, theirs = through(*arguments), direct(*arguments)
        assert (ours.returncode, ours.stdout, ours.stderr) == (
            theirs.returncode,
            theirs.stdout,
            theirs.stderr,
        )
