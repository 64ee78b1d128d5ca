# SPDX-License-Identifier: Apache-2.0
"""Whether data is a SET OF Attribute in DER (RFC 5652, section 5.3).

That is what a signature in CMS is made over. Who signs such data as a text or a file signs another document.
"""

from collections.abc import Iterator
from typing import Final

_SET: Final = 0x31
_SEQUENCE: Final = 0x30
_OBJECT_IDENTIFIER: Final = 0x06
_LONG: Final = 0x80
"""In the first byte of a length: more of it follow. Alone it tells no length, which DER forbids."""
_LONGEST_HEADER: Final = 10  # bytes
_MOST_ATTRIBUTES: Final = 1000
_MOST_BYTES: Final = 16 << 20


def is_attribute_set(data: bytes) -> bool:
    """Tell whether data is a SET OF Attribute of at least one attribute. Its values are not looked into.

    Data that begins with 1000 of them and has more is taken for one.
    """
    try:
        ((tag, start, end),) = _elements(data, 0, len(data))
        count = 0
        for count, (attribute, first, last) in enumerate(_elements(data, start, end), 1):
            if count > _MOST_ATTRIBUTES:
                return True
            (kind, _, _), (values, _, _) = _elements(data, first, last)
            if (tag, attribute, kind, values) != (_SET, _SEQUENCE, _OBJECT_IDENTIFIER, _SET):
                return False
    except ValueError:
        return False
    return count > 0


class AttributeSetFile:
    """Tells whether a file that comes in chunks is a SET OF Attribute.

    Only a file that may be one is kept in memory. One of more than 16 MiB is taken for one by its first bytes
    and its size.
    """

    def __init__(self) -> None:
        self._kept = bytearray()
        self._size = 0
        self._promised: int | None = None  # size by the first bytes; 0: it is no SET

    def add(self, chunk: bytes) -> None:
        """Take the next chunk."""
        self._size += len(chunk)
        if self._promised is None:
            self._kept += chunk
            if len(self._kept) >= _LONGEST_HEADER:
                self._promised = _whole_size(self._kept)
        elif self._may_be_one:
            self._kept += chunk[: max(0, _MOST_BYTES - len(self._kept))]
        if not self._may_be_one:
            self._kept.clear()

    @property
    def _may_be_one(self) -> bool:
        return self._promised is None or self._size <= self._promised

    @property
    def is_attribute_set(self) -> bool:
        """Whether the whole file is one; to be asked at its end."""
        if self._size > _MOST_BYTES:
            return self._size == self._promised
        return is_attribute_set(bytes(self._kept))


def _whole_size(start: bytes | bytearray) -> int:
    try:
        return _header(start, 0)[2] if start[0] == _SET else 0
    except ValueError:
        return 0


def _elements(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Read the elements in a part of data: the tag of each, and where its content starts and ends.

    Raises:
        ValueError: an element goes beyond the part, or its length is not told.
    """
    while start < end:
        tag, first, last = _header(data[start : min(start + _LONGEST_HEADER, end)], start)
        if last > end:
            raise ValueError
        yield tag, first, last
        start = last


def _header(header: bytes | bytearray, at: int) -> tuple[int, int, int]:
    """Read the header of the element at a place: its tag, and where its content starts and ends.

    Raises:
        ValueError: it is cut off, or the length is not told.
    """
    if len(header) < 2:
        raise ValueError
    length, first = header[1], 2
    if length >= _LONG:
        first += length - _LONG
        if first == 2 or first > len(header):
            raise ValueError
        length = int.from_bytes(header[2:first], "big")
    return header[0], at + first, at + first + length
