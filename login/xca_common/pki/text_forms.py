# SPDX-License-Identifier: Apache-2.0
"""The forms in which people hold certificates and CMS files: BER, PEM, base64 alone, S/MIME.

A CMS file passes by in chunks, so that it may be bigger than memory. Text may begin with a byte order mark,
and may be in UTF-16, as some programs on Windows write it.
"""

import base64
import binascii
import codecs
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from email.message import Message
from email.parser import BytesParser
from typing import BinaryIO, Final, Protocol

from xca_common.i18n import Text, text
from xca_common.pki.malformed import Malformed, reading

CHUNK: Final = 1 << 20
"""Bytes that are in memory at a time."""

_SEQUENCE: Final = b"\x30"  # what every CMS file and certificate in BER begins with
_UTF_8_MARK: Final = codecs.BOM_UTF8
_UTF_16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
SOMETHING_BEHIND: Final = text("something stands behind it")
_MOST_BEFORE: Final = 1 << 20  # bytes of text before a CMS file
_MOST_HEADERS: Final = 64 << 10  # bytes of the headers of a MIME entity
_BEGIN: Final = b"-----BEGIN "
_END: Final = b"-----END "
_DASHES: Final = b"-----"
# What may stand in PEM beside CMS: certificates, lists, keys, requests. Programs name CMS in several ways.
_KEY: Final = "KEY"
_NOT_CMS: Final = ("CERTIFICATE", "CRL", _KEY, "REQUEST", "PARAMETERS")
_BASE64_LINE: Final = re.compile(rb"M[A-Za-z0-9+/]{31,}={0,2}")  # M: the first 6 bits of a SEQUENCE
_HEADER_LINE: Final = re.compile(rb"[!-9;-~]+:|[ \t]")
_SIGNED: Final = "multipart/signed"
_OPAQUE: Final = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_SIGNATURE: Final = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})
_NO_SIGNATURE_PART: Final = text("its second part is no signature")
_BAD_ARMOUR: Final = text("{part} cannot be read").format(part=text("its PEM armour"))
_MOST_BOUNDARY: Final = 70  # RFC 2046, section 5.1.1
_LINE_END: Final = re.compile(rb"(?<!\r)\r*\n")


class Source(Protocol):
    """What bytes are read from, such as a file."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes, fewer at the end."""


class Chunks(io.RawIOBase):
    """The chunks of an iterator, read as one file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Return True: it can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer, or a part of it; 0 bytes at the end."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def binary(file: BinaryIO, otherwise: Text) -> Source:
    """Return a CMS file in BER, whatever form it is held in.

    The forms are BER itself, PEM (RFC 7468; text and other objects may stand before it), base64 alone, and
    S/MIME (RFC 8551): application/pkcs7-mime, or the signature of multipart/signed.

    Args:
        file: where the CMS file begins; it is read once, from there on.
        otherwise: what a file in none of these forms is.

    Returns:
        The file in BER. Its read() raises Malformed for a file in none of the forms, and for one with
        something behind the CMS file; EOFError for one that ends too early.
    """
    found = _text_of(file)
    return found if isinstance(found, _Joined) else _Joined(_cms_in(found, otherwise))


def signed_content(file: BinaryIO, output: BinaryIO | None = None) -> BinaryIO | None:
    """Return the content of an S/MIME multipart/signed as it was signed; None: the file is something else.

    Every line of it ends with CR LF (RFC 8551, section 3.1.1).

    Args:
        file: where the message begins; it is read once, from there on.
        output: takes what is read, as it is read.

    Raises:
        Malformed, EOFError: its headers, or where it is read its content, cannot be read.
    """
    found = _text_of(file)
    message = None if isinstance(found, _Joined) else _message(found)[0]
    if isinstance(found, _Joined) or message is None or message.get_content_type() != _SIGNED:
        return None
    content = _canonical(found.until(_enter_first_part(found, message)))
    return io.BufferedReader(Chunks(_copied(content, output)))


def objects(data: bytes, label: str) -> Iterator[tuple[str, bytes]]:
    """Yield the objects of a small file in BER, each with its PEM label.

    Args:
        data: all of the file: one object in BER or in base64 alone, or PEM.
        label: of one that is not in PEM.

    Raises:
        Malformed: it is empty, or holds neither BER, nor PEM, nor base64.
    """
    if data.startswith(_UTF_16_MARKS):
        data = data.decode("utf-16", "replace").encode("ascii", "replace")
    data = data.removeprefix(_UTF_8_MARK)
    if data.startswith(_SEQUENCE):
        yield label, data
    elif _BEGIN in data:
        yield from _pem_objects(data)
    else:
        alone = b"".join(data.split())
        if not alone:
            raise Malformed(text("it is empty"))
        if not _BASE64_LINE.fullmatch(alone):
            raise Malformed(text("it is neither DER nor PEM"))
        yield label, _decoded(alone)


def _pem_objects(data: bytes) -> Iterator[tuple[str, bytes]]:
    label, encoded = None, bytearray()
    for line in map(bytes.strip, io.BytesIO(data.replace(b"\r", b"\n"))):
        if label is None:
            label = _label(line)
            encoded.clear()
        elif line == _last_line(label):
            if not label.endswith(_KEY):  # these have headers, and nobody asks for them
                yield label, _decoded(encoded)
            label = None
        else:
            encoded += line
    if label is not None:
        raise Malformed(_BAD_ARMOUR)


def _label(line: bytes) -> str | None:
    """Return the label of the first line of an object in PEM; None: it is another line."""
    line = line.strip()
    if not line.startswith(_BEGIN) or not line.endswith(_DASHES):
        return None
    return line[len(_BEGIN) : -len(_DASHES)].decode("ascii", "replace")


def _last_line(label: str) -> bytes:
    return _END + label.encode("ascii", "replace") + _DASHES


def _decoded(encoded: bytes | bytearray) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise Malformed(_BAD_ARMOUR) from error


# --- text that passes by


class _Joined:
    """Chunks, read as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._data = bytearray()

    def read(self, size: int, /) -> bytes:
        while len(self._data) < size and (chunk := next(self._chunks, None)) is not None:
            self._data += chunk
        data = bytes(self._data[:size])
        del self._data[:size]
        return data


class _Text:
    """A text that is read once: by lines, up to a delimiter, to its end."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._file = io.BufferedReader(Chunks(chunks))

    def line(self) -> bytes:
        """Return the next line, or so many bytes of it; empty at the end."""
        return self._file.readline(CHUNK)

    def find(self, is_wanted: Callable[[bytes], object]) -> bytes | None:
        """Return the next line that is wanted; None: it is not there, or too far away."""
        passed = 0
        while (line := self.line()) and passed <= _MOST_BEFORE:
            if is_wanted(line):
                return line
            passed += len(line)
        return None

    def until(self, delimiter: bytes) -> Iterator[bytes]:
        """Yield what stands before a delimiter; the text then goes on behind it.

        Args:
            delimiter: begins with a line feed, which may be the one that was read last.

        Raises:
            EOFError: it is not there.
        """
        held, start = b"\n", 1
        while (at := held.find(delimiter)) < 0:
            end = max(start, len(held) - len(delimiter))
            yield held[start:end]
            held, start = (held, start) if end == start else (held[end:], 0)
            chunk = self._file.read(CHUNK)
            if not chunk:
                raise EOFError
            held += chunk
        yield held[start:at]
        behind = held[at + len(delimiter) :]
        self._file = io.BufferedReader(Chunks(itertools.chain((behind,), _chunks(self._file))))

    def rest(self) -> Iterator[bytes]:
        """Yield what was not read yet."""
        return _chunks(self._file)


def _chunks(file: BinaryIO | io.BufferedReader) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk


def _text_of(file: BinaryIO) -> _Joined | _Text:
    """Return a text in ASCII; _Joined: the file is BER."""
    start = file.read(len(_UTF_8_MARK))
    chunks = itertools.chain((start.removeprefix(_UTF_8_MARK),), _chunks(file))
    if start.startswith(_SEQUENCE):
        return _Joined(chunks)
    return _Text(_from_utf_16(chunks) if start.startswith(_UTF_16_MARKS) else chunks)


def _from_utf_16(chunks: Iterable[bytes]) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-16")("replace")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("ascii", "replace")


def _cms_in(found: _Text, otherwise: Text) -> Iterator[bytes]:
    """Yield the CMS file that stands in a text."""
    message, line = _message(found)
    if message is not None and (body := _mime_body(found, message)) is not None:
        yield from body
        return
    if line and _BASE64_LINE.fullmatch(line.strip()):
        yield from _base64(itertools.chain((line,), found.rest()))
        return
    label = _label(line)
    while label is None or label.endswith(_NOT_CMS):
        # Within another object no line begins an object.
        if (begin := found.find(_label)) is None:
            raise Malformed(otherwise)
        label = _label(begin)
    yield from _base64(_armored(found.rest(), b"".join(_last_line(label).split())))


def _armored(chunks: Iterator[bytes], last: bytes) -> Iterator[bytes]:
    """Yield the base64 of PEM. Its last line must be the last of the text; white space may follow."""
    end = b""
    for chunk in chunks:
        at = chunk.find(b"-")
        if at >= 0:
            yield chunk[:at]
            end = b"".join(chunk[at:].split())
            break
        yield chunk
    while last.startswith(end) and (chunk := next(chunks, b"")):
        end += b"".join(chunk.split())
    if end != last:
        raise EOFError if last.startswith(end) else Malformed(SOMETHING_BEHIND)


def _base64(chunks: Iterable[bytes]) -> Iterator[bytes]:
    held, is_ended = b"", False
    for chunk in chunks:
        encoded = held + b"".join(chunk.split())
        if is_ended and encoded:
            raise Malformed(SOMETHING_BEHIND)
        whole = len(encoded) - len(encoded) % 4
        is_ended = encoded[:whole].endswith(b"=")
        yield _decoded(encoded[:whole])
        held = encoded[whole:]
    if held:
        raise EOFError


# --- S/MIME


def _message(found: _Text) -> tuple[Message | None, bytes]:
    """Read the headers that a text begins with.

    Returns:
        The headers, None if there are none; and the first line that is none of them.

    Raises:
        EOFError: the text is empty.
    """
    line = found.find(bytes.strip)
    if line is None:
        raise EOFError
    lines, size = list[bytes](), 0
    while size <= _MOST_HEADERS and line.strip() and _HEADER_LINE.match(line):
        lines.append(line)
        size += len(line)
        line = found.line()
    if not lines or line.strip() or size > _MOST_HEADERS:
        return None, line
    with reading(text("its headers")):
        message = BytesParser().parsebytes(b"".join(lines), headersonly=True)
        _ = message.get_content_type(), message.get_boundary()
    return message, line


def _mime_body(found: _Text, message: Message) -> Iterator[bytes] | None:
    """Return the CMS file of an S/MIME message; None: it is no such message."""
    kind = message.get_content_type()
    if kind in _OPAQUE or kind in _SIGNATURE:
        return _transferred(message, found.rest())
    return _signature_part(found, message) if kind == _SIGNED else None


def _signature_part(found: _Text, message: Message) -> Iterator[bytes]:
    delimiter = _enter_first_part(found, message)
    for _chunk in found.until(delimiter):
        pass
    if found.line().strip():
        raise Malformed(_NO_SIGNATURE_PART)
    part, _ = _message(found)
    if part is None or part.get_content_type() not in _SIGNATURE:
        raise Malformed(_NO_SIGNATURE_PART)
    yield from _transferred(part, found.until(delimiter))


def _enter_first_part(found: _Text, message: Message) -> bytes:
    """Go to the first part of a multipart; return what stands before the next (RFC 2046, section 5.1.1)."""
    with reading(text("its headers")):
        first = b"--" + str(message.get_boundary() or "").encode("ascii")
    if not 0 < len(first) - 2 <= _MOST_BOUNDARY:
        raise Malformed(text("{part} cannot be read").format(part=text("its headers")))
    if found.find(lambda line: line.rstrip() == first) is None:
        raise EOFError
    return b"\n" + first


def _transferred(part: Message, body: Iterator[bytes]) -> Iterator[bytes]:
    encoding = str(part.get("Content-Transfer-Encoding", "base64")).strip().lower()
    return body if encoding == "binary" else _base64(body)


def _canonical(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Write every line end as CR LF, but for the last, which is the delimiter's."""
    held = b""
    for chunk in chunks:
        lines = (held + chunk).rstrip(b"\r")
        held = (held + chunk)[len(lines) :]
        if len(held) > CHUNK:
            raise Malformed(text("{part} cannot be read").format(part=text("its content")))
        # The first way is by far the faster one.
        if b"\r\r\n" not in lines:
            yield lines.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        else:
            yield _LINE_END.sub(b"\r\n", lines)


def _copied(chunks: Iterable[bytes], output: BinaryIO | None) -> Iterator[bytes]:
    for chunk in chunks:
        if output is not None:
            output.write(chunk)
        yield chunk
