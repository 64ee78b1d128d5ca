# SPDX-License-Identifier: Apache-2.0
"""Files beside a file that probably belong to it, by their names: they are suggested, never used unasked."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SIGNATURE: Final = ".p7s"
_NO_CONTENT: Final = frozenset({SIGNATURE, ".p7m", ".p7e", ".sig", ".pem", ".cer", ".crt", ".tsq"})
_MOST_ENTRIES: Final = 1000  # of a folder
_MOST_PDFS: Final = 8
_MOST_BYTES: Final = 16 << 20  # of a PDF
_SIGNED: Final = b"/ByteRange"  # ISO 32000-1, 12.8.1


def signature_of(file: Path) -> Path | None:
    """Return the file that is probably a file's signature: contract.pdf.p7s or contract.p7s; None: none."""
    names = (file.with_name(f"{file.name}{SIGNATURE}"), file.with_suffix(SIGNATURE))
    return next((each for each in names if each != file and each.is_file()), None)


def signed_by(signature: Path) -> Path | None:
    """Return the file that a signature is probably of: its name without the suffix, or with another one."""
    if not signature.suffix:
        return None
    if (file := signature.with_suffix("")).is_file():
        return file
    found = [
        each
        for each in _beside(signature)
        if each.stem == signature.stem and each.suffix.lower() not in _NO_CONTENT
    ]
    return found[0] if len(found) == 1 else None


def signed_pdf_of(pdf: Path) -> Path | None:
    """Return a signed PDF whose name begins as that of another PDF, such as contract-signed.pdf."""
    named = [
        each
        for each in _beside(pdf)
        if each != pdf and each.suffix.lower() == ".pdf" and each.stem.startswith(pdf.stem)
    ]
    return next((each for each in sorted(named)[:_MOST_PDFS] if _is_signed(each)), None)


def _is_signed(pdf: Path) -> bool:
    try:
        with pdf.open("rb") as file:
            return _SIGNED in file.read(_MOST_BYTES)
    except OSError:
        return False


def _beside(file: Path) -> Iterator[Path]:
    """Yield the regular files in a file's folder; none if it cannot be listed."""
    try:
        with os.scandir(file.parent) as entries:
            for entry in itertools.islice(entries, _MOST_ENTRIES):
                if entry.is_file():
                    yield file.parent / entry.name
    except OSError:
        return
