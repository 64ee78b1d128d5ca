# SPDX-License-Identifier: Apache-2.0
"""A card that counts its own tries, as OpenSC's driver for MyEID cards asks one (ISO/IEC 7816-4 and -8)."""

import json
import secrets
from enum import IntEnum
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from support.virtual_card.card_files import NUMBER, PIN, USER_CODE

ATR = bytes.fromhex("3BF51800008131FE454D794549449A")
"""Its historical bytes end with "MyEID"."""
TRIES = 3


class Instruction(IntEnum):
    """The commands that it knows, by their INS byte."""

    VERIFY = 0x20
    MANAGE_SECURITY = 0x22
    CHANGE = 0x24
    PERFORM_OPERATION = 0x2A
    RESET_RETRIES = 0x2C
    LOG_OUT = 0x2E
    GET_CHALLENGE = 0x84
    SELECT = 0xA4
    READ_BINARY = 0xB0
    GET_DATA = 0xCA


_AID = bytes.fromhex("A000000063504B43532D3135")
_MASTER_FILE, _APPLICATION = 0x3F00, 0x5015
_OK, _BLOCKED, _WRONG_LENGTH, _NOT_VERIFIED = 0x9000, 0x6983, 0x6700, 0x6982
_NOT_FOUND, _WRONG_PARAMETERS, _NO_SUCH_INSTRUCTION, _CONDITIONS = 0x6A82, 0x6A86, 0x6D00, 0x6985
_WRONG_DATA = 0x6A80
_PKCS1_ON_CARD = 0x02  # algorithm reference: the card adds and removes the padding


class StatusError(Exception):
    """A command fails with a status word."""


class MyEidCard:
    """The card. What it keeps without power is in a folder: secrets and the tries left.

    A card comes without a PIN; the user code sets it. A wrong value costs a try before it is compared.

    Args:
        folder: where it keeps that. A card that is there already goes on.
        files: its files, by file identifier (card_files.card_files).
        keys: its private keys, by file identifier.
        user_code: its user code when it is new, at most 8 characters.

    Attributes:
        files: its files.
        activated: a file that exists once the card has a PIN.
        commands: the INS of every command that came.
        last_try: the place in commands, counted from 1, of the last VERIFY with a secret in it.
    """

    def __init__(
        self, folder: Path, files: dict[int, bytes], keys: dict[int, rsa.RSAPrivateKey], user_code: str
    ) -> None:
        self._file, self.activated = folder / "card.json", folder / "activated"
        self.files, self._keys = files, keys
        self.commands: list[int] = []
        self.last_try = 0
        if not self._file.exists():
            self.renew(user_code)
        self._power_up()

    def renew(self, user_code: str, pin: str | None = None) -> None:
        """Give the card other secrets with all their tries; without a PIN it is not activated."""
        self._write(
            {
                str(PIN): {"value": None, "tries": 0} if pin is None else _full(pin.encode()),
                str(USER_CODE): _full(user_code.encode()),
            }
        )
        if pin is None:
            self.activated.unlink(missing_ok=True)
        else:
            self.activated.touch()

    def set_tries(self, secret: int, tries: int) -> None:
        """Have PIN or USER_CODE have so many tries left; a login with it ends."""
        self._verified.discard(secret)
        state = self._read()
        state[str(secret)]["tries"] = tries
        self._write(state)

    def holds(self, secret: int, value: str) -> bool:
        """Say whether PIN or USER_CODE has this value now."""
        return bool(self._read()[str(secret)]["value"] == _hex(value.encode()))

    def tries(self, secret: int) -> int:
        """Return how many tries PIN or USER_CODE has left."""
        return int(self._read()[str(secret)]["tries"])

    def __call__(self, apdu: bytes) -> bytes:
        """Answer a command; an empty one is power-up or reset."""
        if not apdu:
            self._power_up()
            return b""
        self.commands.append(apdu[1])
        try:
            return self._answer(*_parse(apdu)) + _OK.to_bytes(2)
        except StatusError as error:
            return int(error.args[0]).to_bytes(2)

    def _power_up(self) -> None:
        self._current, self._verified = _MASTER_FILE, set[int]()
        self._algorithm = self._key_file = 0
        self._chain = b""

    def _answer(self, chained: bool, ins: int, p1: int, p2: int, data: bytes) -> bytes:
        self._chain += data
        if chained:
            return b""
        data, self._chain = self._chain, b""
        match ins, p1, p2:
            case _ if ins == Instruction.SELECT:
                return self._select(p1, p2, data)
            case _ if ins == Instruction.READ_BINARY:
                return self.files.get(self._current, b"")[p1 << 8 | p2 :][:256]
            case _ if (ins, p1, p2) == (
                Instruction.GET_DATA,
                0x01,
                0xA0,
            ):  # version 4.5.0, serial number, change counter
                return bytes(5) + b"\4\5\0" + bytes.fromhex(NUMBER).rjust(10, b"\0") + bytes(2)
            case _ if (ins, p1, p2) == (
                Instruction.GET_DATA,
                0x01,
                0xAA,
            ):  # capabilities: RSA up to 2048 bits
                return bytes.fromhex("0100010800" + "00" * 6)
            case _ if ins == Instruction.VERIFY:
                self._verify(p2, data)
            case _ if ins == Instruction.CHANGE:
                self._change(p2, data)
            case _ if ins == Instruction.RESET_RETRIES:
                self._reset_retries(p1, data)
            case _ if ins == Instruction.LOG_OUT:
                self._verified.clear()
            case _ if ins == Instruction.GET_CHALLENGE:
                return secrets.token_bytes(8)
            case _ if ins == Instruction.MANAGE_SECURITY and p1 == 0x41 and p2 in (0xB6, 0xB8):
                objects = _objects(data)
                self._algorithm = objects.get(0x80, b"\0")[0]
                self._key_file = int.from_bytes(objects.get(0x81, b""))
            case _ if ins == Instruction.PERFORM_OPERATION:
                return self._perform(p1, p2, data)
            case _:
                raise StatusError(_NO_SUCH_INSTRUCTION)
        return b""

    def _select(self, p1: int, p2: int, data: bytes) -> bytes:
        if p1 == 0x04:
            if data != _AID:
                raise StatusError(_NOT_FOUND)
            self._current = _APPLICATION
        else:
            file = int.from_bytes(data[-2:]) if data else _MASTER_FILE
            if file not in (_MASTER_FILE, _APPLICATION, *self.files, *self._keys):
                raise StatusError(_NOT_FOUND)
            self._current = file
        if p2 == 0x0C:
            return b""
        is_folder = self._current in (_MASTER_FILE, _APPLICATION)
        kind = 0x38 if is_folder else 0x11 if self._current in self._keys else 0x01
        size = len(self.files.get(self._current, b""))
        content = b"\x80\x02" + size.to_bytes(2) + bytes([0x82, 1, kind])
        content += b"\x83\x02" + self._current.to_bytes(2) + b"\x8a\x01\x05"
        return bytes([0x6F, len(content)]) + content

    def _verify(self, secret: int, data: bytes) -> None:
        if data:
            self.last_try = len(self.commands)
            self._try(secret, data)
        elif secret not in self._verified:
            tries = self.tries(secret)
            raise StatusError(0x63C0 | tries if tries else _BLOCKED)

    def _change(self, secret: int, data: bytes) -> None:
        if len(data) != 16:
            raise StatusError(_WRONG_LENGTH)
        self._try(secret, data[:8])
        self._set(secret, data[8:])

    def _reset_retries(self, p1: int, data: bytes) -> None:
        """Set the PIN: with the user code in the command (P1 = 00), or after its VERIFY (P1 = 02)."""
        if p1 == 0x00 and len(data) == 16:
            self._try(USER_CODE, data[:8])
            self._verified.discard(USER_CODE)
        elif p1 != 0x02:
            raise StatusError(_WRONG_PARAMETERS)
        elif USER_CODE not in self._verified:
            raise StatusError(_NOT_VERIFIED)
        self._set(PIN, data[-8:] if p1 == 0x00 else data)
        self._verified.discard(PIN)
        self.activated.touch()

    def _try(self, secret: int, value: bytes) -> None:
        self._verified.discard(secret)
        state = self._read()
        kept = state[str(secret)]
        if kept["tries"] == 0:
            raise StatusError(_BLOCKED)
        kept["tries"] -= 1
        self._write(state)
        if kept["value"] != _hex(value):
            raise StatusError(0x63C0 | kept["tries"] if kept["tries"] else _BLOCKED)
        kept["tries"] = TRIES
        self._write(state)
        self._verified.add(secret)

    def _set(self, secret: int, value: bytes) -> None:
        if not 6 <= len(value.rstrip(b"\xff")) <= 8:
            raise StatusError(_WRONG_DATA)
        self._write(self._read() | {str(secret): _full(value)})

    def _perform(self, p1: int, p2: int, data: bytes) -> bytes:
        key = self._keys.get(self._key_file)
        if key is None:
            raise StatusError(_CONDITIONS)
        if PIN not in self._verified:
            raise StatusError(_NOT_VERIFIED)
        with_padding = self._algorithm & _PKCS1_ON_CARD
        numbers, size = key.private_numbers(), 256
        if (p1, p2) == (0x9E, 0x9A):
            if with_padding:
                data = b"\0\1" + b"\xff" * (size - 3 - len(data)) + b"\0" + data
        elif (p1, p2) == (0x80, 0x86):
            data = data[1:]
        else:
            raise StatusError(_WRONG_PARAMETERS)
        block = int.from_bytes(data)
        if len(data) != size or block >= numbers.public_numbers.n:
            raise StatusError(_WRONG_DATA)
        result = pow(block, numbers.d, numbers.public_numbers.n).to_bytes(size)
        if p1 == 0x80 and with_padding:
            padding, _, result = result[2:].partition(b"\0")
            if len(padding) < 8:
                raise StatusError(_WRONG_DATA)
        return result

    def _read(self) -> dict[str, dict[str, Any]]:
        return dict(json.loads(self._file.read_text()))

    def _write(self, state: dict[str, dict[str, Any]]) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(state))
        new.replace(self._file)


def _parse(apdu: bytes) -> tuple[bool, int, int, int, bytes]:
    """Return whether more of the command follows, its INS, P1, P2 and data (short lengths only)."""
    cla, ins, p1, p2 = apdu[:4]
    data = apdu[5 : 5 + apdu[4]] if len(apdu) > 5 else b""
    return bool(cla & 0x10), ins, p1, p2, data


def _objects(data: bytes) -> dict[int, bytes]:
    """Return the data objects of a command, by their tags of one byte."""
    found = {}
    while data:
        tag, size = data[:2]
        found[tag], data = data[2 : 2 + size], data[2 + size :]
    return found


def _full(value: bytes) -> dict[str, Any]:
    return {"value": _hex(value), "tries": TRIES}


def _hex(value: bytes) -> str:
    """Return a secret as it is kept: without the FF that fills it up."""
    return value.rstrip(b"\xff").hex()
