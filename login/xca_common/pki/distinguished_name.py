# SPDX-License-Identifier: Apache-2.0
"""Distinguished names as people read and write them: the holder C=TW,L=臺北市,O=國立臺灣大學.

Attributes stand in the order of the certificate. Escapes are those of RFC 4514.
"""

from typing import TYPE_CHECKING, Final

from asn1crypto import x509 as asn1_x509  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from cryptography import x509

# Short names of RFC 4519 for the attributes that such certificates use.
_SHORT_NAMES: Final = {
    "country_name": "C",
    "state_or_province_name": "ST",
    "locality_name": "L",
    "organization_name": "O",
    "organizational_unit_name": "OU",
    "common_name": "CN",
    "serial_number": "serialNumber",
}


def as_text(name: asn1_x509.Name) -> str:
    """Return a name in the order of the certificate; attributes without a short name have their OID.

    Raises:
        ValueError, TypeError, LookupError: a part of it cannot be read.
    """
    parts = []
    for relative in name.chosen:
        for pair in relative:
            kind = pair["type"]
            short = _SHORT_NAMES.get(kind.native, kind.dotted)
            parts.append(f"{short}={_escaped(str(pair['value'].native))}")
    return ",".join(parts)


def as_name(name: asn1_x509.Name) -> str:
    """Return what people call the one that is named: the common name, else organisation and its units.

    Empty if the name has none of these.

    Raises:
        ValueError, TypeError, LookupError: a part of it cannot be read.
    """
    pairs = [
        (pair["type"].native, str(pair["value"].native)) for relative in name.chosen for pair in relative
    ]
    common = [value for kind, value in pairs if kind == "common_name"]
    units = [value for kind, value in pairs if kind in ("organization_name", "organizational_unit_name")]
    return " ".join(common or units)


def parse(text: str) -> "x509.Name":
    """Read a name that a person wrote; what it is made into keeps the order.

    Raises:
        ValueError: it is not such a name.
    """
    from cryptography import x509  # slow to load, and reading certificates needs no more than as_text

    text.encode()  # ValueError: an argument whose bytes are no UTF-8, such as Big5
    # RFC 4514 writes a name backwards.
    name = x509.Name(reversed(x509.Name.from_rfc4514_string(text).rdns))
    if not name.rdns or any(len(rdn) != 1 for rdn in name.rdns) or not all(part.value for part in name):
        raise ValueError("an empty name, or an attribute without a value")
    return name


def _escaped(value: str) -> str:
    # RFC 4514 section 2.4, so that a comma in a name cannot pass for another attribute
    return "".join(f"\\{character}" if character in ',+"\\<>;=' else character for character in value)
