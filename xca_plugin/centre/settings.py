# SPDX-License-Identifier: Apache-2.0
"""Which centre there is: /etc/xca/centre.conf, or the user's centre.conf in its place.

[centre]
url = https://xca.example.gov.tw
ca = tls-ca.pem
issuer = issuing-cas.p7b
"""

import configparser
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pkcs11_shim import ConfigurationError
from pkcs11_shim.config import parse
from xca_common.base_directories import SYSTEM_CONFIGURATION, own_configuration
from xca_common.errors import os_reason
from xca_common.pki import strict_certificate
from xca_common.pki.certificate import Certificate
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_common.statement import is_origin
from xca_plugin import errors
from xca_plugin.i18n import text

_NAME: Final = "centre.conf"
_SECTION: Final = "centre"
_SETTINGS: Final = frozenset({"url", "ca", "issuer"})
_MOST_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class CentreSettings:
    """A centre.

    Attributes:
        origin: its address, as browsers write an origin: https, or http on this computer alone.
        issuers: the CAs whose cards are its cards.
        tls: trusts the CA that is named, and no other; None: the connection stays on this computer.
    """

    origin: str
    issuers: Sequence[x509.Certificate]
    tls: ssl.SSLContext | None = field(repr=False)

    @classmethod
    def load(cls, system: Path = SYSTEM_CONFIGURATION) -> Self | None:
        """Read the user's file, else the administrator's; None: there is neither.

        Args:
            system: folder of the administrator's file.

        Raises:
            BadCentreConfiguration: the file, or one that it names, cannot be used.
        """
        for folder in (own_configuration(), system):
            file = folder / _NAME
            try:
                return cls._of(file, _read(file))
            except FileNotFoundError:
                continue
        return None

    @classmethod
    def _of(cls, file: Path, values: dict[str, str]) -> Self:
        origin = values.get("url", "").rstrip("/")
        if not is_origin(origin):
            wrong = text("url is no address such as https://xca.example.gov.tw")
            raise errors.BadCentreConfiguration(path=file, detail=wrong)
        url = urlsplit(origin)
        if url.scheme == "http" and not _is_loopback(url.hostname or ""):
            wrong = text("url begins with http://, which is for a centre on this computer alone")
            raise errors.BadCentreConfiguration(path=file, detail=wrong)
        for name in ("issuer", "ca") if url.scheme == "https" else ("issuer",):
            if not values.get(name):
                wrong = text("{name} is missing: the file of a certificate").format(name=name)
                raise errors.BadCentreConfiguration(path=file, detail=wrong)
        issuers = _certificates(file, values["issuer"])
        tls = None
        if url.scheme == "https":
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            for authority in _certificates(file, values["ca"]):
                # Not in DER: then an error that others left in this process counts as one of this.
                tls.load_verify_locations(cadata=authority.public_bytes(Encoding.PEM).decode())
        return cls(origin, issuers, tls)

    def issuer_of(self, certificate: Certificate) -> x509.Certificate | None:
        """Return the CA of the centre that signed a certificate; None: none did."""
        try:
            parsed = strict_certificate.load(certificate.der)
        except Malformed:
            return None
        return next((each for each in self.issuers if _signed(parsed, each)), None)


def _read(file: Path) -> dict[str, str]:
    """Return the settings in a file.

    Raises:
        FileNotFoundError: it is not there.
        BadCentreConfiguration: it cannot be read, or has an unknown name.
    """
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parse(file, parser)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise errors.BadCentreConfiguration(path=file, detail=os_reason(error)) from error
    except ConfigurationError as error:
        raise errors.BadCentreConfiguration(path=file, detail=errors.where(error)) from error
    values = dict(parser[_SECTION]) if parser.has_section(_SECTION) else {}
    unknown = [name for name in parser.sections() if name != _SECTION] + sorted(values.keys() - _SETTINGS)
    if unknown:
        raise errors.BadCentreConfiguration(
            path=file, detail=text("unknown: {names}").format(names=list(unknown))
        )
    return values


def _certificates(file: Path, named: str) -> Sequence[x509.Certificate]:
    """Return the certificates in a file that the configuration names, from its own folder on."""
    path = file.parent / named
    try:
        with path.open("rb") as source:
            return strict_certificate.load_all(source.read(_MOST_BYTES))
    except OSError as error:
        raise errors.BadCentreConfiguration(path=path, detail=os_reason(error)) from error
    except (Malformed, TooMuchError) as error:
        raise errors.BadCentreConfiguration(path=path, detail=error.detail) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except strict_certificate.UNUSABLE_KEY:
        return False
    return True
