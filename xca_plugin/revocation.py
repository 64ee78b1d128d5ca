# SPDX-License-Identifier: Apache-2.0
"""What a certificate's issuer says of it today, asked where the certificate says: CRL and OCSP, over HTTP.

This finds out whether a program that verifies signatures here would get its answer, and what it would be. It
proves nothing to others: xcactl verify --fetch does.
"""

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from xca_plugin.i18n import Text, text

SECONDS: Final = 5.0
"""How long each address may keep silent."""

_MOST_BYTES: Final = 64 << 20  # complete CRLs are big


class Unreachable(Exception):  # noqa: N818  # a situation
    """No address gave an answer that can be used.

    Attributes:
        address: the last one that was asked.
        detail: why not.
        nobodys: nobody is meant to answer: the certificate is one for tests.
    """

    def __init__(self, address: str, detail: Text | str, *, nobodys: bool = False) -> None:
        super().__init__(address)
        self.address = address
        self.detail = detail
        self.nobodys = nobodys


@dataclass(frozen=True)
class Answer:
    """What the issuer says.

    Attributes:
        address: who said it.
        since: when the certificate was revoked or suspended; None: it is neither.
        suspended: it is (停用: certificateHold, RFC 5280, section 5.3.1).
    """

    address: str
    since: datetime | None = None
    suspended: bool = False


def ask_crl(certificate: x509.Certificate, issuer: x509.Certificate) -> Answer | None:
    """Look the certificate up in the issuer's list (RFC 5280, section 5); None: it names no list.

    Raises:
        Unreachable.
    """

    def look(address: str) -> Answer:
        found = x509.load_der_x509_crl(_fetched(urllib.request.Request(address)))  # noqa: S310  # http: _first
        if not found.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]  # what signs, CAs have
            raise _NoGoodError(text("the issuer did not sign it"))
        if found.next_update_utc and found.next_update_utc < datetime.now(UTC):
            raise _NoGoodError(text("it is out of date"))
        entry = found.get_revoked_certificate_by_serial_number(certificate.serial_number)
        if entry is None:
            return Answer(address)
        reasons = [one.value.reason for one in entry.extensions if isinstance(one.value, x509.CRLReason)]
        return Answer(address, entry.revocation_date_utc, x509.ReasonFlags.certificate_hold in reasons)

    return _first(_lists(certificate), look)


def ask_ocsp(certificate: x509.Certificate, issuer: x509.Certificate) -> Answer | None:
    """Ask the issuer's responder (RFC 6960); None: the certificate names none.

    Raises:
        Unreachable.
    """
    name = hashes.SHA1()  # noqa: S303  # a name for the issuer (RFC 5019, section 2.1.1)
    question = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, name).build()

    def look(address: str) -> Answer:
        request = urllib.request.Request(  # noqa: S310  # http: _first
            address, question.public_bytes(Encoding.DER), {"Content-Type": "application/ocsp-request"}
        )
        found = ocsp.load_der_ocsp_response(_fetched(request))
        if found.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise _NoGoodError(found.response_status.name)
        if (
            found.serial_number != certificate.serial_number
            or found.certificate_status is ocsp.OCSPCertStatus.UNKNOWN
        ):
            raise _NoGoodError(text("it does not know the certificate"))
        held = found.revocation_reason is x509.ReasonFlags.certificate_hold
        return Answer(address, found.revocation_time_utc, held)

    return _first(_responders(certificate), look)


class _NoGoodError(Exception):
    def __init__(self, detail: Text | str) -> None:
        super().__init__()
        self.detail = detail


def _first(addresses: Sequence[str], look: Callable[[str], Answer]) -> Answer | None:
    """Return the first answer that can be used."""
    failure: Unreachable | None = None
    web = [address for address in addresses if urlsplit(address).scheme in ("http", "https")]
    # Reserved (RFC 6761, section 6.2): nobody knows of it but the proxy of who tests.
    nobodys = all((urlsplit(address).hostname or "").endswith(".test") for address in web)
    if web and nobodys and "http" not in urllib.request.getproxies():
        raise Unreachable(web[0], text("it was not asked"), nobodys=True)
    for address in web:
        try:
            return look(address)
        except _NoGoodError as error:
            failure = Unreachable(address, error.detail)
        except urllib.error.HTTPError as error:
            failure = Unreachable(address, f"HTTP {error.code}")
        except (OSError, http.client.HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            failure = Unreachable(address, str(reason) or type(reason).__name__)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            failure = Unreachable(address, text("it answers with something else"))
    if failure:
        raise failure
    return None


def _fetched(request: urllib.request.Request) -> bytes:
    with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310  # http: _first
        data: bytes = response.read(_MOST_BYTES)
        return data


def _lists(certificate: x509.Certificate) -> list[str]:
    """Return the addresses of cRLDistributionPoints (RFC 5280, section 4.2.1.13)."""
    return [
        name.value
        for extension in certificate.extensions
        if isinstance(extension.value, x509.CRLDistributionPoints)
        for point in extension.value
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    ]


def _responders(certificate: x509.Certificate) -> list[str]:
    """Return the addresses of authorityInfoAccess (RFC 5280, section 4.2.2.1) that are responders'."""
    return [
        description.access_location.value
        for extension in certificate.extensions
        if isinstance(extension.value, x509.AuthorityInformationAccess)
        for description in extension.value
        if description.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(description.access_location, x509.UniformResourceIdentifier)
    ]
