# SPDX-License-Identifier: Apache-2.0
"""The function lists that the module hands out: the inner module's functions, except for those it guards."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pkcs11 import UserType

from pkcs11_shim import module_path, rules
from support.module.cards import PIN, USER_CODE, WRONG, Card, Inner, card_session
from support.module.cryptoki import CKR, FUNCTIONS_2_40, FUNCTIONS_3_0
from support.module.host import Host, Room, Ulong, given

TABLE = (Path(__file__).parents[2] / "pkcs11_shim" / "src" / "replaced.def").read_text()
REPLACED = set(re.findall(r"^XCA_REPLACED\((\w+)\)$", TABLE, re.MULTILINE))
REPLACED_3_0 = REPLACED | set(re.findall(r"^XCA_REPLACED_3\((\w+)\)$", TABLE, re.MULTILINE))
GUARDED = ("C_Login", "C_SetPIN", "C_InitPIN", "C_InitToken", "C_CreateObject", "C_DestroyObject")

NAME = b"PKCS 11\0"
FORK_SAFE = 1
"""CKF_INTERFACE_FORK_SAFE."""


def interface(host: Host, name: bytes | None, version: bytes | None) -> dict[str, Any]:
    """Ask C_GetInterface and read what it points to."""
    answer = host.symbol("C_GetInterface", name, version, Ulong(), 0)
    assert answer.rv == CKR.OK
    found: dict[str, Any] = host.do("interface", answer.out[0])
    return found


def test_symbols_exported_by_the_module_are_three() -> None:
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", "--format=just-symbols", module_path()],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    symbols = {line.split("@")[0] for line in listing.split()}
    assert symbols == {"C_GetFunctionList", "C_GetInterface", "C_GetInterfaceList"}


def test_list_entry_that_is_not_replaced_is_the_inner_modules_own(card: Card) -> None:
    host = card.host()
    ours = host.do("entries", None, len(FUNCTIONS_2_40))
    theirs = host.do("entries", host.do("beside", str(card.library)), len(FUNCTIONS_2_40))
    differ = {name for name, mine, its in zip(FUNCTIONS_2_40, ours, theirs, strict=True) if mine != its}
    assert differ == REPLACED
    assert set(GUARDED) <= differ


def test_list_entry_for_the_list_gives_our_list(card: Card) -> None:
    host = card.host()
    assert host.call("C_GetFunctionList", None).rv == CKR.ARGUMENTS_BAD
    again = host.call("C_GetFunctionList", Ulong())
    assert again.rv == CKR.OK
    assert again.out == host.loaded.out


def test_list_asked_for_with_null_is_refused(card: Card) -> None:
    host = card.host(initialize=False)
    assert host.symbol("C_GetFunctionList", None).rv == CKR.ARGUMENTS_BAD
    assert host.symbol("C_GetInterface", None, None, None, 0).rv == CKR.ARGUMENTS_BAD
    assert host.symbol("C_GetInterfaceList", None, None).rv == CKR.ARGUMENTS_BAD


def test_inner_module_of_2_40_gives_the_2_40_interface(card: Card) -> None:
    host = card.host(initialize=False)
    for version in (None, b"\x02\x28"):
        for name in (None, NAME):
            found = interface(host, name, version)
            assert (found["name"], found["list"]) == ("PKCS 11", host.loaded.out[0])
            assert host.do("use", found["list"]) == [2, 40]


@pytest.mark.parametrize(
    ("name", "version", "flags"),
    [
        (b"Vendor X\0", None, 0),
        (b"\0", None, 0),
        (NAME, b"\x03\x00", 0),
        (NAME, b"\x02\x14", 0),
        (NAME, b"\x09\x09", 0),
        (NAME, None, 1 << 20),
    ],
)
def test_interface_that_is_not_offered_is_refused(
    card: Card, name: bytes, version: bytes | None, flags: int
) -> None:
    host = card.host(initialize=False)
    answer = host.symbol("C_GetInterface", name, version, Ulong(1234), flags)
    assert answer.rv == CKR.ARGUMENTS_BAD
    assert answer.out == [1234]


def test_list_of_interfaces_counts_as_pkcs11_counts(card: Card) -> None:
    host = card.host(initialize=False)
    assert host.symbol("C_GetInterfaceList", None, Ulong(77)).out == [1]
    small = host.symbol("C_GetInterfaceList", Room(24), Ulong(0))
    assert (small.rv, small.out[1]) == (CKR.BUFFER_TOO_SMALL, 1)
    assert small.out[0] == "aa" * 24
    listed = host.symbol("C_GetInterfaceList", Room(48), Ulong(2))
    assert (listed.rv, listed.out[1]) == (CKR.OK, 1)
    assert listed.out[0].endswith("aa" * 24)


# An inner module of PKCS#11 3.0


def test_interface_3_0_of_the_inner_module_is_offered(card: Card, inner_with_interfaces: Inner) -> None:
    host = card.host(inner_with_interfaces, INNER_VERSION="3.0")
    assert host.symbol("C_GetInterfaceList", None, Ulong()).out == [2]
    newest = interface(host, None, None)
    assert newest["list"] == interface(host, NAME, b"\x03\x00")["list"]
    assert interface(host, NAME, b"\x02\x28")["list"] == host.loaded.out[0]
    entries = host.do("entries", None, len(FUNCTIONS_2_40))
    assert host.do("use", newest["list"]) == [3, 0]
    newer = host.do("entries", None, len(FUNCTIONS_3_0))
    assert newer[: len(FUNCTIONS_2_40)] == entries
    assert all(address is None for address in newer[len(FUNCTIONS_2_40) + 3 :])


def test_entries_of_the_3_0_list_called_lead_not_around_the_module(
    card: Card, inner_with_interfaces: Inner
) -> None:
    host = card.host(inner_with_interfaces, INNER_VERSION="3.0")
    ours = interface(host, None, None)["list"]
    host.do("use", ours)
    for name in ("C_GetInterface", "C_GetInterfaceList", "C_GetFunctionList"):
        assert name in REPLACED_3_0
    assert host.call("C_GetFunctionList", Ulong()).out == host.loaded.out
    again = host.call("C_GetInterface", NAME, b"\x03\x00", Ulong(), 0)
    assert host.do("interface", again.out[0])["list"] == ours
    listed = host.call("C_GetInterfaceList", Room(48), Ulong(2))
    assert listed.rv == CKR.OK
    pointers = bytes.fromhex(listed.out[0])
    lists = {int.from_bytes(pointers[at : at + 8], "little") for at in (8, 32)}
    assert lists == {ours, host.loaded.out[0]}


def test_c_login_user_with_a_wrong_pin_costs_a_try_like_c_login(
    card: Card, inner_with_interfaces: Inner
) -> None:
    host = card.host(inner_with_interfaces, INNER_VERSION="3.0")
    host.do("use", interface(host, None, None)["list"])
    session = card_session(host)
    asked = inner_with_interfaces.count

    def login_user(user: int, value: str | None) -> CKR | None:
        return host.call("C_LoginUser", session, user, *given(value), *given("holder")).rv

    assert login_user(UserType.USER, None) == CKR.ARGUMENTS_BAD
    assert login_user(UserType.USER, "12345") == CKR.PIN_LEN_RANGE
    assert asked("C_LoginUser", "C_Login") == 0
    assert login_user(UserType.USER, WRONG[0]) == CKR.PIN_INCORRECT
    assert login_user(UserType.USER, WRONG[0]) == CKR.PIN_INCORRECT
    assert (card.pin_tries, asked("C_LoginUser")) == (2, 1)
    assert login_user(UserType.USER, WRONG[1]) == CKR.PIN_INCORRECT
    assert host.login(session, UserType.USER, WRONG[2]) == CKR.PIN_LOCKED
    assert login_user(UserType.USER, PIN) == CKR.PIN_LOCKED
    assert login_user(UserType.SO, WRONG[0]) == CKR.PIN_INCORRECT
    assert card.user_code_tries == 2
    assert login_user(UserType.SO, USER_CODE) == CKR.OK
    assert card.user_code_tries == 3
    assert asked("C_LoginUser", "C_Login") == 5


@pytest.mark.parametrize("version", ["error", "7.7", "7.0", "3.1", "3.2"])
def test_inner_module_with_a_strange_interface_is_used_as_2_40(
    card: Card, inner_with_interfaces: Inner, version: str
) -> None:
    host = card.host(inner_with_interfaces, INNER_VERSION=version)
    assert host.symbol("C_GetInterfaceList", None, Ulong()).out == [1]
    found = interface(host, None, None)
    assert found["list"] == host.loaded.out[0]
    assert host.do("use", found["list"]) == [2, 40]
    assert host.login(card_session(host), UserType.USER, PIN) == CKR.OK


def test_newer_interface_is_not_offered_beside_3_0(card: Card, inner_with_interfaces: Inner) -> None:
    host = card.host(inner_with_interfaces, INNER_VERSION="3.0")
    for version in (b"\x03\x01", b"\x03\x02"):
        assert host.symbol("C_GetInterface", NAME, version, Ulong(), 0).rv == CKR.ARGUMENTS_BAD


def test_interfaces_keep_the_inner_modules_flags(card: Card, inner_with_interfaces: Inner) -> None:
    host = card.host(inner_with_interfaces, INNER_VERSION="3.0", INNER_FLAGS="1")
    for version in (b"\x03\x00", b"\x02\x28"):
        assert interface(host, NAME, version)["flags"] == FORK_SAFE
        assert host.symbol("C_GetInterface", NAME, version, Ulong(), FORK_SAFE).rv == CKR.OK
    without = card.host(inner_with_interfaces, INNER_VERSION="3.0")
    assert interface(without, NAME, b"\x02\x28")["flags"] == 0
    assert without.symbol("C_GetInterface", NAME, None, Ulong(), FORK_SAFE).rv == CKR.ARGUMENTS_BAD


# Inner modules that lack functions


WRAPPED_BY_THE_TEST = sorted(REPLACED - {"C_GetFunctionList"} | {"C_GetSessionInfo", "C_GetAttributeValue"})


@pytest.mark.parametrize("missing", WRAPPED_BY_THE_TEST)
def test_entry_that_the_inner_module_lacks_crashes_nobody_and_opens_nothing(
    card: Card, inner: Inner, missing: str
) -> None:
    slot = card.direct().slot(rules.INNER_LABEL + card.number)
    host = card.host(inner, load=False, initialize=False, INNER_NULL=missing)
    if host.loaded.rv != CKR.OK:
        assert host.loaded.rv == CKR.GENERAL_ERROR  # refusing such a module altogether is as good
        return
    host.call("C_Initialize", None)
    session = host.call("C_OpenSession", slot, 6, None, None, Ulong()).out[0]
    host.call("C_GetInfo", Room(88))
    host.call("C_GetSlotInfo", slot, Room(112))
    host.call("C_GetTokenInfo", slot, Room(208))
    host.call("C_InitToken", slot, *given(USER_CODE), b"x".ljust(32))
    host.call("C_Login", session, UserType.USER, *given(WRONG[0]))
    host.call("C_SetPIN", session, *given(WRONG[1]), *given("newpin-1"))
    host.call("C_InitPIN", session, *given("newpin-1"))
    host.call("C_DestroyObject", session, 1)
    for function in ("C_CreateObject", "C_GenerateKey", "C_UnwrapKey", "C_DeriveKey"):
        host.call(function, session, *[None] * 7)
    # The process lives, and every try that reached the inner module was spent.
    host.call("C_Finalize", None)
    assert 3 - card.pin_tries == inner.count("C_Login", "C_SetPIN")
    assert inner.count("C_InitToken", "C_InitPIN") == 0


def test_entry_missing_in_2_40_is_not_handed_out_in_3_0(card: Card, inner_with_interfaces: Inner) -> None:
    host = card.host(inner_with_interfaces, INNER_VERSION="3.0", INNER_NULL="C_Login")
    newest = interface(host, None, None)["list"]
    assert host.do("use", newest) == [3, 0]
    entries = host.do("entries", newest, len(FUNCTIONS_2_40))
    assert entries[FUNCTIONS_2_40.index("C_Login")] is None


def test_inner_module_without_slots_is_passed_through(card: Card, inner: Inner) -> None:
    host = card.host(inner)
    inner.does("C_GetSlotList count 0")
    assert host.slots() == []
    assert host.call("C_GetSlotList", 1, None, Ulong(9)).out == [0]
