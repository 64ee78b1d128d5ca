# SPDX-License-Identifier: Apache-2.0
"""How long a PIN of a token is: what C_GetTokenInfo (PKCS#11 2.40, 3.2) tells and python-pkcs11 does not."""

import ctypes
from pathlib import Path

from pkcs11_shim import rules

_GET_TOKEN_INFO = 6  # its place among the functions of CK_FUNCTION_LIST


class _FunctionList(ctypes.Structure):
    _fields_ = (("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_void_p * (_GET_TOKEN_INFO + 1)))


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


_GetTokenInfo = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.POINTER(_TokenInfo))


def pin_lengths(module: Path, slot: int) -> tuple[int, int]:
    """Return the fewest and the most characters of a PIN, as the token in a slot reports them.

    Those of the organisation card, if it has just been pulled out or reports none that make sense.

    Args:
        module: the PKCS#11 module, loaded and initialised in this process.
        slot: the slot's identifier.
    """
    library = ctypes.CDLL(str(module))
    listed = ctypes.POINTER(_FunctionList)()
    info = _TokenInfo()
    library.C_GetFunctionList(ctypes.byref(listed))
    get_token_info = _GetTokenInfo(listed.contents.functions[_GET_TOKEN_INFO])
    if get_token_info(slot, ctypes.byref(info)) == 0 and 0 < info.ulMinPinLen <= info.ulMaxPinLen:
        return info.ulMinPinLen, info.ulMaxPinLen
    return rules.PIN_MIN, rules.PIN_MAX
