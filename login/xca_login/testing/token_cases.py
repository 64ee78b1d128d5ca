# SPDX-License-Identifier: Apache-2.0
"""Cases of tokens: what is wrong with the signature, or with what was signed."""

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from asn1crypto import core  # type: ignore[import-untyped]
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from xca_common.pki.cms_types import cms
from xca_common.statement import ORIGIN_ATTRIBUTE, Statement, StatementKind
from xca_login.challenges import LIFETIME, Challenge
from xca_login.testing.case import OK, ORIGIN, Attempt, Recipe, Setting
from xca_login.testing.parties import DAY, NOW, Party, key, party
from xca_login.testing.tokens import attribute, attributes, origin, sign

Make = Callable[[Setting, Challenge], bytes]

_TIME_STAMP: Final = "1.2.840.113549.1.9.16.1.4"  # id-ct-TSTInfo (RFC 3161)
_CARD_NUMBER: Final = "2.16.886.1.100.2.204"


def _right(at: Setting, asked: Challenge) -> bytes:
    return sign(at.card, asked.text)


def _changed(change: Callable[[cms.SignedData], None]) -> Make:
    return lambda at, asked: sign(at.card, asked.text, change=change)


def _signer(**fields: object) -> Make:
    """Return a right token, but for fields of its SignerInfo that are not signed."""

    def change(signed_data: cms.SignedData) -> None:
        for name, value in fields.items():
            signed_data["signer_infos"][0][name] = value

    return _changed(change)


def _digested_with(name: str) -> Make:
    return _signer(digest_algorithm={"algorithm": name})


def _having(*more: cms.CMSAttribute) -> Make:
    return lambda at, asked: sign(at.card, asked.text, more=more)


def _with_attributes(choose: Callable[[list[cms.CMSAttribute]], list[cms.CMSAttribute]]) -> Make:
    return lambda at, asked: sign(at.card, asked.text, signed_attributes=choose(attributes(asked.text)))


def _text(change: Callable[[Challenge], bytes]) -> Make:
    return lambda at, asked: sign(at.card, change(asked))


def _bytes(change: Callable[[bytes], bytes]) -> Make:
    return lambda at, asked: change(_right(at, asked))


def _time(days: int = 0) -> cms.Time:
    return cms.Time({"utc_time": NOW - days * DAY})


def _detached(signed_data: cms.SignedData) -> None:
    signed_data["encap_content_info"] = {"content_type": "data"}


def _no_signer(signed_data: cms.SignedData) -> None:
    signed_data["signer_infos"] = []


def _twice(signed_data: cms.SignedData) -> None:
    signed_data["signer_infos"] = [signed_data["signer_infos"][0]] * 2


def _no_certificates(signed_data: cms.SignedData) -> None:
    signed_data["certificates"] = []


def _of_another_content(signed_data: cms.SignedData) -> None:
    signed_data["encap_content_info"]["content_type"] = _TIME_STAMP


def _by_key_identifier(signed_data: cms.SignedData) -> None:
    identifier = signed_data["certificates"][0].chosen.key_identifier
    info = signed_data["signer_infos"][0]
    info["version"] = "v3"
    info["sid"] = cms.SignerIdentifier("subject_key_identifier", identifier)


def _two_signers(at: Setting, asked: Challenge) -> bytes:
    stranger = cms.ContentInfo.load(sign(party("a stranger"), asked.text))["content"]

    def change(signed_data: cms.SignedData) -> None:
        signed_data["signer_infos"] = [signed_data["signer_infos"][0], stranger["signer_infos"][0]]

    return sign(at.card, asked.text, [party("a stranger")], change=change)


def _stripped(at: Setting, asked: Challenge) -> bytes:
    """Return a token whose content is the signed attributes of a right one, in DER."""
    given = sorted(attributes(asked.text), key=lambda one: bytes(one.dump()))
    return sign(at.card, bytes(cms.CMSAttributes(given).dump()), signed_attributes=[])


def _in_chunks(at: Setting, asked: Challenge) -> bytes:
    """Return a right token in BER: its content is an OCTET STRING in two parts."""
    whole = core.OctetString(asked.text).dump()
    half = len(asked.text) // 2
    parts = core.OctetString(asked.text[:half]).dump() + core.OctetString(asked.text[half:]).dump()
    constructed = b"\x24\x80" + parts + b"\0\0"
    outer = b"\xa0\x80" + constructed + b"\0\0"
    token = _right(at, asked)
    before = cms.EncapsulatedContentInfo({"content_type": "data", "content": asked.text}).dump()
    data = core.ObjectIdentifier("1.2.840.113549.1.7.1").dump()
    inner = token.replace(before, b"\x30\x80" + data + outer + b"\0\0")
    if whole not in before or inner == token:
        raise ValueError("the content is not where it was looked for")
    # Both lengths around it are left open.
    return b"\x30\x80" + inner[4:15] + b"\xa0\x80\x30\x80" + inner[23:] + b"\0\0" * 3


def _of_another_kind(asked: Challenge) -> bytes:
    fields = (("cert2", "0" * 64),)
    return Statement(StatementKind.REGISTRATION, ORIGIN, NOW, asked.nonce, fields).encode()


def _of_another_site(asked: Challenge) -> bytes:
    return Statement(StatementKind.LOGIN, "https://evil.example", NOW, asked.nonce, ()).encode()


def _of_another_time(asked: Challenge) -> bytes:
    return Statement(StatementKind.LOGIN, ORIGIN, NOW - DAY, asked.nonce, ()).encode()


def _with_another_nonce(at: Setting, asked: Challenge) -> bytes:
    return sign(at.card, at.challenge().text)


def _replayed(at: Setting, asked: Challenge) -> Attempt:
    token = _right(at, asked)
    return Attempt(token, before=((OK, Attempt(token)),))


def _card_of_our_program(at: Setting) -> Party:
    """Return the card of a holder whose program signs origins; the others of the cases never do."""
    return at.holder(key_name="a card of a program that signs origins")


def _verified(at: Setting, asked: Challenge) -> bytes:
    return sign(_card_of_our_program(at), asked.text, more=[origin(ORIGIN)])


def _declared_after_verified(at: Setting, asked: Challenge) -> Attempt:
    before = at.challenge()
    verified = Attempt(_verified(at, before), challenge=before)
    return Attempt(sign(_card_of_our_program(at), asked.text), before=((OK, verified),))


def _expired(at: Setting, asked: Challenge) -> Attempt:
    old = at.challenge(at=NOW - LIFETIME - timedelta(seconds=1))
    return Attempt(sign(at.card, old.text), challenge=old)


def _in_another_session(at: Setting, asked: Challenge) -> Attempt:
    return Attempt(_right(at, asked), posted_in="another session")


def _flipped(signature: bytes) -> bytes:
    return signature[:-1] + bytes((signature[-1] ^ 1,))


def _signature(change: Callable[[bytes], bytes]) -> Make:
    def signature(signed_data: cms.SignedData) -> None:
        info = signed_data["signer_infos"][0]
        info["signature"] = change(info["signature"].native)

    return _changed(signature)


def _digest_of_another_text(given: list[cms.CMSAttribute]) -> list[cms.CMSAttribute]:
    return [given[0], attribute("message_digest", core.OctetString(bytes(32)))]


TOKEN_CASES: Final = {
    "right": Recipe("A right login.", OK, _right),
    "right, origin signed": Recipe(
        "The holder's program signed the origin of the page that asked, and it is this site's.",
        OK,
        _verified,
    ),
    "right, time and card number signed": Recipe(
        "signingTime and the card number are signed too; they are recorded, not compared.",
        OK,
        _having(
            attribute("signing_time", _time(300)), attribute(_CARD_NUMBER, core.PrintableString("FC12345678"))
        ),
    ),
    "right, signer by key identifier": Recipe(
        "The signer is named by subjectKeyIdentifier.", OK, _changed(_by_key_identifier)
    ),
    "right, extra certificates": Recipe(
        "Certificates of strangers and CAs are inside beside the signer's; they prove nothing.",
        OK,
        lambda at, asked: sign(at.card, asked.text, [party("a stranger"), at.ca, at.root]),
    ),
    "empty": Recipe("Nothing.", "token_malformed", lambda at, asked: b""),
    "null": Recipe("The word null.", "token_malformed", lambda at, asked: b"null"),
    "base64": Recipe("A right token in base64.", "token_malformed", _bytes(base64.b64encode)),
    "cut off": Recipe("The last byte is missing.", "token_malformed", _bytes(lambda one: one[:-1])),
    "more behind it": Recipe("A byte follows.", "token_malformed", _bytes(lambda one: one + b"\0")),
    "BER": Recipe(
        "The outermost length is indefinite.",
        "token_malformed",
        _bytes(lambda one: b"\x30\x80" + one[4:] + b"\0\0"),
    ),
    "BER in chunks": Recipe(
        "The content is an OCTET STRING in parts: reading many takes some parsers minutes.",
        "token_malformed",
        _in_chunks,
    ),
    "too long": Recipe(
        "64 KiB of zeros follow.", "token_too_long", _bytes(lambda one: one + bytes(64 << 10))
    ),
    "detached": Recipe("The challenge is not inside.", "token_malformed", _changed(_detached)),
    "certificate alone": Recipe(
        "The card's certificate, and no signature.", "token_malformed", lambda at, asked: at.card.der
    ),
    "another CMS type": Recipe(
        "ContentInfo says that it is EnvelopedData.",
        "token_malformed",
        _bytes(
            lambda one: one.replace(
                core.ObjectIdentifier("1.2.840.113549.1.7.2").dump(),
                core.ObjectIdentifier("1.2.840.113549.1.7.3").dump(),
                1,
            )
        ),
    ),
    "certificate of version 4": Recipe(
        "The certificate says that it is of a version that there is not.",
        "token_malformed",
        _bytes(lambda one: one.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x03")),
    ),
    "no signer": Recipe("Nobody signed.", "signer_count", _changed(_no_signer)),
    "same signer twice": Recipe("One signature is there twice.", "signer_count", _changed(_twice)),
    "two signers": Recipe("A stranger signed too.", "signer_count", _two_signers),
    "stripped attributes": Recipe(
        "The content is the signed attributes of a right token: without attributes of its own their "
        "signature is right for it.",
        "attributes",
        _stripped,
    ),
    "no attributes": Recipe(
        "The challenge itself is signed, without attributes.",
        "attributes",
        lambda at, asked: sign(at.card, asked.text, signed_attributes=[]),
    ),
    "unsigned attributes": Recipe(
        "An attribute stands beside those that are signed.",
        "attributes",
        _signer(unsigned_attrs=[attribute("signing_time", _time())]),
    ),
    "no digest": Recipe(
        "messageDigest is not signed.", "attributes", _with_attributes(lambda given: given[:1])
    ),
    "no type": Recipe("contentType is not signed.", "attributes", _with_attributes(lambda given: given[1:])),
    "an attribute twice": Recipe(
        "signingTime is there twice.",
        "attributes",
        _having(attribute("signing_time", _time()), attribute("signing_time", _time(1))),
    ),
    "an attribute with two values": Recipe(
        "signingTime has two values.", "attributes", _having(attribute("signing_time", _time(), _time(1)))
    ),
    "the digest twice": Recipe(
        "messageDigest is there twice: of the challenge and of another text.",
        "attributes",
        _with_attributes(lambda given: [*given, _digest_of_another_text(given)[1]]),
    ),
    "another type signed": Recipe(
        "The signed contentType is that of SignedData.",
        "attributes",
        _with_attributes(
            lambda given: [attribute("content_type", cms.ContentType("signed_data")), *given[1:]]
        ),
    ),
    "another type beside": Recipe(
        "The content says that it is a time-stamp; signed is that it is data.",
        "attributes",
        _changed(_of_another_content),
    ),
    "origin in other letters": Recipe(
        "The signed origin is no ASCII text.", "attributes", _having(origin("https://bіds.example.gov.tw"))
    ),
    "origin is a number": Recipe(
        "The signed origin is an INTEGER.",
        "attributes",
        _having(attribute(ORIGIN_ATTRIBUTE, core.Integer(1))),
    ),
    "origin twice": Recipe(
        "Two origins are signed: this site's and another's.",
        "attributes",
        _having(origin(ORIGIN), origin("https://evil.example")),
    ),
    "foreign origin": Recipe(
        "Another site's page asked for the signature.",
        "origin_foreign",
        _having(origin("https://evil.example")),
    ),
    "origin without TLS": Recipe(
        "The page that asked was not one of https.",
        "origin_foreign",
        _having(origin(ORIGIN.replace("https", "http"))),
    ),
    "origin with another port": Recipe(
        "The page that asked is on another port of the host.",
        "origin_foreign",
        _having(origin(f"{ORIGIN}:8443")),
    ),
    "origin with more behind it": Recipe(
        "The host of the page that asked begins like this site's.",
        "origin_foreign",
        _having(origin(f"{ORIGIN}.evil.example")),
    ),
    "origin signed before": Recipe(
        "The holder's program signed the origin at the login before, and signs none at this one.",
        "origin_weaker",
        _declared_after_verified,
    ),
    "another text": Recipe(
        "A letter follows the challenge.", "content", _text(lambda asked: asked.text + b"x")
    ),
    "a new line behind": Recipe(
        "A line feed follows the challenge.", "content", _text(lambda asked: asked.text + b"\n")
    ),
    "lines of another system": Recipe(
        "The lines end as on Windows.", "content", _text(lambda asked: asked.text.replace(b"\n", b"\r\n"))
    ),
    "nonce in capitals": Recipe(
        "The nonce is in capital letters.",
        "content",
        _text(lambda asked: asked.text.replace(asked.nonce.encode(), b"A" * 64)),
    ),
    "a document that looks like a login": Recipe(
        "A byte order mark stands before the challenge.",
        "content",
        _text(lambda asked: b"\xef\xbb\xbf" + asked.text),
    ),
    "another kind of statement": Recipe(
        "The holder registered a certificate, and did not log in; site and nonce are right.",
        "content",
        _text(_of_another_kind),
    ),
    "another site's statement": Recipe(
        "The holder logged in at another site, which passes the token on; the nonce is right.",
        "content",
        _text(_of_another_site),
    ),
    "another time": Recipe("The time in the text is another.", "content", _text(_of_another_time)),
    "nonce of nobody": Recipe(
        "The nonce is none that the site made for the session.", "challenge_unknown", _with_another_nonce
    ),
    "replayed": Recipe("A right token is posted a second time.", "challenge_unknown", _replayed),
    "too late": Recipe("The challenge ended a second ago.", "challenge_expired", _expired),
    "another session's": Recipe(
        "The token is posted in another session than the one that the challenge was made for.",
        "challenge_unknown",
        _in_another_session,
    ),
    "another text inside": Recipe(
        "Another text was signed than the one that is inside.",
        "signature",
        lambda at, asked: sign(at.card, b"x", inside=asked.text),
    ),
    "wrong digest": Recipe(
        "The signed digest is not that of the challenge.",
        "signature",
        _with_attributes(_digest_of_another_text),
    ),
    "wrong signature": Recipe("A bit of the signature is another.", "signature", _signature(_flipped)),
    "empty signature": Recipe("The signature has no bytes.", "signature", _signature(lambda one: b"")),
    "longer signature": Recipe(
        "A zero stands before the signature.", "signature", _signature(lambda one: b"\0" + one)
    ),
    "another key's": Recipe(
        "Another key signed than the one in the certificate.",
        "signature",
        lambda at, asked: sign(Party(at.card.certificate, key("another")), asked.text),
    ),
    "PSS without saying so": Recipe(
        "The padding is PSS; the token says PKCS #1 v1.5.",
        "signature",
        lambda at, asked: sign(at.card, asked.text, scheme=padding.PSS(padding.MGF1(hashes.SHA256()), 32)),
    ),
    "PSS": Recipe(
        "The signature algorithm is RSASSA-PSS, which the cards do not make.",
        "algorithm",
        lambda at, asked: sign(at.card, asked.text, algorithm={"algorithm": "rsassa_pss"}),
    ),
    "SHA-1": Recipe("The digest algorithm is SHA-1.", "algorithm", _digested_with("sha1")),
    "MD5": Recipe("The digest algorithm is MD5.", "algorithm", _digested_with("md5")),
    "SHA-224": Recipe("The digest algorithm is SHA-224.", "algorithm", _digested_with("sha224")),
    "RSA with SHA-1": Recipe(
        "The digest algorithm is SHA-256, that of the signature SHA-1.",
        "algorithm",
        _signer(signature_algorithm={"algorithm": "sha1_rsa"}),
    ),
    "ECDSA": Recipe(
        "The signature algorithm is ECDSA.",
        "algorithm",
        _signer(signature_algorithm={"algorithm": "sha256_ecdsa"}),
    ),
    "no certificate": Recipe(
        "The signer's certificate is not inside.", "certificate_missing", _changed(_no_certificates)
    ),
    "another's certificate": Recipe(
        "Only a certificate of another card is inside.",
        "certificate_missing",
        lambda at, asked: _with_certificate_of(at.holder(), _right(at, asked)),
    ),
}


def _with_certificate_of(one: Party, token: bytes) -> bytes:
    whole = cms.ContentInfo.load(token)
    whole["content"]["certificates"] = [cms.CertificateChoices("certificate", cms.Certificate.load(one.der))]
    return bytes(whole.dump(force=True))
