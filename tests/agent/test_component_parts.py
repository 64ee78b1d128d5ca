# SPDX-License-Identifier: Apache-2.0
"""Request decoding, the bitmap, the codes, and origins."""

import base64
import json
import string
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import cast
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.errors import with_facts
from xca_common.errors import FileError, XcaError
from xca_plugin import Cards, errors
from xca_plugin.agent.component import bitmap, information
from xca_plugin.agent.component.request_body import base64_field, decode_fields
from xca_plugin.agent.component.result_codes import (
    Code,
    MinorCode,
    Refusal,
    codes_of,
    failure,
    page_safe,
    to_json,
)
from xca_plugin.agent.process.origin import is_exposed, is_origin
from xca_plugin.model import Card, CardState
from xca_plugin.terminal.exit_statuses import EXIT_STATUSES

pytestmark = pytest.mark.fast

TEXT = st.text(st.characters(exclude_characters="%", exclude_categories=["Cs"]))
FIELDS = st.dictionaries(st.text(string.ascii_letters, min_size=1), TEXT)

# --- the decoder


@given(FIELDS)
def test_request_in_every_encoding_decodes_to_the_same_fields(fields: dict[str, str]) -> None:
    said = json.dumps(fields)
    encoded_values = json.dumps({name: quote(value, safe="") for name, value in fields.items()})
    expected = {name: value for name, value in fields.items() if value not in ("", "__NotExistedTag__")}
    for body in (
        said,
        f"tbsPackage={said}",
        f"tbsPackage={quote(said, safe='')}",
        f"tbsPackage={quote_plus(said)}",
        f"tbsPackage={said.replace('+', '%2B')}",
        f"tbsPackage={encoded_values}",
    ):
        assert decode_fields(body) == expected


@given(st.text())
def test_request_of_any_text_is_decoded_or_refused(body: str) -> None:
    with suppress(Refusal):
        assert all(isinstance(value, str) and value for value in decode_fields(body).values())


def test_request_of_the_vendors_example_is_decoded() -> None:
    body = (
        'tbsPackage={"tbs":"aGk%2Bd29ybGQ=","tbsEncoding":"base64","pin":"12%2334a","func":"MakeSignature",'
        '"keyidb64":"__NotExistedTag__","nonce":"__NotExistedTag__","withCardSN":false,"slotDescription":0}'
    )
    fields = decode_fields(body)
    assert base64_field(fields, "tbs") == b"hi>world"
    assert fields == {
        "tbs": "aGk+d29ybGQ=",
        "tbsEncoding": "base64",
        "pin": "12#34a",
        "func": "MakeSignature",
        "withCardSN": "false",
        "slotDescription": "0",
    }


def test_value_with_a_lone_percent_sign_stays() -> None:
    assert decode_fields('{"tbs": "100% sure, 50%zz, %ff"}')["tbs"] == "100% sure, 50%zz, %ff"
    assert decode_fields('{"pin": "%ff"}')["pin"] == "%ff"
    # The vendor's library replaces plus signs and nothing else of the text.
    assert decode_fields('{"tbs": "100%,a%2Bb", "pin": "5%%2Babcd"}') == {"tbs": "100%,a+b", "pin": "5%+abcd"}


def test_request_with_raw_line_breaks_is_decoded() -> None:
    assert decode_fields('tbsPackage={"tbs":"two\nlines"}') == {"tbs": "two\nlines"}


def test_request_of_deeply_nested_json_is_refused() -> None:
    with pytest.raises(Refusal):
        decode_fields("[" * 100_000)


@given(st.binary())
def test_base64_field_changed_by_clients_is_decoded(data: bytes) -> None:
    said = base64.b64encode(data).decode()
    lines = "\r\n".join(said[start : start + 5] for start in range(0, len(said), 5))
    for value in (said, said.replace("+", " "), lines):
        assert base64_field({"tbs": value}, "tbs") == data


# --- the bitmap


def read(picture: bytes) -> str:
    """Read the text as pages do: pixel by pixel, up to the first whose first byte is 0."""
    text = ""
    for at in range(54, len(picture), 3):
        if picture[at] == 0:
            break
        text += picture[at : at + 3].decode("ascii")
    return text


@given(st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=bitmap.CAPACITY - 2))
def test_bitmap_of_any_text_holds_the_text(text: str) -> None:
    picture = bitmap.encode(text)
    assert read(picture).removesuffix(" " * (-len(text) % 3)) == text
    assert len(picture) == 6054
    header = picture[:54]
    assert header[:6] == b"BM\xa6\x17\0\0"
    assert int.from_bytes(header[18:22], "little") == 2000
    assert int.from_bytes(header[22:26], "little") == 1
    assert int.from_bytes(header[28:30], "little") == 24
    # Some pages read it as text and rely on one byte per character.
    assert len(header.decode("utf-8", "replace")) == 54


def test_bitmap_of_a_long_answer_stays_short() -> None:
    names = [f"Reader {number}" for number in range(4)]
    present = [
        Card(f"XC{number:014}", name, "T7SXC000000", "hicos", CardState.ACTIVE, 3, 3)
        for number, name in enumerate(names)
    ]
    cards = cast("Cards", SimpleNamespace(detect=lambda: present, readers=lambda: [*names, "Empty reader"]))
    text = read(information.as_bitmap(information.card_information(cards)))
    assert len(text) < 1900
    assert [slot["token"]["serialNumber"] for slot in json.loads(text)["slots"]] == [
        card.number for card in present
    ]


def test_bitmap_of_one_card_fits_what_every_page_reads() -> None:
    name = "Castles EZ100PU 00 00 of a reader whose name is long"
    card = Card("XC00000000000001", name, "T7SXC000000", "hicos", CardState.ACTIVE, 3, 3)
    cards = cast("Cards", SimpleNamespace(detect=lambda: [card], readers=lambda: [name, "Empty reader"]))
    whole = information.card_information(cards)
    text = read(information.as_bitmap(whole))
    assert len(text) <= 900
    drawn = json.loads(text)
    assert [slot["slotDescription"] for slot in drawn["slots"]] == [name, "Empty reader"]
    for kept in ("func", "ret_code", "last_error", "serverVersion", "version", "installedModule", "agent"):
        assert drawn[kept] == whole[kept]
    token = drawn["slots"][0]["token"]
    assert {each: token[each] for each in ("serialNumber", "label", "model", "flags")} == {
        each: whole["slots"][0]["token"][each] for each in ("serialNumber", "label", "model", "flags")
    }


def test_information_with_softhsms_free_slot_does_not_list_it() -> None:
    card = Card("XC00000000000001", "SoftHSM slot ID 0x1", "T", "hicos", CardState.ACTIVE, 3, 3)
    readers = ["SoftHSM slot ID 0x1", "SoftHSM slot ID 0x2", "Reader"]
    cards = cast("Cards", SimpleNamespace(detect=lambda: [card], readers=lambda: readers))
    slots = information.card_information(cards)["slots"]
    assert [(slot["slotID"], slot["slotDescription"]) for slot in slots] == [
        (0, "SoftHSM slot ID 0x1"),
        (1, "Reader"),
    ]


def test_bitmap_of_many_readers_leaves_out_empty_ones() -> None:
    empty = {"slotDescription": "reader" * 10, "token": None}
    full = {"slotDescription": "reader", "token": {"serialNumber": "XC00000000000001"}}
    drawn = json.loads(read(information.as_bitmap({"slots": [*[empty] * 200, full]})))
    assert drawn["slots"] == [full]
    assert len(json.loads(read(information.as_bitmap({"slots": [empty] * 3})))["slots"]) == 3


def test_bitmap_of_an_error_or_too_many_cards_tells_the_code() -> None:
    full = {"slotDescription": "reader", "token": {"serialNumber": "XC00000000000001"}}
    drawn = json.loads(read(information.as_bitmap({"slots": [full] * 200})))
    assert (drawn["ret_code"], drawn["slots"]) == (Code.TOO_LARGE, [])
    answer = failure("pkcs11info", errors.NoModule())
    assert json.loads(read(information.as_bitmap(answer)))["ret_code"] == Code.NO_MODULE


# --- the codes

# The texts that pages print from their own tables.
MAJOR = {
    "NO_CERTIFICATE": 1979711490,
    "NO_DATA": 1979711491,
    "NO_CIPHER": 1979711492,
    "NO_CARD": 1979711494,
    "WRONG_TYPE": 1979711496,
    "TOO_LARGE": 1979711498,
    "BAD_JSON": 1979711499,
    "BAD_PARAMETER": 1979711500,
    "FAILED": 1979711501,
    "UNSUPPORTED": 1979711502,
    "NOT_TRUSTED": 1979711537,
    "NO_PIN": 1979713944,
    "CANCELLED": 1979713945,
    "EXPIRED": 1984954370,
    "LOGIN_FAILED": 1980760070,
    "NOT_ACTIVATED": 0x81000225 - (1 << 32),
}


@pytest.mark.parametrize(("name", "number"), MAJOR.items())
def test_codes_compared_with_the_vendors_are_the_same(name: str, number: int) -> None:
    assert Code[name] == number


@pytest.mark.parametrize(
    ("error", "major", "minor"),
    [
        (errors.WrongPin(tries_left=2), 0x76100006, -2147483646),
        (errors.WrongPin(tries_left=1), 0x76100006, -2147483647),
        (errors.WrongPin(tries_left=None), 0x76100006, 0xA0),
        (errors.PinLocked(number="1"), 0x76100006, 0xA4),
        (errors.WrongUserCode(tries_left=2), 0x81000201 - (1 << 32), 0),
        (errors.WrongUserCode(tries_left=1), 0x81000202 - (1 << 32), 0),
        (errors.UserCodeLocked(number="1"), 0x81000227 - (1 << 32), 0),
        (errors.AlreadyActive(number="1"), 0x81000226 - (1 << 32), 0),
        (errors.InvalidPin(), 0x76100006, 0xA2),
        (errors.NoReader(), 0x76100003, 0),
        (errors.NoCard(), 0x76000006, 0),
        (errors.CardFault(detail=""), 0x7610000B, 6),
        (errors.CardWorkerBusy(), 0x7600000D, 0),
    ],
)
def test_error_of_a_kind_has_its_codes(error: XcaError, major: int, minor: int) -> None:
    assert codes_of(error) == (major, minor)


NOT_THE_AGENTS = ("xca_login.", "xca_centre.", "xca_common.card_making")


def every_situation() -> Iterator[type[XcaError]]:
    """Return every class of error that the agent may meet: a site's and a centre's are none of them."""
    kinds: list[type[XcaError]] = [XcaError]
    for kind in kinds:
        kinds += kind.__subclasses__()
        if hasattr(kind, "_message") and not kind.__module__.startswith(NOT_THE_AGENTS):
            yield kind


@pytest.mark.parametrize("kind", list(every_situation()))
def test_error_of_every_kind_has_codes(kind: type[XcaError]) -> None:
    codes = codes_of(with_facts(kind))
    assert codes[0] is not Code.OK
    # Of a card, its secrets and keys.
    if 10 <= EXIT_STATUSES[kind] < 54 and not issubclass(kind, FileError):
        assert codes != (Code.FAILED, MinorCode.NONE)


@given(st.text())
def test_page_safe_text_in_json_and_html_breaks_neither(text: str) -> None:
    said = page_safe(text)
    assert not set(said) & set("\"\\<>&'`\r\n\u2028\u2029")
    assert all(ord(character) >= 32 for character in said)
    # The vendor's library joins its own result like this.
    assert json.loads('{"message":"' + said.encode("utf-8", "replace").decode() + '"}')


@pytest.mark.parametrize("code", Code)
def test_answer_of_every_code_is_ascii_with_a_chinese_message(code: Code) -> None:
    wire = to_json(failure("sign", Refusal(code)))
    assert wire.isascii()
    answer = json.loads(wire)
    assert isinstance(answer["ret_code"], int)
    assert any("\u4e00" <= character <= "\u9fff" for character in answer["message"])
    assert page_safe(answer["message"]) == answer["message"]


@pytest.mark.parametrize("minor", MinorCode)
def test_minor_code_texts_in_a_page_are_harmless(minor: MinorCode) -> None:
    assert page_safe(minor.text) == minor.text


def test_answer_to_an_error_holds_none_of_its_words() -> None:
    answer = failure("sign", errors.StoreUnreadable(detail="/home/somebody/cards.db"))
    assert "somebody" not in to_json(answer)


# --- origins


@pytest.mark.parametrize(
    "origin", ["https://example.gov.tw", "http://127.0.0.1:8080", "https://[::1]:8443", "http://host"]
)
def test_origin_of_a_site_is_recognised(origin: str) -> None:
    assert is_origin(origin)


@pytest.mark.parametrize(
    "text",
    ["", "null", "*", "example.gov.tw", "https://", "https://a/", "https://a/b", "https://u@a", "ftp://a",
     "HTTPS://a", "https://a:0", "https://a:x", "https://例子.tw", "https://e\u0301x.tw", "https://a b", "https://a\n",
     "https://[::1", "https://a:443", "http://a:80", "https://a:65536", "https://a?b", "https://a#b", "//a",
     "https://a:" + "9" * 9999],
)  # fmt: skip
def test_text_that_is_no_origin_is_refused(text: str) -> None:
    assert not is_origin(text)


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://intranet.example", True),
        ("http://192.168.1.5:8000", True),
        ("http://localhost.example", True),
        ("https://intranet.example", False),
        ("http://localhost:8000", False),
        ("http://site.localhost", False),
        ("http://127.0.0.1:8000", False),
        ("http://[::1]:8000", False),
    ],
)
def test_others_on_the_network_can_read_what_is_neither_encrypted_nor_of_this_machine(
    origin: str, expected: bool
) -> None:
    assert is_exposed(origin) is expected
