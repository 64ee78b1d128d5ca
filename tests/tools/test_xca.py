# SPDX-License-Identifier: Apache-2.0
"""XCA, the X Certificate and Key management program, in its windows and from the keyboard, with a card."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from softhsm.card_fixture import CardFixture
from softhsm.issuer import IssuedCardState

SECONDS = 30
NEW_PIN = "New+2468"
WRONG = "wrong-00"
# What chooses an entry of the menu Token once it is open; the last one has no letter of its own.
CHANGE_PIN, CHANGE_USER_CODE, INIT_PIN = ("c",), ("s",), ("Up", "Return")
KEYS_MILLISECONDS = "150"

pytestmark = pytest.mark.slow


class Screen:
    """A screen with XCA alone on it."""

    def __init__(self, variables: dict[str, str], program: "subprocess.Popen[bytes]") -> None:
        self._variables, self._program = variables, program
        self._wait(lambda: len(self._windows()) == 1)
        (self._main,) = self._windows()
        self._known = {self._main}

    def token(self, *keys: str) -> None:
        """Choose an entry of the menu Token, and then the one card that is there."""
        self._focus(self._main)
        self._xdotool("key", "--delay", KEYS_MILLISECONDS, "alt+f", "Right", "Right", *keys)
        self.answer()

    def answer(self, *secrets: str) -> None:
        """Type into the fields of the next window, and press Return."""
        self._wait(lambda: bool(self._windows() - self._known))
        (window,) = self._windows() - self._known
        self._known.add(window)
        self._focus(window)
        for place, secret in enumerate(secrets):
            if place:
                self._xdotool("key", "Tab")
            self._xdotool("type", secret)
        self._xdotool("key", "Return")
        self._wait(lambda: window not in self._windows())

    def _focus(self, window: str) -> None:
        self._xdotool("windowfocus", "--sync", window)

    def _wait(self, until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not until():
            assert self._program.poll() is None, "XCA ended"
            assert time.monotonic() < deadline, self._windows()
            time.sleep(0.05)

    def _windows(self) -> set[str]:
        return set(self._xdotool("search", "--onlyvisible", "--name", "X Certificate").split())

    def _xdotool(self, *words: str) -> str:
        return subprocess.run(
            ["xdotool", *words],
            env=self._variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        ).stdout


@pytest.fixture(autouse=True)
def programs() -> None:
    absent = [name for name in ("xca", "Xvfb", "xdotool") if shutil.which(name) is None]
    if absent:
        pytest.skip(f"not here: {', '.join(absent)} (Debian: xca xvfb xdotool)")


@contextmanager
def running(
    *command: str, variables: dict[str, str], keep: Sequence[int] = ()
) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(
        command,
        env=variables,
        pass_fds=keep,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as program:
        try:
            yield program
        finally:
            program.terminate()


def database(folder: Path, variables: dict[str, str], module: Path) -> Path:
    """Have XCA make a database; give it a password, and the module as xcactl tools register does."""
    path = folder / "office.xdb"
    subprocess.run(
        ["xca", "--no-gui", f"--database={path}", "--exit"],
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        start_new_session=True,
        timeout=SECONDS,
    )
    digest = b"T0123456789abcdefoffice"
    for _ in range(8000):
        digest = hashlib.sha512(digest).digest()
    rows = (("pwhash", f"T0123456789abcdef{digest.hex().upper()}"), ("pkcs11path", f"1:{module}"))
    with closing(sqlite3.connect(path)) as made:
        made.executemany("INSERT INTO settings (key_, value) VALUES (?, ?)", rows)
        made.commit()
    return path


@contextmanager
def xca(card: CardFixture, folder: Path) -> Iterator[Screen]:
    """XCA, started, with a database that names the module of a card."""
    variables = os.environ | card.variables | {"HOME": str(folder), "LANG": "C.UTF-8", "LANGUAGE": "en"}
    variables |= {"XDG_DATA_HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "QT_QPA_PLATFORM": "xcb"}
    folder.chmod(0o700)
    path = database(folder, variables, card.module)
    reader, writer = os.pipe()
    with os.fdopen(reader) as told:
        server = ("Xvfb", "-displayfd", str(writer), "-screen", "0", "1100x800x24", "-nolisten", "tcp")
        with running(*server, variables=variables, keep=[writer]):
            os.close(writer)
            variables["DISPLAY"] = f":{told.readline().strip()}"
            options = (f"--database={path}", "--password=pass:office")
            with running("xca", *options, variables=variables) as program:
                yield Screen(variables, program)


def eventually(value: Callable[[], object], wanted: object) -> None:
    deadline = time.monotonic() + SECONDS
    while value() != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    assert value() == wanted


def tries(card: CardFixture) -> tuple[int, int]:
    row = card.environment.store.card(card.number)
    assert row is not None
    return row.pin_tries, row.user_code_tries


def test_init_pin_in_xca_activates_the_card(xca_issued_card: CardFixture, tmp_path: Path) -> None:
    with xca(xca_issued_card, tmp_path) as screen:
        screen.token(*INIT_PIN)
        screen.answer(xca_issued_card.user_code)
        screen.answer(NEW_PIN, NEW_PIN)
        eventually(lambda: xca_issued_card.state, IssuedCardState.ACTIVE)
    assert tries(xca_issued_card) == (3, 3)


def test_init_pin_in_xca_with_a_wrong_user_code_costs_one_try(
    xca_issued_card: CardFixture, tmp_path: Path
) -> None:
    with xca(xca_issued_card, tmp_path) as screen:
        screen.token(*INIT_PIN)
        screen.answer(WRONG)
        screen.answer()  # what went wrong
        eventually(lambda: tries(xca_issued_card), (3, 2))
    assert xca_issued_card.state is IssuedCardState.ISSUED


def test_change_pin_in_xca_changes_it(xca_active_card: CardFixture, tmp_path: Path) -> None:
    assert xca_active_card.pin is not None
    with xca(xca_active_card, tmp_path) as screen:
        screen.token(*CHANGE_PIN)
        screen.answer(xca_active_card.pin)
        screen.answer(NEW_PIN, NEW_PIN)
        screen.token(*CHANGE_PIN)
        screen.answer(NEW_PIN)
        screen.answer(xca_active_card.pin, xca_active_card.pin)
    assert tries(xca_active_card) == (3, 3)


def test_change_so_pin_in_xca_changes_the_user_code(xca_active_card: CardFixture, tmp_path: Path) -> None:
    with xca(xca_active_card, tmp_path) as screen:
        screen.token(*CHANGE_USER_CODE)
        screen.answer(xca_active_card.user_code)
        screen.answer(NEW_PIN, NEW_PIN)
        screen.token(*CHANGE_USER_CODE)
        screen.answer(NEW_PIN)
        screen.answer(xca_active_card.user_code, xca_active_card.user_code)
    assert tries(xca_active_card) == (3, 3)


def test_wrong_pins_in_xca_lock_the_card_and_init_pin_unlocks_it(
    xca_active_card: CardFixture, tmp_path: Path
) -> None:
    with xca(xca_active_card, tmp_path) as screen:
        for left in (2, 1, 0):
            screen.token(*CHANGE_PIN)
            screen.answer(f"{WRONG[:-1]}{left}")
            screen.answer()  # what went wrong
            eventually(lambda: tries(xca_active_card)[0], left)
        assert xca_active_card.state is IssuedCardState.PIN_LOCKED
        screen.token(*INIT_PIN)
        screen.answer(xca_active_card.user_code)
        screen.answer(NEW_PIN, NEW_PIN)
        eventually(lambda: xca_active_card.state, IssuedCardState.ACTIVE)
