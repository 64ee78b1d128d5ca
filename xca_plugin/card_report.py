# SPDX-License-Identifier: Apache-2.0
"""What cards and their PKCS#11 module show without a login, for those who have no such card.

Nothing in it tells whose card it is: no serial number, no name, no reader, no bytes of keys or certificates.
Texts that anybody may have chosen, such as labels, are shown only where they are known; of others the length.
"""

import re
from collections.abc import Callable, Iterator
from enum import Enum, Flag
from typing import Any, Final, TypeVar

import pkcs11
from pkcs11 import Attribute, Mechanism, Object, ObjectClass, PKCS11Error, Slot, Token
from pkcs11 import exceptions as p11

from pkcs11_shim import library_path, rules
from xca_plugin.model import CERTIFICATE_LABELS, Key
from xca_plugin.token_info import pin_lengths

_T = TypeVar("_T")

_LABELS: Final = (
    rules.CARD_LABEL,
    "GPKI Smart Card",
    *CERTIFICATE_LABELS.values(),
    "CA Cert",
    "ROOT CA Cert",
    *Key,
)
"""Labels of tokens and objects that say nothing of a person."""
_OBJECTS_AT_MOST: Final = 100
# What a mechanism does not have, some modules leave as it was in memory.
_LONGEST_KEY: Final = 1 << 31
_FLAGS: Final = 0xFFFFFFFF
"""All flags of PKCS#11."""
_SHOWN: Final = (
    Attribute.TOKEN,
    Attribute.PRIVATE,
    Attribute.MODIFIABLE,
    Attribute.COPYABLE,
    Attribute.DESTROYABLE,
    Attribute.CERTIFICATE_TYPE,
    Attribute.CERTIFICATE_CATEGORY,
    Attribute.TRUSTED,
    Attribute.KEY_TYPE,
    Attribute.MODULUS_BITS,
    Attribute.LOCAL,
    Attribute.SENSITIVE,
    Attribute.ALWAYS_SENSITIVE,
    Attribute.EXTRACTABLE,
    Attribute.NEVER_EXTRACTABLE,
    Attribute.ALWAYS_AUTHENTICATE,
    Attribute.SIGN,
    Attribute.SIGN_RECOVER,
    Attribute.DECRYPT,
    Attribute.UNWRAP,
    Attribute.VERIFY,
    Attribute.ENCRYPT,
    Attribute.WRAP,
    Attribute.DERIVE,
)
"""Attributes whose values are a kind, a number of bits, or true or false."""
_NUMBER: Final = re.compile(r"\w*[0-9]{5,}\w*")
_MEASURED: Final = (Attribute.SUBJECT, Attribute.ISSUER, Attribute.SERIAL_NUMBER, Attribute.MODULUS)
"""Attributes of which the length is shown."""


def card_report() -> dict[str, Any]:
    """Return what is shown, as JSON has it (docs/schema/card-report.schema.json).

    A call that fails is shown by the name of its PKCS#11 error.

    Raises:
        FileNotFoundError, OSError, ConfigurationError: as library_path.
        PKCS11Error: the module does not load.
    """
    library = pkcs11.lib(str(library_path()))
    return {
        "module": {
            "file": library_path().name,
            "manufacturer": _text(library.manufacturer_id),
            "description": _text(library.library_description),
            "version": _version(library.library_version),
            "cryptoki": _version(library.cryptoki_version),
        },
        "slots": [_slot(slot) for slot in library.get_slots()],
    }


def _slot(slot: Slot) -> dict[str, Any]:
    return {"flags": _flags(slot.flags), "token": _asked(lambda: _token(slot, slot.get_token()))}


def _token(slot: Slot, token: Token) -> dict[str, Any]:
    shortest, longest = pin_lengths(library_path(), slot.slot_id)
    return {
        "label": _known(token.label),
        "manufacturer": _text(token.manufacturer_id),
        "model": _text(token.model),
        "serial_length": len(token.serial.strip(b"\0 ")),
        "flags": _flags(token.flags),
        "pin_lengths": [shortest, longest],
        "hardware": _version(token.hardware_version),
        "firmware": _version(token.firmware_version),
        "mechanisms": _asked(lambda: [_mechanism(slot, each) for each in slot.get_mechanisms()]),
        "objects": _asked(lambda: list(_objects(token))),
    }


def _mechanism(slot: Slot, mechanism: Mechanism | int) -> dict[str, Any]:
    def information() -> dict[str, Any]:
        told = slot.get_mechanism_info(mechanism)  # type: ignore[arg-type]  # numbers without a name too
        return {
            "flags": _flags(told.flags),
            "key_lengths": [
                length if length is not None and length <= _LONGEST_KEY else None
                for length in (told.min_key_length, told.max_key_length)
            ],
        }

    return {"mechanism": _name(mechanism)} | _asked(information)


def _objects(token: Token) -> Iterator[dict[str, Any]]:
    with token.open() as session:
        for position, found in enumerate(list(session.get_objects({}))):
            if position == _OBJECTS_AT_MOST:
                return
            yield _object(found)


def _object(found: Object) -> dict[str, Any]:
    kind = _value(found, Attribute.CLASS)
    # The bytes of a certificate are public; those of anything else are not even read.
    measured = (*_MEASURED, Attribute.VALUE) if kind is ObjectClass.CERTIFICATE else _MEASURED
    return {
        "class": _name(kind),
        "label": _known(_value(found, Attribute.LABEL)),
        "id": _known(_value(found, Attribute.ID)),
        "attributes": {
            each.name: value if isinstance(value, bool) else _name(value)
            for each in _SHOWN
            if (value := _value(found, each)) is not None
        },
        "lengths": {
            each.name: len(value) if isinstance(value, bytes) else _name(value)
            for each in measured
            if (value := _value(found, each)) is not None
        },
    }


def _value(found: Object, attribute: Attribute) -> Any:
    """Return an attribute's value; None: it has none; the name of an error where reading fails."""
    try:
        return found[attribute]
    except p11.AttributeTypeInvalid:
        return None
    except (PKCS11Error, ValueError, NotImplementedError) as error:
        return type(error)


def _asked(ask: Callable[[], _T]) -> "_T | dict[str, Any]":
    """Return an answer, or the name of the error instead of one."""
    try:
        return ask()
    except (PKCS11Error, ValueError, NotImplementedError) as error:
        return {"error": type(error).__name__}


def _known(label: Any) -> str:
    """Return a label or identifier that is known, else how long it is."""
    if isinstance(label, bytes):
        label = label.decode("ascii", "replace")
    if not isinstance(label, str):
        return "none" if label is None else str(_name(label))
    plain = label.strip("\0\t ")
    return plain if plain in _LABELS else f"another of {len(plain)} characters"


def _text(said: bytes | str) -> str:
    """Return a product's text, without longer numbers: one may be a serial number."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return _NUMBER.sub("(number)", text.strip("\0\t "))


def _name(value: Any) -> str | int:
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, Enum):
        return value.name
    return value if isinstance(value, int) else "another kind of value"


def _flags(flags: Flag) -> list[str | int]:
    rest = int(flags.value) & _FLAGS
    names: list[str | int] = []
    for each in type(flags):
        if each.value and each.value & rest == each.value and each.name:
            names.append(each.name)
            rest &= ~each.value
    return [*names, *([rest] if rest else [])]


def _version(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
