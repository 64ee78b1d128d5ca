# SPDX-License-Identifier: Apache-2.0
"""Web sites' origins (RFC 6454, section 6.2), as browsers state them, and what is wrong with other texts."""

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from xca_common.i18n import Text
from xca_plugin.i18n import text

_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_USUAL_PORTS: Final = {"http": "80", "https": "443"}
"""By scheme: the port that browsers leave out of an origin."""
_PORT: Final = re.compile("[1-9][0-9]{0,4}")
_PORT_MAX: Final = 65535
_BEGINNING: Final = text("it begins with neither https:// nor http://; write https:// before it")
_PATTERN: Final = text("* has no meaning here; name each site")
_USER: Final = text("it holds a user name or an @")
_PATH: Final = text("something follows the host and port: {rest}")
_NOT_ASCII: Final = text("the host is not in ASCII; write it as browsers do, with xn--")
_CAPITALS: Final = text("it has capital letters; browsers write an origin in lower case")
_USUAL_PORT: Final = text("browsers leave out the usual port, {port}")
_NO_PORT: Final = text("{port} is no port from 1 to 65535")
_NO_HOST: Final = text("{host} is no name or address of a host")


def is_origin(value: str) -> bool:
    """Tell whether a text is a web site's origin, such as https://example.gov.tw."""
    return fault_of(value) is None


def fault_of(value: str) -> Text | None:
    """Return why a text is no origin that a browser would state; None: it is one."""
    scheme, _, rest = value.partition("://")
    place = re.split("[/?#]", rest)[0]
    host, port = place, None
    if ":" in place.rpartition("]")[2]:  # an IPv6 address has colons of its own
        host, _, port = place.rpartition(":")
    if scheme.lower() not in _USUAL_PORTS or not rest:
        return _BEGINNING
    if "*" in value:
        return _PATTERN
    if "@" in rest:
        return _USER
    if place != rest:
        return _PATH.format(rest=rest[len(place) :])
    if not value.isascii():
        return _NOT_ASCII
    if value != value.lower():
        return _CAPITALS
    if port is not None and (not _PORT.fullmatch(port) or int(port) > _PORT_MAX):
        return _NO_PORT.format(port=port or ":")
    if port == _USUAL_PORTS[scheme]:
        return _USUAL_PORT.format(port=port)
    return None if _HOST.fullmatch(host) else _NO_HOST.format(host=host or ":")


def is_exposed(origin: str) -> bool:
    """Tell whether others on a network can read what goes to an origin and back, or pretend to be it.

    To this machine nothing goes over a network (W3C Secure Contexts, section 3.1).
    """
    url = urlsplit(origin)
    host = url.hostname or ""
    try:
        is_here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = host == "localhost" or host.endswith(".localhost")
    return url.scheme == "http" and not is_here
