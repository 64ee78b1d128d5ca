# SPDX-License-Identifier: Apache-2.0
"""Output in an encoding that lacks characters of what is to be shown."""

import codecs
import io
import sys


def tolerate_characters() -> None:
    """Have stdout and stderr show `?` for a character that their encoding lacks, as Latin-1 lacks Chinese."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # The locale C says ASCII; Python and click take it for UTF-8 as well.
            encoding = "utf-8" if codecs.lookup(stream.encoding).name == "ascii" else None
            stream.reconfigure(encoding=encoding, errors="replace")
