# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at any system call on the store: no try is gained, and repeating works."""

import itertools
import re
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from pkcs11 import UserType

from pkcs11_shim import rules
from softhsm import Environment, repair
from support.module.cards import (
    PIN,
    USER_CODE,
    WRONG,
    Card,
    Inner,
    card_session,
    card_slot,
    signs,
    so_session,
)
from support.module.cryptoki import CKR
from support.module.host import Host, HostDiedError

NEW_PIN, NEW_USER_CODE = "newpin-1", "NewCode-99"
WRITING = ("pwrite64", "fdatasync")


def log_in_wrongly(host: Host) -> None:
    host.login(card_session(host), UserType.USER, WRONG[0])


def log_in(host: Host) -> None:
    host.login(card_session(host), UserType.USER, PIN)


def set_pin_with_the_user_code(host: Host) -> None:
    session = card_session(host)
    host.login(session, UserType.SO, USER_CODE)
    host.init_pin(session, NEW_PIN)


def change_pin(host: Host) -> None:
    host.set_pin(card_session(host), PIN, NEW_PIN)


def change_user_code(host: Host) -> None:
    session = card_session(host)
    host.login(session, UserType.SO, USER_CODE)
    host.set_pin(session, USER_CODE, NEW_USER_CODE)


def works(card: Card, user: UserType, value: str) -> bool:
    """Say whether a fresh process can log in."""
    host = card.host()
    return host.login(card_session(host), user, value) == CKR.OK


def pin_still_works(card: Card) -> None:
    assert works(card, UserType.USER, PIN)


def new_pin_can_be_set(card: Card) -> None:
    host = card.host()
    session = so_session(host)
    assert host.init_pin(session, NEW_PIN) == CKR.OK
    host.logout(session)
    assert host.login(session, UserType.USER, NEW_PIN) == CKR.OK
    assert signs(host, session)


def pin_is_the_old_or_the_new_one(card: Card) -> None:
    host = card.host()
    if host.set_pin(card_session(host), PIN, NEW_PIN) != CKR.OK:
        assert works(card, UserType.USER, NEW_PIN)
    else:
        assert not works(card, UserType.USER, PIN)
        assert works(card, UserType.USER, NEW_PIN)


def user_code_is_the_old_or_the_new_one(card: Card) -> None:
    assert works(card, UserType.SO, USER_CODE) != works(card, UserType.SO, NEW_USER_CODE)


ASKED = ("C_Login", "C_SetPIN")
"""The inner module's functions that try a secret."""


def tries_settled(card: Card) -> int:
    """Count the tries whose outcome the card remembers."""
    return sum(event.event.startswith(("verify-", "change-")) for event in card.store.events())


JOBS: dict[str, tuple[str, Callable[[Host], None], Callable[[Card], None]]] = {
    "wrong login": ("activated", log_in_wrongly, pin_still_works),
    "login": ("activated", log_in, pin_still_works),
    "activation": ("issued", set_pin_with_the_user_code, new_pin_can_be_set),
    "reset of the PIN": ("activated", set_pin_with_the_user_code, new_pin_can_be_set),
    "change of the PIN": ("activated", change_pin, pin_is_the_old_or_the_new_one),
    "change of the user code": ("activated", change_user_code, user_code_is_the_old_or_the_new_one),
}


def traced(card: Card, *options: str) -> tuple[str, ...]:
    """Return what starts a process whose system calls on the card's store are traced."""
    files = (card.path, *(f"{card.store.path}{suffix}" for suffix in ("", ".lock")))
    return ("strace", "-f", "-qq", *(word for file in files for word in ("-P", str(file))), *options)


def syscalls_on_the_store(card: Card, inner: Inner, job: Callable[[Host], None], log: Path) -> list[str]:
    """Do the job, and name the system calls on the store that it made."""
    job(card.host(inner, prefix=traced(card, "-o", str(log))))
    card.stop()
    return sorted(set(re.findall(r"^\d+ +(\w+)\(", log.read_text(), re.MULTILINE)))


def killed_at(card: Card, inner: Inner, syscall: str, which: int, job: Callable[[Host], None]) -> bool:
    """Do the job in a process that is killed at its nth such system call; False when it came to its end."""
    inject = f"inject={syscall}:signal=SIGKILL:when={which}"
    killer = traced(card, "-o", "/dev/null", "-e", f"trace={syscall}", "-e", inject)
    host = card.host(inner, initialize=False, prefix=killer)
    try:
        assert host.initialize() == CKR.OK
        job(host)
    except HostDiedError as death:
        if death.status != -signal.SIGKILL:
            raise
        return True
    return False


@pytest.mark.parametrize(("kind", "job", "aftermath"), JOBS.values(), ids=JOBS)
@pytest.mark.parametrize(
    "everywhere",
    [pytest.param(False, marks=pytest.mark.slow), pytest.param(True, marks=pytest.mark.soak)],
    ids=["writing", "everywhere"],
)
def test_operation_killed_at_any_system_call_gains_no_try(
    request: pytest.FixtureRequest,
    inner: Inner,
    tmp_path: Path,
    kind: str,
    job: Callable[[Host], None],
    aftermath: Callable[[Card], None],
    everywhere: bool,
) -> None:
    kills = 0
    syscalls: Sequence[str] = WRITING
    if everywhere:
        watched: Card = request.getfixturevalue(kind).copy(tmp_path / "watched")
        syscalls = syscalls_on_the_store(watched, inner, job, tmp_path / "log")
        assert {*WRITING} < {*syscalls}
    for syscall in syscalls:
        for which in itertools.count(1):
            card: Card = request.getfixturevalue(kind).copy(tmp_path / "card")
            asked, settled = inner.count(*ASKED), tries_settled(card)
            killed = killed_at(card, inner, syscall, which, job)
            asked, settled = inner.count(*ASKED) - asked, tries_settled(card) - settled
            row = card.row()
            spent = 2 * rules.MAX_TRIES - row.pin_tries - row.user_code_tries
            assert asked <= settled + spent, (syscall, which)
            aftermath(card)
            card.stop()
            shutil.rmtree(card.path)
            if not killed:
                break
            kills += 1
    assert kills > len(syscalls)


FAULTS = (
    ("pwrite64", "error=EIO"),
    ("pwrite64", "error=ENOSPC"),
    ("pwrite64", "retval=10"),  # a part only
    ("fdatasync", "error=EIO"),
    ("pread64", "error=EIO"),
    ("pread64", "retval=10"),
    ("openat", "error=EMFILE"),
    ("fcntl", "error=ENOLCK"),
)
TRIED: dict[str, tuple[Callable[[Host, int], CKR | None], str]] = {
    "right PIN": (lambda host, session: host.login(session, UserType.USER, PIN), PIN),
    "wrong PIN": (lambda host, session: host.login(session, UserType.USER, WRONG[0]), PIN),
    "change": (lambda host, session: host.set_pin(session, PIN, NEW_PIN), NEW_PIN),
}


@pytest.mark.slow
@pytest.mark.parametrize(("call", "value"), TRIED.values(), ids=TRIED)
@pytest.mark.parametrize(("syscall", "fault"), FAULTS, ids=[" ".join(fault) for fault in FAULTS])
def test_disk_that_fails_once_at_any_moment_gains_no_try(
    activated: Card,
    inner: Inner,
    tmp_path: Path,
    syscall: str,
    fault: str,
    call: Callable[[Host, int], CKR | None],
    value: str,
) -> None:
    faults = 0
    for which in itertools.count(1):
        card = activated.copy(tmp_path / "card")
        slot = card_slot(card.host())
        asked, settled = inner.count(*ASKED), tries_settled(card)
        log = tmp_path / "trace"
        inject = f"inject={syscall}:{fault}:when={which}"
        tracer = traced(card, "-o", str(log), "-e", f"trace={syscall}", "-e", inject)
        said = tmp_path / "log"
        host = card.host(inner, initialize=False, prefix=tracer, XCA_LOG_FILE=str(said))
        answer = host.initialize()
        if answer == CKR.OK:
            answer = call(host, host.open(slot))
        card.stop()
        happened = "INJECTED" in log.read_text()
        asked, settled = inner.count(*ASKED) - asked, tries_settled(card) - settled
        row = card.row()
        spent = rules.MAX_TRIES - row.pin_tries
        assert asked <= settled + spent, which
        assert answer != CKR.OK or spent == 0, which
        assert not said.exists() or "Success" not in said.read_text()
        works_now = works(card, UserType.USER, value)
        assert works_now or (answer != CKR.OK and works(card, UserType.USER, PIN)), which
        shutil.rmtree(card.path)
        if not happened:
            break
        faults += 1
    assert faults > 1


@pytest.mark.integration
def test_token_file_that_softhsm_lost_in_a_kill_is_repaired(card: Card) -> None:
    """SoftHSM empties its token file and writes it anew at every login: its known limit."""
    (token_file,) = (card.path / "tokens" / card.number).glob("token.object")
    tracer = ("strace", "-f", "-qq", "-o", "/dev/null", "-P", str(token_file), "-e", "trace=write")
    host = card.host(prefix=(*tracer, "-e", "inject=write:signal=SIGKILL:when=1"))
    session = card_session(host)
    with pytest.raises(HostDiedError):
        host.login(session, UserType.USER, PIN)
    assert token_file.stat().st_size == 0
    assert card.pin_tries == 2

    assert repair(Environment(card.path), card.number)
    # The first user code is valid again, no PIN is; the keys are the same.
    assert not works(card, UserType.USER, PIN)
    new_pin_can_be_set(card)
