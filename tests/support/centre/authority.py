# SPDX-License-Identifier: Apache-2.0
"""Two generations of an issuing CA with keys in software, and what they issue."""

from datetime import UTC, datetime
from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa

from xca_centre.authority.certificates import Generation, certify_card, holder
from xca_centre.authority.repository import Repository
from xca_common.card_making import CardCertificates, CardKeys
from xca_common.pki import distinguished_name, profile
from xca_common.pki.authority import Issuer, Subject, certify_ca, years_later

NOW = datetime(2026, 3, 1, 9, 30, 15, tzinfo=UTC)
ROOT = distinguished_name.parse("C=TW,O=政府測試憑證總管理中心")
NAME = distinguished_name.parse("C=TW,O=行政院,OU=組織及團體測試憑證管理中心")
REPOSITORY = Repository("http://xca.test", "XCA")


@cache
def key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return the key of a name; it is made once."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def root() -> Issuer:
    """Return the root."""
    own = key("root")
    end = years_later(NOW, 30)
    return Issuer(certify_ca(ROOT, own.public_key(), ROOT, own, NOW, end), own)


@cache
def issuer(generation: int = 2) -> Generation:
    """Return a generation; all have one name."""
    own = key(f"issuer {generation}")
    certificate = certify_ca(
        NAME,
        own.public_key(),
        ROOT,
        root().key,
        NOW,
        years_later(NOW, 20),
        policy=profile.TEST_POLICY,
        addresses=REPOSITORY.of_issuers(),
    )
    return Generation(certificate, own, generation, root().certificate, REPOSITORY)


def school(email: str | None = None) -> Subject:
    """Return a holder."""
    return holder(
        "臺北市立測試高級中學",
        ["臺北市", "中正區"],
        profile.SCHOOL,
        "secondary",
        organisation_oid="2.16.886.111.100000",
        email=email,
    )


@cache
def card(generation: int = 2, sequence: int = 0, email: str | None = None) -> CardCertificates:
    """Return the certificates of a card."""
    keys = CardKeys("XC00000000000001", key("SIGN").public_key(), key("KEYX").public_key())
    return certify_card(issuer(generation), sequence, keys, school(email), NOW, 6)
