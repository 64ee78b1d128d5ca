# SPDX-License-Identifier: Apache-2.0
"""xcactl's lines in another program's file: insert them, find them, remove them. Every other byte stays.

The lines stand between two comments, which start with `#`. The first comment has a digest of the lines, which
shows an edit by hand. It also has the number of files and folders that were made for the lines, so that
unregistering removes them too. There is no other record.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass


class EditedError(Exception):
    """The lines were changed by hand, or some of them are missing."""


@dataclass(frozen=True)
class ManagedBlock:
    """The lines as they were found.

    Attributes:
        start: offset of the first byte.
        end: offset after the last one.
        body: the lines between the two comments.
        made: 0: the file existed before; 1: it was made for these lines; 2 and more: it and so many folders
            above it, less one.
        eol: their line end.
    """

    start: int
    end: int
    body: tuple[str, ...]
    made: int
    eol: bytes


def find(content: bytes, tool: str, *, blank_after: bool = False) -> ManagedBlock | None:
    """Find the lines of a tool; return None when there are none.

    Args:
        content: the file.
        tool: name of the tool.
        blank_after: an empty line after the block belongs to it.

    Raises:
        EditedError: they differ from what was written.
    """
    name = re.escape(tool.encode())
    begins = re.findall(rb"# >>> xcactl tools: " + name + rb"\b", content)
    ends = re.findall(rb"# <<< xcactl tools: " + name + rb"\b", content)
    if not begins and not ends:
        return None
    after = rb"(?:\r?\n)?" if blank_after else b""
    whole = re.search(
        # A line end of CR alone may come before: YAML has it.
        rb"(?:\A|(?<=[\r\n])) *# >>> xcactl tools: " + name + rb", made (\d+), ([0-9a-f]{16})(\r?\n)"
        rb"((?:[^\n]*\n)*?)"
        rb" *# <<< xcactl tools: " + name + rb"(?:\Z|\r?\n" + after + rb")",
        content,
    )
    if whole is None or len(begins) != 1 or len(ends) != 1:
        raise EditedError
    made = int(whole[1])
    body = tuple(whole[4].decode("utf-8", "replace").replace("\r\n", "\n").split("\n")[:-1])
    if whole[2].decode() != _digest(body, made):
        raise EditedError
    return ManagedBlock(whole.start(), whole.end(), body, made, whole[3])


def insert(
    content: bytes, at: int, tool: str, body: Sequence[str], made: int, *, blank_after: bool = False
) -> bytes:
    """Insert lines at the offset of a line's start, or at the end of the file.

    They get the line end of the file's first line, LF or CR LF.
    """
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
        # The last inserted line has no line end either. That tells cut() to remove the one added here.
        return content + eol + text
    return content[:at] + text + eol + content[at:]


def cut(content: bytes, block: ManagedBlock) -> bytes:
    """Return the file as it was before insert()."""
    before, after = content[: block.start], content[block.end :]
    if not content[: block.end].endswith(b"\n"):
        before = before.removesuffix(block.eol)
    return before + after


def _digest(body: Sequence[str], made: int) -> str:
    return hashlib.sha256("\n".join((str(made), *body)).encode()).hexdigest()[:16]


def made(content: bytes) -> int:
    """Return the largest ManagedBlock.made of all tools' lines in a file; 0: there are none."""
    counts = re.findall(rb"# >>> xcactl tools: \S+, made (\d+),", content)
    return max(map(int, counts), default=0)
