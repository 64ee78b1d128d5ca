# SPDX-License-Identifier: Apache-2.0
"""The program's own output, when it cannot be written: a full disk, a reader that has gone."""

import io
import sys

from xca_common.errors import FileProblem
from xca_common.output_file import SHOWN_STANDARD_OUTPUT, NamedFile


class _Output(NamedFile):
    """The standard output. After its first failure it takes all and writes nothing: it fails once."""

    def write(self, data: "bytes | memoryview") -> int | None:  # type: ignore[override]
        try:
            return super().write(data)
        except FileProblem as problem:
            self.discarded = True
            if isinstance(problem.__cause__, BrokenPipeError):
                raise problem.__cause__ from None  # click ends the program quietly, as others end
            raise


class _Remarks(io.FileIO):
    """The standard error. A remark that cannot be written changes nothing."""

    def write(self, data: "bytes | memoryview") -> int | None:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError:
            return len(data)


def prepare_streams() -> None:
    """Have the standard output tell its problems as FileProblem, and standard error none."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _text(sys.stdout, _Output(1, "wb", SHOWN_STANDARD_OUTPUT))
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _text(sys.stderr, _Remarks(2, "wb", closefd=False))


def _text(before: io.TextIOWrapper, raw: io.FileIO) -> io.TextIOWrapper:
    buffer = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, before.encoding, before.errors, line_buffering=before.line_buffering)
