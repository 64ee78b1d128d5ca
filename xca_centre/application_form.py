# SPDX-License-Identifier: Apache-2.0
"""The form of an application: what an applicant fills in, checked field by field.

The user code is no field of it: it is a Secret that goes its own way (user_codes).
"""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from xca_centre.errors import FormIncomplete
from xca_centre.i18n import text
from xca_centre.plain_text import is_email, is_phone, objection
from xca_common.i18n import Text

_YES: Final = "yes"
_NO: Final = "no"


class Rank(StrEnum):
    """Which card of the organisation it is, as its certificates state it (xca_common.pki.profile)."""

    PRIMARY = "primary"
    """正卡."""
    SECONDARY = "secondary"
    """附卡, the one that procurement takes."""


RANKS: Final = {Rank.PRIMARY: text("primary card"), Rank.SECONDARY: text("secondary card")}
"""How people call them."""


@dataclass(frozen=True)
class Contact:
    """憑證聯絡人: to whom the card is sent, and whom the centre writes to. Nothing of it is in the card.

    Attributes:
        name: 姓名.
        title: 職稱.
        email: 電子郵件信箱.
        address: IC 卡寄送地址.
        phone: 電話.
        fax: 傳真; "": none.
    """

    name: str
    title: str
    email: str
    address: str
    phone: str
    fax: str


@dataclass(frozen=True)
class ApplicationForm:
    """A form that was filled in rightly.

    Attributes:
        rank: which card it asks for.
        terms: the version of the 用戶約定條款 that the applicant agreed to.
        applicant_email: 申請人電子郵件信箱.
        contact: the contact person.
        secure_email: 安全電子郵件信箱, for the certificates; "": none.
        is_published: whether the certificates may be downloaded by everybody.
    """

    rank: Rank
    terms: str
    applicant_email: str
    contact: Contact
    secure_email: str
    is_published: bool

    @classmethod
    def read(cls, fields: Mapping[str, str], terms: str) -> Self:
        """Read the fields of a page, a program or a saved file.

        Args:
            fields: by the names of FIELDS. Others are passed over.
            terms: the version of the terms that the applicant has to agree to.

        Raises:
            FormIncomplete: at least one field is wrong; all that are, are told.
        """
        values = {name: field.normalised(fields.get(name, "")) for name, field in FIELDS.items()}
        problems = {
            name: reason for name, field in FIELDS.items() if (reason := field.objection(values[name]))
        }
        if values["consent"] != terms:
            problems["consent"] = text("nobody has agreed to the terms of use as they are now")
        if problems:
            raise FormIncomplete(count=len(problems), problems=problems, reasons=[*problems.values()])
        return cls(
            rank=Rank(values["rank"]),
            terms=values["consent"],
            applicant_email=values["applicant_email"],
            contact=read_contact(fields),
            secure_email=values["secure_email"],
            is_published=values["published"] == _YES,
        )

    def fields(self) -> dict[str, str]:
        """Return the fields. read() reads them."""
        return {
            "rank": self.rank,
            "consent": self.terms,
            "applicant_email": self.applicant_email,
            **contact_fields(self.contact),
            "secure_email": self.secure_email,
            "published": _YES if self.is_published else _NO,
        }


def read_contact(fields: Mapping[str, str]) -> Contact:
    """Read the fields of a contact person alone, which may be changed later (憑證IC卡聯絡人修改).

    Raises:
        FormIncomplete: at least one field is wrong.
    """
    values = {name: FIELDS[name].normalised(fields.get(name, "")) for name in CONTACT_FIELDS}
    problems = {name: reason for name in CONTACT_FIELDS if (reason := FIELDS[name].objection(values[name]))}
    if problems:
        raise FormIncomplete(count=len(problems), problems=problems, reasons=[*problems.values()])
    return Contact(*values.values())


def contact_fields(contact: Contact) -> dict[str, str]:
    """Return the fields of a contact person. read_contact() reads them."""
    return dict(zip(CONTACT_FIELDS, vars(contact).values(), strict=True))


@dataclass(frozen=True)
class Field:
    """A field of the form.

    Attributes:
        label: how people call it.
        longest: most characters.
        is_needed: whether it may not be empty.
        is_right: what its value has to be beside a plain text; None: nothing else.
        rule: why a value is refused that is not right.
    """

    label: Text
    longest: int
    is_needed: bool = True
    is_right: Callable[[str], bool] | None = None
    rule: Text | None = None

    def cut(self, value: str) -> str:
        """Return as much of a value as tells that it is too long."""
        return value[: 4 * self.longest]

    def normalised(self, value: str) -> str:
        """Return a value without blanks around it; numbers and addresses in half width, texts composed."""
        # What is left becomes no more than 18 times as long.
        typed = self.cut(value).replace("\u3000", " ").strip()
        return unicodedata.normalize("NFKC" if self.is_right else "NFC", typed)

    def objection(self, value: str) -> Text | None:
        """Return what is wrong with a value; None: nothing."""
        if not value and not self.is_needed:
            return None
        if self.is_right is None:
            return objection(value, self.label, self.longest)
        if not value:
            return text("{what} is missing").format(what=self.label)
        if len(value) > self.longest or not self.is_right(value):
            return (self.rule or text("{what} cannot be {value}")).format(what=self.label, value=value)
        return None


_EMAIL_RULE: Final = text("{what} is no e-mail address: {value}")
_PHONE_RULE: Final = text("{what} is no telephone number, such as (02)2192-7111#12: {value}")


def _email(label: Text, *, is_needed: bool = True) -> Field:
    return Field(label, 254, is_needed, is_email, _EMAIL_RULE)


def _phone(label: Text, *, is_needed: bool = True) -> Field:
    return Field(label, 34, is_needed, is_phone, _PHONE_RULE)


def _one_of(label: Text, *choices: str) -> Field:
    return Field(label, 16, True, frozenset(choices).__contains__)


FIELDS: Final[Mapping[str, Field]] = {
    "rank": _one_of(text("primary or secondary card"), *Rank),
    "consent": Field(text("agreement to the terms of use"), 32),
    "applicant_email": _email(text("the applicant's e-mail address")),
    "contact_name": Field(text("the contact person's name"), 50),
    "contact_title": Field(text("the contact person's title"), 50),
    "contact_email": _email(text("the contact person's e-mail address")),
    "contact_address": Field(text("the address that the card is sent to"), 120),
    "contact_phone": _phone(text("the contact person's telephone number")),
    "contact_fax": _phone(text("the contact person's fax number"), is_needed=False),
    "secure_email": _email(text("the secure e-mail address"), is_needed=False),
    "published": _one_of(text("whether the certificates are published"), _YES, _NO),
}
"""Every field, by its name, in the order of the page."""
CONTACT_FIELDS: Final = tuple(name for name in FIELDS if name.startswith("contact_"))
"""The names of the contact person's fields, in the order of Contact."""


def caption(name: str) -> str:
    """Return what stands before a field on pages and on paper, in the language being spoken."""
    said = str(FIELDS[name].label)
    return said[:1].upper() + said[1:]
