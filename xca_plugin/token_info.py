# SPDX-License-Identifier: Apache-2.0
"""What PKCS#11 2.40 has and python-pkcs11 leaves out: PIN lengths, the login of a session, a keypad."""

import ctypes
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Final

from pkcs11 import exceptions as p11

from pkcs11_shim import rules

# Positions in CK_FUNCTION_LIST.
_GET_TOKEN_INFO = 6
_INIT_PIN = 10
_SET_PIN = 11
_GET_SESSION_INFO = 15
_USER_STATES = (1, 3)  # CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS


class _FunctionList(ctypes.Structure):
    _fields_ = (("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_void_p * (_GET_SESSION_INFO + 1)))


class _TokenInfo(ctypes.Structure):
    _fields_ = (
        ("names", ctypes.c_char * 96),
        ("flags", ctypes.c_ulong),
        ("session_counts", ctypes.c_ulong * 4),
        ("ulMaxPinLen", ctypes.c_ulong),
        ("ulMinPinLen", ctypes.c_ulong),
        ("memory", ctypes.c_ulong * 4),
        ("versions", ctypes.c_ubyte * 4),
        ("utc_time", ctypes.c_char * 16),
    )


class _SessionInfo(ctypes.Structure):
    _fields_ = (
        ("slotID", ctypes.c_ulong),
        ("state", ctypes.c_ulong),
        ("flags", ctypes.c_ulong),
        ("ulDeviceError", ctypes.c_ulong),
    )


_ERRORS: Final = {
    0x05: p11.GeneralError,
    0x06: p11.FunctionFailed,
    0x07: p11.ArgumentsBad,
    0x30: p11.DeviceError,
    0x32: p11.DeviceRemoved,
    0x50: p11.FunctionCancelled,
    0x54: p11.FunctionNotSupported,
    0xA0: p11.PinIncorrect,
    0xA1: p11.PinInvalid,
    0xA2: p11.PinLenRange,
    0xA3: p11.PinExpired,
    0xA4: p11.PinLocked,
    0xB3: p11.SessionHandleInvalid,
    0xE0: p11.TokenNotPresent,
    0x101: p11.UserNotLoggedIn,
    0x102: p11.UserPinNotInitialized,
    0x200: p11.FunctionRejected,
}
"""Return values, as python-pkcs11 raises them; it does not let others use its own table."""

_GetTokenInfo = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.POINTER(_TokenInfo))
_GetSessionInfo = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.POINTER(_SessionInfo))


def pin_lengths(module: Path, slot: int) -> tuple[int, int]:
    """Return the fewest and the most characters of a PIN, as the token in a slot reports them.

    Those of the organisation card, if it has just been pulled out or reports none that make sense.

    Args:
        module: the PKCS#11 module, loaded and initialised in this process.
        slot: the slot's identifier.
    """
    info = _TokenInfo()
    get_token_info = _GetTokenInfo(_function(module, _GET_TOKEN_INFO))
    if get_token_info(slot, ctypes.byref(info)) == 0 and 0 < info.ulMinPinLen <= info.ulMaxPinLen:
        return info.ulMinPinLen, info.ulMaxPinLen
    return rules.PIN_MIN, rules.PIN_MAX


def is_logged_in(module: Path, session: int) -> bool:
    """Tell whether a session exists and is logged in with the PIN (C_GetSessionInfo).

    Args:
        module: as for pin_lengths.
        session: the session's handle.
    """
    info = _SessionInfo()
    get_session_info = _GetSessionInfo(_function(module, _GET_SESSION_INFO))
    return get_session_info(session, ctypes.byref(info)) == 0 and info.state in _USER_STATES


class SetAtReader(Enum):
    """What a person sets at the keypad of a reader."""

    FIRST = _INIT_PIN, 3
    """A PIN, in a session of the SO (C_InitPIN)."""
    NEXT = _SET_PIN, 5
    """Another value of the secret of the session's user, after the old one (C_SetPIN)."""


def set_at_reader(module: Path, session: int, what: SetAtReader) -> None:
    """Have a person set a secret at the keypad of the reader: the module gets no value (section 5.6).

    Args:
        module: as for pin_lengths.
        session: the session's handle.
        what: what is set.

    Raises:
        PKCS11Error: the module's answer, as python-pkcs11 raises it.
    """
    place, count = what.value
    # After the session, a value and its length, or two of each: 0 is NULL and no length.
    call = ctypes.CFUNCTYPE(ctypes.c_ulong, *[ctypes.c_ulong] * count)(_function(module, place))
    answer = call(session, *[0] * (count - 1))
    if answer != 0:
        raise _ERRORS.get(answer, p11.PKCS11Error)(f"Unmapped error code {answer:#x}")


def loads(module: Path) -> bool:
    """Tell whether the module has found its configuration and its inner module (C_GetFunctionList).

    Args:
        module: the PKCS#11 module.
    """
    listed = ctypes.POINTER(_FunctionList)()
    try:
        return bool(ctypes.CDLL(str(module)).C_GetFunctionList(ctypes.byref(listed)) == 0)
    except OSError:
        return False


@cache
def _function(module: Path, place: int) -> int:
    listed = ctypes.POINTER(_FunctionList)()
    ctypes.CDLL(str(module)).C_GetFunctionList(ctypes.byref(listed))
    address: int = listed.contents.functions[place]
    return address
