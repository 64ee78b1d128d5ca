# SPDX-License-Identifier: Apache-2.0
"""The profile of the certificates on organisation cards: every OID and key usage, once.

Source: GPKI 憑證及憑證廢止清冊格式剖繪 (second generation), on RFC 5280.
"""

from typing import Final

# Certificate policies.
TEST_POLICY: Final = "2.16.886.101.0.3.0"
"""Certificate policy for tests."""
COMPATIBILITY_POLICY: Final = "2.16.886.101.0.3.3"
"""Certificate policy of real cards (assurance level 3)."""

# Attributes in subjectDirectoryAttributes (RFC 5280, section 4.2.1.8).
SUBJECT_TYPE: Final = "2.16.886.1.100.2.1"
"""What kind of holder it is: one of the subject types below."""
CARD_RANK: Final = "2.16.886.1.100.2.2"
"""One of CARD_RANKS."""
CITIZEN_ID: Final = "2.16.886.1.100.2.51"
"""The last four characters of a person's national id."""
TAX_ID: Final = "2.16.886.1.100.2.101"
"""統一編號 of a company, 8 digits."""
ORGANISATION_OID: Final = "2.16.886.1.100.2.102"
"""OID of an organisation that is no company."""

CARD_RANKS: Final = frozenset({"primary", "secondary"})
"""正卡 and 附卡."""

# Subject types.
ORGANISATION: Final = "2.16.886.1.100.3.2"
"""Of what kind is not said: the arc above the kinds."""
SCHOOL: Final = "2.16.886.1.100.3.2.11"
COMPANY: Final = "2.16.886.1.100.3.2.2.1.1"

# keyUsage, by the names of RFC 5280, section 4.2.1.3, as asn1crypto and cryptography write them.
SIGNING_USAGE: Final = frozenset({"digital_signature"})
"""Of cert1."""
ENCRYPTION_USAGE: Final = frozenset({"key_encipherment", "data_encipherment"})
"""Of cert2."""
CA_USAGE: Final = frozenset({"key_cert_sign", "crl_sign"})
"""Of the CAs' certificates."""

TICKET_SIGNING: Final = "2.25.315992965849520469304145627364996997118"
"""Purpose (extKeyUsage) of the certificate that signs a centre's tickets: no holder's certificate has it."""

# Purposes (extKeyUsage; RFC 5280, section 4.2.1.12) that let a certificate sign files.
ANY_PURPOSE: Final = "2.5.29.37.0"
EMAIL_PROTECTION: Final = "1.3.6.1.5.5.7.3.4"
DOCUMENT_SIGNING: Final = "1.3.6.1.5.5.7.3.36"
"""RFC 9336."""
MICROSOFT_DOCUMENT_SIGNING: Final = "1.3.6.1.4.1.311.10.3.12"
"""What Microsoft's programs ask for instead."""
ADOBE_AUTHENTIC_DOCUMENTS: Final = "1.2.840.113583.1.1.5"
"""What Adobe's programs ask for instead."""
FILE_SIGNING_PURPOSES: Final = frozenset(
    {ANY_PURPOSE, EMAIL_PROTECTION, DOCUMENT_SIGNING, MICROSOFT_DOCUMENT_SIGNING, ADOBE_AUTHENTIC_DOCUMENTS}
)
"""A certificate that names purposes, and none of these, signs no files."""
