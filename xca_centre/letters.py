# SPDX-License-Identifier: Apache-2.0
"""What goes to the post with the cards, as PDF: the letter with each (開卡通知函), the list, the labels.

The letter has two pages, which are printed on the two sides of a sheet: how to activate the card, and
questions with their answers. Its sentences are the issuer's (issuer_rules) wherever the issuer has some.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from fpdf import FPDF, XPos, YPos
from fpdf.enums import MethodReturnValue
from fpdf.fonts import FontFace

from xca_centre.application_form import RANKS, Contact, Rank
from xca_centre.errors import LetterNotMade
from xca_centre.i18n import plural, text
from xca_centre.issuer_rules import IssuerRules, Said
from xca_centre.paper import MARGIN, Paper, fact_table, plain, say
from xca_centre.questions import about_cards
from xca_common.i18n import day, speaking

_SIZES: Final = (11.0, 10.0, 9.0, 8.0, 7.0)
"""Of the letter's type, in points: the largest that leaves it on its two pages."""
_LABEL_COLUMNS, _LABEL_ROWS = 2, 8
_LABEL: Final = (105.0, 37.0)
_LABEL_MARGIN: Final = 6.0
_HOW: Final = text("How to activate the card")
_NOTES: Final = text("Please note")
_QUESTIONS: Final = text("Questions and answers")


@dataclass(frozen=True)
class MailedCard:
    """A card that goes to the post.

    Attributes:
        number: card number.
        serials: serial numbers of cert1 and cert2, in hexadecimal digits.
        organisation: its holder.
        organisation_oid: the organisation's OID.
        rank: which card of the organisation it is.
        case_number: in five groups.
        contact: to whom it goes.
        issued_on: 發卡日期.
        activate_by: the last day on which it can be activated.
        valid_until: the last day of its certificates.
    """

    number: str
    serials: tuple[str, str]
    organisation: str
    organisation_oid: str
    rank: Rank
    case_number: str
    contact: Contact
    issued_on: date
    activate_by: date
    valid_until: date

    @property
    def addressee(self) -> tuple[str, str, str]:
        """The lines of its address."""
        who = text("{name}, {title}").format(name=self.contact.name, title=self.contact.title)()
        return self.contact.address, self.organisation, who


def activation_letter(card: MailedCard, rules: IssuerRules, made: datetime, language: str) -> bytes:
    """Return the letter that comes with a card: activation_letters() for one."""
    return activation_letters([card], rules, made, language)


def activation_letters(
    cards: Sequence[MailedCard], rules: IssuerRules, made: datetime, language: str
) -> bytes:
    """Return the letters that come with cards, a sheet for each; the same arguments give the same bytes.

    Args:
        cards: the cards, one at least.
        rules: of their issuer.
        made: when the letters were written, with a time zone.
        language: zh_TW or en.

    Raises:
        LetterNotMade: no font on this computer has all of its characters, or one is longer than two pages.
    """
    with speaking(language):
        letters = [_Letter(card, rules) for card in cards]
        said = (each for letter in letters for each in letter.said())
        paper = Paper(said, letters[0].title, made)
        pdf = paper.sheet(_SIZES[0], empty=True)
        for letter in letters:
            size = _size(paper, letter)
            for side in (letter.front, letter.back):
                pdf.set_font_size(size)
                pdf.add_page()
                side(pdf)
        return bytes(pdf.output())


def _size(paper: Paper, letter: "_Letter") -> float:
    """Return the largest type that leaves a letter on the two sides of its sheet."""
    for size in _SIZES:
        pdf = paper.sheet(size)
        letter.front(pdf)
        front = pdf.pages_count
        pdf.add_page()
        letter.back(pdf)
        if front == 1 and pdf.pages_count == 2:
            return size
    raise LetterNotMade(detail=text("it is longer than two pages"))


def serial_list(cards: Sequence[MailedCard], rules: IssuerRules, made: datetime, language: str) -> bytes:
    """Return the list of the cards that go to the post together, in the order of their labels.

    Args:
        cards: the cards.
        rules: of their issuer.
        made: when the list was written, with a time zone.
        language: zh_TW or en.

    Raises:
        LetterNotMade: no font on this computer has all of its characters.
    """
    with speaking(language):
        title = text("List of the cards in the mail")
        heads = (
            text("No."),
            text("Card number"),
            text("Serial numbers of its certificates"),
            text("Organisation"),
            text("Contact person"),
            text("Received"),
        )
        rows = [
            (str(number), card.number, "\n".join(card.serials), card.organisation, card.contact.name, "")
            for number, card in enumerate(cards, 1)
        ]
        below = plural("{issuer}, {day}; {count} card", "{issuer}, {day}; {count} cards", "count").format(
            issuer=rules.about.name, day=made.date(), count=len(cards)
        )
        pdf = Paper((title, below, *heads, *(cell for row in rows for cell in row)), title, made).sheet(
            9, landscape=True
        )
        say(pdf, title, 16)
        say(pdf, below, 9)
        pdf.ln(3)
        with pdf.table(
            col_widths=(5, 17, 38, 34, 14, 14),
            headings_style=FontFace(fill_color=230),
            text_align="LEFT",
            padding=1,
        ) as table:
            table.row([plain(cell) for cell in heads])
            for row in rows:
                table.row([plain(cell) for cell in row])
        return bytes(pdf.output())


def address_labels(cards: Sequence[MailedCard], made: datetime, language: str) -> bytes:
    """Return the labels for the envelopes, sixteen on a sheet of A4: two columns of eight, 105 by 37 mm.

    Each has the number that its card has on the list.

    Args:
        cards: the cards, in the order of the list.
        made: when the labels were written, with a time zone.
        language: zh_TW or en.

    Raises:
        LetterNotMade: no font on this computer has all of its characters.
    """
    with speaking(language):
        title = text("Address labels")
        paper = Paper((title, *(line for card in cards for line in card.addressee)), title, made)
        pdf = paper.sheet(11, empty=True)
        pdf.set_auto_page_break(False)
        width, height = _LABEL
        for index, card in enumerate(cards):
            place = index % (_LABEL_COLUMNS * _LABEL_ROWS)
            if place == 0:
                pdf.add_page()
            row, column = divmod(place, _LABEL_COLUMNS)
            left, top = column * width + _LABEL_MARGIN, row * height + _LABEL_MARGIN
            _fit(pdf, card.addressee, left, top, width - 2 * _LABEL_MARGIN, height - 2 * _LABEL_MARGIN)
            pdf.set_font_size(7)
            pdf.set_xy(left, top + height - 2.2 * _LABEL_MARGIN)
            pdf.cell(width - 2 * _LABEL_MARGIN, 3, f"{index + 1}", align="R")
        return bytes(pdf.output())


class _Letter:
    """What the letter with a card says, in the language being spoken."""

    def __init__(self, card: MailedCard, rules: IssuerRules) -> None:
        about, words, days = rules.about, rules.wordings, rules.deadlines
        menu = rules.menu
        lapse = words.letter_lapse.format(days=days.acceptance.days, months=days.reissue_block.months)
        self._card = card
        self.title = text("The IC card with your certificates: how to activate it")
        self._issuer: list[Said] = [
            about.name,
            about.website,
            text("Telephone: {line}").format(line=about.contact_line),
        ]
        self._opening = text(
            "The card that was applied for comes with this letter. So that nobody else can use it, it is "
            "closed: it works after it was activated with the user code that was chosen with the application."
        )
        self._facts: list[tuple[Said, Said]] = [
            (text("Case number"), card.case_number),
            (text("Organisation"), card.organisation),
            (text("Organisation OID"), card.organisation_oid),
            (text("Rank"), RANKS[card.rank]()),
            (text("Card number"), card.number),
            (text("Serial number of the signing certificate"), card.serials[0]),
            (text("Serial number of the encryption certificate"), card.serials[1]),
            (text("Day of issue"), day(card.issued_on)),
            (text("Activate it by"), day(card.activate_by)),
            (text("Valid until"), day(card.valid_until)),
        ]
        self._steps: list[Said] = [
            text("Connect your card reader, and put the card into it the right way round."),
            text(
                "Open {website}, choose “How to activate a card”, read it, and choose “{activate}” at its "
                "end."
            ).format(website=about.website, activate=menu.activate),
            text("Detect the card and choose it. See that card number and holder are those of this letter."),
            text(
                "Enter the user code that was chosen with the application (upper and lower case differ) and "
                "a new PIN of your own. Then start the activation."
            ),
            text(
                "“{done}” is shown: the card is ready. Note the PIN, and keep it where nobody finds it."
            ).format(done=words.activation_done),
        ]
        self._notes: list[Said] = [
            lapse,
            text("Use the card nowhere before it is activated: other programs damage it."),
            words.keep_pin,
        ]
        self._questions: list[tuple[Said, Said]] = [
            (
                text("Until when is the card to be activated?"),
                text("Until {day}. {lapse}").format(day=card.activate_by, lapse=lapse),
            ),
            *about_cards(rules),
        ]

    def said(self) -> Iterator[Said]:
        """Yield all that is said, for the choice of a font."""
        yield from (self.title, self._opening, *self._issuer, *self._card.addressee)
        yield from (_HOW, _NOTES, _QUESTIONS)
        yield from (part for pair in (*self._facts, *self._questions) for part in pair)
        yield from (*self._steps, *self._notes, "0123456789.")

    def front(self, pdf: FPDF) -> None:
        """Write the first page: address, what the card is, how it is activated."""
        size = pdf.font_size_pt
        _fit(pdf, self._card.addressee, MARGIN, MARGIN, 90, 32)
        pdf.set_font_size(9)
        pdf.set_xy(120, MARGIN)
        for line in self._issuer:
            pdf.set_x(120)
            pdf.multi_cell(70, 5, plain(line), align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        pdf.set_xy(MARGIN, 60)
        say(pdf, self.title, 1.45 * size)
        pdf.ln(2)
        say(pdf, self._opening, size)
        pdf.ln(2)
        pdf.set_font_size(size)
        fact_table(pdf, self._facts, size)
        say(pdf, _HOW, 1.15 * size, above=3)
        for number, step in enumerate(self._steps, 1):
            _item(pdf, f"{number}.", step, size)
        say(pdf, _NOTES, 1.15 * size, above=3)
        for number, note in enumerate(self._notes, 1):
            _item(pdf, f"{number}.", note, size)

    def back(self, pdf: FPDF) -> None:
        """Write the second page: questions and answers."""
        size = pdf.font_size_pt
        say(pdf, _QUESTIONS, 1.45 * size)
        for question, answer in self._questions:
            pdf.ln(2.5)
            _item(pdf, "Q", question, 1.05 * size)
            _item(pdf, "A", answer, size)


def _item(pdf: FPDF, mark: str, said: Said, size: float) -> None:
    """Write a paragraph that hangs beside its mark."""
    pdf.set_font_size(size)
    indent = 0.7 * size
    pdf.cell(indent, 0.55 * size, mark)
    pdf.multi_cell(0, 0.55 * size, plain(said), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _fit(pdf: FPDF, lines: Iterable[Said], left: float, top: float, width: float, height: float) -> None:
    """Write lines into a box, in the largest type that leaves them in it.

    What is longer in the smallest type is cut: nobody's words stand on the label of somebody else.
    """
    said = "\n".join(plain(line) for line in lines)
    for size in (12, 11, 10, 9, 8, 7, 6, 5):
        pdf.set_font_size(size)
        pdf.set_xy(left, top)
        needed: Any = pdf.multi_cell(
            width, 0.45 * size, said, align="L", dry_run=True, output=MethodReturnValue.LINES
        )
        most = int(height / (0.45 * size))
        if len(needed) <= most:
            break
    pdf.set_xy(left, top)
    pdf.multi_cell(width, 0.45 * size, "\n".join(needed[:most]), align="L")
