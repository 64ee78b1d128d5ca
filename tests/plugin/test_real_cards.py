# SPDX-License-Identifier: Apache-2.0
"""Cards that count for themselves, without a card store: what modules answer, and what a person is told.

SoftHSM holds the card's objects. The scripted module in front of it (tests/module/inner) gives the answers.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from softhsm import Environment
from softhsm.card_fixture import CardFixture
from support.module import compiling

pytestmark = pytest.mark.integration

OTHER_LABEL = "GPKI Smart Card"
NO_DAEMON = {"PCSCLITE_CSOCK_NAME": "/nowhere/pcscd.comm"}
HEAD = """
import hashlib, os, sys
from pathlib import Path
from xca_plugin import Cards, Secret, errors, hookimpl
script = Path(os.environ["INNER_SCRIPT"])
def inner(*lines, file=script):
    new = file.with_suffix(".new")
    new.write_text("".join(f"{line}\\n" for line in lines))
    new.rename(file)
def later(*lines):
    inner(*lines, file=script.with_name("later"))
    return script.with_name("later")
def say(what):
    try:
        what()
    except errors.XcaError as error:
        print(type(error).__name__, error.message("en"))
    else:
        print("done")
def pin():
    return Secret(os.environ["PIN"])
def code():
    return Secret(os.environ["CODE"])
def new():
    return Secret("zK-4417!")
"""


@dataclass(frozen=True)
class RealCard:
    """A card without a card store, behind the scripted module."""

    folder: Path
    library: Path
    user_code: str
    pin: str
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, source: str) -> list[str]:
        """Run a program of its own: a process keeps the configuration that it loaded the module with."""
        script, calls = self.folder / "script", self.folder / "calls"
        script.touch()
        calls.write_text("")
        done = subprocess.run(
            [sys.executable, "-c", HEAD + source],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "LANGUAGE": "en",
                "XCA_PKCS11_CONF": str(self.folder / "pkcs11.conf"),
                "INNER_REAL": str(self.folder / "libsofthsm2.so"),
                "INNER_SCRIPT": str(script),
                "INNER_CALLS": str(calls),
                "PIN": self.pin,
                "CODE": self.user_code,
                **NO_DAEMON,
                **self.variables,
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def calls(self, function: str) -> int:
        return (self.folder / "calls").read_text().split().count(function)

    def configure(self, *lines: str) -> None:
        (self.folder / "pkcs11.conf").write_text(
            "\n".join(
                [
                    "[module]",
                    f"path = {self.library}",
                    f"environment = SOFTHSM2_CONF={self.folder / 'softhsm2.conf'}",
                    *lines,
                    "",
                ]
            )
        )

    def without_objects(self) -> None:
        for file in (self.folder / "tokens").glob("*/*.object"):
            if file.name != "token.object":
                file.unlink()


@pytest.fixture(scope="session")
def inner_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = compiling.TESTS / "inner" / "inner.c"
    return compiling.library(tmp_path_factory.mktemp("inner") / "inner.so", source)


def real_card(card: CardFixture, library: Path, label: str) -> RealCard:
    """Make a card of the stand-in a card of its own: another token label, and no store."""
    environment: Environment = card.environment
    (token,) = environment.tokens.glob("*/token.object")
    ours = f"xca-card:{card.number}".encode()
    content = token.read_bytes()
    assert content.count(ours) == 1
    token.write_bytes(content.replace(ours, label.encode().ljust(len(ours))))
    environment.store.path.unlink()
    real = RealCard(environment.path, library, card.user_code, card.pin or "")
    real.configure()
    return real


@pytest.fixture
def real(xca_active_card: CardFixture, inner_library: Path) -> RealCard:
    return real_card(xca_active_card, inner_library, "HiCOS PKI Smart Card")


@pytest.fixture
def renamed(xca_active_card: CardFixture, inner_library: Path) -> RealCard:
    return real_card(xca_active_card, inner_library, OTHER_LABEL)


# --- which token is a card


def test_card_of_another_label_is_recognised_by_its_certificates(renamed: RealCard) -> None:
    said = renamed.run(
        """
(card,) = Cards().detect()
print(card.real, card.certificate.label)
say(lambda: Cards().verify_pin(card, pin()))
"""
    )
    assert said == ["True cert1", "done"]


def test_token_that_is_not_recognised_is_named(renamed: RealCard) -> None:
    renamed.without_objects()
    (said,) = renamed.run(
        "cards = Cards(); assert cards.detect() == []; print(cards.missing().message('en'))"
    )
    assert f"No organisation card is recognised. What is here: {OTHER_LABEL} (" in said
    assert "[module] label" in said


def test_card_of_a_configured_label_is_found(renamed: RealCard) -> None:
    renamed.without_objects()
    renamed.configure(f"label = Another one, {OTHER_LABEL}")
    assert renamed.run("print(len(Cards().detect()))") == ["1"]


# --- what an error means


def test_device_error_of_a_card_without_a_store_blames_the_card(real: RealCard) -> None:
    (said,) = real.run("inner('C_GetTokenInfo return 30'); say(Cards().detect)")
    assert said == "NoReaderDaemon The daemon of the card readers, pcscd, does not answer."
    (said,) = replace(real, variables={"PYTHONPATH": no_pcsc(real)}).run(
        "inner('C_GetTokenInfo return 30'); say(Cards().detect)"
    )
    assert said == "CardFault The card or its reader answered with an error: DeviceError."


def no_pcsc(real: RealCard) -> str:
    """Return a folder in which pyscard cannot be imported."""
    folder = real.folder / "without-pcsc"
    folder.mkdir()
    (folder / "smartcard.py").write_text("raise ImportError\n")
    return str(folder)


def test_module_without_the_readers_daemon_says_what_to_start(real: RealCard) -> None:
    (said,) = real.run("inner('C_Initialize return 5'); say(Cards().detect)")
    assert said.startswith("NoReaderDaemon ")


@pytest.mark.parametrize("answer", ["05", "06", "30"])
def test_card_that_is_pulled_out_at_a_login_was_removed(real: RealCard, answer: str) -> None:
    said = real.run(
        f"""
cards = Cards()
(card,) = cards.detect()
inner("C_Login return {answer}", f"C_Login then {{later('C_GetTokenInfo return e0')}}")
say(lambda: cards.verify_pin(card, pin()))
inner("C_Login return {answer}")
say(lambda: cards.verify_pin(card, pin()))
"""
    )
    # Without the daemon nobody can tell; with the card still there it is a fault of the card.
    assert [line.split()[0] for line in said] == ["NoReaderDaemon", "CardFault"]
    said = replace(real, variables={"PYTHONPATH": no_pcsc(real)}).run(
        f"""
cards = Cards()
(card,) = cards.detect()
inner("C_Login return {answer}", f"C_Login then {{later('C_GetTokenInfo return e0')}}")
say(lambda: cards.verify_pin(card, pin()))
"""
    )
    assert [line.split()[0] for line in said] == ["CardRemoved"]
    assert real.calls("C_Login") == 1


@pytest.mark.parametrize(
    ("script", "job"),
    [
        ("C_Login return 103", "cards.reset_pin(card, code(), new())"),
        ("C_SetPIN return 102", "cards.change_user_code(card, code(), Secret('Other-135'))"),
        ("C_InitPIN return 102", "cards.reset_pin(card, code(), new())"),
    ],
)
def test_operation_that_a_card_has_not_is_unsupported(real: RealCard, script: str, job: str) -> None:
    (said,) = real.run(f"cards = Cards(); (card,) = cards.detect(); inner('{script}'); say(lambda: {job})")
    assert re.fullmatch(r"Unsupported The card \w+ cannot do this\.", said)


def test_length_that_a_card_refuses_names_the_limits_of_that_card(real: RealCard) -> None:
    (said,) = real.run(
        """
cards = Cards()
(card,) = cards.detect()
inner("C_InitPIN return a2")
say(lambda: cards.reset_pin(card, code(), new()))
"""
    )
    assert said.startswith("SecretFormRefused ")
    assert "4 to 255 characters" in said  # SoftHSM's own
    assert "user code" in said


# --- tries


@pytest.fixture(scope="session")
def flags_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = compiling.TESTS / "inner" / "vendor.c"
    return compiling.library(tmp_path_factory.mktemp("vendor") / "vendor.so", source)


@pytest.fixture
def flagged(real: RealCard, flags_library: Path) -> RealCard:
    """A card whose token shows the flags that the file `flags` holds."""
    (real.folder / "flags").write_text("0")
    return replace(
        real,
        variables={
            "INNER_REAL": str(flags_library),
            "VENDOR_REAL": str(real.folder / "libsofthsm2.so"),
            "VENDOR_FLAGS": str(real.folder / "flags"),
        },
    )


def test_try_that_locks_a_real_card_is_told_as_locked(flagged: RealCard) -> None:
    said = flagged.run(
        """
class Told:
    @hookimpl
    def xca_pin_locked(self, card):
        print("told", card.pin_tries)
    @hookimpl
    def xca_user_code_locked(self, card):
        print("told", card.user_code_tries)
cards = Cards([Told()])
(card,) = cards.detect()
inner("C_Login return a0")
Path(os.environ["VENDOR_FLAGS"]).write_text("40000")
say(lambda: cards.verify_pin(card, pin()))
Path(os.environ["VENDOR_FLAGS"]).write_text("400000")
say(lambda: cards.reset_pin(card, code(), new()))
"""
    )
    assert [line.split()[0] for line in said] == ["told", "PinLocked", "UserCodeLocked"]


def test_card_that_tells_no_tries_is_not_called_ready(flagged: RealCard) -> None:
    said = flagged.run(
        """
from xca_plugin import card_text
from xca_plugin.terminal.next_steps import next_step_of
cards = Cards()
(card,) = cards.detect()
print(next_step_of(card))
print(card_text.pin_tries(card))
Path(os.environ["VENDOR_FLAGS"]).write_text("10000")
print(card_text.pin_tries(cards.read(card)))
"""
    )
    assert said == [
        "Ready to use, if its PIN is not locked: "
        "the card does not say whether it is, or how many tries are left.",
        "tries left unknown",
        "tries left unknown, fewer than all: the last value given was wrong",
    ]


# --- going on


@pytest.mark.parametrize("answer", ["05", "30", "32", "b3"])
def test_module_that_fails_once_after_another_program_is_asked_anew(real: RealCard, answer: str) -> None:
    said = real.run(
        f"""
cards = Cards()
(card,) = cards.detect()
def fails_once():
    inner("C_GetTokenInfo return {answer}", f"C_GetTokenInfo then {{later()}}")
fails_once()
say(cards.detect)
fails_once()
say(lambda: cards.certificates(card))
fails_once()
say(lambda: cards.verify_pin(card, pin()))
"""
    )
    assert said == ["done"] * 3
    assert real.calls("C_Login") == 1


def test_card_that_is_pulled_out_before_the_proof_has_its_new_pin(real: RealCard) -> None:
    said = real.run(
        """
cards = Cards()
(card,) = cards.detect()
inner(f"C_InitPIN then {later('C_GetTokenInfo return e0')}")
os.environ["PCSCLITE_CSOCK_NAME"] = ""
say(lambda: cards.reset_pin(card, code(), new()))
inner()
say(lambda: cards.verify_pin(card, new()))
say(lambda: cards.activate(card, code(), new()))
"""
    )
    assert [line.split()[0] for line in said] == ["RemovedBeforeProof", "done", "AlreadyActive"]
