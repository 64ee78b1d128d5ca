# SPDX-License-Identifier: Apache-2.0
"""The component's answers: their codes, what each means, and which situation has which.

The codes and their meanings are those that pages print from their own tables; they are told apart by pages,
so they must not be changed. Texts are in Chinese, as pages show them.
"""

import json
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from starlette.responses import Response

from xca_common.errors import SecretMissing, XcaError
from xca_plugin import errors
from xca_plugin.errors import ReturnValue


class Code(IntEnum):
    """Values of ret_code (MajorErrorReason)."""

    text: str

    def __new__(cls, value: int, text: str) -> "Code":
        """Make a member from its value and its meaning."""
        # Above 0x7FFFFFFF in the form that older and newer pages understand: negative, 32 bits.
        member = int.__new__(cls, value if value < 0x80000000 else value - (1 << 32))
        member._value_ = int(member)
        member.text = text
        return member

    OK = 0, "成功"
    NO_CERTIFICATE = 0x76000002, "未輸入憑證"
    NO_DATA = 0x76000003, "未輸入待簽訊息"
    NO_CIPHER = 0x76000004, "未輸入密文"
    NO_CARD = 0x76000006, "未插入IC卡"
    WRONG_TYPE = 0x76000008, "型態錯誤"
    TOO_LARGE = 0x7600000A, "資料過大"
    BAD_JSON = 0x7600000B, "JSON格式錯誤"
    BAD_PARAMETER = 0x7600000C, "參數錯誤"
    FAILED = 0x7600000D, "執行錯誤或逾時"
    UNSUPPORTED = 0x7600000E, "不支援的方法"
    NOT_TRUSTED = 0x76000031, "在未授權的網站執行"
    NO_PIN = 0x76000998, "未輸入PIN碼"
    CANCELLED = 0x76000999, "使用者取消"
    NO_MODULE = 0x76100001, "無法載入IC卡函式庫"
    NO_READER = 0x76100003, "無可用讀卡機"
    LOGIN_FAILED = 0x76100006, "登入失敗"
    CARD_FAILED = 0x7610000B, "卡片錯誤"
    CERTIFICATE_NOT_FOUND = 0x7610000C, "找不到指定憑證"
    KEY_NOT_FOUND = 0x7610000D, "找不到指定金鑰"
    NOT_SIGNED = 0x76300004, "簽章執行錯誤"
    BAD_CIPHER_DER = 0x76400001, "密文格式錯誤"
    BAD_CIPHER_TYPE = 0x76400002, "密文型態錯誤"
    NOT_DECRYPTED = 0x76400003, "解密錯誤"
    NOT_YET_VALID = 0x76500001, "憑證尚未生效"
    EXPIRED = 0x76500002, "憑證已逾期"
    BAD_BASE64 = 0x76600002, "base64解碼錯誤"
    NOT_WRITTEN = 0x77200102, "寫入新憑證失敗"
    NO_CARD_NUMBER = 0x77301027, "未輸入卡號"
    WRONG_USER_CODE_ONCE = 0x81000201, "用戶代碼錯誤1次"
    WRONG_USER_CODE_TWICE = 0x81000202, "用戶代碼錯誤2次"
    NOT_ACTIVATED = 0x81000225, "卡片未開卡"
    ALREADY_ACTIVE = 0x81000226, "卡片已開卡"
    USER_CODE_LOCKED = 0x81000227, "用戶代碼已鎖定"
    BAD_NEW_PIN = 0x83000105, "PIN碼格式錯誤"
    BAD_USER_CODE = 0x83000106, "用戶代碼格式錯誤"


class Minor(IntEnum):
    """Values of last_error (MinorErrorReason): of PKCS#11, and the two of the vendor's own."""

    text: str

    def __new__(cls, value: int, text: str) -> "Minor":
        """Make a member from its value and its meaning."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.text = text
        return member

    NONE = 0, ""
    FUNCTION_FAILED = ReturnValue.CKR_FUNCTION_FAILED, "函式失敗"
    DEVICE_ERROR = ReturnValue.CKR_DEVICE_ERROR, "裝置錯誤"
    DEVICE_REMOVED = ReturnValue.CKR_DEVICE_REMOVED, "卡片已移除"
    PIN_INCORRECT = ReturnValue.CKR_PIN_INCORRECT, "PIN碼錯誤"
    PIN_LEN_RANGE = ReturnValue.CKR_PIN_LEN_RANGE, "PIN碼長度或字元錯誤，未扣除嘗試次數"
    PIN_EXPIRED = ReturnValue.CKR_PIN_EXPIRED, "逾期未開卡"
    PIN_LOCKED = ReturnValue.CKR_PIN_LOCKED, "已鎖卡"
    PIN_NOT_INITIALIZED = ReturnValue.CKR_USER_PIN_NOT_INITIALIZED, "尚未設定PIN碼"
    ONE_TRY_LEFT = -0x7FFFFFFF, "PIN碼錯誤，剩一次"
    TWO_TRIES_LEFT = -0x7FFFFFFE, "PIN碼錯誤，剩兩次"


SITUATIONS: Final[Mapping[type[XcaError], tuple[Code, Minor]]] = {
    XcaError: (Code.FAILED, Minor.NONE),  # files, tools, the agent itself: a page cannot help with those
    errors.NoModule: (Code.NO_MODULE, Minor.NONE),
    errors.ModuleFailed: (Code.NO_MODULE, Minor.NONE),
    errors.StoreUnreadable: (Code.CARD_FAILED, Minor.DEVICE_ERROR),
    errors.StoreNotWritable: (Code.CARD_FAILED, Minor.DEVICE_ERROR),
    errors.PluginFailed: (Code.NO_MODULE, Minor.NONE),
    errors.NoReader: (Code.NO_READER, Minor.NONE),
    errors.NoCard: (Code.NO_CARD, Minor.NONE),
    errors.CardNotFound: (Code.NO_CARD, Minor.NONE),
    errors.SeveralCards: (Code.BAD_PARAMETER, Minor.NONE),
    errors.CardRemoved: (Code.NO_CARD, Minor.DEVICE_REMOVED),
    errors.CardFault: (Code.CARD_FAILED, Minor.FUNCTION_FAILED),
    errors.Unsupported: (Code.UNSUPPORTED, Minor.NONE),
    errors.NotActivated: (Code.NOT_ACTIVATED, Minor.PIN_NOT_INITIALIZED),
    errors.AlreadyActive: (Code.ALREADY_ACTIVE, Minor.NONE),
    errors.CardLapsed: (Code.NOT_ACTIVATED, Minor.PIN_EXPIRED),
    errors.WrongUserCode: (Code.WRONG_USER_CODE_ONCE, Minor.NONE),  # or twice, see of()
    errors.UserCodeLocked: (Code.USER_CODE_LOCKED, Minor.NONE),
    errors.InvalidUserCode: (Code.BAD_USER_CODE, Minor.NONE),
    errors.WrongPin: (Code.LOGIN_FAILED, Minor.PIN_INCORRECT),  # or by the tries left, see of()
    errors.PinLocked: (Code.LOGIN_FAILED, Minor.PIN_LOCKED),
    errors.InvalidPin: (Code.LOGIN_FAILED, Minor.PIN_LEN_RANGE),
    errors.PinRefused: (Code.BAD_NEW_PIN, Minor.NONE),
    errors.SessionEnded: (Code.LOGIN_FAILED, Minor.FUNCTION_FAILED),
    errors.PinNotProved: (Code.LOGIN_FAILED, Minor.FUNCTION_FAILED),
    errors.LastTryNotConfirmed: (Code.LOGIN_FAILED, Minor.ONE_TRY_LEFT),
    errors.NotAgreed: (Code.CANCELLED, Minor.NONE),
    SecretMissing: (Code.NO_PIN, Minor.NONE),
    errors.NoSuchCertificate: (Code.CERTIFICATE_NOT_FOUND, Minor.NONE),
    errors.NoSuchKey: (Code.KEY_NOT_FOUND, Minor.NONE),
    errors.NotDecryptable: (Code.NOT_DECRYPTED, Minor.NONE),
    errors.KeyStaysOnCard: (Code.UNSUPPORTED, Minor.NONE),
    errors.CertificateExpired: (Code.EXPIRED, Minor.NONE),
    errors.CertificateNotYetValid: (Code.NOT_YET_VALID, Minor.NONE),
    errors.NotACertificate: (Code.NO_CERTIFICATE, Minor.NONE),
    errors.NotEncrypted: (Code.BAD_CIPHER_DER, Minor.NONE),
    errors.NotForThisCard: (Code.NOT_DECRYPTED, Minor.NONE),
    errors.CutOff: (Code.BAD_CIPHER_DER, Minor.NONE),
}
"""Every situation; one that is not named here is its base class's."""

_BY_TRIES_LEFT: Final[Mapping[type[XcaError], Mapping[int | None, tuple[Code, Minor]]]] = {
    errors.WrongUserCode: {1: (Code.WRONG_USER_CODE_TWICE, Minor.NONE)},
    errors.WrongPin: {
        1: (Code.LOGIN_FAILED, Minor.ONE_TRY_LEFT),
        2: (Code.LOGIN_FAILED, Minor.TWO_TRIES_LEFT),
    },
}

# What would end a string of JSON that a page puts together by itself, or mean something in HTML.
_WIDE: Final = {ord(character): ord(character) + 0xFEE0 for character in "\"\\<>&'`"}
_BLANK: Final = dict.fromkeys((*range(32), *range(127, 160), 0x2028, 0x2029), ord(" "))  # controls


class Refusal(Exception):  # as in xca_plugin.errors
    """A request that gets this code for an answer.

    Attributes:
        code: the ret_code.
        message: what the page shows; by default the meaning of the code.
    """

    def __init__(self, code: Code, message: str | None = None) -> None:
        super().__init__(code.name)
        self.code, self.message = code, message or code.text


def plain(value: str) -> str:
    """Return a text that harms neither JSON put together by hand nor a page."""
    return value.translate(_WIDE | _BLANK)


def of(error: XcaError) -> tuple[Code, Minor]:
    """Return ret_code and last_error of a situation."""
    kind = next(kind for kind in type(error).__mro__ if kind in SITUATIONS)
    tries_left = getattr(error, "tries_left", None)
    return _BY_TRIES_LEFT.get(kind, {}).get(tries_left, SITUATIONS[kind])


def success(func: str, **members: object) -> dict[str, Any]:
    """Return the answer to a request that was done."""
    return {"func": func, "ret_code": int(Code.OK), "last_error": int(Minor.NONE), **members}


def failure(func: str, error: XcaError | Refusal) -> dict[str, Any]:
    """Return the answer to a request that was not done; the error's own words may tell a path."""
    if isinstance(error, Refusal):
        code, minor, message = error.code, Minor.NONE, error.message
    else:
        code, minor = of(error)
        message = code.text
    answer = {
        "func": func,
        "ret_code": int(code),
        "last_error": int(minor),
        "message": plain(message),
        "message2": minor.text,
    }
    # makeCsr has a name of its own for it.
    return answer | {"messagedata": answer["message"]} if func == "csr" else answer


def compact(answer: Mapping[str, Any]) -> str:
    """Return an answer as JSON without blanks, in ASCII."""
    return json.dumps(answer, ensure_ascii=True, separators=(",", ":"))


def response(answer: Mapping[str, Any]) -> Response:
    """Return an answer as pages expect it: status 200 whatever it says."""
    return Response(compact(answer), media_type="application/json")
