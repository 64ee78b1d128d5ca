# SPDX-License-Identifier: Apache-2.0
"""A host process with a PKCS#11 module in it; a test drives it through a pipe to host_driver.py."""

import json
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pkcs11

from support.module.cryptoki import CKR, SessionInfo, SlotInfo, TokenInfo

_DRIVER = Path(__file__).with_name("host_driver.py")
_TESTS = Path(__file__).parents[2]
_SECONDS = 30  # after so long without an answer a host counts as hanging
_SERIAL_SESSION, _RW_SESSION = 4, 2
OS_LOCKING = bytes(32) + (2).to_bytes(8, sys.byteorder) + bytes(8)
"""CK_C_INITIALIZE_ARGS with CKF_OS_LOCKING_OK, for a host with threads."""


@dataclass(frozen=True)
class Room:
    """A buffer of some bytes that the module may write to."""

    size: int


@dataclass(frozen=True)
class Ulong:
    """A pointer to a CK_ULONG (a handle, a length), with what stands there before the call."""

    before: int = 0


@dataclass(frozen=True)
class Mechanism:
    """A pointer to a CK_MECHANISM."""

    kind: int
    parameter: bytes = b""


@dataclass(frozen=True)
class Template:
    """A pointer to CK_ATTRIBUTEs; a value is bytes, a number (room of that size), or None (NULL)."""

    attributes: Sequence[tuple[int, bytes | int | None]]


Argument = int | bytes | Room | Ulong | Mechanism | Template | None


def encoded(argument: Argument) -> Any:
    """Return an argument as host_driver.py reads it."""
    match argument:
        case Room(size):
            return {"room": size}
        case Ulong(before):
            return {"ulong": before}
        case Mechanism(kind, parameter):
            return {"mechanism": [kind, parameter.hex()]}
        case Template(attributes):
            return {
                "template": [
                    [kind, value.hex() if isinstance(value, bytes) else value] for kind, value in attributes
                ]
            }
        case bytes():
            return {"bytes": argument.hex()}
    return argument


@dataclass(frozen=True)
class Answer:
    """What a call returned: its CK_RV (None: the entry is NULL) and, in order, what it left in Rooms,
    Ulongs and Templates."""

    rv: CKR | None
    out: Sequence[Any] = field(default_factory=tuple)


def _answer(answer: dict[str, Any]) -> Answer:
    return Answer(None if answer["rv"] is None else CKR(answer["rv"]), answer["out"])


class HostDiedError(Exception):
    """The process ended; `status` is its exit status, negative for a signal."""

    def __init__(self, status: int) -> None:
        super().__init__(f"exit status {status}")
        self.status = status


class Host:
    """A process that loads a module with an environment of its own and makes the calls it is told.

    Attributes:
        loaded: what the module's C_GetFunctionList answered.
    """

    def __init__(
        self,
        module: Path,
        environment: Mapping[str, str],
        *,
        prefix: Sequence[str] = (),
        stderr: int = subprocess.DEVNULL,
    ) -> None:
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-S", _DRIVER, module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={"LC_ALL": "C.UTF-8", "PYTHONPATH": str(_TESTS), **environment},
        )
        self.loaded = _answer(self.do("load"))

    def stop(self) -> None:
        """End the process, as a host does that forgets C_Finalize."""
        self._process.kill()
        self._process.communicate()

    # What host_driver.py can do

    def ask(self, command: str, *arguments: Any) -> None:
        """Send a command without waiting for the answer, which `result` gives."""
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps([command, *arguments]).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise HostDiedError(self._process.wait()) from None

    def result(self) -> Any:
        """Return the answer to what was asked.

        Raises:
            HostDiedError: the process ended instead.
            TimeoutError: it hangs.
        """
        assert self._process.stdout
        if not select.select([self._process.stdout], [], [], _SECONDS)[0]:
            self.stop()
            raise TimeoutError(f"no answer within {_SECONDS} s")
        if line := self._process.stdout.readline():
            return json.loads(line)
        raise HostDiedError(self._process.wait())

    def do(self, command: str, *arguments: Any) -> Any:
        self.ask(command, *arguments)
        return self.result()

    def ask_call(self, name: str, *arguments: Argument) -> None:
        self.ask("call", name, [encoded(argument) for argument in arguments])

    def answer(self) -> Answer:
        return _answer(self.result())

    def call(self, name: str, *arguments: Argument) -> Answer:
        """Call a function of the module's list with the C arguments as they are."""
        self.ask_call(name, *arguments)
        return self.answer()

    def symbol(self, name: str, *arguments: Argument) -> Answer:
        """Call a symbol that the module exports."""
        return _answer(self.do("symbol", name, [encoded(argument) for argument in arguments]))

    def threads(self, *calls: tuple[str, *tuple[Argument, ...]]) -> list[Answer]:
        """Make all calls at once, each in its thread."""
        return self._several("threads", calls)

    def fork(self, *calls: tuple[str, *tuple[Argument, ...]]) -> list[Answer]:
        """Make the calls one after the other in a forked child."""
        return self._several("fork", calls)

    def _several(self, command: str, calls: Sequence[tuple[str, *tuple[Argument, ...]]]) -> list[Answer]:
        encoded_calls = [[name, [encoded(argument) for argument in arguments]] for name, *arguments in calls]
        return [_answer(answer) for answer in self.do(command, encoded_calls)]

    def start(self, name: str, *arguments: Argument) -> None:
        """Make a call in a thread of its own, and go on; `finish` gives its answer."""
        self.do("start", [name, [encoded(argument) for argument in arguments]])

    def finish(self) -> Answer:
        """Wait for the call that was started."""
        return _answer(self.do("finish"))

    # Calls by name. Each returns the CK_RV; those with another result expect CKR_OK.

    def initialize(self, arguments: bytes | None = None) -> CKR | None:
        return self.call("C_Initialize", arguments).rv

    def finalize(self) -> CKR | None:
        return self.call("C_Finalize", None).rv

    def reinitialize(self) -> None:
        """Initialise again, as a host does after CKR_DEVICE_REMOVED."""
        assert self.finalize() == CKR.OK
        assert self.initialize() == CKR.OK

    def slots(self, *, token_present: bool = True) -> list[int]:
        count = self.call("C_GetSlotList", int(token_present), None, Ulong())
        assert count.rv == CKR.OK
        listed = self.call("C_GetSlotList", int(token_present), Room(8 * count.out[0]), Ulong(count.out[0]))
        assert listed.rv == CKR.OK
        room = bytes.fromhex(listed.out[0])
        return [int.from_bytes(room[at : at + 8], sys.byteorder) for at in range(0, len(room), 8)]

    def slot(self, label: str) -> int:
        """Return the slot of the only token with a label (CK_TOKEN_INFO.label without its padding)."""
        tokens = {slot: self.token(slot) for slot in self.slots()}
        (slot,) = (slot for slot, token in tokens.items() if token.label.decode().rstrip() == label)
        return slot

    def token(self, slot: int) -> TokenInfo:
        answer = self.call("C_GetTokenInfo", slot, Room(208))
        assert answer.rv == CKR.OK
        return TokenInfo.from_buffer_copy(bytes.fromhex(answer.out[0]))

    def slot_info(self, slot: int) -> SlotInfo:
        answer = self.call("C_GetSlotInfo", slot, Room(112))
        assert answer.rv == CKR.OK
        return SlotInfo.from_buffer_copy(bytes.fromhex(answer.out[0]))

    def flags(self, slot: int) -> pkcs11.TokenFlag:
        return pkcs11.TokenFlag(self.token(slot).flags)

    def open(self, slot: int, *, rw: bool = True) -> int:
        """Open a session and return its handle."""
        flags = _SERIAL_SESSION | (_RW_SESSION if rw else 0)
        answer = self.call("C_OpenSession", slot, flags, None, None, Ulong())
        assert answer.rv == CKR.OK
        return int(answer.out[0])

    def session(self, session: int) -> SessionInfo:
        answer = self.call("C_GetSessionInfo", session, Room(32))
        assert answer.rv == CKR.OK
        return SessionInfo.from_buffer_copy(bytes.fromhex(answer.out[0]))

    def login(self, session: int, user: int, secret: str | None) -> CKR | None:
        return self.call("C_Login", session, user, *given(secret)).rv

    def logout(self, session: int) -> CKR | None:
        return self.call("C_Logout", session).rv

    def init_pin(self, session: int, pin: str | None) -> CKR | None:
        return self.call("C_InitPIN", session, *given(pin)).rv

    def set_pin(self, session: int, old: str | None, new: str | None) -> CKR | None:
        return self.call("C_SetPIN", session, *given(old), *given(new)).rv

    def find(self, session: int, *attributes: tuple[int, bytes]) -> list[int]:
        """Return the handles of the objects that match."""
        assert self.call("C_FindObjectsInit", session, Template(attributes), len(attributes)).rv == CKR.OK
        found = self.call("C_FindObjects", session, Room(8 * 64), 64, Ulong())
        assert found.rv == CKR.OK
        assert self.call("C_FindObjectsFinal", session).rv == CKR.OK
        room = bytes.fromhex(found.out[0])
        return [int.from_bytes(room[at : at + 8], sys.byteorder) for at in range(0, 8 * found.out[1], 8)]

    def sign(self, session: int, key: int, data: bytes) -> CKR | None:
        """Sign with CKM_SHA256_RSA_PKCS and say how it went."""
        started = self.call("C_SignInit", session, Mechanism(pkcs11.Mechanism.SHA256_RSA_PKCS), key).rv
        if started != CKR.OK:
            return started
        return self.call("C_Sign", session, data, len(data), Room(256), Ulong(256)).rv


def given(secret: str | None) -> tuple[bytes | None, int]:
    """Return the two arguments that carry a PIN or a user code."""
    data = None if secret is None else secret.encode("latin-1")
    return data, len(data or b"")


def ulong(number: int) -> bytes:
    """Return a CK_ULONG attribute's value."""
    return number.to_bytes(8, sys.byteorder)
