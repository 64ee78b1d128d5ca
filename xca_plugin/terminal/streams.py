# SPDX-License-Identifier: Apache-2.0
"""The standard streams: failures such as a full disk or a closed pipe, and who writes to a terminal."""

import io
import os
import sys

from xca_common.errors import FileProblem
from xca_plugin.named_file import SHOWN_STANDARD_OUTPUT, NamedFile


class _Output(NamedFile):
    """The standard output. It raises one error; after that it discards what is written."""

    def write(self, data: "bytes | memoryview") -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except FileProblem as problem:
            self.discarded = True
            if isinstance(problem.__cause__, BrokenPipeError):
                raise problem.__cause__ from None  # a closed pipe: click ends the program without a message
            raise


class _Remarks(io.FileIO):
    """The standard error. Failures to write are ignored."""

    def write(self, data: "bytes | memoryview") -> int:  # type: ignore[override]
        try:
            written = super().write(data)
        except OSError:
            written = None
        return len(data) if written is None else written  # None: full, and made not to block


def prepare_streams() -> None:
    """Replace the streams: stdout raises FileProblem when a write fails; stderr ignores failures."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _text(sys.stdout, _Output(1, "wb", SHOWN_STANDARD_OUTPUT))
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _text(sys.stderr, _Remarks(2, "wb", closefd=False))


def show_module_log(*, wanted: bool) -> None:
    """Choose whether the PKCS#11 module writes its log lines, which are English, to the terminal.

    Commands say in the person's language what the lines say. A log file gets the lines all the same.
    """
    os.environ["XCA_LOG_TERMINAL"] = "yes" if wanted else "no"


def _text(before: io.TextIOWrapper, raw: io.FileIO) -> io.TextIOWrapper:
    buffer = io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, before.encoding, before.errors, line_buffering=before.line_buffering)
