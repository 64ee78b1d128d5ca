# SPDX-License-Identifier: Apache-2.0
"""What pages send: JSON in one of the many encodings that their clients use."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, unquote_plus

from xca_plugin.agent.component.result_codes import Code, Refusal

_PREFIX: Final = "tbsPackage="
_ABSENT: Final = ("", "__NotExistedTag__")
_FIELDS_MAX: Final = 256  # the vendor's library sends some sixty
_LONE_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def decode(body: str) -> dict[str, str]:
    """Return the fields of a request: texts, also for numbers and booleans; absent ones left out.

    The body is `tbsPackage=` and JSON, form-encoded JSON, or JSON alone; values may be percent-encoded once
    more. Fields that hold anything else are of no use to this agent and ignored.

    Raises:
        Refusal: it is no JSON object.
    """
    text = body.removeprefix(_PREFIX)
    said = _object(text)
    try:
        said = said or _object(unquote_plus(text, errors="strict"))
        if said is None or len(said) > _FIELDS_MAX:
            raise Refusal(Code.BAD_JSON)
        fields = {name: _text(value) for name, value in said.items()}
        "".join(fields.values()).encode()
    except UnicodeError:  # half a character, in the encoding or in JSON
        raise Refusal(Code.BAD_JSON) from None
    return {name: value for name, value in fields.items() if value not in _ABSENT}


def octets(fields: Mapping[str, str], name: str) -> bytes:
    """Return what a base64 field holds; a blank was a plus sign before somebody decoded it.

    Raises:
        Refusal: it is no base64.
    """
    value = re.sub(r"[\r\n]", "", fields.get(name, "")).replace(" ", "+")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(Code.BAD_BASE64) from None


def is_true(fields: Mapping[str, str], name: str) -> bool:
    """Tell whether a field says true."""
    return fields.get(name, "").lower() == "true"


def _object(text: str) -> dict[str, Any] | None:
    try:
        said = json.loads(text, strict=False)  # some pages put it together by hand, line breaks and all
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _text(value: object) -> str:
    if isinstance(value, str):
        return _unquoted(value)
    return json.dumps(value) if isinstance(value, (bool, int, float)) else ""


def _unquoted(text: str) -> str:
    """Percent-decode once; in what is no such encoding, only the plus signs that some clients replace."""
    if not _LONE_PERCENT.search(text):
        try:
            return unquote(text, errors="strict")
        except UnicodeDecodeError:
            pass
    return text.replace("%2B", "+")
