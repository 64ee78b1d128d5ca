# SPDX-License-Identifier: Apache-2.0
"""The worst that a browser can post to a login: what takes readers of other programs long, or much memory."""

import gzip
import json
import zlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace

from asn1crypto import core  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from support.login_http import posted
from support.login_site import SITE, Desk
from xca_common.pki.asn1_stream import SEQUENCE, header, read_length
from xca_common.pki.cms_types import cms
from xca_login import errors
from xca_login.challenges import Challenge
from xca_login.http import MOST_BODY_BYTES, CardLogin, Request
from xca_login.testing import CASES, Setting
from xca_login.testing.parties import authority_key, party
from xca_login.testing.tokens import sign
from xca_login.token import MOST_BYTES

Input = Callable[[], str]
"""Posts it, and returns the code of the answer; "ok" for a login."""

_FILLED = MOST_BYTES - (8 << 10)
"""Bytes of the part of a token that is to be as long as possible."""
_LONG_TAG = b"\x3f" + b"\xff" * (_FILLED - 3) + b"\x01\x00"
_LONG_OID = b"\xff" * (_FILLED - 1) + b"\x01"


def good_login(desk: Desk) -> Input:
    """A right login, to compare with."""
    challenge = desk.challenge()
    return _verified(desk, sign(desk.school, challenge.text), challenge)


def worst_inputs(desk: Desk) -> Mapping[str, Input]:
    """All of them, by their names."""
    challenge = desk.challenge()
    tokens = {**_structures(), **_tokens(desk, challenge), **_certificates(desk, challenge)}
    found = {name: _verified(desk, token, challenge) for name, token in tokens.items()}
    return {**found, **{name: _answered(desk, request) for name, request in _requests().items()}}


def _verified(desk: Desk, token: bytes, challenge: Challenge) -> Input:
    verifier = desk.verifier()

    def verify() -> str:
        try:
            verifier.verify(token, challenge)
        except errors.LoginRefused as error:
            return error.code
        return "ok"

    return verify


def _answered(desk: Desk, request: Request) -> Input:
    card_login = CardLogin(SITE, desk.verifier(), clock=desk.clock)

    def answer() -> str:
        given = card_login.answer(request)
        card_login.session(request.cookies)
        return str(json.loads(given.body)["code"]) if given.status >= 400 else "ok"

    return answer


def _element(tag: int, content: bytes) -> bytes:
    return header(tag, len(content)) + content


def _structures() -> dict[str, bytes]:
    """What is no token from its first bytes on."""
    nested = b""
    for _ in range(MOST_BYTES // 8):
        nested = _element(SEQUENCE, nested)
    bomb = zlib.compress(bytes(8 << 20), 1)
    packed = cms.ContentInfo(
        {
            "content_type": "compressed_data",
            "content": {
                "version": "v0",
                "compression_algorithm": {"algorithm": "zlib"},
                "encap_content_info": {"content_type": "data", "content": bomb},
            },
        }
    )
    return {
        "nothing but zeros, a byte too long": bytes(MOST_BYTES + 1),
        "1 MiB": bytes(1 << 20),
        "nested sequences": nested,
        "nested indefinite lengths": b"\x30\x80" * (MOST_BYTES // 2),
        "chunks of strings in BER": b"\x24\x80" + b"\x04\x01a" * (_FILLED // 3) + b"\0\0",
        "a long tag": _LONG_TAG,
        "a length of lengths": b"\x30\xfe" + b"\xff" * 126,
        "a length of 4 GiB": b"\x30\x84\xff\xff\xff\xff" + bytes(_FILLED),
        "compressed zeros": bytes(packed.dump()),
        "compressed by gzip": gzip.compress(bytes(8 << 20), 1),
    }


def _tokens(desk: Desk, challenge: Challenge) -> dict[str, bytes]:
    """Tokens of a card, with too much in them."""
    card, text = desk.school, challenge.text
    # In the order of DER, one is the first and one the last of all.
    short = cms.CMSAttribute({"type": "1.2.3.4", "values": [core.Null()]})
    long = cms.CMSAttribute({"type": "1.2.3.4", "values": [core.OctetString(bytes(80))]})
    token, other = (sign(card, text, more=[one]) for one in (short, long))
    signed_data = cms.ContentInfo.load(token)["content"]
    (signer,), digests = signed_data["signer_infos"], signed_data["digest_algorithms"]
    values = long["values"].dump()
    serial = signer["sid"].chosen["serial_number"].dump()
    huge = _element(2, b"\x7f" + bytes(_FILLED))
    many = b"".join(
        _element(SEQUENCE, core.ObjectIdentifier(f"1.2.3.{number}").dump() + b"\x31\x02\x05\x00")
        for number in range(128, _FILLED // 13)
    )
    return {
        "many attributes": _replaced(token, short.dump(), many),
        "an attribute with many values": _replaced(other, values, _element(0x31, b"\x05\0" * (_FILLED // 2))),
        "an attribute with a huge integer": _replaced(other, values, _element(0x31, huge)),
        "an attribute with a long text": _replaced(
            other, values, _element(0x31, _element(12, "投".encode() * (_FILLED // 3)))
        ),
        "many certificates": sign(card, text, [card] * ((MOST_BYTES - len(token)) // len(card.der))),
        "many signers": _replaced(token, signer.dump(), signer.dump() * (_FILLED // len(signer.dump()))),
        "many digest algorithms": _replaced(
            token, digests.dump(), _element(0x31, digests[0].dump() * (_FILLED // 15))
        ),
        "a huge serial number": _replaced(token, signer.dump(), _replaced(signer.dump(), serial, huge)),
        "a long text": sign(card, b"x" * _FILLED),
        "many lines": sign(card, text + b"a: b\n" * (_FILLED // 5)),
    }


def _replaced(der: bytes, old: bytes, new: bytes) -> bytes:
    """Return a structure in DER with something else in the place of one of its elements."""
    if der == old:
        return new
    length, start = read_length(der, 1)
    assert length is not None
    content, at = b"", start
    while at < len(der):
        size, behind = read_length(der, at + 1)
        assert size is not None
        part = der[at : behind + size]
        content += _replaced(part, old, new) if old in part else part
        at = behind + size
    return _element(der[0], content)


def _certificates(desk: Desk, challenge: Challenge) -> dict[str, bytes]:
    """Tokens whose certificate has too much in it. No CA issued it: no browser chooses what a CA issues."""
    stranger = party("a stranger", ca=True)
    extensions = {
        "a long tag": (ExtensionOID.CERTIFICATE_POLICIES, _element(SEQUENCE, _LONG_TAG)),
        "a long OID": (ExtensionOID.EXTENDED_KEY_USAGE, _element(SEQUENCE, _element(6, _LONG_OID))),
        "many OIDs": (
            ExtensionOID.EXTENDED_KEY_USAGE,
            _element(SEQUENCE, b"\x06\x03\x2a\x03\x04" * (_FILLED // 5)),
        ),
        "many directory attributes": (
            ExtensionOID.SUBJECT_DIRECTORY_ATTRIBUTES,
            _element(SEQUENCE, b"\x30\0" * (_FILLED // 2)),
        ),
        "many addresses": (
            ExtensionOID.CRL_DISTRIBUTION_POINTS,
            _element(SEQUENCE, _element(SEQUENCE, b"\xa0\x0a\xa0\x08\x86\x06http:/") * (_FILLED // 14)),
        ),
    }
    found = {}
    for name, (oid, value) in extensions.items():
        more = [authority_key(desk.ca), (x509.UnrecognizedExtension(oid, value), False)]
        certified = party("another", stranger, extensions=more)
        found[f"{name} in a certificate"] = sign(certified, challenge.text)
    return {**found, "a key of RSA-16384": _with_long_key(challenge)}


def _with_long_key(challenge: Challenge) -> bytes:
    setting = Setting("http://127.0.0.1:1")
    made = CASES["RSA 16384"].make(setting, challenge)
    return made if isinstance(made, bytes) else made.token


def _requests() -> dict[str, Request]:
    """Requests that hold no token."""
    browser = f"__Host-xca-browser={'A' * 43}"  # its challenges are not asked for
    plain = Request("POST", "/login/finish", [SITE.origin], "application/json", browser)

    def with_json(body: bytes) -> Request:
        return replace(plain, body=body[:MOST_BODY_BYTES])

    token = b64encode(bytes(MOST_BYTES))
    return {
        "a body that is too long": replace(plain, body=bytes(MOST_BODY_BYTES + 1)),
        "nested JSON": with_json(b"[" * MOST_BODY_BYTES),
        "nested objects in JSON": with_json(b'{"a":' * (MOST_BODY_BYTES // 5)),
        "a huge integer in JSON": with_json(b'{"token":' + b"9" * (MOST_BODY_BYTES - 20) + b"}"),
        "a huge exponent in JSON": with_json(b'{"token":1e' + b"9" * (MOST_BODY_BYTES - 20) + b"}"),
        "many members in JSON": with_json(
            b"{" + b",".join(b'"%d":0' % number for number in range(MOST_BODY_BYTES // 10)) + b"}"
        ),
        "a string of escapes": with_json(b'{"token":"' + rb"\ud83d" * ((MOST_BODY_BYTES - 20) // 6) + b'"}'),
        "zeros in base64": with_json(b'{"token":"' + token + b'"}'),
        "padding in base64": with_json(b'{"token":"' + b"=" * (MOST_BODY_BYTES - 20) + b'"}'),
        "a body in gzip": replace(plain, body=gzip.compress(bytes(8 << 20), 1)),
        "many cookies": replace(plain, cookies="; ".join(["__Host-xca-session=" + "A" * 43] * 1000)),
        "cookies of separators": replace(plain, cookies=";" * (64 << 10)),
        "a long cookie": replace(plain, cookies="__Host-xca-browser=" + "A" * (64 << 10)),
        "many origins": replace(plain, origins=[SITE.origin] * 1000),
        "a long path": replace(plain, path="/" * (64 << 10)),
        "a right post of zeros": replace(plain, body=posted(bytes(1000))),
    }
