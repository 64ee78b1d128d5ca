# SPDX-License-Identifier: Apache-2.0
"""The application on paper (申請書), as PDF: two copies, one to be stamped and sent, one to be kept.

The case number stands on both as text and as QR code, so that who receives them need not type it. The user
code stands on neither.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import segno
from fpdf import FPDF

from xca_centre import case_number
from xca_centre.application_form import RANKS, Rank, caption
from xca_centre.applications import Application
from xca_centre.i18n import text
from xca_centre.issuer_rules import IssuerRules, Said
from xca_centre.organisations import Organisation
from xca_centre.paper import MARGIN, Paper, fact_table, plain, say
from xca_common.i18n import Text, speaking
from xca_common.taipei import TAIPEI

_SIZES: Final = (10.5, 9.5, 8.5, 7.5)
"""Of the type, in points: the largest that leaves a copy on its page."""
_QR: Final = 34.0
_SEAL: Final = 52.0
_QUIET: Final = 4  # modules of white around a QR code (ISO/IEC 18004)
_TITLES: Final = {
    Rank.PRIMARY: text("Application for an IC card: primary card"),
    Rank.SECONDARY: text("Application for an IC card: secondary card"),
}
_WITHOUT_CARD: Final = text("Application for a certificate without a card")
_YES_OR_NO: Final = {True: text("yes"), False: text("no")}


def print_application(
    application: Application, organisation: Organisation, rules: IssuerRules, made: datetime, language: str
) -> bytes:
    """Return both copies, a page each; the same arguments give the same bytes.

    Args:
        application: as it is now.
        organisation: whom it is for.
        rules: of the issuer.
        made: when it was printed, with a time zone.
        language: zh_TW or en.

    Raises:
        LetterNotMade: no font on this computer has all of its characters.
    """
    with speaking(language):
        sheet = _Sheet(application, organisation, rules)
        paper = Paper(sheet.said(), sheet.title, made)
        for size in _SIZES:
            pdf = paper.sheet(size, empty=True)
            pdf.set_auto_page_break(True, MARGIN)
            for copy in sheet.copies:
                pdf.add_page()
                sheet.write(pdf, copy, size)
            if pdf.pages_count == len(sheet.copies):
                break
        return bytes(pdf.output())


class _Sheet:
    """What a copy says, in the language being spoken."""

    def __init__(self, application: Application, organisation: Organisation, rules: IssuerRules) -> None:
        form, contact = application.form, application.form.contact
        self._number = application.case_number
        self._shown = case_number.shown(application.case_number)
        self._issuer = rules.about.name
        self.title: Text = _TITLES[form.rank] if application.request is None else _WITHOUT_CARD
        stamped = text(
            "Copy 1 of 2: to be stamped, and sent with the letter to the registration counter {counter}"
        ).format(counter=organisation.counter)
        signed = text("Copy 1 of 2: signed with the old card; nothing is to be sent")
        self.copies: Sequence[Text] = (
            stamped if application.renews is None else signed,
            text("Copy 2 of 2: for the applicant to keep"),
        )
        submitted = application.submitted.astimezone(TAIPEI)
        self._facts: list[tuple[Said, Said]] = [
            (text("Organisation"), organisation.name),
            (text("Tax id (統一編號)"), organisation.tax_id or text("none")),
            (text("Organisation OID"), organisation.oid),
            (text("Rank"), RANKS[form.rank]),
            (text("Uploaded at"), f"{submitted:%Y-%m-%d %H:%M}"),
            (text("Version of the form"), str(application.revision)),
            (caption("applicant_email"), form.applicant_email),
            (caption("contact_name"), contact.name),
            (caption("contact_title"), contact.title),
            (caption("contact_email"), contact.email),
            (caption("contact_address"), contact.address),
            (caption("contact_phone"), contact.phone),
            (caption("contact_fax"), contact.fax or text("none")),
            (caption("secure_email"), form.secure_email or text("none")),
            (caption("published"), _YES_OR_NO[form.is_published]),
            (text("Fee"), text("NT$ {fee}").format(fee=application.fee)),
        ]
        self._seal = text("Seal of the organisation")
        self._notes: list[Said] = [
            text("We apply for this, and have agreed to the terms of use of version {terms}.").format(
                terms=form.terms
            ),
            rules.wordings.delivery.format(
                weeks=rules.deadlines.delivery_from.weeks, months=rules.deadlines.delivery_to.months
            ),
            text("With case number and user code the progress can be followed on {website}.").format(
                website=rules.about.website
            ),
            rules.wordings.call.format(line=rules.about.contact_line),
        ]
        self._case = text("Case number")

    def said(self) -> Iterator[Said]:
        """Yield all that is said, for the choice of a font."""
        yield from (self.title, self._issuer, self._case, self._shown, self._seal, *self.copies, *self._notes)
        yield from (part for fact in self._facts for part in fact)

    def write(self, pdf: FPDF, copy: Said, size: float) -> None:
        """Write a copy onto the page that was begun."""
        left = pdf.w - MARGIN - _QR
        _write_qr(pdf, self._number, left, MARGIN)
        pdf.set_right_margin(MARGIN + _QR + 4)
        pdf.set_xy(MARGIN, MARGIN)
        say(pdf, copy, 9)
        say(pdf, self._issuer, size, above=3)
        say(pdf, self.title, 1.5 * size, above=1)
        pdf.set_right_margin(MARGIN)
        pdf.set_xy(MARGIN, MARGIN + _QR + 3)
        say(pdf, self._case, 9)
        say(pdf, self._shown, 1.5 * size)
        pdf.ln(2)
        pdf.set_font_size(size)
        fact_table(pdf, self._facts, size)
        pdf.ln(4)
        if pdf.get_y() + _SEAL > pdf.h - MARGIN:
            pdf.add_page()
        self._write_seal(pdf, size)

    def _write_seal(self, pdf: FPDF, size: float) -> None:
        """Write the box for the seal, and the notes beside it."""
        top, left = pdf.get_y(), pdf.w - MARGIN - _SEAL
        pdf.rect(left, top, _SEAL, _SEAL)
        pdf.set_xy(left, top + 1)
        pdf.set_font_size(8)
        pdf.cell(_SEAL, 4, plain(self._seal), align="C")
        pdf.set_right_margin(MARGIN + _SEAL + 5)
        pdf.set_xy(MARGIN, top)
        for note in self._notes:
            say(pdf, note, size)
            pdf.ln(1)
        pdf.set_right_margin(MARGIN)


def _write_qr(pdf: FPDF, number: str, left: float, top: float) -> None:
    modules = [*segno.make(number, error="m", micro=False).matrix_iter(border=_QUIET)]
    side = _QR / len(modules)
    pdf.set_fill_color(0)
    for row, line in enumerate(modules):
        for column, is_dark in enumerate(line):
            if is_dark:
                pdf.rect(left + column * side, top + row * side, side, side, style="F")
