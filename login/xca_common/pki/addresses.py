# SPDX-License-Identifier: Apache-2.0
"""The addresses in a certificate where its issuer says how it stands."""

from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from xca_common.pki.strict_certificate import extension


def host_of(address: str) -> str:
    """Return the host of an address, in lower case; empty: it has none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def list_addresses(certificate: x509.Certificate) -> list[str]:
    """Return the addresses of cRLDistributionPoints (RFC 5280, section 4.2.1.13)."""
    return [
        name.value
        for point in extension(certificate, x509.CRLDistributionPoints) or ()
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    ]


def responder_addresses(certificate: x509.Certificate) -> list[str]:
    """Return the addresses of authorityInfoAccess (RFC 5280, section 4.2.2.1) that are responders'."""
    return [
        description.access_location.value
        for description in extension(certificate, x509.AuthorityInformationAccess) or ()
        if description.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(description.access_location, x509.UniformResourceIdentifier)
    ]
