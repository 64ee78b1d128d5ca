# SPDX-License-Identifier: Apache-2.0
"""PKCS#11 as ctypes sees it: the function lists' order, the structures and the return values.

The child process of host_driver.py imports this file too: it needs the standard library only. Object classes,
attributes, mechanisms, user types and token flags come from python-pkcs11.
"""

import ctypes
from enum import IntEnum
from typing import Self

FUNCTIONS_2_40 = (
    *("C_Initialize", "C_Finalize", "C_GetInfo", "C_GetFunctionList", "C_GetSlotList", "C_GetSlotInfo"),
    *("C_GetTokenInfo", "C_GetMechanismList", "C_GetMechanismInfo", "C_InitToken", "C_InitPIN", "C_SetPIN"),
    *("C_OpenSession", "C_CloseSession", "C_CloseAllSessions", "C_GetSessionInfo", "C_GetOperationState"),
    *("C_SetOperationState", "C_Login", "C_Logout", "C_CreateObject", "C_CopyObject", "C_DestroyObject"),
    *("C_GetObjectSize", "C_GetAttributeValue", "C_SetAttributeValue", "C_FindObjectsInit", "C_FindObjects"),
    *("C_FindObjectsFinal", "C_EncryptInit", "C_Encrypt", "C_EncryptUpdate", "C_EncryptFinal"),
    *("C_DecryptInit", "C_Decrypt", "C_DecryptUpdate", "C_DecryptFinal", "C_DigestInit", "C_Digest"),
    *("C_DigestUpdate", "C_DigestKey", "C_DigestFinal", "C_SignInit", "C_Sign", "C_SignUpdate"),
    *("C_SignFinal", "C_SignRecoverInit", "C_SignRecover", "C_VerifyInit", "C_Verify", "C_VerifyUpdate"),
    *("C_VerifyFinal", "C_VerifyRecoverInit", "C_VerifyRecover", "C_DigestEncryptUpdate"),
    *("C_DecryptDigestUpdate", "C_SignEncryptUpdate", "C_DecryptVerifyUpdate", "C_GenerateKey"),
    *("C_GenerateKeyPair", "C_WrapKey", "C_UnwrapKey", "C_DeriveKey", "C_SeedRandom", "C_GenerateRandom"),
    *("C_GetFunctionStatus", "C_CancelFunction", "C_WaitForSlotEvent"),
)
"""CK_FUNCTION_LIST after its version (PKCS#11 2.40, pkcs11f.h)."""

FUNCTIONS_3_0 = (
    *FUNCTIONS_2_40,
    *("C_GetInterfaceList", "C_GetInterface", "C_LoginUser", "C_SessionCancel", "C_MessageEncryptInit"),
    *("C_EncryptMessage", "C_EncryptMessageBegin", "C_EncryptMessageNext", "C_MessageEncryptFinal"),
    *("C_MessageDecryptInit", "C_DecryptMessage", "C_DecryptMessageBegin", "C_DecryptMessageNext"),
    *("C_MessageDecryptFinal", "C_MessageSignInit", "C_SignMessage", "C_SignMessageBegin"),
    *("C_SignMessageNext", "C_MessageSignFinal", "C_MessageVerifyInit", "C_VerifyMessage"),
    *("C_VerifyMessageBegin", "C_VerifyMessageNext", "C_MessageVerifyFinal"),
)
"""CK_FUNCTION_LIST_3_0 after its version (PKCS#11 3.0, pkcs11f.h)."""

CONTEXT_SPECIFIC = 2
"""CKU_CONTEXT_SPECIFIC, which python-pkcs11 does not name."""


class CKR(IntEnum):
    """Return values, without their prefix; a value that is not listed here keeps its number."""

    OK = 0
    HOST_MEMORY = 0x02
    SLOT_ID_INVALID = 0x03
    GENERAL_ERROR = 0x05
    FUNCTION_FAILED = 0x06
    ARGUMENTS_BAD = 0x07
    ATTRIBUTE_SENSITIVE = 0x11
    ACTION_PROHIBITED = 0x1B
    DATA_INVALID = 0x20
    DEVICE_ERROR = 0x30
    DEVICE_MEMORY = 0x31
    DEVICE_REMOVED = 0x32
    FUNCTION_CANCELED = 0x50
    FUNCTION_NOT_SUPPORTED = 0x54
    OBJECT_HANDLE_INVALID = 0x82
    OPERATION_ACTIVE = 0x90
    OPERATION_NOT_INITIALIZED = 0x91
    PIN_INCORRECT = 0xA0
    PIN_INVALID = 0xA1
    PIN_LEN_RANGE = 0xA2
    PIN_EXPIRED = 0xA3
    PIN_LOCKED = 0xA4
    SESSION_CLOSED = 0xB0
    SESSION_HANDLE_INVALID = 0xB3
    SESSION_READ_ONLY = 0xB5
    SESSION_READ_ONLY_EXISTS = 0xB7
    SESSION_READ_WRITE_SO_EXISTS = 0xB8
    TEMPLATE_INCONSISTENT = 0xD1
    TOKEN_NOT_PRESENT = 0xE0
    TOKEN_WRITE_PROTECTED = 0xE2
    USER_ALREADY_LOGGED_IN = 0x100
    USER_NOT_LOGGED_IN = 0x101
    USER_PIN_NOT_INITIALIZED = 0x102
    USER_TYPE_INVALID = 0x103
    USER_ANOTHER_ALREADY_LOGGED_IN = 0x104
    BUFFER_TOO_SMALL = 0x150
    CRYPTOKI_NOT_INITIALIZED = 0x190
    CRYPTOKI_ALREADY_INITIALIZED = 0x191
    FUNCTION_REJECTED = 0x200
    VENDOR = 0x80000001

    @classmethod
    def _missing_(cls, value: object) -> Self:
        assert isinstance(value, int)
        member = int.__new__(cls, value)
        member._name_, member._value_ = f"0x{value:x}", value
        return member


class Version(ctypes.Structure):
    _fields_ = (("major", ctypes.c_ubyte), ("minor", ctypes.c_ubyte))


class Info(ctypes.Structure):
    """CK_INFO."""

    _fields_ = (
        ("cryptokiVersion", Version),
        ("manufacturerID", ctypes.c_char * 32),
        ("flags", ctypes.c_ulong),
        ("libraryDescription", ctypes.c_char * 32),
        ("libraryVersion", Version),
    )


class SlotInfo(ctypes.Structure):
    """CK_SLOT_INFO."""

    _fields_ = (
        ("slotDescription", ctypes.c_char * 64),
        ("manufacturerID", ctypes.c_char * 32),
        ("flags", ctypes.c_ulong),
        ("hardwareVersion", Version),
        ("firmwareVersion", Version),
    )


class TokenInfo(ctypes.Structure):
    """CK_TOKEN_INFO."""

    _fields_ = (
        ("label", ctypes.c_char * 32),
        ("manufacturerID", ctypes.c_char * 32),
        ("model", ctypes.c_char * 16),
        ("serialNumber", ctypes.c_char * 16),
        ("flags", ctypes.c_ulong),
        ("ulMaxSessionCount", ctypes.c_ulong),
        ("ulSessionCount", ctypes.c_ulong),
        ("ulMaxRwSessionCount", ctypes.c_ulong),
        ("ulRwSessionCount", ctypes.c_ulong),
        ("ulMaxPinLen", ctypes.c_ulong),
        ("ulMinPinLen", ctypes.c_ulong),
        ("ulTotalPublicMemory", ctypes.c_ulong),
        ("ulFreePublicMemory", ctypes.c_ulong),
        ("ulTotalPrivateMemory", ctypes.c_ulong),
        ("ulFreePrivateMemory", ctypes.c_ulong),
        ("hardwareVersion", Version),
        ("firmwareVersion", Version),
        ("utcTime", ctypes.c_char * 16),
    )


class SessionInfo(ctypes.Structure):
    """CK_SESSION_INFO."""

    _fields_ = (
        ("slotID", ctypes.c_ulong),
        ("state", ctypes.c_ulong),
        ("flags", ctypes.c_ulong),
        ("ulDeviceError", ctypes.c_ulong),
    )


class Attribute(ctypes.Structure):
    """CK_ATTRIBUTE."""

    _fields_ = (("type", ctypes.c_ulong), ("pValue", ctypes.c_void_p), ("ulValueLen", ctypes.c_ulong))


class Mechanism(ctypes.Structure):
    """CK_MECHANISM."""

    _fields_ = (
        ("mechanism", ctypes.c_ulong),
        ("pParameter", ctypes.c_void_p),
        ("ulParameterLen", ctypes.c_ulong),
    )


class Interface(ctypes.Structure):
    """CK_INTERFACE."""

    _fields_ = (
        ("pInterfaceName", ctypes.c_char_p),
        ("pFunctionList", ctypes.c_void_p),
        ("flags", ctypes.c_ulong),
    )


class FunctionList(ctypes.Structure):
    """CK_FUNCTION_LIST and CK_FUNCTION_LIST_3_0: the longer of the two begins with the shorter."""

    _fields_ = (("version", Version), ("functions", ctypes.c_void_p * len(FUNCTIONS_3_0)))
