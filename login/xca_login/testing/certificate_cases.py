# SPDX-License-Identifier: Apache-2.0
"""Cases of certificates: who signed is nobody to be let in."""

from collections.abc import Callable
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from xca_common.pki import profile
from xca_common.pki.authority import ENCRYPTION, directory_attributes
from xca_login.challenges import Challenge
from xca_login.testing.case import OK, Attempt, Recipe, Setting
from xca_login.testing.parties import (
    DAY,
    NOW,
    Party,
    altered,
    authority_key,
    certified_with,
    directory,
    holder,
    party,
    policies,
)
from xca_login.testing.tokens import sign

Make = Callable[[Setting, Challenge], bytes]

_COMPANY: Final = profile.COMPANY


def _of(card: Callable[[Setting], Party]) -> Make:
    return lambda at, asked: sign(card(at), asked.text)


def _card(**options: Any) -> Make:
    return _of(lambda at: at.holder(**options))


def _with(extension: x509.ExtensionType, *, critical: bool) -> Make:
    return _card(more=[(extension, critical)])


def _company(**facts: Any) -> Make:
    return _card(attributes_=directory_attributes(_COMPANY, facts.pop("rank", "primary"), **facts))


def _bare(*extensions: Callable[[Setting], tuple[x509.ExtensionType, bool]]) -> Make:
    """Return a token of a certificate that has no other extensions than these and those of its key."""
    return _of(lambda at: party("a school", at.ca, extensions=[make(at) for make in extensions]))


def _own_key(at: Setting) -> tuple[x509.ExtensionType, bool]:
    return authority_key(at.ca)


def _policy(at: Setting) -> tuple[x509.ExtensionType, bool]:
    return policies(profile.COMPATIBILITY_POLICY)


def _directory(at: Setting) -> tuple[x509.ExtensionType, bool]:
    value = directory_attributes(profile.SCHOOL, "primary", organisation_oid="2.16.886.111.1")
    return directory(value)


def _with_key(at: Setting, key: Any, signing_key: rsa.RSAPrivateKey) -> Party:
    """Return the card with another key in its certificate."""
    right = at.card.certificate
    builder = x509.CertificateBuilder(
        right.issuer, right.subject, key, right.serial_number + 1, NOW - DAY, NOW + DAY
    )
    for one in right.extensions:
        builder = builder.add_extension(one.value, one.critical)
    return Party(builder.sign(at.ca.key, hashes.SHA256()), signing_key)


def _rsa(bits: int, exponent: int = 65537) -> Make:
    def card(at: Setting) -> Party:
        own = rsa.generate_private_key(public_exponent=exponent, key_size=bits)
        return _with_key(at, own.public_key(), own)

    return _of(card)


def _huge(at: Setting) -> Party:
    modulus = (1 << 16383) + 1
    return _with_key(at, rsa.RSAPublicNumbers(65537, modulus).public_key(), at.card.key)


def _elliptic(at: Setting) -> Party:
    return _with_key(at, ec.generate_private_key(ec.SECP256R1()).public_key(), at.card.key)


def _without_usage(at: Setting) -> Party:
    """Return the card without keyUsage."""
    right = at.card.certificate
    builder = x509.CertificateBuilder(
        right.issuer, right.subject, right.public_key(), right.serial_number + 2, NOW - DAY, NOW + DAY
    )
    for one in right.extensions:
        if not isinstance(one.value, x509.KeyUsage):
            builder = builder.add_extension(one.value, one.critical)
    return Party(builder.sign(at.ca.key, hashes.SHA256()), at.card.key)


def _unnamed_usage(at: Setting) -> Party:
    """Return the card, whose keyUsage has a bit without a name beside digitalSignature."""
    critical, value = b"\x01\x01\xff", b"\x04\x04\x03\x02\x07\x80"
    return altered(at.card, at.ca, critical + value, b"\x04\x07\x03\x05\x06\x80\x00\x00\x40")


def _twin(at: Setting) -> Party:
    """Return another generation of the CA: its name, another key."""
    return party("ca", at.root, ca=True, key_name="the other generation")


def _claims_our_key(at: Setting) -> Party:
    """Return a card of the other generation that names the key of this one."""
    return party("a school", _twin(at), extensions=[authority_key(at.ca), _policy(at), _directory(at)])


def _below_a_card(at: Setting) -> Party:
    return holder(at.card, "a school below")


def _stranger_with_chain(at: Setting, asked: Challenge) -> bytes:
    stranger = party("ca", ca=True, key_name="a stranger")
    return sign(holder(stranger), asked.text, [stranger])


def _sha1(at: Setting) -> Party:
    return certified_with(
        at.card,
        at.ca,
        {"algorithm": "sha1_rsa"},
        padding.PKCS1v15(),
        hashes.SHA1(),  # noqa: S303  # what a verifier has to refuse
    )


def _changed_after_signing(at: Setting) -> Party:
    other = at.holder(end=NOW + DAY / 2)
    made = altered(other, at.ca, b"a school", b"a School")
    return Party(x509.load_der_x509_certificate(made.der[:-1] + bytes((made.der[-1] ^ 1,))), made.key)


def _old_ca(at: Setting) -> Party:
    return party("old ca", at.root, ca=True, end=NOW - DAY)


def _of_old_ca(at: Setting, asked: Challenge) -> Attempt:
    old = _old_ca(at)
    return Attempt(sign(at.holder(old), asked.text), trusted=(at.root, at.ca, old))


def _beside_old_ca(at: Setting, asked: Challenge) -> Attempt:
    return Attempt(sign(at.card, asked.text), trusted=(at.root, at.ca, _old_ca(at)))


def _below_old_root(at: Setting, asked: Challenge) -> Attempt:
    root = party("old root", ca=True, end=NOW - DAY)
    ca = party("ca of the old root", root, ca=True)
    return Attempt(sign(at.holder(ca), asked.text), trusted=(at.root, at.ca, root, ca))


def _attributes_twice(at: Setting) -> Party:
    value = directory_attributes(profile.SCHOOL, "primary", organisation_oid="2.16.886.111.1")
    inner = value[2:] * 2
    return at.holder(attributes_=b"\x30\x81" + bytes((len(inner),)) + inner)


def _attributes_without(kind: str) -> Make:
    """Return a token of a card whose directory attributes lack one: it has another OID."""
    right = x509.ObjectIdentifier(kind)
    encoded = bytes(_encoded(right))
    value = directory_attributes(profile.SCHOOL, "primary", organisation_oid="2.16.886.111.1")
    return _card(attributes_=value.replace(encoded, encoded[:-1] + b"\x7f"))


def _encoded(oid: x509.ObjectIdentifier) -> bytes:
    name = x509.Name([x509.NameAttribute(oid, "x")]).public_bytes()
    start = name.index(b"\x06")
    return name[start : start + 2 + name[start + 1]]


CERTIFICATE_CASES: Final = {
    "right, usage with a bit without a name": Recipe(
        "keyUsage has a bit that no standard names, beside digitalSignature.", OK, _of(_unnamed_usage)
    ),
    "right, a company": Recipe(
        "The card is a company's: it has a tax id and no OID.", OK, _company(tax_id="12345678")
    ),
    "right, an expired CA is trusted too": Recipe(
        "Another CA that the site trusts has expired; it has nothing to do with this card.",
        OK,
        _beside_old_ca,
    ),
    "self-signed": Recipe(
        "The certificate is signed with its own key.", "issuer_unknown", _of(lambda at: party("a school"))
    ),
    "wrong generation": Recipe(
        "A CA with the name of the trusted one, and another key, issued the certificate.",
        "issuer_unknown",
        _of(lambda at: at.holder(_twin(at))),
    ),
    "wrong generation that names the right key": Recipe(
        "The same; authorityKeyIdentifier names the key of the trusted one.",
        "issuer_unknown",
        _of(_claims_our_key),
    ),
    "no authority key": Recipe(
        "The certificate does not name the key of its issuer.", "issuer_unknown", _bare(_policy, _directory)
    ),
    "below a card": Recipe(
        "A holder issued the certificate with the card.", "issuer_unknown", _of(_below_a_card)
    ),
    "a chain of its own": Recipe(
        "A stranger's CA with the name of the trusted one is inside.", "issuer_unknown", _stranger_with_chain
    ),
    "certificate signed with SHA-1": Recipe(
        "The CA's signature on the certificate is made with SHA-1.", "issuer_unknown", _of(_sha1)
    ),
    "certificate changed after signing": Recipe(
        "The CA's signature on the certificate is wrong.", "issuer_unknown", _of(_changed_after_signing)
    ),
    "CA expired": Recipe("The issuing CA has expired.", "issuer_not_valid", _of_old_ca),
    "root expired": Recipe("The root above the CA has expired.", "issuer_not_valid", _below_old_root),
    "RSA 1024": Recipe("The key has 1024 bits.", "key", _rsa(1024)),
    "RSA 16384": Recipe("The key has 16384 bits: verifying with it takes long.", "key", _of(_huge)),
    "exponent 3": Recipe("The key's public exponent is 3.", "key", _rsa(2048, 3)),
    "elliptic curve": Recipe("The key is one of an elliptic curve.", "key", _of(_elliptic)),
    "expired": Recipe("The certificate expired a day ago.", "certificate_expired", _card(end=NOW - DAY)),
    "not yet valid": Recipe(
        "The certificate is valid from tomorrow.",
        "certificate_not_yet_valid",
        _card(start=NOW + DAY, end=NOW + 2 * DAY),
    ),
    "cert2": Recipe(
        "The card's certificate for encryption signed.", "not_for_login", _card(usage=ENCRYPTION)
    ),
    "no usage": Recipe("keyUsage is missing.", "not_for_login", _of(_without_usage)),
    "a CA's": Recipe("The certificate is that of a CA.", "not_for_login", _card(ca=True)),
    "a server's": Recipe(
        "extKeyUsage names TLS servers only.",
        "not_for_login",
        _with(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False),
    ),
    "a responder's": Recipe(
        "extKeyUsage names OCSP responders only.",
        "not_for_login",
        _with(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False),
    ),
    "unknown critical extension": Recipe(
        "An extension that is not understood is critical.",
        "not_for_login",
        _with(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), critical=True),
    ),
    "policy for tests": Recipe(
        "The certificate policy is …0.3.0, for tests, not …0.3.3.",
        "policy",
        _card(policy=profile.TEST_POLICY),
    ),
    "any policy": Recipe(
        "The certificate policy is anyPolicy, which is for CAs.", "policy", _card(policy="2.5.29.32.0")
    ),
    "longer policy": Recipe(
        "The OID of the policy begins with that of the right one.",
        "policy",
        _card(policy=f"{profile.COMPATIBILITY_POLICY}.1"),
    ),
    "no policy": Recipe("No policy is named.", "policy", _bare(_own_key, _directory)),
    "no directory attributes": Recipe(
        "subjectDirectoryAttributes is missing.", "holder_unclear", _bare(_own_key, _policy)
    ),
    "directory attributes unreadable": Recipe(
        "subjectDirectoryAttributes holds a number.",
        "certificate_malformed",
        _card(attributes_=b"\x30\x03\x02\x01\x00"),
    ),
    "directory attributes twice": Recipe(
        "Each directory attribute is there twice.", "holder_unclear", _of(_attributes_twice)
    ),
    "no kind of holder": Recipe(
        "The kind of holder is missing.", "holder_unclear", _attributes_without(profile.SUBJECT_TYPE)
    ),
    "no rank": Recipe(
        "The rank of the card is missing.", "holder_unclear", _attributes_without(profile.CARD_RANK)
    ),
    "unknown rank": Recipe(
        "The rank of the card is neither primary nor secondary.",
        "holder_unclear",
        _company(rank="tertiary", tax_id="12345678"),
    ),
    "no organisation": Recipe("Neither OID nor tax id is there.", "holder_unclear", _company()),
    "tax id too short": Recipe("The tax id has seven digits.", "holder_unclear", _company(tax_id="1234567")),
    "tax id in wide digits": Recipe(
        "The tax id is written in full-width digits.", "holder_unclear", _company(tax_id="１２３４５６７８")
    ),
    "tax id mismatch": Recipe(
        "The subject names another tax id than the directory attributes.",
        "holder_unclear",
        _card(
            attributes_=directory_attributes(_COMPANY, "primary", tax_id="12345678"),
            subject=x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, "87654321")]),
        ),
    ),
}
