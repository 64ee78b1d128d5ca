# SPDX-License-Identifier: Apache-2.0
"""What goes to the post with the cards."""

from dataclasses import replace
from datetime import UTC, date, datetime
from io import BytesIO

import pypdfium2  # type: ignore[import-untyped]
import pytest

from xca_centre.application_form import Contact, Rank
from xca_centre.errors import LetterNotMade
from xca_centre.issuer_rules import Issuer, IssuerRules, load
from xca_centre.letters import MailedCard, activation_letter, address_labels, serial_list

pytestmark = pytest.mark.integration

MADE = datetime(2026, 11, 28, 1, 0, tzinfo=UTC)
CARD = MailedCard(
    number="XC00000000091349",
    serials=("01f3a7c29b7d44e0a1b2c3d4e5f60718", "02f3a7c29b7d44e0a1b2c3d4e5f60719"),
    organisation="國立臺灣大學",
    organisation_oid="2.16.886.111.100000",
    rank=Rank.SECONDARY,
    case_number="12345-67890-12345-67890-12345",
    contact=Contact(
        "王小明", "組員", "contact@example.org", "106臺北市大安區羅斯福路四段1號", "02-0000-0000", ""
    ),
    issued_on=date(2026, 11, 28),
    activate_by=date(2027, 2, 26),
    valid_until=date(2032, 11, 28),
)
LONG = replace(
    CARD,
    organisation="財團法人" + "某某" * 28 + "基金會",
    contact=replace(CARD.contact, name="長" * 30, title="長" * 30, address="某縣某鄉某村" * 20),
)


@pytest.fixture(scope="module")
def rules() -> IssuerRules:
    return load(Issuer.TEST)


def pages(pdf: bytes) -> list[str]:
    """The text of each page, without the breaks of its lines."""
    document = pypdfium2.PdfDocument(BytesIO(pdf))
    return ["".join(page.get_textpage().get_text_bounded().split()) for page in document]


def test_letter_says_on_its_front_what_the_card_is_and_on_its_back_what_people_ask(
    rules: IssuerRules,
) -> None:
    front, back = pages(activation_letter(CARD, rules, MADE, "zh_TW"))
    for said in (
        "憑證IC卡開卡通知函",
        "106臺北市大安區羅斯福路四段1號",
        "王小明組員收",
        CARD.number,
        *CARD.serials,
        CARD.case_number,
        CARD.organisation_oid,
        "附卡",
        "2026年11月28日",
        "2027年2月26日",
        "90天內",
        "3個月內不再核發憑證",
        "02-0000-0000",
    ):
        assert said in front, said
    for said in (
        "Q&A",
        "用戶代碼重設",
        "鎖卡解碼/重設PIN碼",
        "憑證效期為6年",
        "列入移交",
        "客服專線：02-0000-0000",
    ):
        assert said in back, said


def test_letter_in_english_says_the_same(rules: IssuerRules) -> None:
    front, back = pages(activation_letter(CARD, rules, MADE, "en"))
    assert "Activateitby2027-02-26" in front
    assert "Questionsandanswers" in back
    assert CARD.organisation in front


def test_letter_of_the_same_card_is_the_same_to_the_byte(rules: IssuerRules) -> None:
    first, second = (activation_letter(CARD, rules, MADE, "zh_TW") for _ in range(2))
    assert first == second


@pytest.mark.parametrize("issuer", Issuer)
@pytest.mark.parametrize("language", ["zh_TW", "en"])
def test_letter_with_the_longest_names_has_two_pages(issuer: Issuer, language: str) -> None:
    front, back = pages(activation_letter(LONG, load(issuer), MADE, language))
    assert LONG.contact.address in front
    assert LONG.organisation in front
    assert back


def test_letter_whose_sentences_no_font_can_write_is_refused(
    rules: IssuerRules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LetterNotMade) as caught:
        activation_letter(CARD, rules, MADE, "en")
    assert "font" in caught.value.message("en")


def test_name_that_no_font_can_write_keeps_no_other_card_from_the_post(rules: IssuerRules) -> None:
    contact = replace(CARD.contact, name="王\N{LINEAR B SYLLABLE B008 A}明")
    odd = replace(CARD, contact=contact, organisation="國立\N{PLAYING CARD ACE OF SPADES}大學")
    front, _ = pages(activation_letter(odd, rules, MADE, "zh_TW"))
    (listed,) = pages(serial_list([CARD, odd], rules, MADE, "zh_TW"))
    (labels,) = pages(address_labels([CARD, odd], MADE, "zh_TW"))
    for page in (front, listed, labels):
        assert "王<U+10000>明" in page
        assert "國立<U+1F0A1>大學" in page
    assert CARD.contact.address in labels


def test_letter_writes_characters_that_act_as_what_they_are(rules: IssuerRules) -> None:
    contact = replace(CARD.contact, name="王\N{RIGHT-TO-LEFT OVERRIDE}明")
    front, _ = pages(activation_letter(replace(CARD, contact=contact), rules, MADE, "zh_TW"))
    assert "王<U+202E>明" in front


def test_list_has_every_card_with_both_serial_numbers(rules: IssuerRules) -> None:
    cards = [replace(CARD, number=f"XC{number:014d}") for number in range(60)]
    listed = pages(serial_list(cards, rules, MADE, "zh_TW"))
    assert len(listed) > 1
    assert all("憑證序號" in page for page in listed)
    whole = "".join(listed)
    assert [card.number for card in cards if card.number not in whole] == []
    assert whole.count(CARD.serials[1]) == 60
    assert "共60張" in listed[0]


def test_labels_have_sixteen_addresses_a_sheet_with_the_numbers_of_the_list() -> None:
    cards = [replace(CARD, contact=replace(CARD.contact, name=f"收件{number:02d}")) for number in range(17)]
    first, second = pages(address_labels([*cards[:-1], LONG], MADE, "zh_TW"))
    assert [card.contact.name for card in cards[:16] if card.contact.name not in first] == []
    assert LONG.contact.address in second
    assert second.endswith("17")


def test_address_that_is_too_long_for_its_label_does_not_reach_the_next_one() -> None:
    odd = "\N{CUNEIFORM SIGN A}"
    contact = replace(CARD.contact, name="壞" + odd * 49, title=odd * 49 + "人", address=odd * 120)
    sheet = address_labels([replace(CARD, contact=contact), *[CARD] * 2], MADE, "zh_TW")
    page = pypdfium2.PdfDocument(sheet)[0]
    millimetre = 72 / 25.4
    below = page.get_textpage().get_text_bounded(
        0, (297 - 2 * 37) * millimetre, 105 * millimetre, (297 - 37) * millimetre
    )
    lines = [CARD.contact.address, CARD.organisation, CARD.contact.name, "3"]
    assert all(line in below for line in lines)
    assert "U+" not in below
