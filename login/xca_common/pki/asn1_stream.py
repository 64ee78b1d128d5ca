# SPDX-License-Identifier: Apache-2.0
"""CMS files bigger than memory: the structure is read and written around a content that only passes by.

BER and DER (ITU-T X.690), definite and indefinite lengths. What small elements hold is left to asn1crypto;
PEM and S/MIME are read in text_forms.
"""

import base64
from collections.abc import Collection, Iterator
from types import TracebackType
from typing import BinaryIO, Final, Self

from xca_common.i18n import Text, text
from xca_common.pki import text_forms
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_common.pki.text_forms import CHUNK, SOMETHING_BEHIND, Source

INTEGER: Final = 0x02
SEQUENCE: Final = 0x30
SET: Final = 0x31
OID: Final = 0x06
OCTETS: Final = 0x04
EXPLICIT: Final = 0xA0
"""[0] EXPLICIT, or [0] IMPLICIT of something constructed."""
EXPLICIT_1: Final = 0xA1
"""[1], likewise."""
IMPLICIT: Final = 0x80
"""[0] IMPLICIT of an OCTET STRING."""
LONG: Final = 0x80
"""From here on the first byte of a length says how many more it has."""

_CONSTRUCTED: Final = 0x20
_INDEFINITE: Final = 0x80
_MOST: Final = 2 << 20  # bytes of all that is not content
_MOST_ELEMENTS: Final = 50_000  # of all that is not content
_DEEPEST: Final = 32
_MOST_PIECES: Final = 10_000  # of content, and one more for every so many bytes:
_PIECE: Final = 64
_LINE: Final = 64
_BEGIN: Final = b"-----BEGIN "
_END: Final = b"-----END "


class ElementReader:
    """Reads elements one after the other, and goes into constructed ones.

    Every method raises ValueError for what is no such element, TooMuchError (a ValueError) at a limit,
    EOFError where the file ends too early.
    """

    def __init__(self, source: Source) -> None:
        self._file = source
        self._position = 0
        self._ends: list[int | None] = []
        self._kept = 0
        self._elements = 0
        self._pieces = 0
        self._ahead: tuple[int, int | None, bytes] | None = None

    def enter(self, tag: int) -> None:
        """Go into a constructed element."""
        found, length, _ = self._header()
        if found != tag:
            raise ValueError
        if len(self._ends) == _DEEPEST:
            raise _too_deep()
        self._ends.append(None if length is None else self._position + length)

    def leave(self) -> None:
        """Go out of the innermost element, whose last part was read."""
        if self.next() is not None:
            raise ValueError
        if self._ends.pop() is None:
            self._ahead = None

    def next(self) -> int | None:
        """Return the tag of the next part of the innermost element; None: there is none."""
        if self._ahead is None:
            if self._ends and self._position == self._ends[-1]:
                return None
            self._ahead = self._read_header()
        tag, length, _ = self._ahead
        if tag == 0 and length == 0 and self._ends and self._ends[-1] is None:
            return None
        return tag

    def element(self, tag: int) -> bytes:
        """Return the whole encoding of the next part."""
        if self.next() != tag:
            raise ValueError
        return self._whole()

    def rest(self) -> bytes:
        """Return the encodings of all further parts."""
        parts = []
        while self.next() is not None:
            parts.append(self._whole())
        return b"".join(parts)

    def octets(self, tag: int = OCTETS) -> Iterator[bytes]:
        """Return the value of an OCTET STRING in chunks, in whatever pieces it was written."""
        found = self.next()
        self._pieces += 1  # empty constructed ones too: each takes time
        if self._pieces > _MOST_PIECES + self._position // _PIECE:
            raise TooMuchError(text("its content is in too many pieces"))
        if found == tag | _CONSTRUCTED:
            self.enter(found)
            while self.next() is not None:
                yield from self.octets()
            self.leave()
            return
        found, length, _ = self._header()
        if found != tag or length is None:
            raise ValueError
        while length:
            chunk = self._take(min(length, CHUNK))
            length -= len(chunk)
            yield chunk

    def skip(self, tag: int) -> None:
        """Pass over the next part without keeping it."""
        if self.next() != tag:
            raise ValueError
        depth = 0
        while True:
            found, length, _ = self._header()
            self._elements += 1
            if self._elements > _MOST_ELEMENTS:
                raise _too_many()
            if length is None:
                if not found & _CONSTRUCTED:
                    raise ValueError
                depth += 1
            elif found == length == 0 and depth:
                depth -= 1
            while length:
                length -= len(self._take(min(length, CHUNK)))
            if not depth:
                return

    def finish(self) -> None:
        """Make sure that the file ends here; after PEM, white space may follow.

        Raises:
            Malformed: something follows.
            EOFError: the last line of PEM is cut off.
        """
        if self._file.read(1):
            raise Malformed(SOMETHING_BEHIND)

    def _whole(self) -> bytes:
        whole = self._unlooked()
        self._elements += _count(whole, _MOST_ELEMENTS - self._elements)
        return whole

    def _unlooked(self) -> bytes:
        parts = []
        depth = 0
        while True:
            tag, length, header = self._header()
            self._keep(len(header))
            parts.append(header)
            if length is None:
                if not tag & _CONSTRUCTED:
                    raise ValueError
                depth += 1
            elif tag == length == 0 and depth:
                depth -= 1
            else:
                self._keep(length)
                parts.append(self._take(length))
            if not depth:
                return b"".join(parts)

    def _keep(self, size: int) -> None:
        self._kept += size
        if self._kept > _MOST:
            raise TooMuchError(
                text("it has more than {size} MiB beside its content").format(size=_MOST >> 20)
            )

    def _header(self) -> tuple[int, int | None, bytes]:
        header = self._ahead or self._read_header()
        self._ahead = None
        return header

    def _read_header(self) -> tuple[int, int | None, bytes]:
        header = self._take(2)
        tag, length = header
        if tag & 0x1F == 0x1F:
            raise ValueError
        if length == _INDEFINITE:
            return tag, None, header
        if length & 0x80:
            if (size := length & 0x7F) > 8:
                raise ValueError
            header += (octets := self._take(size))
            length = int.from_bytes(octets)
        if any(end is not None and self._position + length > end for end in self._ends):
            raise ValueError
        return tag, length, header

    def _take(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) != size:
            raise EOFError
        self._position += size
        return data


def enter_content_info(
    file: BinaryIO, content_types: Collection[bytes], otherwise: Text
) -> tuple[ElementReader, bytes]:
    """Return a reader that has entered a CMS content (RFC 5652, section 3), past the tag [0], and its type.

    Args:
        file: begins with a ContentInfo, in any of the forms of text_forms.
        content_types: those that are expected, DER-encoded OIDs.
        otherwise: what a file with something else is.

    Raises:
        Malformed: it is something else.
        TooMuchError: a limit is reached.
        EOFError: the file ends too early.
    """
    reader = ElementReader(text_forms.binary(file, otherwise))
    try:
        reader.enter(SEQUENCE)
        found = reader.element(OID)
    except (TooMuchError, Malformed):
        raise
    except ValueError as error:
        raise Malformed(otherwise) from error
    if found not in content_types:
        raise Malformed(otherwise)
    reader.enter(EXPLICIT)
    return reader, found


def check_size(encoding: bytes) -> None:
    """Make sure that an encoding has no more elements, and none nested deeper, than are read.

    Raises:
        ValueError: its lengths do not fit.
        TooMuchError: it has more.
    """
    _count(encoding, _MOST_ELEMENTS)


def _count(encoding: bytes, most: int) -> int:
    """Count the elements of an encoding; raises ValueError and TooMuchError as an ElementReader."""
    ends: list[int | None] = []  # None: where two zeros are
    count = at = 0
    while at < len(encoding):
        count += 1
        if count > most:
            raise _too_many()
        tag, at = encoding[at], at + 1
        if tag & 0x1F == 0x1F:
            while encoding[at : at + 1] >= b"\x80":
                at += 1
            at += 1
        length, at = read_length(encoding, at)
        if tag & _CONSTRUCTED:
            ends.append(None if length is None else at + length)
            if len(ends) > _DEEPEST:
                raise _too_deep()
        elif length is None:
            raise ValueError
        else:
            at += length
            if tag == length == 0 and ends and ends[-1] is None:
                ends.pop()
        while ends and (end := ends[-1]) is not None and at >= end:
            if at > end:
                raise ValueError
            ends.pop()
    if at > len(encoding) or ends:
        raise ValueError
    return count


def read_length(encoding: bytes, at: int) -> tuple[int | None, int]:
    """Return the length at a place, None if it is indefinite, and where what it is of begins.

    Raises:
        ValueError: it is too long for any file.
    """
    first = int.from_bytes(encoding[at : at + 1])
    at += 1
    if first < _INDEFINITE:
        return first, at
    if first == _INDEFINITE:
        return None, at
    size = first & 0x7F
    if size > 8:
        raise ValueError
    return int.from_bytes(encoding[at : at + size]), at + size


def content_at(der: bytes, at: int) -> tuple[int, int]:
    """Return how long the content of an element in DER is, and where it begins.

    Raises:
        ValueError, IndexError: the element is cut off, or of indefinite length.
    """
    length = der[at + 1]
    if length < LONG:  # most are short
        return length, at + 2
    found, start = read_length(der, at + 1)
    if found is None:
        raise ValueError("an indefinite length")
    return found, start


def _too_many() -> TooMuchError:
    return TooMuchError(text("it has more than {count} parts").format(count=_MOST_ELEMENTS))


def _too_deep() -> TooMuchError:
    return TooMuchError(text("its parts are nested more than {depth} deep").format(depth=_DEEPEST))


def header(tag: int, length: int) -> bytes:
    """Return tag and length of an element in DER."""
    if length < 0x80:
        return bytes((tag, length))
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets


def around(size: int | None, *layers: tuple[int, bytes, bytes]) -> tuple[bytes, bytes]:
    """Return what stands before and after a content in DER, or with indefinite lengths in BER.

    Args:
        size: length of the content; None: it is not known, and the content is in pieces, OCTET STRINGs.
        layers: the elements around it, the innermost first: the tag, the parts before, the parts after.
    """
    before = after = b""
    for tag, first, last in layers:
        if size is None:
            before = bytes((tag | _CONSTRUCTED, _INDEFINITE)) + first + before
            after += last + b"\0\0"
        else:
            length = len(first) + len(before) + size + len(after) + len(last)
            before = header(tag, length) + first + before
            after += last
    return before, after


class Armor:
    """Writes what it is given in PEM."""

    def __init__(self, sink: BinaryIO, label: str) -> None:
        self._sink = sink
        self._label = label.encode()
        self._pending = b""

    def __enter__(self) -> Self:
        self._sink.write(_BEGIN + self._label + b"-----\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines(self._pending)
        self._sink.write(_END + self._label + b"-----\n")

    def write(self, data: bytes) -> None:
        """Write some bytes."""
        data = self._pending + data
        whole = len(data) - len(data) % (_LINE // 4 * 3)
        self._lines(data[:whole])
        self._pending = data[whole:]

    def _lines(self, data: bytes) -> None:
        text = base64.b64encode(data)
        for start in range(0, len(text), _LINE):
            self._sink.write(text[start : start + _LINE] + b"\n")
