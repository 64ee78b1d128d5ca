# SPDX-License-Identifier: Apache-2.0
"""The power fails at any moment: what was written since the last sync is there, lost, or torn, in any order.

What a process did to the store is recorded with strace, and every state that a disk could then hold is looked
at: no try is gained, and nothing is left that cannot be read.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pkcs11 import UserType

from pkcs11_shim import CardRow, Store, rules
from pkcs11_shim.store import _OWN, _Slot
from support.module.cards import PIN, USER_CODE, WRONG, Card, Inner, card_session
from support.module.cryptoki import CKR
from support.module.host import Host

pytestmark = pytest.mark.integration  # strace

NEW_PIN, NEW_USER_CODE = "newpin-1", "NewCode-99"
SYNCS = ("fsync", "fdatasync", "sync", "syncfs", "sync_file_range", "msync")
ASKED = ("C_Login", "C_SetPIN", "C_InitPIN")
"""The inner module's functions that try or set a secret."""


@dataclass
class Disk:
    """What a process did to the store.

    Attributes:
        content: the store before.
        synced: what was written and brought to the disk, in order.
        pending: what was written since.
        asked: the inner module's functions that tried or set a secret until then.
    """

    content: bytes
    synced: list[tuple[int, bytes]] = field(default_factory=list)
    pending: list[tuple[int, bytes]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def sync(self) -> None:
        self.synced += self.pending
        self.pending.clear()

    def states(self) -> Iterator[bytes]:
        """Yield what the disk may hold when the power fails now."""
        choices = []
        for offset, data in self.pending:
            half = len(data) // 2
            choices.append(
                [(offset, data), (offset, b""), (offset, data[:half]), (offset + half, data[half:])]
            )
        for chosen in itertools.product(*choices):
            content = bytearray(self.content)
            for offset, data in (*self.synced, *chosen):
                content[offset : offset + len(data)] = data
            yield bytes(content)


def record(card: Card, inner: Inner, trace: Path, job: Callable[[Host], None]) -> list[str]:
    """Do a job in a process of its own; returns the lines that strace wrote of it."""
    calls = ",".join(("pwrite64", "write", *SYNCS))
    host = card.host(
        inner,
        prefix=("strace", "-f", "-qq", "-y", "-xx", "-s", "9999", "-e", f"trace={calls}", "-o", str(trace)),
    )
    job(host)
    card.stop()
    return trace.read_text().splitlines()


def moments(content: bytes, lines: list[str]) -> Iterator[Disk]:
    """Yield the disk after every write to the store, every sync of it, and every call of the inner module."""
    disk = Disk(content)
    yield disk
    for line in lines:
        call, _, arguments = line.split(maxsplit=1)[1].partition("(")
        texts = [bytes.fromhex(text.replace("\\x", "")) for text in re.findall(r'"([^"]*)"', arguments)]
        if call == "write" and texts[0].decode(errors="replace").strip() in ASKED:
            disk.asked.append(texts[0].decode().strip())
        elif "cards.db>" not in decoded(arguments):
            continue
        elif call == "pwrite64":
            offset = re.findall(r", (\d+)\) += \d+$", arguments)
            disk.pending.append((int(offset[0]), texts[0]))
        elif call == "fdatasync":
            assert arguments.endswith(" = 0")
            disk.sync()
        yield disk


def decoded(arguments: str) -> str:
    """Return the arguments with the paths of files in plain text, which strace writes in hexadecimal too."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda byte: chr(int(byte[1], 16)), arguments.partition(",")[0])


def two_wrong_logins_and_the_right_one(host: Host) -> None:
    session = card_session(host)
    for wrong in WRONG[:2]:
        assert host.login(session, UserType.USER, wrong) == CKR.PIN_INCORRECT
    assert host.login(session, UserType.USER, PIN) == CKR.OK


def three_wrong_logins(host: Host) -> None:
    session = card_session(host)
    for wrong in WRONG[:3]:
        host.login(session, UserType.USER, wrong)


def wrong_changes(host: Host) -> None:
    session = card_session(host)
    for wrong in WRONG[:2]:
        assert host.set_pin(session, wrong, NEW_PIN) == CKR.PIN_INCORRECT


def change_of_the_pin(host: Host) -> None:
    assert host.set_pin(card_session(host), PIN, NEW_PIN) == CKR.OK


def reset_of_the_pin(host: Host) -> None:
    session = card_session(host)
    assert host.login(session, UserType.SO, USER_CODE) == CKR.OK
    assert host.init_pin(session, NEW_PIN) == CKR.OK


def change_of_the_user_code(host: Host) -> None:
    session = card_session(host)
    assert host.login(session, UserType.SO, USER_CODE) == CKR.OK
    assert host.set_pin(session, USER_CODE, NEW_USER_CODE) == CKR.OK


def spent(row: CardRow) -> int:
    return 2 * rules.MAX_TRIES - row.pin_tries - row.user_code_tries


def slots(path: Path) -> tuple[_Slot, _Slot]:
    """Return the newest slots of the store's own record and of the only card's."""
    with path.open("rb") as file:
        own, card = (_Slot.read(file.fileno(), place) for place in (_OWN, _OWN + 1))
    assert own
    assert card
    return own, card


WRONG_JOBS = [three_wrong_logins, wrong_changes]
CHANGES = [change_of_the_pin, reset_of_the_pin, change_of_the_user_code]


@pytest.mark.parametrize("job", [*WRONG_JOBS, two_wrong_logins_and_the_right_one, *CHANGES])
def test_power_loss_at_any_moment_gains_no_try_and_leaves_a_store(
    card: Card, inner: Inner, tmp_path: Path, job: Callable[[Host], None]
) -> None:
    before = card.store.path.read_bytes()
    epoch = card.row().epoch
    lines = record(card, inner, tmp_path / "trace", job)
    after = card.store.path.read_bytes()
    torn = Store(tmp_path / "cards.db")
    Path(f"{torn.path}.lock").touch()
    seen = 0
    for disk in moments(before, lines):
        for state in disk.states():
            seen += 1
            torn.path.write_bytes(state)
            (row,) = torn.cards()
            events = torn.events()
            own, slot = slots(torn.path)
            assert 0 <= row.epoch <= own.epoch
            assert 0 <= slot.pending <= own.epoch
            if job in WRONG_JOBS:
                assert spent(row) >= len(disk.asked)
            settled = sum(event.event.startswith(("verify-", "change-")) for event in events)
            assert len([call for call in disk.asked if call != "C_InitPIN"]) <= settled + spent(row)
            if job in CHANGES and disk.asked and disk.asked[-1] != "C_Login":
                assert slot.pending > epoch or row.epoch > epoch
    assert disk.asked
    assert disk.pending == []
    assert list(disk.states()) == [after]
    assert seen > 20


@pytest.mark.parametrize("value", [PIN, WRONG[0]])
def test_login_with_any_value_syncs_twice(card: Card, inner: Inner, tmp_path: Path, value: str) -> None:
    def logins(host: Host, count: int) -> None:
        session = card_session(host)
        for _ in range(count):
            host.login(session, UserType.USER, value)
            host.logout(session)

    def waits(count: int) -> int:
        lines = record(card, inner, tmp_path / "trace", lambda host: logins(host, count))
        return sum(line.split(maxsplit=1)[1].startswith(SYNCS) for line in lines)

    assert waits(1) - waits(0) == 2
