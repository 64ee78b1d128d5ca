# SPDX-License-Identifier: Apache-2.0
"""The CAs whose cards a site lets in: pinned, found by their keys.

Generations of a CA share one name. Only the key that a certificate names (authorityKeyIdentifier, RFC 5280,
section 4.2.1.1) tells which of them issued it.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from xca_common.errors import os_reason
from xca_common.i18n import Text
from xca_common.pki import strict_certificate
from xca_common.pki.algorithms import is_strong
from xca_common.pki.chain import key_identifier
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_common.pki.strict_certificate import UNUSABLE_KEY, as_asn1, extension
from xca_login.errors import BadTrust, BadTrustFile, BadTrustFolder
from xca_login.i18n import text
from xca_login.keys import accepted_key

_MOST_BYTES: Final = 4 << 20
_AGAIN: Final = 1.0  # seconds until a folder is looked at again


@dataclass(frozen=True)
class Issuer:
    """An issuing CA that a site trusts.

    Attributes:
        certificate: its certificate.
        root: the certificate of the root above it; its own, if it is pinned without one.
        policies: OIDs of the certificate policies that it may issue under; None: any.
    """

    certificate: x509.Certificate
    root: x509.Certificate
    policies: frozenset[str] | None

    def is_valid(self, moment: datetime) -> bool:
        """Tell whether its certificate and that of its root are valid at a time."""
        return all(
            one.not_valid_before_utc <= moment <= one.not_valid_after_utc
            for one in (self.certificate, self.root)
        )

    @cached_property
    def ders(self) -> tuple[bytes, ...]:
        """Its certificate and that of its root, in DER."""
        return tuple(one.public_bytes(Encoding.DER) for one in dict.fromkeys((self.certificate, self.root)))


@dataclass(frozen=True)
class Trust:
    """The issuing CAs that a site trusts.

    Attributes:
        domain: names who vouches for the numbers of organisations; part of every account.
    """

    domain: str
    _by_key: dict[bytes, tuple[Issuer, ...]] = field(repr=False)

    @classmethod
    def of(cls, certificates: Iterable[x509.Certificate], *, domain: str = "gpki") -> Self:
        """Trust issuing CAs.

        Args:
            certificates: of issuing CAs and of the roots above them, each read with strict_certificate.load.
                An issuing CA whose root is not among them is trusted as it is.
            domain: see Trust.

        Raises:
            BadTrust: there is no issuing CA, or one is none, or its key is weak.
        """
        given = tuple(dict.fromkeys(certificates))
        roots = [one for one in given if _issued(one, one)]
        by_key: dict[bytes, tuple[Issuer, ...]] = {}
        for certificate in given:
            _check(certificate)
            above = next((root for root in roots if root != certificate and _issued(certificate, root)), None)
            if above is None and certificate in roots and len(given) > 1:
                continue  # it is there for those below it
            if above is not None and not is_strong(as_asn1(certificate)["signature_algorithm"]):
                raise BadTrust(detail=_about(certificate, text("its signature is too weak")))
            identifier = key_identifier(certificate)
            if identifier is None:
                raise BadTrust(detail=_about(certificate, text("it does not name its key")))
            issuer = Issuer(certificate, above or certificate, _policies(certificate))
            by_key[identifier] = (*by_key.get(identifier, ()), issuer)
        if not by_key:
            raise BadTrust(detail=text("there is no certificate of an issuing CA"))
        return cls(domain, by_key)

    def issuers(self, key: bytes) -> tuple[Issuer, ...]:
        """Return the issuing CAs with a key, by its identifier."""
        return self._by_key.get(key, ())


class TrustFolder:
    """A folder with the certificates of CAs, in any form; it is read again when something in it changes.

    What is taken out of it is trusted no more, a second later at the latest. While a file in it cannot be
    read nobody is let in.
    """

    def __init__(self, folder: Path, *, domain: str = "gpki") -> None:
        """Read the folder.

        Args:
            folder: all files in it are read, but those whose names begin with a dot.
            domain: see Trust.

        Raises:
            BadTrust, BadTrustFile: as current().
        """
        self._folder = folder
        self._domain = domain
        self._lock = Lock()
        self._seen: object = None
        self._next = 0.0
        self._trust = self._read()

    def current(self) -> Trust:
        """Return what the folder says now.

        Raises:
            BadTrust: there is no issuing CA in it.
            BadTrustFile: the folder or a file in it cannot be read.
        """
        with self._lock:
            if time.monotonic() >= self._next:
                self._trust = self._read()
            return self._trust

    def _read(self) -> Trust:
        seen = self._names()
        if seen != self._seen:
            certificates = [one for path, *_ in seen for one in _certificates(path)]
            self._trust = Trust.of(certificates, domain=self._domain)
            self._seen = seen
        self._next = time.monotonic() + _AGAIN
        return self._trust

    def _names(self) -> list[tuple[Path, int, int, int]]:
        try:
            paths = sorted(path for path in self._folder.iterdir() if not path.name.startswith("."))
            states = [path.stat() for path in paths]
        except OSError as error:
            raise BadTrustFolder(path=self._folder, detail=os_reason(error)) from error
        return [
            (path, state.st_ino, state.st_mtime_ns, state.st_size)
            for path, state in zip(paths, states, strict=True)
        ]


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise BadTrustFile(path=path, detail=os_reason(error)) from error
    try:
        if len(data) > _MOST_BYTES:
            raise TooMuchError(text("it has more than {size} MiB").format(size=_MOST_BYTES >> 20))
        return strict_certificate.load_all(data)
    except (Malformed, TooMuchError) as error:
        raise BadTrustFile(path=path, detail=error.detail) from error


def _check(certificate: x509.Certificate) -> None:
    basic, usage = extension(certificate, x509.BasicConstraints), extension(certificate, x509.KeyUsage)
    if basic is None or not basic.ca or usage is None or not usage.key_cert_sign:
        raise BadTrust(detail=_about(certificate, text("it is not that of a CA")))
    if accepted_key(certificate) is None:
        raise BadTrust(detail=_about(certificate, text("its key is not accepted")))


def _about(certificate: x509.Certificate, detail: Text) -> Text:
    return text("{name}: {detail}").format(name=certificate.subject.rfc4514_string(), detail=detail)


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except UNUSABLE_KEY:
        return False
    return True


def _policies(certificate: x509.Certificate) -> frozenset[str] | None:
    found = policies_of(certificate)
    if not found or "2.5.29.32.0" in found:  # anyPolicy (RFC 5280, section 4.2.1.4)
        return None
    return found


def policies_of(certificate: x509.Certificate) -> frozenset[str]:
    """Return the OIDs of a certificate's policies."""
    found = extension(certificate, x509.CertificatePolicies)
    return frozenset(one.policy_identifier.dotted_string for one in found or ())
