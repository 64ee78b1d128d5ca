# SPDX-License-Identifier: Apache-2.0
"""Tickets: only what the centre's signer of tickets signed counts, and only for the card that it names."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from asn1crypto import cms, core  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from support.centre.authority import NAME, NOW, card, issuer, key, school
from xca_common.pki import profile
from xca_common.pki.authority import ENCRYPTION, SIGNING, Issuer, certify_ca
from xca_common.pki.ticket import MOST_BYTES, Ticket, TicketUnusable

DAY = timedelta(days=1)
PURPOSE = x509.ExtendedKeyUsage([x509.ObjectIdentifier(profile.TICKET_SIGNING)])

CERT1_DER = card().signing.public_bytes(Encoding.DER)
TICKET = Ticket("XC00000000000001", hashlib.sha256(CERT1_DER).digest(), False, 7, NOW + 3 * DAY)
ISSUERS = [issuer(3).certificate, issuer(2).certificate]


def signer(
    *extensions: tuple[x509.ExtensionType, bool],
    own: rsa.RSAPrivateKey | None = None,
    by: Issuer | None = None,
    usage: x509.KeyUsage = SIGNING,
    begin: timedelta = timedelta(),
) -> x509.Certificate:
    """Return the certificate of who signs tickets, or of who would like to."""
    public = (own or key("tickets")).public_key()
    return (by or issuer(2)).appoint(
        NAME, public, usage, NOW + begin, NOW + begin + 30 * DAY, extensions or [(PURPOSE, True)]
    )


def signed() -> bytes:
    return TICKET.sign(signer(), key("tickets"))


def changed(change: Callable[[cms.SignedData], None]) -> bytes:
    """Return a ticket in which something was changed after it was signed."""
    whole = cms.ContentInfo.load(signed())
    change(whole["content"])
    return bytes(whole.dump(force=True))


def resigned(**attributes: core.Asn1Value) -> bytes:
    """Return a ticket whose signer signed other attributes."""

    def change(data: cms.SignedData) -> None:
        (info,) = data["signer_infos"]
        for attribute in info["signed_attrs"]:
            if attribute["type"].native in attributes:
                attribute["values"] = [attributes[attribute["type"].native]]
        _sign(info)

    return changed(change)


def _sign(info: cms.SignerInfo) -> None:
    message = cms.CMSAttributes.load(info["signed_attrs"].untag().dump(force=True)).dump(force=True)
    info["signature"] = key("tickets").sign(message, padding.PKCS1v15(), hashes.SHA256())


def refused(der: bytes, moment: timedelta = timedelta()) -> str:
    with pytest.raises(TicketUnusable) as error:
        Ticket.verify(der, ISSUERS, NOW + moment)
    return str(error.value)


def test_ticket_is_read_as_it_was_signed() -> None:
    assert Ticket.verify(signed(), ISSUERS, NOW) == TICKET
    assert Ticket.verify(signed(), ISSUERS, TICKET.until - timedelta(seconds=1)) == TICKET


def test_ticket_at_its_end_is_refused() -> None:
    assert refused(signed(), TICKET.until - NOW) == "it can no longer be used"


def test_ticket_for_a_card_fits_that_card_in_that_state_alone() -> None:
    TICKET.check("XC00000000000001", CERT1_DER, is_activated=False)
    other = "it is for another card"
    for number, cert1, is_activated, why in (
        ("XC00000000000002", CERT1_DER, False, other),
        ("XC00000000000001", b"another certificate", False, other),
        ("XC00000000000001", CERT1_DER, True, "it is for a card that is not activated, and this one is"),
    ):
        with pytest.raises(TicketUnusable, match=why):
            TICKET.check(number, cert1, is_activated=is_activated)
    with pytest.raises(TicketUnusable, match="that is activated, and this one is not"):
        replace(TICKET, is_activated=True).check("XC00000000000001", CERT1_DER, is_activated=False)


def test_ticket_by_anybody_else_is_refused() -> None:
    holders = issuer(2).certify(
        key("tickets").public_key(), SIGNING, school(), NOW, NOW + DAY, issuer(2).addresses(0)
    )
    other_ca = Issuer(
        certify_ca(NAME, key("own").public_key(), NAME, key("own"), NOW, NOW + 99 * DAY), key("own")
    )
    # Its certificate names the key of a CA that did not sign it.
    liar = Issuer(issuer(2).certificate, key("own"))
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    more = x509.ExtendedKeyUsage([*PURPOSE, ExtendedKeyUsageOID.OCSP_SIGNING])
    attributes = holders.extensions.get_extension_for_oid(x509.ObjectIdentifier("2.5.29.9")).value
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\0")
    for certificate, own in (
        (holders, key("tickets")),
        (signer(by=other_ca), key("tickets")),
        (signer(by=liar), key("tickets")),
        (signer(own=short), short),
        (signer(usage=ENCRYPTION), key("tickets")),
        (signer((PURPOSE, False)), key("tickets")),
        (signer((more, True)), key("tickets")),
        (signer((PURPOSE, True), (attributes, False)), key("tickets")),
        (signer((PURPOSE, True), (constraints, True)), key("tickets")),
        (signer((PURPOSE, True), (unknown, True)), key("tickets")),
        (signer(begin=DAY), key("tickets")),
        (signer(begin=-31 * DAY), key("tickets")),
    ):
        said = refused(TICKET.sign(certificate, own))
        assert said == "it is not signed by whom the centre lets sign tickets", certificate


def test_ticket_without_its_signers_certificate_is_refused() -> None:
    assert refused(changed(lambda data: data.__setitem__("certificates", []))) == "it has another form"


def test_ticket_that_another_key_signed_is_refused() -> None:
    assert refused(TICKET.sign(signer(), key("own"))) == "it was changed after it was signed"


def test_ticket_that_was_changed_is_refused() -> None:
    def content(data: cms.SignedData) -> None:
        data["encap_content_info"]["content"] = core.ParsableOctetString(
            data["encap_content_info"]["content"].contents.replace(b"\x02\x01\x07", b"\x02\x01\x08")
        )

    def unsigned(data: cms.SignedData) -> None:
        data["signer_infos"][0]["unsigned_attrs"] = [
            {"type": "message_digest", "values": [core.OctetString(b"x")]}
        ]

    def bare(data: cms.SignedData) -> None:
        (info,) = data["signer_infos"]
        inside = data["encap_content_info"]["content"].contents
        signature = key("tickets").sign(inside, padding.PKCS1v15(), hashes.SHA256())
        kept = ("version", "sid", "digest_algorithm", "signature_algorithm")
        data["signer_infos"] = [{**{name: info[name] for name in kept}, "signature": signature}]

    def weak(data: cms.SignedData) -> None:
        (info,) = data["signer_infos"]
        info["digest_algorithm"] = {"algorithm": "sha1"}

    for change in (content, unsigned, bare, weak):
        assert refused(changed(change)) == "it was changed after it was signed", change
    for attributes in (
        {"content_type": cms.ContentType("data")},
        {"message_digest": core.OctetString(bytes(32))},
    ):
        assert refused(resigned(**attributes)) == "it was changed after it was signed"


def test_ticket_of_another_type_or_with_two_signers_is_refused() -> None:
    def other(data: cms.SignedData) -> None:
        data["encap_content_info"]["content_type"] = "data"

    def twice(data: cms.SignedData) -> None:
        (info,) = data["signer_infos"]
        data["signer_infos"] = [info, info]

    assert refused(changed(other)) == "it is something else that was signed"
    assert refused(changed(twice)) == "it has another form"
    for nothing in (b"", b"0", signed()[:-1], signed() + b"\0"):
        assert refused(nothing) == "it has another form"
    assert refused(bytes(MOST_BYTES + 1)) == "it is longer than a ticket can be"


def test_ticket_detached_from_its_content_is_refused() -> None:
    def detached(data: cms.SignedData) -> None:
        data["encap_content_info"] = {"content_type": data["encap_content_info"]["content_type"]}

    assert refused(changed(detached)) == "it has another form"


@pytest.mark.parametrize(
    "odd",
    [
        replace(TICKET, card="XC 1"),
        replace(TICKET, card=""),
        replace(TICKET, cert1=bytes(20)),
        replace(TICKET, counter=0),
        replace(TICKET, counter=-1),
        replace(TICKET, counter=1 << 63),
    ],
)
def test_ticket_with_an_impossible_value_is_refused(odd: Ticket) -> None:
    assert refused(odd.sign(signer(), key("tickets"))) == "it has another form"


@given(st.data())
def test_ticket_with_any_byte_changed_is_refused_or_the_same(data: st.DataObject) -> None:
    der = bytearray(signed())
    at = data.draw(st.integers(0, len(der) - 1))
    der[at] ^= data.draw(st.integers(1, 255))
    with suppress(TicketUnusable):
        assert Ticket.verify(bytes(der), ISSUERS, NOW) == TICKET  # a version of CMS was changed
