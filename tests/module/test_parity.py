# SPDX-License-Identifier: Apache-2.0
"""Random calls on a token that is no card: the answers are the same with and without the module."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from pkcs11 import Attribute, KeyType, ObjectClass, UserType

from pkcs11_shim import module_path
from support.module.cards import PLAIN, PLAIN_PIN, PLAIN_SO_PIN, Card
from support.module.host import Answer, Mechanism, Room, Template, Ulong, given, ulong

FLAGS = st.sampled_from([0, 2, 4, 6, 6, 6])
USERS = st.sampled_from([*UserType, 7])
PINS = st.sampled_from([None, "", "x", "wrong", PLAIN_PIN, PLAIN_SO_PIN, "y" * 300])
CHOICE = st.integers(0, 5)
DATA = st.binary(max_size=40)
LABELS = st.sampled_from([b"", b"one", b"two"])


@st.composite
def templates(draw: st.DrawFn) -> Template:
    """Attributes of an AES key, some of them missing, doubled, or of the wrong form."""
    usual = [
        (Attribute.CLASS, ulong(ObjectClass.SECRET_KEY)),
        (Attribute.KEY_TYPE, ulong(KeyType.AES)),
        (Attribute.VALUE, draw(st.sampled_from([bytes(16), bytes(15), b""]))),
        (Attribute.TOKEN, draw(st.sampled_from([b"\0", b"\1", b"\2", b"", b"\1\1"]))),
        (Attribute.PRIVATE, draw(st.sampled_from([b"\0", b"\1"]))),
        (Attribute.LABEL, draw(LABELS)),
    ]
    kept = draw(st.lists(st.sampled_from(usual), max_size=8)) if draw(st.booleans()) else usual
    return Template(kept)


class Parity(RuleBasedStateMachine):
    """The same calls in two processes, one with the inner module alone, one with it behind the module."""

    copies: tuple[Card, Card]

    def __init__(self) -> None:
        super().__init__()
        direct, through = self.copies
        direct.stop()
        through.stop()
        self.hosts = (direct.direct(initialize=False), through.host(initialize=False))
        self.sessions = [0, 4711]
        self.objects = [0, 4711]

    @initialize()
    def start(self) -> None:
        self.same("C_Initialize", None)
        slots = {tuple(sorted(host.slots(token_present=False))) for host in self.hosts}
        (listed,) = slots
        plain = self.hosts[0].slot(PLAIN)
        # The free slot and one that is not there too; the card's own is another matter.
        self.slots = [plain, plain, plain, max(slot for slot in listed if slot < 100), 4711]

    def same(self, name: str, *arguments: Any) -> Answer:
        direct, through = (host.call(name, *arguments) for host in self.hosts)
        assert through == direct, name
        return direct

    def keep(self, answer: Answer, handles: list[int]) -> None:
        if answer.rv == 0:
            handles.append(answer.out[-1])

    def session(self, choice: int) -> int:
        return self.sessions[-1 - choice % len(self.sessions)]

    def object(self, choice: int) -> int:
        return self.objects[-1 - choice % len(self.objects)]

    @rule(slot=CHOICE, flags=FLAGS)
    def open_session(self, slot: int, flags: int) -> None:
        answer = self.same("C_OpenSession", self.slots[slot % len(self.slots)], flags, None, None, Ulong())
        self.keep(answer, self.sessions)

    @rule(choice=CHOICE)
    def close_session(self, choice: int) -> None:
        self.same("C_CloseSession", self.session(choice))

    @rule(slot=CHOICE)
    def close_all_sessions(self, slot: int) -> None:
        self.same("C_CloseAllSessions", self.slots[slot % len(self.slots)])

    @rule(choice=CHOICE, user=USERS, pin=PINS)
    def login(self, choice: int, user: int, pin: str | None) -> None:
        self.same("C_Login", self.session(choice), user, *given(pin))

    @rule(choice=CHOICE)
    def logout(self, choice: int) -> None:
        self.same("C_Logout", self.session(choice))

    @rule(choice=CHOICE, old=PINS)
    def set_pin(self, choice: int, old: str | None) -> None:
        # To itself: later steps still know it.
        self.same("C_SetPIN", self.session(choice), *given(old), *given(old))

    @rule(choice=CHOICE, pin=st.sampled_from([None, "x", PLAIN_PIN]))
    def init_pin(self, choice: int, pin: str | None) -> None:
        self.same("C_InitPIN", self.session(choice), *given(pin))

    @rule(slot=st.sampled_from([0, -1]), pin=st.sampled_from([None, "x", "wrong"]))
    def init_token(self, slot: int, pin: str | None) -> None:
        # Not the free slot: a new token has a random number.
        self.same("C_InitToken", self.slots[slot], *given(pin), b"again".ljust(32))

    @rule(choice=CHOICE)
    def session_info(self, choice: int) -> None:
        self.same("C_GetSessionInfo", self.session(choice), Room(32))

    @rule(slot=CHOICE)
    def show(self, slot: int) -> None:
        place = self.slots[slot % len(self.slots)]
        self.same("C_GetSlotInfo", place, Room(112))
        self.same("C_GetMechanismInfo", place, pkcs11.Mechanism.AES_ECB, Room(24))
        direct, through = (host.call("C_GetTokenInfo", place, Room(208)) for host in self.hosts)
        assert (through.rv, [out[: 2 * 192] for out in through.out]) == (
            direct.rv,
            [out[: 2 * 192] for out in direct.out],  # without the clock
        )

    @rule(choice=CHOICE, template=templates())
    def create(self, choice: int, template: Template) -> None:
        session = self.session(choice)
        answer = self.same("C_CreateObject", session, template, len(template.attributes), Ulong())
        self.keep(answer, self.objects)

    @rule(choice=CHOICE, what=CHOICE, template=templates())
    def copy(self, choice: int, what: int, template: Template) -> None:
        session, key = self.session(choice), self.object(what)
        answer = self.same("C_CopyObject", session, key, template, len(template.attributes), Ulong())
        self.keep(answer, self.objects)

    @rule(choice=CHOICE, what=CHOICE, label=LABELS)
    def set_label(self, choice: int, what: int, label: bytes) -> None:
        template = Template([(Attribute.LABEL, label)])
        self.same("C_SetAttributeValue", self.session(choice), self.object(what), template, 1)

    @rule(choice=CHOICE, what=CHOICE, room=st.sampled_from([None, 0, 1, 16, 40]))
    def get_attributes(self, choice: int, what: int, room: int | None) -> None:
        kinds = (Attribute.LABEL, Attribute.VALUE, Attribute.TOKEN, 0x7FFFFFFF)
        template = Template([(kind, room) for kind in kinds])
        self.same("C_GetAttributeValue", self.session(choice), self.object(what), template, len(kinds))

    @rule(choice=CHOICE, what=CHOICE)
    def destroy(self, choice: int, what: int) -> None:
        self.same("C_DestroyObject", self.session(choice), self.object(what))

    @rule(choice=CHOICE, label=LABELS)
    def find(self, choice: int, label: bytes) -> None:
        session = self.session(choice)
        self.same("C_FindObjectsInit", session, Template([(Attribute.LABEL, label)]), 1)
        self.same("C_FindObjects", session, Room(8 * 64), 64, Ulong())
        self.same("C_FindObjectsFinal", session)

    @rule(choice=CHOICE, data=DATA, room=st.sampled_from([None, 8, 32]))
    def digest(self, choice: int, data: bytes, room: int | None) -> None:
        session = self.session(choice)
        self.same("C_DigestInit", session, Mechanism(pkcs11.Mechanism.SHA256))
        target, length = (Room(room), Ulong(room)) if room else (None, Ulong())
        self.same("C_Digest", session, data, len(data), target, length)

    @rule(choice=CHOICE, what=CHOICE, data=DATA)
    def encrypt(self, choice: int, what: int, data: bytes) -> None:
        session = self.session(choice)
        self.same("C_EncryptInit", session, Mechanism(pkcs11.Mechanism.AES_ECB), self.object(what))
        self.same("C_Encrypt", session, data, len(data), Room(48), Ulong(48))

    @rule(choice=CHOICE, what=CHOICE, data=DATA)
    def sign(self, choice: int, what: int, data: bytes) -> None:
        session = self.session(choice)
        self.same("C_SignInit", session, Mechanism(pkcs11.Mechanism.SHA256_HMAC), self.object(what))
        self.same("C_SignUpdate", session, data, len(data))
        self.same("C_SignFinal", session, Room(32), Ulong(32))

    @rule()
    def restart(self) -> None:
        self.same("C_Finalize", None)
        self.same("C_Initialize", None)


@pytest.mark.parametrize(
    "examples",
    [pytest.param(25, marks=pytest.mark.integration), pytest.param(5_000, marks=pytest.mark.soak)],
    ids=["some", "many"],
)
def test_calls_at_random_answer_as_the_inner_module_does(
    activated: Card, tmp_path: Path, examples: int
) -> None:
    class ParityHere(Parity):
        copies = (activated.copy(tmp_path / "direct"), activated.copy(tmp_path / "through"))

    try:
        run_state_machine_as_test(
            ParityHere,
            settings=settings(
                max_examples=examples,
                stateful_step_count=60,
                deadline=None,
                derandomize=examples < 100,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        for copy in ParityHere.copies:
            copy.stop()


SUITES: dict[str, Callable[[Path, int], list[str]]] = {
    "pkcs11-tool --test": lambda module, slot: [
        *("pkcs11-tool", "--module", str(module), "--slot", hex(slot)),
        *("--login", "--pin", PLAIN_PIN, "--test"),
    ],
    "pkcs11-tool --list-mechanisms": lambda module, slot: [
        *("pkcs11-tool", "--module", str(module), "--slot", hex(slot), "--list-mechanisms"),
    ],
    "pkcs11-tool --list-objects": lambda module, slot: [
        *("pkcs11-tool", "--module", str(module), "--slot", hex(slot)),
        *("--login", "--pin", PLAIN_PIN, "--list-objects"),
    ],
    "p11tool --list-all": lambda module, slot: [
        *("p11tool", "--batch", "--provider", str(module), "--list-all", f"pkcs11:token={PLAIN}"),
    ],
    "p11tool --list-mechanisms": lambda module, slot: [
        *("p11tool", "--batch", "--provider", str(module), "--list-mechanisms", f"pkcs11:token={PLAIN}"),
    ],
    "p11tool --test-sign": lambda module, slot: [
        *("p11tool", "--batch", "--provider", str(module), "--login"),
        *("--test-sign", f"pkcs11:token={PLAIN};object=rsa;type=private"),
    ],
}


@pytest.mark.parametrize(
    "suite",
    [
        pytest.param(suite, id=name, marks=[pytest.mark.integration] if name.startswith("p11tool") else [])
        for name, suite in SUITES.items()
    ],
)
def test_suites_of_other_tools_pass_with_the_module_as_without(
    activated: Card, tmp_path: Path, suite: Callable[[Path, int], list[str]]
) -> None:
    card = activated.copy(tmp_path / "card")
    slot = card.host().slot(PLAIN)
    card.stop()
    software = {
        **os.environ,
        "GNUTLS_PIN": PLAIN_PIN,
        "LC_ALL": "C.UTF-8",
        "SOFTHSM2_CONF": str(card.path / "softhsm2.conf"),
        "XCA_PKCS11_CONF": str(card.configuration),
    }
    subprocess.run(
        [
            *(
                "pkcs11-tool",
                "--module",
                str(card.library),
                "--slot",
                hex(slot),
                "--login",
                "--pin",
                PLAIN_PIN,
            ),
            *("--keypairgen", "--key-type", "rsa:2048", "--label", "rsa", "--id", "01"),
        ],
        env=software,
        check=True,
        capture_output=True,
    )

    def said(module: Path, folder: str) -> tuple[int, str]:
        # Each has a copy, because the suites write to the token.
        copy = card.copy(tmp_path / folder)
        environment = {
            **software,
            "SOFTHSM2_CONF": str(copy.path / "softhsm2.conf"),
            "XCA_PKCS11_CONF": str(copy.configuration),
        }
        done = subprocess.run(
            suite(module, slot),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        # OpenSC 0.26 also prints an address in its memory.
        return done.returncode, re.sub(rf"{re.escape(str(module))}|(?<=_ptr=)0x\w+", "SOME", done.stdout)

    direct, through = said(card.library, "direct"), said(module_path(), "through")
    assert through == direct
    assert direct[1]


@pytest.mark.integration
def test_suites_of_other_tools_are_installed() -> None:
    assert all(shutil.which(tool) for tool in ("pkcs11-tool", "p11tool"))
