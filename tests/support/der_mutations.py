# SPDX-License-Identifier: Apache-2.0
"""Structures in DER that are changed in one element or more, with hypothesis; the lengths around them fit."""

from dataclasses import dataclass
from typing import Final, Self

from hypothesis import strategies as st

from xca_common.pki.asn1_stream import header, read_length

_MOST_BYTES: Final = 16 << 10
_CONSTRUCTED: Final = 0x20
_OCTET_STRING, _OID, _INTEGER, _SEQUENCE, _SET = 0x04, 0x06, 0x02, 0x30, 0x31
_OIDS: Final = tuple(
    bytes.fromhex(one)
    for one in (
        "2a864886f70d010101",  # rsaEncryption
        "2a864886f70d010105",  # sha1WithRSAEncryption
        "2a864886f70d01010a",  # RSASSA-PSS
        "2a864886f70d01010b",  # sha256WithRSAEncryption
        "2a8648ce3d0201",  # ecPublicKey
        "608648016503040201",  # sha256
        "2b0e03021a",  # sha1
        "2a864886f70d0205",  # md5
        "2a864886f70d010702",  # signedData
        "2a864886f70d010701",  # data
        "2a864886f70d010904",  # messageDigest
        "551d0f",  # keyUsage
        "551d13",  # basicConstraints
        "2a03",
    )
)


@dataclass
class Element:
    """An element.

    Attributes:
        tag: its first byte.
        content: the elements in it; bytes: it has none.
        before: its header, if it is not that of DER; the rest of it follows.
    """

    tag: int
    content: "list[Element] | bytes"
    before: bytes | None = None

    @classmethod
    def all_of(cls, der: bytes) -> list[Self]:
        """Return the elements that stand in a row.

        Raises:
            ValueError: it is something else.
        """
        found, at = [], 0
        while at < len(der):
            length, start = read_length(der, at + 1)
            if length is None or start + length > len(der) or der[at] & 0x1F == 0x1F:
                raise ValueError
            found.append(cls(der[at], cls._inside(der[at], der[start : start + length])))
            at = start + length
        return found

    @classmethod
    def _inside(cls, tag: int, content: bytes) -> "list[Element] | bytes":
        if not (tag & _CONSTRUCTED or (tag == _OCTET_STRING and content[:1] == bytes((_SEQUENCE,)))):
            return content
        try:
            return [*cls.all_of(content)]
        except (ValueError, IndexError):
            return content

    def encode(self) -> bytes:
        """Return the element in DER, but for what is meant to be something else."""
        content = (
            self.content if isinstance(self.content, bytes) else b"".join(map(Element.encode, self.content))
        )
        return (header(self.tag, len(content)) if self.before is None else self.before) + content


def is_der(data: bytes) -> bool:
    """Tell whether something is a structure that mutated() changes: in DER, and not long."""
    try:
        return len(Element.all_of(data)) > 0 and len(data) < _MOST_BYTES
    except (ValueError, IndexError):
        return False


@st.composite
def mutated(draw: st.DrawFn, der: bytes) -> bytes:
    """Return a structure in DER with some of its elements changed."""
    whole = Element.all_of(der)
    for _ in range(draw(st.integers(1, 3))):
        places = [*_places(whole)]
        if not places:
            break
        row, at = places[draw(st.integers(0, len(places) - 1))]
        _change(draw, whole, row, at)
    return b"".join(map(Element.encode, whole))


def _places(row: list[Element]) -> list[tuple[list[Element], int]]:
    found = []
    for at, one in enumerate(row):
        found.append((row, at))
        if isinstance(one.content, list):
            found += _places(one.content)
    return found


def _change(draw: st.DrawFn, whole: list[Element], row: list[Element], at: int) -> None:
    one = row[at]
    how = draw(st.sampled_from(_CHANGES))
    if how == "remove":
        del row[at]
    elif how == "twice":
        row.insert(at, one)
    elif how == "many":
        row[at:at] = [one] * draw(st.sampled_from([10, 100, 1000]))
    elif how == "another's":
        places = _places(whole)
        other_row, other = places[draw(st.integers(0, len(places) - 1))]
        row[at] = Element.all_of(other_row[other].encode())[0]
    elif how == "order":
        row.reverse()
    elif how == "tag":
        row[at] = Element(draw(st.integers(0, 255)), one.content)
    elif how == "deeper":
        for _ in range(draw(st.sampled_from([1, 10, 500]))):
            row[at] = Element(draw(st.sampled_from([_SEQUENCE, _SET, 0xA0, 0x24])), row[at].encode())
    elif how == "length":
        body = one.encode()[len(header(one.tag, 0)) :]
        lengths = [
            b"\x80",
            b"\x81\x01",
            b"\x84\xff\xff\xff\xff",
            b"\x84\0\0\0\x01",
            b"\xff",
            b"\x88" + b"\x7f" * 8,
        ]
        row[at] = Element(one.tag, body, bytes((one.tag,)) + draw(st.sampled_from(lengths)))
    elif how == "integer":
        values = [b"", b"\0", b"\xff", b"\x80", b"\0\0\x01", b"\x7f" + bytes(draw(st.sampled_from([8, 600])))]
        row[at] = Element(_INTEGER, draw(st.sampled_from(values)))
    elif how == "oid":
        row[at] = Element(_OID, draw(st.sampled_from(_OIDS) | st.binary(max_size=80)))
    elif how == "empty":
        row[at] = Element(one.tag, b"")
    else:
        row[at] = Element(one.tag, draw(st.binary(max_size=60)))


_CHANGES: Final = (
    *("remove", "twice", "many", "another's", "order", "tag", "deeper", "length", "integer", "oid", "empty"),
    "content",
)
