# SPDX-License-Identifier: Apache-2.0
"""The report of a verification, as a file that can be handed on: HTML or PDF."""

import hashlib
import html
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import BinaryIO, Final, Self

from xca_common.extras import install_command
from xca_common.fonts import NO_FONT, TRUE_TYPE, font_with
from xca_common.harmless_text import harmless
from xca_plugin import card_text, errors, verdict_text
from xca_plugin.i18n import _, text
from xca_plugin.verdict import Outcome, Verification

_COLOURS: Final = {
    Outcome.VALID: (0x1B, 0x6E, 0x3C),
    Outcome.NOT_VALID: (0xA6, 0x1B, 0x1B),
    Outcome.INCOMPLETE: (0x55, 0x5B, 0x66),
    Outcome.UNKNOWN: (0x55, 0x5B, 0x66),
}
_STYLE: Final = """
body { font-family: sans-serif; max-width: 50em; margin: 2em auto; padding: 0 1em; color: #222; }
h1 { font-size: 1.4em; } h2 { font-size: 1.1em; margin-top: 1.6em; }
.result { color: #fff; padding: .6em .8em; font-weight: bold; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3em .6em; border-bottom: 1px solid #ccc; }
th { width: 11em; font-weight: normal; color: #555; } td { overflow-wrap: anywhere; }
"""

Rows = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class ReportedFile:
    """A file that was verified.

    Attributes:
        name: its name, without its folder.
        size: in bytes.
        sha256: in hexadecimal digits.
    """

    name: str
    size: int
    sha256: str

    @classmethod
    def of(cls, file: BinaryIO) -> Self:
        """Read an open file from its beginning to its end."""
        file.seek(0)
        digest = hashlib.sha256()
        size = 0
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            size += len(chunk)
        return cls(Path(file.name).name, size, digest.hexdigest())


@dataclass(frozen=True)
class Report:
    """A report.

    Attributes:
        found: the verification.
        files: the files: the signed one, and its detached signature.
        at: when it was verified, with its zone.
        program: name and version of the program that verified.
        next_step: what to do where the result is not "valid"; None: as the library says it.
    """

    found: Verification
    files: Sequence[ReportedFile]
    at: datetime = field(default_factory=lambda: datetime.now().astimezone())
    program: str = field(default_factory=lambda: _program())
    next_step: str | None = None

    @property
    def result(self) -> str:
        """The result in one sentence."""
        error = self.found.error
        return verdict_text.conclusion(self.found)[0] if error is None else error.message()

    @property
    def notes(self) -> Sequence[str]:
        """What was checked, and what the result does not prove; or what to do next."""
        error = self.found.error
        if error is None:
            return verdict_text.conclusion(self.found)[1:]
        return [self.next_step or error.next_step()]

    def sections(self) -> Iterator[tuple[str, Rows]]:
        """Yield the parts of the report: a heading, and names and values."""
        yield (
            _("Verification"),
            [
                (_("Verified at"), card_text.moment(self.at)),
                (_("Program"), self.program),
            ],
        )
        for one in self.files:
            size = text("{size} bytes").format(size=one.size)()
            yield _("File"), [(_("Name"), one.name), (_("Size"), size), ("SHA-256", one.sha256)]
        count = len(self.found.verdicts)
        for number, verdict in enumerate(self.found.verdicts, 1):
            rows = [*verdict_text.rows(verdict)]
            if verdict.signer:
                rows.append((_("Serial number"), verdict.signer.serial))
                rows.append((_("Certificate (SHA-256)"), verdict.signer.sha256))
            if verdict.anchor:
                rows.append((_("Trusted certificate"), verdict.anchor.holder))
                rows.append((_("Trusted certificate (SHA-256)"), verdict.anchor.sha256))
            rows.append((_("Verdict"), verdict_text.OUTCOMES[verdict.outcome]()))
            if verdict.problem:
                rows.append((_("Reason"), verdict.problem()))
            heading = text("Signature {number} of {count}").format(number=number, count=count)()
            yield heading, rows
        for stamp in self.found.document_time_stamps:
            yield _("Time-stamp of the document"), [(_("Time-stamp"), verdict_text.time_stamp(stamp))]


def as_html(report: Report) -> bytes:
    """Return the report as one HTML page, in the language being spoken."""
    colour = "#{:02x}{:02x}{:02x}".format(*_COLOURS[report.found.outcome])
    title = _escaped(_("Report of a verification"))
    tag = _("en")  # BCP 47
    parts = [
        f'<!DOCTYPE html>\n<html lang="{tag}">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>',
        f"<style>{_STYLE}.result {{ background: {colour}; }}</style>\n</head>\n<body>\n<h1>{title}</h1>",
        f'<p class="result">{_escaped(report.result)}</p>',
        *(f"<p>{_escaped(note)}</p>" for note in report.notes),
    ]
    for heading, rows in report.sections():
        parts.append(f"<h2>{_escaped(heading)}</h2>\n<table>")
        parts += [f"<tr><th>{_escaped(name)}</th><td>{_escaped(value)}</td></tr>" for name, value in rows]
        parts.append("</table>")
    return "\n".join([*parts, "</body>\n</html>\n"]).encode()


def as_pdf(report: Report, path: Path) -> bytes:
    """Return the report as a PDF, in the language being spoken.

    Args:
        report: the report.
        path: where it will be; named if it cannot be made.

    Raises:
        NoReport: the library for it is not installed, or no font has all of its characters.
    """
    try:
        from fpdf import FPDF, XPos, YPos
    except ImportError:
        command = install_command("xca-plugin", "pdf")
        missing = text("install what is missing: {command}").format(command=command)
        raise errors.NoReport(path=path, detail=missing) from None
    sections = [(heading, list(rows)) for heading, rows in report.sections()]
    title = _("Report of a verification")
    said = [title, report.result, *report.notes]
    said += [part for heading, rows in sections for part in (heading, *(one for row in rows for one in row))]
    font, number = _font_with({character for one in said for character in harmless(one)}, path)
    pdf = FPDF()
    pdf.set_title(title)
    pdf.set_creator(report.program)
    pdf.set_lang(_("en"))
    pdf.set_creation_date(report.at)
    pdf.set_margin(20)
    pdf.add_page()
    pdf.add_font("report", fname=font, collection_font_number=number)
    pdf.set_font("report", size=16)

    def say(said: str, height: int, padding: int = 0, fill: bool = False) -> None:
        pdf.multi_cell(
            0,
            height,
            harmless(said),
            new_x=XPos.LMARGIN,
            new_y=YPos.NEXT,
            padding=padding,
            fill=fill,
            align="LEFT",
        )

    say(title, 10)
    pdf.set_font_size(11)
    pdf.set_fill_color(*_COLOURS[report.found.outcome])
    pdf.set_text_color(255)
    say(report.result, 7, padding=2, fill=True)
    pdf.set_text_color(0)
    pdf.set_fill_color(255)
    pdf.set_font_size(10)
    for note in report.notes:
        pdf.ln(2)
        say(note, 6)
    for heading, rows in sections:
        pdf.ln(5)
        pdf.set_font_size(12)
        say(heading, 8)
        pdf.set_font_size(9)
        with pdf.table(
            col_widths=(1, 3),
            first_row_as_headings=False,
            borders_layout="HORIZONTAL_LINES",
            line_height=5,
            text_align="LEFT",
            wrapmode="CHAR",
            padding=1,
        ) as table:
            for row in rows:
                table.row([harmless(one) for one in row])
    return bytes(pdf.output())


def _font_with(characters: set[str], path: Path) -> tuple[str, int]:
    """Return a font of this computer that has all of some characters: its file, and its number in it."""
    if (found := font_with(characters, {TRUE_TYPE})) is None:
        raise errors.NoReport(path=path, detail=NO_FONT)
    return found


def _escaped(said: str) -> str:
    return html.escape(harmless(said))


def _program() -> str:
    with suppress(PackageNotFoundError):  # run from the sources
        return f"xcactl {version('xca-plugin')}"
    return "xcactl"
