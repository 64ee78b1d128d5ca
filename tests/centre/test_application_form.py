# SPDX-License-Identifier: Apache-2.0
"""The form of an application, as people and programs fill it in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xca_centre.application_form import FIELDS, ApplicationForm, Contact, Rank, read_contact
from xca_centre.errors import FormIncomplete

pytestmark = pytest.mark.fast

TERMS = "2026-11"
RIGHT = {
    "rank": "secondary",
    "consent": TERMS,
    "applicant_email": "wang@school.example.tw",
    "contact_name": "王小明",
    "contact_title": "採購組組長",
    "contact_email": "purchase@school.example.tw",
    "contact_address": "測試市明湖區測試路一段 1 號",
    "contact_phone": "(02)2192-7111#12",
    "contact_fax": "",
    "secure_email": "",
    "published": "yes",
}


def problems(**fields: str) -> dict[str, str]:
    with pytest.raises(FormIncomplete) as refusal:
        ApplicationForm.read({**RIGHT, **fields}, TERMS)
    return {name: reason("en") for name, reason in refusal.value.problems.items()}


def test_form_filled_in_rightly_is_read() -> None:
    form = ApplicationForm.read(RIGHT, TERMS)
    assert form.rank is Rank.SECONDARY
    assert form.contact == Contact(
        "王小明",
        "採購組組長",
        "purchase@school.example.tw",
        "測試市明湖區測試路一段 1 號",
        "(02)2192-7111#12",
        "",
    )
    assert form.is_published
    assert ApplicationForm.read(form.fields(), TERMS) == form


def test_form_takes_what_people_type_in_full_width() -> None:
    typed = {
        "contact_phone": " （０２）２１９２－７１１１ ",
        "contact_email": "ａ＠b.tw",
        "contact_name": "　王　小明 ",
    }
    form = ApplicationForm.read({**RIGHT, **typed}, TERMS)
    assert (form.contact.phone, form.contact.email, form.contact.name) == (
        "(02)2192-7111",
        "a@b.tw",
        "王 小明",
    )


def test_empty_form_is_told_every_field_that_is_needed() -> None:
    with pytest.raises(FormIncomplete) as refusal:
        ApplicationForm.read({}, TERMS)
    assert {*refusal.value.problems} == {*FIELDS} - {"contact_fax", "secure_email"}
    assert "聯絡人姓名" in refusal.value.message("zh_TW")


def test_consent_to_other_terms_is_none() -> None:
    assert problems(consent="2020-01") == {"consent": "nobody has agreed to the terms of use as they are now"}


@pytest.mark.parametrize(
    "address",
    [
        "a",
        "a@b",
        "a@b.tw\nBcc: c@d.tw",
        "a@b.tw, c@d.tw",
        '"a b"@c.tw',
        "<a@b.tw>",
        "王@b.tw",
        "a@-b.tw",
        "a..b@c.tw",
        ".a@b.tw",
        "a@[127.0.0.1]",
        "a" * 65 + "@b.tw",
        "a@" + "b." * 130 + "tw",
    ],
)
@pytest.mark.parametrize("field", ["applicant_email", "contact_email", "secure_email"])
def test_text_that_is_no_mail_address_is_told(field: str, address: str) -> None:
    (reason,) = problems(**{field: address}).values()
    assert "is no e-mail address" in reason
    assert "\n" not in reason


@pytest.mark.parametrize("number", ["12", "()()()()", "0911-abc-def", "=1+1+1+1", "2192-7111\n1", "1" * 60])
@pytest.mark.parametrize("field", ["contact_phone", "contact_fax"])
def test_text_that_is_no_phone_number_is_told(field: str, number: str) -> None:
    assert "is no telephone number" in problems(**{field: number})[field]


@pytest.mark.parametrize("value", ["=1+1", "\u202eabc", "a\0b", "a\nb", "字" * 121, "\ue000", "a\u200b", " "])
@pytest.mark.parametrize("field", ["contact_name", "contact_title", "contact_address"])
def test_hostile_text_is_told_harmlessly(field: str, value: str) -> None:
    reasons = problems(**{field: value})
    assert {*reasons} == {field}
    assert not set(reasons[field]) & set("\0\n\u202e\u200b\ue000")


@pytest.mark.parametrize("field", ["rank", "published"])
def test_choice_that_is_not_offered_is_told(field: str) -> None:
    assert {*problems(**{field: "PRIMARY"})} == {field}


def test_contact_alone_is_checked_as_in_the_form() -> None:
    assert read_contact(RIGHT).name == "王小明"
    with pytest.raises(FormIncomplete) as refusal:
        read_contact({**RIGHT, "contact_phone": "?", "rank": "?"})
    assert {*refusal.value.problems} == {"contact_phone"}


@given(st.dictionaries(st.sampled_from([*FIELDS]), st.text(max_size=300)))
def test_any_fields_are_read_or_told(fields: dict[str, str]) -> None:
    try:
        form = ApplicationForm.read({**RIGHT, **fields}, TERMS)
    except FormIncomplete as refusal:
        assert {*refusal.problems} <= {*fields}  # noqa: PT017
    else:
        assert ApplicationForm.read(form.fields(), TERMS) == form
