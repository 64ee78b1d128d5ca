# SPDX-License-Identifier: Apache-2.0
"""What the addresses in certificates answer, over HTTP. No certificate chooses whom this machine asks.

Only known hosts are asked: those of the government's issuers, and those that a person named. The name is
resolved once; the address that was judged is the one that is connected to. Nothing is redirected. Time and
bytes are bounded. Behind a proxy the list of hosts alone decides, for there the proxy resolves names.
"""

import base64
import http.client
import ipaddress
import queue
import re
import socket
import time
import urllib.request
from collections.abc import Collection
from threading import Thread
from typing import Any, Final, cast
from urllib.parse import SplitResult, unquote, urlsplit

from xca_common.i18n import Text, text

ISSUERS: Final = "nat.gov.tw"
"""The issuers' hosts are this one and those below it."""
SECONDS: Final = 45.0
"""How long all that one command fetches may take."""
_SILENCE: Final = 5.0  # seconds
_MOST_BYTES: Final = 64 << 20  # complete CRLs are big: a million entries have some 40 MB
_SOMETHING_ELSE: Final = text("it answers with something else")
# Nothing that a proxy could take for the end of the host's name, as it may a backslash.
_HOST: Final = re.compile(r"[0-9a-z._:-]+")
_WORLD: Final = ipaddress.ip_network("2000::/3")  # all that is assigned (RFC 4291, section 2.4)
_TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/96")  # IPv4 in IPv6 (RFC 6052)


class Unreachable(Exception):  # a situation
    """An address gave no answer.

    Attributes:
        address: the address.
        detail: why not.
        not_asked: nobody was asked: its host is not a known one, or not one outside of this network.
    """

    def __init__(self, address: str, detail: Text | str, *, not_asked: bool = False) -> None:
        super().__init__(address)
        self.address = address
        self.detail = detail
        self.not_asked = not_asked


class Fetcher:
    """Asks addresses, all of them together for a limited time."""

    def __init__(self, hosts: Collection[str] = (), seconds: float = SECONDS) -> None:
        """Begin.

        Args:
            hosts: hosts that may be asked beside the issuers', inside this network too.
            seconds: for everything, from now on.
        """
        self._hosts = {_canonical(host) for host in hosts}
        self._end = time.monotonic() + seconds

    def get(self, address: str, body: bytes | None = None, most: int | None = None) -> bytes:
        """Return what an address answers.

        Args:
            address: an http URL.
            body: an OCSP request to be posted; None: something to get.
            most: bytes that are read. Of a longer answer one byte more is returned, for the caller to refuse.
                None: a longer answer than the longest list is Unreachable.

        Raises:
            Unreachable: it was not asked, or gave no answer.
        """
        try:
            return self._exchanged(address, urlsplit(address), body, most)
        except TimeoutError:
            raise Unreachable(address, text("it did not answer in time")) from None
        except (http.client.InvalidURL, ValueError):
            raise Unreachable(address, text("it is no address that can be asked"), not_asked=True) from None
        except http.client.HTTPException:
            raise Unreachable(address, _SOMETHING_ELSE) from None
        except OSError as error:
            raise Unreachable(address, error.strerror or type(error).__name__) from None

    def _exchanged(self, address: str, url: SplitResult, body: bytes | None, most: int | None) -> bytes:
        host = _canonical(url.hostname or "")
        if url.scheme != "http" or not _HOST.fullmatch(host):
            raise ValueError
        if not (host in self._hosts or host == ISSUERS or host.endswith(f".{ISSUERS}")):
            raise Unreachable(address, text("it was not asked: its host is not a known one"), not_asked=True)
        headers = {"Content-Type": "application/ocsp-request"} if body is not None else {}
        headers |= {"Host": url.netloc.rpartition("@")[2], "Connection": "close"}
        proxy = urllib.request.getproxies().get("http")
        if proxy and not urllib.request.proxy_bypass(host):
            name, port, user = _proxy(address, proxy)
            if user is not None:
                headers["Proxy-Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
            connected = self._connected(address, name, port, anywhere=True)
            target = url._replace(netloc=headers["Host"], fragment="").geturl()
        else:
            connected = self._connected(address, host, url.port or 80, anywhere=host in self._hosts)
            target = url._replace(scheme="", netloc="", path=url.path or "/", fragment="").geturl()
        connection = http.client.HTTPConnection(host)
        connection.sock = connected
        with connected:
            connection.request("GET" if body is None else "POST", target, body, headers)
            with connection.getresponse() as response:
                return self._answer(address, response, most)

    def _answer(self, address: str, response: http.client.HTTPResponse, most: int | None) -> bytes:
        if 300 <= response.status < 400:
            raise Unreachable(address, text("it sends on to another address, which was not asked"))
        if response.status != 200:
            raise Unreachable(address, f"HTTP {response.status}")
        if most is not None:
            return response.read(most + 1)
        data = response.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            limit = text("it answers with more than {size} MiB").format(size=_MOST_BYTES >> 20)
            raise Unreachable(address, limit)
        return data

    def _connected(self, address: str, host: str, port: int, *, anywhere: bool) -> "_Timed":
        """Connect to a host, unless it is inside this network and may not be."""
        failure: Exception = Unreachable(
            address, text("it was not asked: its host is not outside of this network"), not_asked=True
        )
        for family, kind, protocol, _, where in self._resolved(host, port):
            if not (anywhere or _is_public(str(where[0]))):
                continue
            connected = _Timed(family, kind, protocol)
            connected.end = self._end
            try:
                connected.patient()
                connected.connect(where)
            except OSError as error:
                connected.close()
                failure = error
            else:
                return connected
        raise failure

    def _resolved(self, host: str, port: int) -> list[Any]:
        """Resolve a name; in a thread that may be left behind, for a resolver knows no time limit."""
        answers: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

        def resolve() -> None:
            try:
                answers.put(cast(list[Any], socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
            except (OSError, ValueError) as error:
                answers.put(error)

        Thread(target=resolve, name="resolver", daemon=True).start()
        try:
            answer = answers.get(timeout=max(min(_SILENCE, self._end - time.monotonic()), 0))
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(answer, Exception):
            raise answer
        return answer


class _Timed(socket.socket):
    """A socket whose every read and write ends with the time that is left.

    Attributes:
        end: when, by time.monotonic().
    """

    end: float

    def patient(self) -> None:
        """Wait for the next thing as long as it may take."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(min(left, _SILENCE))

    def recv_into(self, *arguments: Any) -> int:
        """Read some bytes."""
        self.patient()
        return super().recv_into(*arguments)


def _proxy(address: str, proxy: str) -> tuple[str, int, str | None]:
    """Return host, port and user:password of a proxy; raises Unreachable for one that is not spoken to."""
    try:
        url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        host, port = url.hostname, url.port or 80
    except ValueError:
        url, host, port = SplitResult("http", "", "", "", ""), None, 80
    if url.scheme != "http":
        # In plain HTTP, user and password would go out unprotected, against what the scheme says.
        wrong = text("http_proxy names a proxy with {scheme}://, and only http:// is spoken with proxies")
        raise Unreachable(address, wrong.format(scheme=url.scheme))
    if not host:
        raise Unreachable(address, text("http_proxy names no proxy; write it like http://HOST:PORT"))
    user = None if url.username is None else f"{unquote(url.username)}:{unquote(url.password or '')}"
    return host, port, user


def _canonical(host: str) -> str:
    return host.rstrip(".").lower()


def _is_public(address: str) -> bool:
    """Say whether an address is one of the world, and no hidden one of this network."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if hidden := ip.ipv4_mapped or ip.sixtofour:
            return _is_public(str(hidden))
        if ip in _TRANSLATED:
            return _is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip not in _WORLD:
            return False  # fec0::1 and ::127.0.0.1 count as global
    return ip.is_global and not ip.is_multicast
