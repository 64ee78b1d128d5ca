# SPDX-License-Identifier: Apache-2.0
"""Our lines in a file of somebody else: put in, found again, taken out; every other byte stays as it was.

The lines stand between two comments. The first carries a digest, so that an edit by hand is noticed. It also
tells whether the file, and how many folders above it, were made for the lines, so that they can be taken away
again: no record is kept elsewhere. All files that take such lines have comments that start with `#`.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass


class EditedError(Exception):
    """Somebody changed our lines, or only some of them are left."""


@dataclass(frozen=True)
class ManagedBlock:
    """Our lines as they were found.

    Attributes:
        start: offset of the first byte.
        end: offset after the last one.
        body: the lines between the two comments.
        made: 0: the file was there before; 1: it was made for these lines; each more: a folder above it too.
    """

    start: int
    end: int
    body: tuple[str, ...]
    made: int


def find(content: bytes, tool: str, *, blank_after: bool = False) -> ManagedBlock | None:
    """Find the lines of a tool; None when there are none.

    Args:
        content: the file.
        tool: name of the tool.
        blank_after: an empty line after the block belongs to it.

    Raises:
        EditedError: they are not what was written.
    """
    name = re.escape(tool.encode())
    begins = re.findall(rb"# >>> xcactl tools: " + name + rb"\b", content)
    ends = re.findall(rb"# <<< xcactl tools: " + name + rb"\b", content)
    if not begins and not ends:
        return None
    after = rb"(?:\r?\n)?" if blank_after else b""
    whole = re.search(
        rb"^ *# >>> xcactl tools: " + name + rb", made (\d+), ([0-9a-f]{16})\r?\n"
        rb"((?:[^\n]*\n)*?)"
        rb" *# <<< xcactl tools: " + name + rb"(?:\Z|\r?\n" + after + rb")",
        content,
        re.MULTILINE,
    )
    if whole is None or len(begins) != 1 or len(ends) != 1:
        raise EditedError
    made = int(whole[1])
    body = tuple(whole[3].decode("utf-8", "replace").replace("\r\n", "\n").split("\n")[:-1])
    if whole[2].decode() != _digest(body, made):
        raise EditedError
    return ManagedBlock(whole.start(), whole.end(), body, made)


def insert(
    content: bytes, at: int, tool: str, body: Sequence[str], made: int, *, blank_after: bool = False
) -> bytes:
    """Put lines into a file, at the offset of a line's start or at its end, with the file's line ends."""
    eol = b"\r\n" if re.match(rb"[^\n]*\r\n", content) else b"\n"
    indent = re.match(" *", body[0])
    margin = indent[0] if indent else ""
    lines = [
        f"{margin}# >>> xcactl tools: {tool}, made {made}, {_digest(body, made)}",
        *body,
        f"{margin}# <<< xcactl tools: {tool}",
        *[""] * blank_after,
    ]
    text = eol.join(line.encode() for line in lines)
    if at == len(content) and content and not content.endswith(b"\n"):
        # Without a line end at its own end either: cut() knows from that that there was none.
        return content + eol + text
    return content[:at] + text + eol + content[at:]


def cut(content: bytes, block: ManagedBlock) -> bytes:
    """Return the file as it was before insert()."""
    before, after = content[: block.start], content[block.end :]
    if not content[: block.end].endswith(b"\n"):
        before = before.removesuffix(b"\n").removesuffix(b"\r")
    return before + after


def _digest(body: Sequence[str], made: int) -> str:
    return hashlib.sha256("\n".join((str(made), *body)).encode()).hexdigest()[:16]


def made(content: bytes) -> int:
    """Return what was made for the lines of any tool, counted as in ManagedBlock.made."""
    counts = re.findall(rb"# >>> xcactl tools: \S+, made (\d+),", content)
    return max(map(int, counts), default=0)
