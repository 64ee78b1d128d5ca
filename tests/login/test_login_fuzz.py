# SPDX-License-Identifier: Apache-2.0
"""Whatever a browser posts is answered: with a login, or with a refusal of ours."""

import base64
import json
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.login_http import posted
from support.login_site import SITE, Desk
from xca_login import Challenge, Login, LoginRefused
from xca_login.http import CardLogin, Request
from xca_login.testing.parties import NOW
from xca_login.testing.tokens import sign

pytestmark = pytest.mark.fast

ONCE = settings(max_examples=60, deadline=None, derandomize=True, database=None)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@cache
def made() -> tuple[Desk, Challenge, bytes]:
    desk = Desk()
    challenge = desk.challenge()
    return desk, challenge, sign(desk.school, challenge.text)


def elements(der: bytes, start: int, end: int) -> list[tuple[int, int]]:
    """Return begin and end of each element of a structure in DER, and of those in it."""
    found = []
    while start + 2 <= end:
        size, at = der[start + 1], start + 2
        if size >= 0x80:
            octets = size & 0x7F
            size, at = int.from_bytes(der[at : at + octets]), at + octets
        found.append((start, at + size))
        if der[start] & 0x20:
            found += elements(der, at, at + size)
        start = at + size
    return found


@ONCE
@given(st.data())
def test_token_with_a_changed_element_is_refused_by_a_class_of_ours(data: st.DataObject) -> None:
    desk, challenge, token = made()
    start, end = data.draw(st.sampled_from(elements(token, 0, len(token))))
    other_start, other_end = data.draw(st.sampled_from(elements(token, 0, len(token))))
    put = data.draw(
        st.sampled_from([b"", token[other_start:other_end], token[start:end] * 2]) | st.binary(max_size=40)
    )
    changed = token[:start] + put + token[end:]
    with suppress(LoginRefused):
        assert isinstance(desk.verifier().verify(changed, challenge), Login)


@ONCE
@given(st.data())
def test_token_with_changed_bytes_is_refused_by_a_class_of_ours(data: st.DataObject) -> None:
    desk, challenge, token = made()
    changed = bytearray(token)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(token) - 1))] = data.draw(st.integers(0, 255))
    with suppress(LoginRefused):
        assert isinstance(desk.verifier().verify(bytes(changed), challenge), Login)


@ONCE
@given(
    body=st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode())
    | JSON.map(lambda value: json.dumps({"token": value}).encode())
    | st.binary(max_size=100).map(posted)
    | st.text(max_size=50).map(lambda text: base64.b64encode(text.encode("utf-16"))),
    action=st.sampled_from(["begin", "finish", "logout"]) | st.text(max_size=10),
    method=st.sampled_from(["GET", "POST", "PUT", ""]),
    cookies=st.text(max_size=100),
    kind=st.sampled_from(["application/json", "application/json;charset=x", "text/plain", ""]),
    origins=st.lists(st.sampled_from([SITE.origin, "null", "https://evil.example"]), max_size=2),
)
def test_request_of_any_kind_is_answered(
    body: bytes, action: str, method: str, cookies: str, kind: str, origins: list[str]
) -> None:
    desk, _, _ = made()
    card_login = CardLogin(SITE, desk.verifier(), clock=lambda: NOW)
    answer = card_login.answer(Request(method, f"/login/{action}", origins, kind, cookies, body))
    assert answer.status < 500
    card_login.session(cookies)
