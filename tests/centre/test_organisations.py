# SPDX-License-Identifier: Apache-2.0
"""Files of organisations."""

from collections import Counter
from contextlib import suppress
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xca_centre.errors import (
    BadOrganisationLines,
    OrganisationFileError,
    OrganisationFileInOtherEncoding,
    OrganisationFileTooBig,
    OrganisationFileWithoutHeader,
)
from xca_centre.organisations import (
    MOST_BYTES,
    Organisation,
    OrganisationKind,
    is_tax_id,
    read_organisations,
)

pytestmark = pytest.mark.fast

HEADER = "name,tax_id,oid,kind,counter"
LINE = "國立測試大學,03734301,2.16.886.111.100000,school,教育部"
UNIVERSITY = Organisation(
    "2.16.886.111.100000", "國立測試大學", "03734301", OrganisationKind.SCHOOL, "教育部"
)


def file(*lines: str, header: str = HEADER) -> bytes:
    return "\n".join((header, *lines)).encode()


def told(data: bytes) -> list[str]:
    with pytest.raises(BadOrganisationLines) as refusal:
        read_organisations(data)
    return [line("en") for line in refusal.value.lines]


def test_shipped_file_has_20_organisations_of_every_kind() -> None:
    found = read_organisations(files("xca_centre").joinpath("data/organisations.csv").read_bytes())
    assert len(found) == 20
    assert set(Counter(one.kind for one in found)) == set(OrganisationKind)


@pytest.mark.parametrize(
    "data",
    [
        file(LINE),
        b"\xef\xbb\xbf" + file(LINE),
        file(LINE).replace(b"\n", b"\r\n") + b"\r\n\r\n",
        file(",".join(f'" {cell} "' for cell in LINE.split(","))),
    ],
    ids=["plain", "byte order mark", "from Windows", "quoted"],
)
def test_organisation_file_as_programs_write_it_is_read(data: bytes) -> None:
    assert read_organisations(data) == [UNIVERSITY]


def test_organisation_without_tax_id_is_read() -> None:
    assert read_organisations(file(LINE.replace("03734301", "")))[0].tax_id is None


def test_every_bad_line_is_told_with_its_number() -> None:
    other = LINE.replace("100000", "100001").replace("03734301", "")
    assert told(
        file("a,b", LINE, "", LINE.replace("03734301", "03734302"), other.replace("school", "firm"))
    ) == [
        "line 2: it has 2 columns, not 5",
        "line 5: 03734302 is no 統一編號: 8 digits, of which the last ones check the others",
        "line 6: firm is no kind of organisation: school, foundation, association, "
        "administrative_corporation, professional_office, other",
    ]


@pytest.mark.parametrize("column", [1, 2], ids=["tax id", "OID"])
def test_organisation_that_stands_twice_is_told_with_both_lines(column: int) -> None:
    cells = LINE.split(",")
    again = ["另一所大學", "", "2.16.886.111.100001", "school", "教育部"]
    again[column] = cells[column]
    assert told(file(LINE, ",".join(again))) == [f"line 3: {cells[column]} stands in line 2 already"]


@pytest.mark.parametrize(
    "name",
    [
        "=HYPERLINK(1)",
        "+886",
        "-測試",
        "@SUM",
        "測試\u202e大學",
        "測試\u200b大學",
        "測試\0大學",
        "測試\u3000大學",
        "測試\xa0大學",
        '"測試\n大學"',
        "e\u0301cole",
        "測試\x1b[2J",
        "大" * 65,
        "",
    ],
)
def test_hostile_name_is_refused_harmlessly(name: str) -> None:
    for line in (LINE.replace("國立測試大學", name), LINE.replace("教育部", name)):
        (reason,) = told(file(line))
        assert reason.startswith("line 2: ")
        assert not set(reason) & set("\0\x1b\n\u202e\u200b")


@pytest.mark.parametrize(
    "oid",
    [
        "",
        "1",
        "2.16",
        "2.16.886.111.",
        "2.016.886",
        "3.1.2",
        "2.16.x.1",
        "2." + "1." * 40 + "1",
        "1.40.1",
        "0.100.1",
    ],
)
def test_text_that_is_no_oid_is_refused(oid: str) -> None:
    assert "is no OID" in told(file(LINE.replace("2.16.886.111.100000", oid)))[0]


def test_lines_behind_an_open_quotation_mark_are_not_guessed() -> None:
    assert told(file(LINE, '"國立', LINE)) == [
        "line 3: its quotation marks do not match, or a field is far too long"
    ]


@pytest.mark.parametrize("number", ["03734301", "04595257", "00000075", "00000000", "10458574", "10458575"])
def test_tax_id_of_old_and_new_rule_is_known(number: str) -> None:
    assert is_tax_id(number)


@pytest.mark.parametrize("number", ["", "3734301", "03734302", "0373430l", "０３７３４３０１", "037343010"])
def test_other_number_is_no_tax_id(number: str) -> None:
    assert not is_tax_id(number)


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (file(LINE).decode().encode("big5"), "Big5"),
        (file(LINE).decode().encode("utf-16"), "UTF-16"),
        (b"\xff\xff\xff", "none that is known here"),
    ],
)
def test_file_in_another_encoding_is_told_in_words(data: bytes, encoding: str) -> None:
    with pytest.raises(OrganisationFileInOtherEncoding) as refusal:
        read_organisations(data)
    assert encoding in refusal.value.message("en")
    assert "CSV UTF-8" in refusal.value.next_step("zh_TW")


@pytest.mark.parametrize("data", [b"", LINE.encode(), file(header="oid,name"), b'"'])
def test_file_without_its_header_is_refused(data: bytes) -> None:
    with pytest.raises(OrganisationFileWithoutHeader) as refusal:
        read_organisations(data)
    assert refusal.value.next_step("en").endswith(HEADER)


def test_file_beyond_the_limits_is_refused_at_once() -> None:
    for data in (bytes(MOST_BYTES + 1), file(*["x"] * 100_000)):
        with pytest.raises(OrganisationFileTooBig):
            read_organisations(data)


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda lines: file(lines)))
def test_any_file_is_read_or_refused_in_words(data: bytes) -> None:
    with suppress(OrganisationFileError):
        read_organisations(data)
