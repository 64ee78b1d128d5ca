# SPDX-License-Identifier: Apache-2.0
"""A card of a test's own, and the scripted inner module that a test can put under the card's module."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pkcs11 import Attribute, ObjectClass, UserType

from pkcs11_shim import CardRow, Store, module_path, rules
from pkcs11_shim.store import _OWN, _Slot
from softhsm.environment import Environment
from softhsm.issuer import Application, issue
from support.module.cryptoki import CKR
from support.module.host import Host, HostDiedError, given, ulong
from xca_common import taipei

USER_CODE = "Code~8642"
PIN = "Pin+1357"
WRONG = ("wrong-1", "wrong-2", "wrong-3", "wrong-4")
PLAIN = "plain"
"""Label of the token beside the card that is no card; its SO PIN and PIN are these: """
PLAIN_SO_PIN, PLAIN_PIN = "plain-so", "plain-pin"


class Card:
    """An environment with one card; every process that a test starts on it ends with the test.

    Attributes:
        path: the environment's directory.
        number: the card's number.
        store: the card store, seen from Python.
        library: the environment's SoftHSM.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.configuration = path / "pkcs11.conf"
        self.library = path / "libsofthsm2.so"
        self.store = Store(path / "cards.db")
        (card,) = self.store.cards()
        self.number = card.number
        self._hosts: list[Host] = []

    def copy(self, to: Path) -> "Card":
        """Copy the environment: issuing generates keys, copying does not."""
        return Card(Environment(self.path).copy(to).path)

    def activate(self) -> None:
        host = self.host()
        assert host.init_pin(so_session(host), PIN) == CKR.OK
        self.stop()

    # Processes

    def environment(self, **more: str) -> dict[str, str]:
        """Return the variables that lead a process to this card."""
        return {"XCA_PKCS11_CONF": str(self.configuration), "HOME": str(self.path), **more}

    def host(
        self,
        inner: "Inner | None" = None,
        *,
        load: bool = True,
        initialize: bool = True,
        prefix: Sequence[str] = (),
        stderr: int = subprocess.DEVNULL,
        variables: Mapping[str, str] | None = None,
        **more: str,
    ) -> Host:
        """Start a process with the card's module in it, over SoftHSM or over a scripted inner module.

        Args:
            inner: the scripted inner module.
            load: insist that the module can be loaded.
            initialize: call C_Initialize.
            prefix: a program, and its arguments, that starts the process.
            stderr: where its stderr goes.
            variables: more environment variables.
            more: likewise.
        """
        environment = self.environment(
            **(inner.environment(self) if inner else {}), **(variables or {}), **more
        )
        host = self._keep(Host(module_path(), environment, prefix=prefix, stderr=stderr))
        if load:
            assert host.loaded.rv == CKR.OK
        if initialize:
            assert host.initialize() == CKR.OK
        return host

    def direct(self, *, initialize: bool = True) -> Host:
        """Start a process with bare SoftHSM in it."""
        host = self._keep(Host(self.library, {"SOFTHSM2_CONF": str(self.path / "softhsm2.conf")}))
        if initialize:
            assert host.initialize() == CKR.OK
        return host

    def stop(self) -> None:
        """End every process that was started on this card."""
        for host in self._hosts:
            host.stop()

    def _keep(self, host: Host) -> Host:
        self._hosts.append(host)
        return host

    # The card's memory

    def row(self) -> CardRow:
        row = self.store.card(self.number)
        assert row
        return row

    @property
    def pin_tries(self) -> int:
        return self.row().pin_tries

    @property
    def user_code_tries(self) -> int:
        return self.row().user_code_tries

    def write(self, **values: Any) -> None:
        """Write other values into the card's row (record.h), as the issuer writes them."""
        with self.store.writing() as writer:
            place, slot = writer._find(self.number)
            writer._write(place, slot._replace(**values))

    def write_generation(self, generation: int) -> None:
        """Write another generation into the store."""
        with self.store.writing() as writer:
            own = _Slot.read(writer._file, _OWN)
            assert own
            writer._write(_OWN, own._replace(epoch=generation))

    def set_tries(self, *, pin: int = rules.MAX_TRIES, user_code: int = rules.MAX_TRIES) -> None:
        self.write(pin_tries=pin, user_code_tries=user_code)

    def last_day(self, days_from_today: int) -> None:
        """Set the last day for the card's activation, counted in days from today in Taipei."""
        today = taipei.today() - date(1970, 1, 1)
        self.write(activate_by=today.days + days_from_today)


def issue_card(path: Path, application: Application | None = None) -> Card:
    """Make an environment with one card and one token that is no card."""
    environment = Environment.create(path)
    issue(environment, USER_CODE, application)
    card = Card(environment.path)
    host = card.direct()
    (blank,) = set(host.slots(token_present=False)) - {host.slot(rules.INNER_LABEL + card.number)}
    label = PLAIN.encode().ljust(32)
    assert host.call("C_InitToken", blank, *given(PLAIN_SO_PIN), label).rv == CKR.OK
    session = host.open(host.slot(PLAIN))
    assert host.login(session, UserType.SO, PLAIN_SO_PIN) == CKR.OK
    assert host.init_pin(session, PLAIN_PIN) == CKR.OK
    card.stop()
    return card


def card_slot(host: Host) -> int:
    """Return the slot of the only card."""
    return host.slot(rules.CARD_LABEL)


def card_session(host: Host, *, rw: bool = True) -> int:
    """Open a session on the card."""
    return host.open(card_slot(host), rw=rw)


def user_session(host: Host) -> int:
    """Open a session on the card and log in with the PIN."""
    session = card_session(host)
    assert host.login(session, UserType.USER, PIN) == CKR.OK
    return session


def so_session(host: Host) -> int:
    """Open a session on the card and log in with the user code."""
    session = card_session(host)
    assert host.login(session, UserType.SO, USER_CODE) == CKR.OK
    return session


def signs(host: Host, session: int) -> bool:
    """Say whether a session can sign with the card's signing key."""
    private_key = (Attribute.CLASS, ulong(ObjectClass.PRIVATE_KEY))
    (key,) = host.find(session, private_key, (Attribute.ID, b"SIGN"))
    return host.sign(session, key, b"text") == CKR.OK


class Inner:
    """The scripted inner module (inner/inner.c) with one test's script and count of calls."""

    def __init__(self, library: Path, folder: Path) -> None:
        self.library = library
        self._script = folder / "script"
        self._calls = folder / "calls"
        self._calls.touch()
        self.does()

    def environment(self, card: Card) -> dict[str, str]:
        return {
            "XCA_PKCS11_MODULE": str(self.library),
            "INNER_REAL": str(card.library),
            "INNER_SCRIPT": str(self._script),
            "INNER_CALLS": str(self._calls),
        }

    def does(self, *lines: str) -> None:
        """Say what goes wrong from now on: nothing, or lines as in inner.c."""
        # A reader sees the old script or the new one, never half of it.
        new = self._script.with_suffix(".new")
        new.write_text("".join(f"{line}\n" for line in lines))
        new.rename(self._script)

    def answers(self, function: str, answer: CKR) -> None:
        """Let a function answer this without doing anything."""
        self.does(f"{function} return {answer:x}")

    def count(self, *functions: str) -> int:
        """Return how often the functions were called, by all processes together."""
        calls = self._calls.read_text().split()
        return sum(calls.count(function) for function in functions)


def die(inner: Inner, function: str, moment: str, call: Callable[..., object], *arguments: object) -> None:
    """Let the process be killed before or after the inner module's function, during a call."""
    inner.does(f"{function} kill {moment}")
    with pytest.raises(HostDiedError) as death:
        call(*arguments)
    assert death.value.status == -signal.SIGKILL
    inner.does()


class Gate:
    """A place where the scripted inner module waits, as its `wait` action does."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "gate"
        os.mkfifo(self.path)

    def arrived(self) -> int:
        """Wait until a process waits here. It goes on when the returned file descriptor is closed."""
        return os.open(self.path, os.O_WRONLY)
