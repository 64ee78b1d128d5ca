# SPDX-License-Identifier: Apache-2.0
"""A token that is no card: the module changes nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, ObjectClass, UserType

from support.module.cards import PLAIN, PLAIN_PIN, PLAIN_SO_PIN, Card
from support.module.cryptoki import CKR, FUNCTIONS_2_40
from support.module.host import (
    Answer,
    Argument,
    Host,
    HostDiedError,
    Mechanism,
    Room,
    Template,
    Ulong,
    given,
    ulong,
)

Transcript = list[Answer | int]
YES, NO = b"\x01", b"\x00"
KEY = Template(
    [
        (Attribute.CLASS, ulong(ObjectClass.SECRET_KEY)),
        (Attribute.KEY_TYPE, ulong(KeyType.AES)),
        (Attribute.VALUE, bytes(range(16))),
        (Attribute.TOKEN, YES),
        (Attribute.PRIVATE, NO),
        (Attribute.LABEL, b"key"),
        (Attribute.ENCRYPT, YES),
        (Attribute.MODIFIABLE, YES),
    ]
)


class Pair:
    """The same environment twice: one copy used directly, one through the module.

    Two copies, since a login writes to the token.
    """

    def __init__(self, card: Card, folder: Path) -> None:
        self.copies = [card.copy(folder / name) for name in ("direct", "through")]
        direct, through = self.copies
        self.hosts = [direct.direct(initialize=False), through.host(initialize=False)]
        self.slot = direct.direct().slot(PLAIN)

    def restart(self) -> None:
        direct, through = self.copies
        self.hosts = [direct.direct(initialize=False), through.host(initialize=False)]

    def same(self, calls: Callable[[Host, int], Transcript]) -> Transcript:
        """Make the same calls on both sides; both must go the same way."""
        direct, through = (calls(host, self.slot) for host in self.hosts)
        assert through == direct
        return direct

    def initialize(self) -> None:
        self.same(lambda host, _: [host.call("C_Initialize", None)])


@pytest.fixture
def pair(activated: Card, tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(activated, tmp_path)
    yield pair
    for card in pair.copies:
        card.stop()


def session(host: Host, slot: int, flags: int = 6) -> tuple[Answer, int]:
    opened = host.call("C_OpenSession", slot, flags, None, None, Ulong())
    return opened, opened.out[0]


def test_slots_and_tokens_of_another_token_are_the_inner_modules(pair: Pair) -> None:
    pair.initialize()

    def calls(host: Host, slot: int) -> Transcript:
        token = host.call("C_GetTokenInfo", slot, Room(208))
        without_clock = Answer(token.rv, [token.out[0][: 2 * (208 - 16)]])
        return [
            *host.slots(),
            *host.slots(token_present=False),
            host.call("C_GetSlotInfo", slot, Room(112)),
            without_clock,
            host.call("C_GetMechanismList", slot, None, Ulong()),
            host.call("C_GetMechanismList", slot, Room(8 * 200), Ulong(200)),
            host.call("C_GetMechanismInfo", slot, pkcs11.Mechanism.RSA_PKCS, Room(24)),
            host.call("C_GetTokenInfo", 12345, Room(208)),
            host.call("C_GetSlotInfo", 12345, Room(112)),
            host.call("C_GetTokenInfo", slot, None),
            host.call("C_GetSlotInfo", slot, None),
            host.call("C_GetInfo", None),
        ]

    pair.same(calls)


def test_logins_to_another_token_are_the_inner_modules(pair: Pair) -> None:
    pair.initialize()

    def calls(host: Host, slot: int) -> Transcript:
        opened, handle = session(host, slot)
        log: Transcript = [opened]
        for user, pin in (
            *[(UserType.USER, value) for value in ("wrong", "x", "", None, "wrong", "wrong", "with blank")],
            *[(UserType.SO, value) for value in ("wrong", "x", None, "y" * 300, "wrong")],
            (7, PLAIN_PIN),
            (UserType.USER, PLAIN_PIN),
            (UserType.USER, PLAIN_PIN),
            (UserType.SO, PLAIN_SO_PIN),
        ):
            log.append(host.call("C_Login", handle, user, *given(pin)))
        log += [
            host.call("C_GetSessionInfo", handle, Room(32)),
            host.call("C_SetPIN", handle, *given("wrong"), *given("long-enough-for-anybody")),
            host.call("C_SetPIN", handle, *given(PLAIN_PIN), *given("é with blanks, longer than eight")),
            host.call("C_SetPIN", handle, *given(PLAIN_PIN), *given("1")),
            host.call("C_SetPIN", handle, None, 0, None, 0),
            host.call("C_Logout", handle),
            host.call("C_Logout", handle),
            host.call("C_Login", handle, UserType.SO, *given(PLAIN_SO_PIN)),
            host.call("C_InitPIN", handle, *given("1234")),
            host.call("C_InitPIN", handle, *given("1")),
            host.call("C_InitPIN", handle, None, 0),
            host.call("C_SetPIN", handle, *given(PLAIN_SO_PIN), *given("four")),
            host.call("C_CloseSession", handle),
            host.call("C_CloseSession", handle),
        ]
        return log

    pair.same(calls)


def test_plain_token_after_wrong_pins_never_locks(pair: Pair) -> None:
    pair.initialize()

    def calls(host: Host, slot: int) -> Transcript:
        _, handle = session(host, slot)
        wrong = [host.call("C_Login", handle, UserType.USER, *given(f"wrong-{n}")) for n in range(5)]
        return [*wrong, host.call("C_Login", handle, UserType.USER, *given(PLAIN_PIN))]

    assert pair.same(calls)[-1] == Answer(CKR.OK, [])


def test_objects_of_another_token_are_the_inner_modules(pair: Pair) -> None:
    pair.initialize()

    def calls(host: Host, slot: int) -> Transcript:
        _, handle = session(host, slot)
        created = host.call("C_CreateObject", handle, KEY, len(KEY.attributes), Ulong())
        key = created.out[-1]
        shown = Template([(Attribute.LABEL, 8), (Attribute.VALUE, 4), (Attribute.TOKEN, 1), (0x7FFFFFFF, 4)])
        encryption = Mechanism(pkcs11.Mechanism.AES_ECB)
        return [
            created,
            host.call("C_GetAttributeValue", handle, key, shown, 4),
            host.call("C_SetAttributeValue", handle, key, Template([(Attribute.LABEL, b"new")]), 1),
            host.call("C_CopyObject", handle, key, Template([(Attribute.LABEL, b"copy")]), 1, Ulong()),
            host.call("C_GetObjectSize", handle, key, Ulong()),
            *host.find(handle, (Attribute.TOKEN, YES)),
            host.call("C_EncryptInit", handle, encryption, key),
            host.call("C_Encrypt", handle, bytes(32), 32, None, Ulong()),
            host.call("C_Encrypt", handle, bytes(32), 32, Room(8), Ulong(8)),
            host.call("C_Encrypt", handle, bytes(32), 32, Room(32), Ulong(32)),
            host.call("C_DestroyObject", handle, key),
            host.call("C_DestroyObject", handle, key),
            host.call("C_DestroyObject", 9999, key),
            host.call("C_CreateObject", handle, Template([]), 0, Ulong()),
            host.call("C_GenerateKey", handle, encryption, Template([]), 0, Ulong()),
            *host.find(handle, (Attribute.LABEL, b"copy")),
        ]

    pair.same(calls)


def test_token_without_a_name_can_be_initialized(pair: Pair) -> None:
    pair.initialize()

    def calls(host: Host, slot: int) -> Transcript:
        return [
            host.call("C_InitToken", slot, *given("wrong"), b"again".ljust(32)),
            host.call("C_InitToken", slot, *given(PLAIN_SO_PIN), b"again".ljust(32)),
            host.slot("again"),
        ]

    pair.same(calls)


def test_calls_that_start_and_end_are_the_inner_modules(pair: Pair) -> None:
    def calls(host: Host, slot: int) -> Transcript:
        return [
            host.call("C_Finalize", None),
            host.call("C_Initialize", None),
            host.call("C_Initialize", None),
            host.call("C_Finalize", b"reserved"),
            session(host, slot)[0],
            session(host, slot, flags=0)[0],
            host.call("C_CloseAllSessions", slot),
            host.call("C_Finalize", None),
            host.call("C_Finalize", None),
            host.call("C_OpenSession", slot, 6, None, None, Ulong()),
            host.call("C_Initialize", (1).to_bytes(8, "little") + bytes(40)),  # one mutex function of four
            host.call("C_Initialize", bytes(32) + (2).to_bytes(8, "little") + bytes(8)),
            host.call("C_GetSlotList", 1, None, Ulong()),
        ]

    pair.same(calls)


def outcome(host: Host, name: str, *arguments: Argument) -> Answer | int:
    """Return what a call answered, or how the process died of it."""
    try:
        return host.call(name, *arguments)
    except HostDiedError as death:
        return death.status


def one(name: str, *arguments: Argument) -> Callable[[Host, int], Transcript]:
    """Return the transcript of a single call."""
    return lambda host, _: [outcome(host, name, *arguments)]


ENDS_OR_STARTS = {"C_Initialize", "C_Finalize", "C_GetFunctionList"}
# Without the flag CKF_DONT_BLOCK this one may wait for ever.
ASKED_WITH_NULL = [name for name in FUNCTIONS_2_40 if name not in ENDS_OR_STARTS | {"C_WaitForSlotEvent"}]


def test_calls_with_null_before_c_initialize_crash_nothing(pair: Pair) -> None:
    for name in ASKED_WITH_NULL:
        pair.same(one(name, *[None] * 8))


def test_calls_with_null_after_c_initialize_crash_nothing(pair: Pair) -> None:
    pair.initialize()
    for name in ASKED_WITH_NULL:
        died = pair.same(one(name, *[None] * 8))
        if isinstance(died[0], int):
            pair.restart()
            pair.initialize()


@pytest.mark.parametrize("logged_in", [False, True])
def test_calls_with_null_in_a_session_crash_nothing(pair: Pair, logged_in: bool) -> None:
    def start(host: Host, slot: int) -> Transcript:
        initialized = host.call("C_Initialize", None)
        opened, handle = session(host, slot)
        pin = PLAIN_PIN if logged_in else None
        return [initialized, opened, host.call("C_Login", handle, UserType.USER, *given(pin))]

    pair.same(start)
    for name in ASKED_WITH_NULL:
        # The session's handle, then the slot, where a function wants the one or the other.
        died = pair.same(one(name, 1, *[None] * 7))
        if isinstance(died[0], int) or name in ("C_CloseSession", "C_CloseAllSessions", "C_Logout"):
            pair.restart()
            pair.same(start)
