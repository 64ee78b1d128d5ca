# SPDX-License-Identifier: Apache-2.0
"""The fields of a site's request: JSON, in one of the encodings that clients use."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, unquote_plus

from xca_plugin.agent.component.result_codes import Code, Refusal

_BODY_PREFIX: Final = "tbsPackage="
_ABSENT_VALUES: Final = ("", "__NotExistedTag__")
_FIELDS_MAX: Final = 256  # the vendor's library sends some sixty
_FUNCTION: Final = re.compile(r'"func"\s*:\s*"([A-Za-z]{1,64})"')
_LONE_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def decode_fields(body: str) -> dict[str, str]:
    """Return the fields of a request as texts, also numbers and booleans; absent fields are left out.

    The body is `tbsPackage=` and JSON, form-encoded JSON, or JSON alone; values may be percent-encoded once
    more. Fields with any other value are ignored.

    Raises:
        Refusal: the body is no JSON object.
    """
    text = body.removeprefix(_BODY_PREFIX)
    members = _json_object(text)
    try:
        members = members or _json_object(unquote_plus(text, errors="strict"))
        if members is None or len(members) > _FIELDS_MAX:
            raise Refusal(Code.BAD_JSON)
        fields = {name: _as_text(value) for name, value in members.items()}
        "".join(fields.values()).encode()
    except UnicodeError:  # half a surrogate pair or no UTF-8
        raise Refusal(Code.BAD_JSON) from None
    return {name: value for name, value in fields.items() if value not in _ABSENT_VALUES}


def named_function(body: str) -> str:
    """Return the member `func` of a request that is not decoded; empty: it is not in sight."""
    found = _FUNCTION.search(body)
    return found[1] if found else ""


def base64_field(fields: Mapping[str, str], name: str) -> bytes:
    """Return the bytes of a base64 field. A blank in it stands for a plus sign that a decoder replaced.

    Raises:
        Refusal: the field is no base64.
    """
    value = re.sub(r"[\r\n]", "", fields.get(name, "")).replace(" ", "+")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(Code.BAD_BASE64) from None


def is_true(fields: Mapping[str, str], name: str) -> bool:
    """Tell whether a field is "true", in any case."""
    return fields.get(name, "").lower() == "true"


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        members = json.loads(text, strict=False)  # some pages join it by hand and leave line breaks in it
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) else None


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return _percent_decoded(value)
    return json.dumps(value) if isinstance(value, (bool, int, float)) else ""


def _percent_decoded(text: str) -> str:
    """Percent-decode once. Where that is not possible, replace only %2B, which some clients send for "+"."""
    if not _LONE_PERCENT.search(text):
        try:
            return unquote(text, errors="strict")
        except UnicodeDecodeError:
            pass
    return text.replace("%2B", "+")
