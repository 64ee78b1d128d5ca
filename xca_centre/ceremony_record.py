# SPDX-License-Identifier: Apache-2.0
"""The record of a centre's beginning, as PDF, for those who were there to sign."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from fpdf import FPDF

from xca_centre.authority.hierarchy import Made
from xca_centre.beginning import Beginning
from xca_centre.i18n import text
from xca_centre.issuer_rules import Said
from xca_centre.paper import MARGIN, Paper, plain, say
from xca_common import taipei

_SIZE: Final = 9.0
_LINE: Final = 0.5
_TITLE: Final = text("Record of the beginning of a certificate centre")
_SIGNED: Final = text("We were there, and this is what was done.")
_KEY: Final = text("Key {name} in the token {token}")
_OFFICERS: Final = text("The first officers, and their cards")


def print_record(beginning: Beginning, made: datetime) -> bytes:
    """Return the record, in the language being spoken.

    Args:
        beginning: what was done.
        made: when it was printed, with a time zone.

    Raises:
        LetterNotMade: no font on this computer has all of its characters.
    """
    authorities = beginning.authorities
    head = [
        (text("Begun at"), taipei.moment(authorities.begun)),
        (text("Certificate policy"), authorities.policy),
    ]
    tables: list[tuple[Said, list[tuple[Said, Said]]]] = [
        (_TITLE, [*head]),
        *((_KEY.format(name=each.name, token=each.token), _of_key(each)) for each in authorities.made),
        (_OFFICERS, [(each.name, f"{each.id}, {each.card or '-'}") for each in beginning.officers]),
    ]
    paper = Paper(_said(tables, authorities.present), _TITLE, made)
    pdf = paper.sheet(_SIZE)
    pdf.set_auto_page_break(True, MARGIN)
    for title, rows in tables:
        say(pdf, title, 1.4 * _SIZE, above=4)
        _table(pdf, rows)
    say(pdf, _SIGNED, _SIZE, above=8)
    for person in authorities.present:
        pdf.ln(10)
        if pdf.get_y() + 12 > pdf.h - MARGIN:
            pdf.add_page()
        say(pdf, person, _SIZE)
        pdf.line(MARGIN + 60, pdf.get_y(), pdf.w - MARGIN, pdf.get_y())
    return bytes(pdf.output())


def _of_key(made: Made) -> list[tuple[Said, Said]]:
    return [
        (text("Subject"), made.subject),
        (text("Serial number"), made.serial),
        (text("Valid from"), taipei.moment(made.not_before)),
        (text("Valid until"), taipei.moment(made.not_after)),
        (text("Bits of the key"), str(made.key_bits)),
        (text("SHA-256 of the key"), _in_groups(made.key_sha256)),
        (text("SHA-256 of the certificate"), _in_groups(made.certificate_sha256)),
    ]


def _in_groups(digits: str) -> str:
    """Return hexadecimal digits as people compare them."""
    return " ".join(digits[start : start + 8] for start in range(0, len(digits), 8))


def _said(tables: list[tuple[Said, list[tuple[Said, Said]]]], present: tuple[str, ...]) -> Iterator[Said]:
    yield _SIGNED
    yield from present
    for title, rows in tables:
        yield title
        for row in rows:
            yield from row


def _table(pdf: FPDF, rows: list[tuple[Said, Said]]) -> None:
    pdf.set_font_size(_SIZE)
    with pdf.table(
        col_widths=(1, 3),
        first_row_as_headings=False,
        borders_layout="HORIZONTAL_LINES",
        line_height=_LINE * _SIZE,
        text_align="LEFT",
        padding=0.7,
    ) as table:
        for row in rows:
            table.row([plain(each) for each in row])
