# SPDX-License-Identifier: Apache-2.0
"""The application on paper."""

from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from uuid import UUID

import pypdfium2  # type: ignore[import-untyped]
import pytest
import zxingcpp

from support.centre.cases import CODE, RULES, SCHOOL, form
from xca_centre import case_number
from xca_centre.application_form import Rank
from xca_centre.applications import Application
from xca_centre.life.application import ApplicationState
from xca_centre.printed_application import print_application

pytestmark = pytest.mark.integration

MADE = datetime(2026, 11, 28, 1, 0, tzinfo=UTC)
CASE = Application(
    id=UUID(int=1),
    case_number="1234567890123456789012345",
    organisation=SCHOOL.oid,
    state=ApplicationState.SUBMITTED,
    form=form(contact_fax="02-2192-7112", secure_email="office@school.example.tw"),
    revision=2,
    request=None,
    code=UUID(int=2),
    fee=420,
    submitted=MADE,
    letter=None,
    renews=None,
    first_reviewer=None,
    reason=None,
    version=1,
)


def pages(pdf: bytes) -> list[str]:
    """The text of each page, without the breaks of its lines."""
    document = pypdfium2.PdfDocument(BytesIO(pdf))
    return ["".join(page.get_textpage().get_text_bounded().split()) for page in document]


def test_application_is_printed_twice_with_all_that_is_to_be_checked() -> None:
    copies = pages(print_application(CASE, SCHOOL, RULES, MADE, "zh_TW"))
    assert len(copies) == 2
    for copy in copies:
        for said in (
            "憑證IC卡申請書（附卡）",
            case_number.shown(CASE.case_number),
            SCHOOL.name,
            SCHOOL.oid,
            "00000162",
            "wang@school.example.tw",
            "王小明",
            "採購組組長",
            "測試市明湖區測試路一段1號",
            "(02)2192-7111#12",
            "02-2192-7112",
            "office@school.example.tw",
            "新臺幣420元",
            "單位印信",
            RULES.about.contact_line,
        ):
            assert said in copy
        assert CODE not in copy
    assert "隨公文送「測試縣政府教育處」註冊窗口" in copies[0]
    assert "申請單位自存" in copies[1]


def test_printed_application_is_in_english_too() -> None:
    copy, _ = pages(print_application(CASE, SCHOOL, RULES, MADE, "en"))
    assert "ApplicationforanICcard:secondarycard" in copy
    assert "Casenumber" in copy


def test_qr_code_of_the_printed_application_is_the_case_number() -> None:
    for page in pypdfium2.PdfDocument(BytesIO(print_application(CASE, SCHOOL, RULES, MADE, "en"))):
        (code,) = zxingcpp.read_barcodes(page.render(scale=2).to_pil())
        assert code.text == CASE.case_number


def test_longest_application_stays_on_its_page() -> None:
    name, place = "長" * 50, "某" * 120
    longest = replace(
        CASE,
        form=form(
            rank="primary",
            contact_name=name,
            contact_title=name,
            contact_address=place,
            contact_email="a" * 60 + "@" + "b" * 60 + "." + "c" * 60 + ".example.tw",
        ),
    )
    school = replace(SCHOOL, name="學" * 64, counter="處" * 64)
    assert len(pages(print_application(longest, school, RULES, MADE, "zh_TW"))) == 2


def test_renewal_and_certificate_without_a_card_say_so() -> None:
    renewed, _ = pages(print_application(replace(CASE, renews="ab"), SCHOOL, RULES, MADE, "zh_TW"))
    assert "已以舊卡簽章，無須寄送" in renewed
    bare, _ = pages(print_application(replace(CASE, request=b"x"), SCHOOL, RULES, MADE, "zh_TW"))
    assert "非IC卡類憑證申請書" in bare


def test_printed_application_is_the_same_each_time() -> None:
    assert print_application(CASE, SCHOOL, RULES, MADE, "zh_TW") == print_application(
        CASE, SCHOOL, RULES, MADE, "zh_TW"
    )
    assert CASE.form.rank is Rank.SECONDARY


def test_application_writes_characters_that_no_font_has_by_their_numbers() -> None:
    odd = replace(SCHOOL, name="\U0001f0a1\U00012000學校")
    for page in pages(print_application(CASE, odd, RULES, MADE, "zh_TW")):
        assert "<U+1F0A1><U+12000>學校" in page
