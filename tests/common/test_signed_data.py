# SPDX-License-Identifier: Apache-2.0
"""SignedData as other programs write it: in BER, with lists, with several signers; and what is read of it."""

import io

import pytest
from asn1crypto import cms, core  # type: ignore[import-untyped]
from asn1crypto import x509 as asn1_x509

from support.der_mutations import Element
from support.hostile_pki import repeated
from xca_common.pki.asn1_stream import header
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_common.pki.signed_data import Content, SignedData, Signer, content_of
from xca_login.testing.issuer import revocation_list
from xca_login.testing.parties import Party, party
from xca_login.testing.tokens import sign, signed

CONTENT = b"The bid is 1,000,000 dollars.\n"


@pytest.fixture(scope="module")
def signer() -> Party:
    return party("signer")


def read(der: bytes) -> SignedData:
    return SignedData.read(io.BytesIO(der))


def indefinite(der: bytes, *, pieces: int = 10) -> bytes:
    """Return a SignedData as a program writes it that knows no length before: its content is in pieces."""

    def written(one: Element, depth: int) -> bytes:
        if one.content == CONTENT:
            parts = [CONTENT[at : at + pieces] for at in range(0, len(CONTENT), pieces)]
            return b"\x24\x80" + b"".join(header(0x04, len(part)) + part for part in parts) + b"\0\0"
        if depth < 4 and one.tag & 0x20 and isinstance(one.content, list):
            inside = b"".join(written(part, depth + 1) for part in one.content)
            return bytes((one.tag, 0x80)) + inside + b"\0\0"
        return one.encode()

    return b"".join(written(one, 0) for one in Element.all_of(der))


def changed(der: bytes, **parts: object) -> bytes:
    """Return a SignedData with other parts."""
    whole = cms.ContentInfo.load(der)
    for name, part in parts.items():
        whole["content"][name] = part
    return bytes(whole.dump(force=True))


def with_part(der: bytes, at: int, part: bytes) -> bytes:
    """Return a SignedData with something put in before one of its parts."""
    content = cms.ContentInfo.load(der)["content"].contents
    parts = [one.encode() for one in Element.all_of(content)]
    content = b"".join([*parts[:at], part, *parts[at:]])
    inner = header(0x30, len(content)) + content
    whole: bytes = cms.ContentType("signed_data").dump() + header(0xA0, len(inner)) + inner
    return header(0x30, len(whole)) + whole


def test_signature_in_ber_is_the_one_in_der(signer: Party) -> None:
    token = sign(signer, CONTENT)
    der, ber = read(token), read(indefinite(token))
    (one,), (other,) = der.signers, ber.signers
    assert isinstance(one, Signer)
    assert isinstance(other, Signer)
    assert other.info["signature"].native == one.info["signature"].native
    assert (other.digest, other.attributes) == ("sha256", one.attributes)
    assert ber.is_attached
    assert content_of(io.BytesIO(indefinite(token))).read() == CONTENT


def test_content_is_handed_on_as_it_is_read(signer: Party) -> None:
    output = io.BytesIO()
    assert content_of(io.BytesIO(indefinite(sign(signer, CONTENT))), output).read() == CONTENT
    assert output.getvalue() == CONTENT


@pytest.mark.parametrize("form", ["DER", "BER"])
def test_lists_in_a_signature_are_passed_over(signer: Party, form: str) -> None:
    lists = [cms.RevocationInfoChoice.load(revocation_list(signer, number)) for number in (1, 2)]
    der = changed(signed(signer, CONTENT), crls=lists)
    found = read(der if form == "DER" else indefinite(der))
    assert found.certificates == (signer.der,)
    assert len(found.signers) == 1


def test_flood_of_elements_in_what_is_passed_over_is_refused(signer: Party) -> None:
    flood = b"\x30\x80" * 30_000 + b"\0\0" * 30_000
    with pytest.raises(TooMuchError) as refused:
        read(with_part(signed(signer, CONTENT), 4, b"\xa1\x80" + flood + b"\0\0"))
    assert refused.value.detail("en") == "it has more than 50000 parts"


def test_signer_that_is_named_by_its_key_is_found(signer: Party) -> None:
    other = party("other")
    whole = cms.ContentInfo.load(signed(signer, CONTENT, [other]))
    (info,) = whole["content"]["signer_infos"]
    own = asn1_x509.Certificate.load(signer.der).key_identifier
    info["sid"] = cms.SignerIdentifier("subject_key_identifier", own)
    found = read(whole.dump(force=True))
    (one,) = found.signers
    assert isinstance(one, Signer)
    assert found.signer_certificate(one) == (signer.der, [other.der])


@pytest.mark.parametrize(
    ("certificates", "words"),
    [
        ([], "it does not hold its signer's certificate"),
        ([b"\x30\x03\x02\x01\x05"], "none of its certificates that can be read is its signer's"),
    ],
)
def test_signature_without_its_signers_certificate_says_so(
    signer: Party, certificates: list[bytes], words: str
) -> None:
    found = read(changed(signed(signer, CONTENT), certificates=[]))
    (one,) = found.signers
    assert isinstance(one, Signer)
    with pytest.raises(Malformed, match=words):
        found.signer_certificate(one, certificates)
    assert found.signer_certificate(one, [signer.der])[0] == signer.der


def test_signer_of_several_that_cannot_be_read_leaves_the_others(signer: Party) -> None:
    whole = repeated(signed(signer, CONTENT))
    sha256 = core.ObjectIdentifier("2.16.840.1.101.3.4.2.1").dump()
    start = whole.rindex(sha256)
    found = read(whole[:start] + b"\x0c" + whole[start + 1 :])
    assert isinstance(found.signers[0], Signer)
    assert isinstance(found.signers[1], Malformed)


@pytest.mark.parametrize(
    ("part", "words"), [("certificates", "32 certificates"), ("signer_infos", "16 signers")]
)
def test_more_certificates_and_signers_than_are_read_are_refused(
    signer: Party, part: str, words: str
) -> None:
    der = signed(signer, CONTENT)
    (one,) = cms.ContentInfo.load(der)["content"][part]
    with pytest.raises(TooMuchError) as refused:
        read(changed(der, **{part: [one.copy() for _ in range(40)]}))
    assert refused.value.detail("en") == f"it has more than {words}"


def test_signature_with_much_beside_its_content_is_refused(signer: Party) -> None:
    whole = cms.ContentInfo.load(signed(signer, CONTENT))
    (info,) = whole["content"]["signer_infos"]
    info["unsigned_attrs"] = [{"type": "1.2.3", "values": [core.OctetString(bytes(3 << 20))]}]
    with pytest.raises(TooMuchError) as refused:
        read(whole.dump(force=True))
    assert refused.value.detail("en") == "it has more than 2 MiB beside its content"


def test_signature_with_nobodys_name_on_it_is_malformed(signer: Party) -> None:
    with pytest.raises(Malformed, match="nobody signed it"):
        read(changed(signed(signer, CONTENT), signer_infos=[]))


@pytest.mark.parametrize(
    "odd",
    [
        b"\x1f\x81\x00\x00",  # a tag of several bytes
        b"\x30\x89" + bytes(9),  # a length of nine
        b"\x04\x80\x00\x00",  # what holds no elements, without a length
    ],
    ids=["tag", "length", "no end"],
)
def test_element_that_no_signature_has_is_malformed(signer: Party, odd: bytes) -> None:
    for at in range(6):
        with pytest.raises((Malformed, TooMuchError)):
            read(with_part(signed(signer, CONTENT), at, odd))


def test_digests_of_a_content_are_those_that_are_known() -> None:
    content = Content.of(io.BytesIO(CONTENT), ["sha256", "sha512", "md5000", "shake_128"])
    assert (content.size, content.start[:7]) == (len(CONTENT), b"The bid")
    assert [len(content.digest(name)) for name in ("sha256", "sha512")] == [32, 64]
    for name in ("md5000", "shake_128"):
        with pytest.raises(Malformed, match=f"its digest algorithm is not known here: {name}"):
            content.digest(name)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"\x31\x07\x30\x05\x06\x01\x2a\x05\x00", True),
        (b"\x31\x80\x30\x80\x06\x01\x2a\x05\x00\x00\x00\x00\x00", True),
        (b"\x31\x08\x30\x05\x06\x01\x2a\x05\x00", False),
        (b"\x31\x89" + bytes(9), False),
        (CONTENT, False),
    ],
)
def test_content_that_could_be_attributes_is_told(start: bytes, expected: bool) -> None:
    assert Content.of(io.BytesIO(start), ()).may_be_attributes is expected
