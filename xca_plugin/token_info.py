# SPDX-License-Identifier: Apache-2.0
"""What PKCS#11 2.40 answers and python-pkcs11 leaves out: PIN lengths, and the login of a session."""

import ctypes
from functools import cache
from pathlib import Path

from pkcs11_shim import rules

# Positions in CK_FUNCTION_LIST.
_GET_TOKEN_INFO = 6
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
