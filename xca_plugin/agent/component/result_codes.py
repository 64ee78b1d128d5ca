# SPDX-License-Identifier: Apache-2.0
"""The answers of the component: their codes, and which code each error has.

Codes and texts are the vendor's: pages tell answers apart by the code and print their own text for it, so
neither may be changed. What a person can do is added. All is in Chinese, as pages show it.
"""

import json
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

from starlette.responses import Response

from xca_common.errors import XcaError
from xca_common.web.request_guard import RefusalReason
from xca_plugin import errors
from xca_plugin.agent_port import PORT
from xca_plugin.errors import ReturnValue, SecretMissing

_HOME: Final = f"http://localhost:{PORT}/"
_TELL_SITE: Final = "請向該網站反映。"
_RELOAD: Final = "請重新載入網頁再試；若仍發生，請向該網站反映。"
_LOOK_AT_CARD: Final = f"請先至 {_HOME} 檢視卡片狀態，再操作一次。"
_SELF_TEST: Final = f"請至 {_HOME}selfTest.htm 進行元件環境檢測。"
_RIGHT_CARD: Final = f"請至 {_HOME}card 確認是否為正確的卡片。"
_NEW_CARD: Final = "請洽發卡單位重新申請。"


class Code(IntEnum):
    """Values of ret_code (MajorErrorReason), each with its text and what a person can do."""

    text: str
    next_step: str

    def __new__(cls, value: int, text: str, next_step: str) -> "Code":
        """Make a member from its value and its sentences."""
        # Above 0x7FFFFFFF as a negative number of 32 bits, which older and newer pages understand.
        member = int.__new__(cls, value if value < 0x80000000 else value - (1 << 32))
        member._value_ = int(member)
        member.text, member.next_step = text, next_step
        return member

    OK = 0, "成功", ""
    NO_CERTIFICATE = 0x76000002, "未輸入憑證", _TELL_SITE
    NO_DATA = 0x76000003, "未輸入待簽訊息", _TELL_SITE
    NO_CIPHER = 0x76000004, "未輸入密文", _TELL_SITE
    NO_CARD = 0x76000006, "未插入IC卡", "請將IC卡插入讀卡機，再操作一次。"
    WRONG_TYPE = 0x76000008, "型態錯誤", _TELL_SITE
    TOO_LARGE = 0x7600000A, "資料過大", "請分次送出較少的資料。"
    BAD_JSON = 0x7600000B, "JSON格式錯誤", _RELOAD
    BAD_PARAMETER = 0x7600000C, "參數錯誤", _RELOAD
    FAILED = 0x7600000D, "執行錯誤或逾時", _LOOK_AT_CARD
    UNSUPPORTED = 0x7600000E, "不支援的方法", _TELL_SITE
    NOT_TRUSTED = (
        0x76000031,
        "在未授權的網站執行",
        "若您信任此網站，請依網站的指示開啟本機元件的視窗，按「信任此網站」。",
    )
    NO_PIN = 0x76000998, "未輸入PIN碼", "請輸入PIN碼，未扣除嘗試次數。"
    CANCELLED = 0x76000999, "使用者取消", "若要繼續，請再操作一次，並在本機元件的視窗按「同意」。"
    NO_MODULE = 0x76100001, "無法載入IC卡函式庫", _SELF_TEST
    NO_READER = 0x76100003, "無可用讀卡機", "請接上讀卡機，再操作一次。"
    LOGIN_FAILED = 0x76100006, "登入失敗", _LOOK_AT_CARD
    CARD_FAILED = 0x7610000B, "卡片錯誤", _LOOK_AT_CARD
    CERTIFICATE_NOT_FOUND = 0x7610000C, "找不到指定憑證", _RIGHT_CARD
    KEY_NOT_FOUND = 0x7610000D, "找不到指定金鑰", _RIGHT_CARD
    NOT_SIGNED = 0x76300004, "簽章執行錯誤", _LOOK_AT_CARD
    BAD_CIPHER_DER = 0x76400001, "密文格式錯誤", "密文可能不完整，請重新取得。"
    BAD_CIPHER_TYPE = 0x76400002, "密文型態錯誤", _TELL_SITE
    NOT_DECRYPTED = 0x76400003, "解密錯誤", "請確認密文是加密給這張卡片，且內容完整。"
    NOT_YET_VALID = 0x76500001, "憑證尚未生效", "請檢查電腦的時鐘。"
    EXPIRED = 0x76500002, "憑證已逾期", _NEW_CARD
    BAD_BASE64 = 0x76600002, "base64解碼錯誤", _RELOAD
    NOT_WRITTEN = 0x77200102, "寫入新憑證失敗", "原有的憑證仍在卡片中，請洽發卡單位。"
    NO_CARD_NUMBER = 0x77301027, "未輸入卡號", _TELL_SITE
    WRONG_USER_CODE_ONCE = 0x81000201, "用戶代碼錯誤1次", "剩兩次，英文字母有大小寫區別。"
    WRONG_USER_CODE_TWICE = 0x81000202, "用戶代碼錯誤2次", "剩一次。若不確定用戶代碼，請先進行用戶代碼重設。"
    NOT_ACTIVATED = 0x81000225, "卡片未開卡", f"請至 {_HOME}activate 開卡。"
    ALREADY_ACTIVE = (
        0x81000226,
        "卡片已開卡",
        f"可開始使用卡片。若忘記PIN碼，請至 {_HOME}reset-pin 重設PIN碼。",
    )
    USER_CODE_LOCKED = 0x81000227, "用戶代碼已鎖定", "請進行用戶代碼重設。"
    BAD_NEW_PIN = 0x83000105, "PIN碼格式錯誤", "請改用其他PIN碼，未扣除嘗試次數。"
    BAD_USER_CODE = 0x83000106, "用戶代碼格式錯誤", "請輸入6至10個字元，未扣除嘗試次數。"


class MinorCode(IntEnum):
    """Values of last_error (MinorErrorReason): those of PKCS#11, and two of the vendor's."""

    text: str
    next_step: str

    def __new__(cls, value: int, text: str, next_step: str) -> "MinorCode":
        """Make a member from its value and its sentences."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.text, member.next_step = text, next_step
        return member

    NONE = 0, "", ""
    FUNCTION_FAILED = ReturnValue.CKR_FUNCTION_FAILED, "函式失敗", "請取出卡片，重新插入後再操作一次。"
    DEVICE_ERROR = ReturnValue.CKR_DEVICE_ERROR, "裝置錯誤", _SELF_TEST
    DEVICE_REMOVED = ReturnValue.CKR_DEVICE_REMOVED, "卡片已移除", "請重新插入卡片，再操作一次。"
    PIN_INCORRECT = ReturnValue.CKR_PIN_INCORRECT, "PIN碼錯誤", "卡片未告知剩餘次數，請確認PIN碼後再輸入。"
    PIN_LEN_RANGE = ReturnValue.CKR_PIN_LEN_RANGE, "PIN碼長度或字元錯誤，未扣除嘗試次數", "請重新輸入PIN碼。"
    PIN_EXPIRED = ReturnValue.CKR_PIN_EXPIRED, "逾期未開卡", _NEW_CARD
    PIN_LOCKED = ReturnValue.CKR_PIN_LOCKED, "已鎖卡", f"請至 {_HOME}reset-pin 以用戶代碼重設PIN碼。"
    PIN_NOT_INITIALIZED = (
        ReturnValue.CKR_USER_PIN_NOT_INITIALIZED,
        "尚未設定PIN碼",
        f"請至 {_HOME}activate 開卡。",
    )
    ONE_TRY_LEFT = (
        -0x7FFFFFFF,
        "PIN碼錯誤，剩一次",
        f"若不確定PIN碼，請至 {_HOME}reset-pin 以用戶代碼重設，以免鎖卡。",
    )
    TWO_TRIES_LEFT = -0x7FFFFFFE, "PIN碼錯誤，剩兩次", "請確認PIN碼後再輸入。"


CODES_BY_ERROR: Final[Mapping[type[XcaError], tuple[Code, MinorCode]]] = {
    XcaError: (Code.FAILED, MinorCode.NONE),  # files, tools, the agent itself: pages have no code for them
    errors.NoModule: (Code.NO_MODULE, MinorCode.NONE),
    errors.ModuleFailed: (Code.NO_MODULE, MinorCode.NONE),
    errors.NotConfigured: (Code.NO_MODULE, MinorCode.NONE),
    errors.NoCardModule: (Code.NO_MODULE, MinorCode.NONE),
    errors.StoreUnreadable: (Code.CARD_FAILED, MinorCode.DEVICE_ERROR),
    errors.StoreNotWritable: (Code.CARD_FAILED, MinorCode.DEVICE_ERROR),
    errors.PluginFailed: (Code.NO_MODULE, MinorCode.NONE),
    errors.PluginMisbehaved: (Code.CARD_FAILED, MinorCode.FUNCTION_FAILED),
    errors.NoReader: (Code.NO_READER, MinorCode.NONE),
    errors.NoCard: (Code.NO_CARD, MinorCode.NONE),
    errors.CardNotFound: (Code.NO_CARD, MinorCode.NONE),
    errors.SeveralCards: (Code.BAD_PARAMETER, MinorCode.NONE),
    errors.CardRemoved: (Code.NO_CARD, MinorCode.DEVICE_REMOVED),
    errors.CardFault: (Code.CARD_FAILED, MinorCode.FUNCTION_FAILED),
    errors.Unsupported: (Code.UNSUPPORTED, MinorCode.NONE),
    errors.KeyEncryptionUnsupported: (Code.UNSUPPORTED, MinorCode.NONE),
    errors.NotActivated: (Code.NOT_ACTIVATED, MinorCode.PIN_NOT_INITIALIZED),
    errors.AlreadyActive: (Code.ALREADY_ACTIVE, MinorCode.NONE),
    errors.CardLapsed: (Code.NOT_ACTIVATED, MinorCode.PIN_EXPIRED),
    errors.WrongUserCode: (Code.WRONG_USER_CODE_ONCE, MinorCode.NONE),  # or twice, see codes_of()
    errors.UserCodeLocked: (Code.USER_CODE_LOCKED, MinorCode.NONE),
    errors.InvalidUserCode: (Code.BAD_USER_CODE, MinorCode.NONE),
    errors.UserCodeUnchanged: (Code.BAD_USER_CODE, MinorCode.NONE),
    errors.WrongPin: (Code.LOGIN_FAILED, MinorCode.PIN_INCORRECT),  # or by the tries left, see codes_of()
    errors.PinLocked: (Code.LOGIN_FAILED, MinorCode.PIN_LOCKED),
    errors.EntryCancelled: (Code.LOGIN_FAILED, MinorCode.FUNCTION_FAILED),
    errors.SecretFormRefused: (Code.LOGIN_FAILED, MinorCode.PIN_LEN_RANGE),
    errors.InvalidPin: (Code.LOGIN_FAILED, MinorCode.PIN_LEN_RANGE),
    errors.PinRefused: (Code.BAD_NEW_PIN, MinorCode.NONE),
    errors.SessionEnded: (Code.LOGIN_FAILED, MinorCode.FUNCTION_FAILED),
    errors.SecretWiped: (Code.LOGIN_FAILED, MinorCode.FUNCTION_FAILED),
    errors.PinNotProved: (Code.LOGIN_FAILED, MinorCode.FUNCTION_FAILED),
    errors.LastTryNotConfirmed: (Code.LOGIN_FAILED, MinorCode.ONE_TRY_LEFT),
    errors.NotAgreed: (Code.CANCELLED, MinorCode.NONE),
    SecretMissing: (Code.NO_PIN, MinorCode.NONE),
    errors.NoSuchCertificate: (Code.CERTIFICATE_NOT_FOUND, MinorCode.NONE),
    errors.NoSuchKey: (Code.KEY_NOT_FOUND, MinorCode.NONE),
    errors.NotDecryptable: (Code.NOT_DECRYPTED, MinorCode.NONE),
    errors.KeyStaysOnCard: (Code.UNSUPPORTED, MinorCode.NONE),
    errors.CertificateExpired: (Code.EXPIRED, MinorCode.NONE),
    errors.CertificateNotYetValid: (Code.NOT_YET_VALID, MinorCode.NONE),
    errors.NotACertificate: (Code.NO_CERTIFICATE, MinorCode.NONE),
    errors.NotEncrypted: (Code.BAD_CIPHER_DER, MinorCode.NONE),
    errors.NotForThisCard: (Code.NOT_DECRYPTED, MinorCode.NONE),
    errors.CutOff: (Code.BAD_CIPHER_DER, MinorCode.NONE),
}
"""The codes of each error. An error that is not named here has those of its base class."""

_BY_TRIES_LEFT: Final[Mapping[type[XcaError], Mapping[int | None, tuple[Code, MinorCode]]]] = {
    errors.WrongUserCode: {1: (Code.WRONG_USER_CODE_TWICE, MinorCode.NONE)},
    errors.WrongPin: {
        1: (Code.LOGIN_FAILED, MinorCode.ONE_TRY_LEFT),
        2: (Code.LOGIN_FAILED, MinorCode.TWO_TRIES_LEFT),
    },
}

# Errors whose code has a more general text.
_MESSAGES: Final[Mapping[type[XcaError], str]] = {
    errors.SeveralCards: "有多張卡片，而網站未指明使用哪一張。請只留下要使用的卡片，再操作一次。",
}

_REFUSED_REQUESTS: Final = {
    RefusalReason.FOREIGN_ORIGIN: Code.NOT_TRUSTED,
    RefusalReason.WRONG_CONTENT_TYPE: Code.BAD_JSON,
    RefusalReason.BODY_TOO_LARGE: Code.TOO_LARGE,
    RefusalReason.BODY_TOO_SLOW: Code.FAILED,
    RefusalReason.UNEXPECTED_ERROR: Code.FAILED,
}

# Some pages join JSON and HTML by hand. So characters that end a string or mean something in HTML become
# their full-width forms.
_WIDE_FORMS: Final = {ord(character): ord(character) + 0xFEE0 for character in "\"\\<>&'`"}
_CONTROLS_AS_BLANKS: Final = dict.fromkeys((*range(32), *range(127, 160), 0x2028, 0x2029), ord(" "))


class Refusal(Exception):  # named after the situation, as in xca_plugin.errors
    """The agent refuses a request.

    Attributes:
        code: the ret_code of the answer.
        message: what the page shows; by default what the code says.
    """

    def __init__(self, code: Code, message: str | None = None) -> None:
        super().__init__(code.name)
        self.code, self.message = code, message or f"{code.text}。{code.next_step}"


def page_safe(value: str) -> str:
    """Return a text that is harmless in HTML and in JSON that a page joins by hand."""
    return value.translate(_WIDE_FORMS | _CONTROLS_AS_BLANKS)


def codes_of(error: XcaError) -> tuple[Code, MinorCode]:
    """Return the ret_code and the last_error of an error."""
    error_class = next(each for each in type(error).__mro__ if each in CODES_BY_ERROR)
    tries_left = getattr(error, "tries_left", None)
    return _BY_TRIES_LEFT.get(error_class, {}).get(tries_left, CODES_BY_ERROR[error_class])


def success(func: str, **members: object) -> dict[str, Any]:
    """Return the answer to a request that was carried out."""
    return {"func": func, "ret_code": int(Code.OK), "last_error": int(MinorCode.NONE), **members}


def failure(func: str, error: XcaError | Refusal) -> dict[str, Any]:
    """Return the answer to a request that failed.

    Its message tells the reason, the tries left and what to do, for pages that show nothing else. It has the
    texts of the codes, because the error's own may name a path. Without a minor code there is no last_error:
    some pages take its presence for another error.
    """
    if isinstance(error, Refusal):
        code, minor, message = error.code, MinorCode.NONE, error.message
    else:
        code, minor = codes_of(error)
        message = _MESSAGES.get(type(error), _message(code, minor))
    answer = {"func": func, "ret_code": int(code), "message": page_safe(message)}
    if minor is not MinorCode.NONE:
        answer |= {"last_error": int(minor), "message2": minor.text}
    # Pages that ask for makeCsr read the message in another member.
    return answer | {"messagedata": answer["message"]} if func == "csr" else answer


def _message(code: Code, minor: MinorCode) -> str:
    reason = f"{code.text}：{minor.text}" if minor.text else code.text
    return f"{reason}。{minor.next_step or code.next_step}"


def to_json(answer: Mapping[str, Any]) -> str:
    """Return an answer as JSON in ASCII, without blanks."""
    return json.dumps(answer, ensure_ascii=True, separators=(",", ":"))


def json_response(answer: Mapping[str, Any]) -> Response:
    """Return an answer as a response. Pages expect status 200 whatever the answer says."""
    return Response(to_json(answer), media_type="application/json")


def refusal_response(reason: RefusalReason) -> Response:
    """Return the answer to a request that the request guard refused, with the guard's status."""
    answer = failure("", Refusal(_REFUSED_REQUESTS[reason]))
    return Response(to_json(answer), reason.value, media_type="application/json")
