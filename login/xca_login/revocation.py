# SPDX-License-Identifier: Apache-2.0
"""Whether a holder's certificate stands, at the cost of a look-up.

A CRL is verified once, when it is fetched; a login looks a serial number up in it. It is fetched again in the
background long before it ends. What is older than what was seen before is refused. Where lists do not answer,
the OCSP responder is asked.
"""

import hashlib
import logging
import re
import secrets
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock, Thread
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from xca_common import atomic_file
from xca_common.errors import os_reason
from xca_common.i18n import Text
from xca_common.pki.addresses import list_addresses, responder_addresses
from xca_common.pki.fetching import Fetcher, Unreachable
from xca_common.pki.malformed import Malformed
from xca_common.pki.ocsp_response import Response, question
from xca_common.pki.revocation import MOST_ADDRESSES
from xca_common.pki.revocation import Revocation as Given
from xca_common.pki.revocation_list import RevocationList
from xca_common.pki.standing import Judgement, Standing, Statement, Unusable, judge
from xca_login.i18n import text
from xca_login.keys import key_of

_LOG: Final = logging.getLogger("xca_login.revocation")

_SECONDS: Final = 10.0  # for all that one login fetches
_AGAIN: Final = timedelta(minutes=10)
"""How long a list is used before it is fetched again, and how old an OCSP response without nonce may be."""
_AFTER_AN_ERROR: Final = timedelta(seconds=30)
_MOST_REMEMBERED: Final = 10_000  # certificates whose newest OCSP response is remembered
_NONCE_BYTES: Final = 32
_NOBODY: Final = text("nobody could be asked")


@dataclass(frozen=True)
class Known:
    """What is known of a certificate.

    Attributes:
        judgement: how it stands.
        lists: the CRLs that said so, in DER.
        responses: the OCSP responses that said so, in DER.
        hosts_are_silent: nothing is known, because nobody answered.
    """

    judgement: Judgement
    lists: tuple[bytes, ...] = ()
    responses: tuple[bytes, ...] = ()
    hosts_are_silent: bool = False


class RevocationSource(Protocol):
    """Tells how certificates stand."""

    def judge(self, certificate: x509.Certificate, issuer: x509.Certificate, moment: datetime) -> Known:
        """Tell how a certificate stands.

        Args:
            certificate: the holder's; the issuer's key signed it.
            issuer: the certificate of its issuer.
            moment: when.
        """


class GivenRevocation:
    """What was kept with a login (evidence): nobody is asked.

    Args:
        lists: CRLs, in DER.
        responses: OCSP responses, in DER.

    Raises:
        Malformed: one of them cannot be read.
    """

    def __init__(self, lists: Iterable[bytes], responses: Iterable[bytes]) -> None:
        self._lists = [RevocationList(der) for der in lists]
        self._responses = [Response(der) for der in responses]

    def judge(self, certificate: x509.Certificate, issuer: x509.Certificate, moment: datetime) -> Known:
        """Tell how a certificate stood (RevocationSource.judge)."""
        return Known(
            Given(self._lists, self._responses).judge(certificate, issuer, moment),
            tuple(one.der for one in self._lists),
            tuple(one.der for one in self._responses),
        )


class Revocation:
    """Fetches CRLs and OCSP responses, and keeps them.

    Args:
        folder: where lists are kept, for all processes of the site; None: in this process alone.
        hosts: hosts that may be asked beside those of the government's issuers (fetching.Fetcher).
    """

    def __init__(self, folder: Path | None = None, hosts: Collection[str] = ()) -> None:
        self._hosts = tuple(hosts)
        self._folder = folder
        self._lock = Lock()
        self._kept: dict[tuple[str, bytes], _KeptList] = {}
        self._answers: OrderedDict[bytes, tuple[Response, datetime]] = OrderedDict()

    def judge(self, certificate: x509.Certificate, issuer: x509.Certificate, moment: datetime) -> Known:
        """Tell how a certificate stands (RevocationSource.judge)."""
        fetcher = Fetcher(self._hosts, _SECONDS)
        lists, silence = self._lists(certificate, issuer, moment, fetcher)
        said = list(_said(certificate, issuer, lists, moment))
        by_lists = judge(statement for _, statement in said)
        if by_lists.standing is not Standing.UNKNOWN:
            return Known(by_lists, tuple(one.der for one, _ in said))
        answer = self._answer(certificate, issuer, moment, fetcher)
        if isinstance(answer, Judgement):
            details = [one for one in (*silence, answer.detail, by_lists.detail) if one is not None]
            nobody = Judgement(Standing.UNKNOWN, detail=details[0] if details else _NOBODY)
            return Known(nobody, hosts_are_silent=not said)
        response, statement = answer
        # A hold that a list tells is not undone by an older answer.
        together = judge([*(one for _, one in said), statement])
        return Known(together, tuple(one.der for one, _ in said), (response.der,))

    def _lists(
        self, certificate: x509.Certificate, issuer: x509.Certificate, moment: datetime, fetcher: Fetcher
    ) -> tuple[list[tuple[str, RevocationList]], list[Text | str]]:
        found, silence = [], []
        for address in list_addresses(certificate)[:MOST_ADDRESSES]:
            try:
                one = self._list(address, issuer).current(moment, fetcher)
            except Unreachable as error:
                silence.append(error.detail)
                continue
            found.append((address, one))
            if any(statement.current for _, statement in _said(certificate, issuer, found, moment)):
                break
        return found, silence

    def _list(self, address: str, issuer: x509.Certificate) -> "_KeptList":
        key = (address, key_of(issuer))
        with self._lock:
            if key not in self._kept:
                self._kept[key] = _KeptList(address, issuer, self._folder, self._hosts)
            return self._kept[key]

    def _answer(
        self, certificate: x509.Certificate, issuer: x509.Certificate, moment: datetime, fetcher: Fetcher
    ) -> tuple[Response, Statement] | Judgement:
        """Return what a responder says of a certificate, or why none says anything."""
        name = certificate.fingerprint(hashes.SHA256())
        with self._lock:
            kept = self._answers.get(name)
        if kept is not None and moment - kept[1] <= _AGAIN:
            with suppress(Unusable):
                return kept[0], kept[0].statement(certificate, issuer, moment)
        detail: Text | str | None = None
        for address in responder_addresses(certificate)[:MOST_ADDRESSES]:
            nonce = secrets.token_bytes(_NONCE_BYTES)
            try:
                response = Response(fetcher.get(address, question(certificate, issuer, nonce=nonce)))
                statement = response.statement(certificate, issuer, moment)
            except (Unreachable, Malformed, Unusable) as error:
                detail = error.detail
                continue
            if response.nonce not in (None, nonce):
                detail = text("the responder answers another question")
            elif response.nonce is None and moment - statement.at > _AGAIN:
                detail = text("the responder's answer is too old")
            elif kept is not None and statement.at < kept[1]:
                detail = text("the responder's answer is older than one before")
            else:
                self._remember(name, response, statement.at)
                return response, statement
        return Judgement(Standing.UNKNOWN, detail=detail)

    def _remember(self, name: bytes, response: Response, at: datetime) -> None:
        with self._lock:
            known = self._answers.pop(name, None)
            self._answers[name] = (response, at) if known is None or known[1] <= at else known
            if len(self._answers) > _MOST_REMEMBERED:
                self._answers.popitem(last=False)


class _KeptList:
    """The newest CRL of one address, signed by one key."""

    def __init__(
        self, address: str, issuer: x509.Certificate, folder: Path | None, hosts: Sequence[str]
    ) -> None:
        self._address = address
        self._issuer = issuer
        self._folder = folder
        self._hosts = hosts
        self._fetching = Lock()
        self._list: RevocationList | None = None
        self._due: datetime | None = None  # when it is fetched again
        self._failure: Unreachable | None = None  # of the last fetch
        digest = hashlib.sha256(address.encode() + key_of(issuer)).hexdigest()[:40]
        self._name = re.compile(rf"{digest}-\d{{50}}-\d{{12}}\.crl")
        self._prefix = digest

    def current(self, moment: datetime, fetcher: Fetcher) -> RevocationList:
        """Return the newest list. One that ended is returned only if there is no newer.

        Raises:
            Unreachable: there is none.
        """
        if self._is_due(moment):
            if self._holds(moment):
                if self._fetching.acquire(blocking=False):
                    Thread(target=self._refresh, args=(moment,), name="revocation list", daemon=True).start()
            else:
                with self._fetching:
                    if self._is_due(moment):  # nobody fetched it meanwhile
                        self._renew(moment, fetcher)
        if self._list is None:
            raise self._failure or Unreachable(self._address, _NOBODY)
        return self._list

    def _is_due(self, moment: datetime) -> bool:
        return self._due is None or moment >= self._due

    def _holds(self, moment: datetime) -> bool:
        return self._list is not None and self._list.until is not None and moment <= self._list.until

    def _refresh(self, moment: datetime) -> None:
        try:
            self._renew(moment, Fetcher(self._hosts, _SECONDS))
        finally:
            self._fetching.release()

    def _renew(self, moment: datetime, fetcher: Fetcher) -> None:
        """Take the newest of what the folder holds and what the address answers. _fetching is held."""
        self._read_folder()
        try:
            fetched = RevocationList(fetcher.get(self._address))
            if not fetched.is_by(self._issuer):
                raise Unreachable(self._address, text("the issuer did not sign its list"))
            if self._list is not None and _rank(fetched) < _rank(self._list):
                raise Unreachable(self._address, text("its list is older than one before"))
        except Malformed as error:
            self._fail(moment, Unreachable(self._address, error.detail))
        except Unreachable as error:
            self._fail(moment, error)
        else:
            if self._list is None or _rank(fetched) > _rank(self._list):
                fetched.index()
                self._list = fetched
                self._write_folder(fetched)
            self._failure, self._due = None, moment + _AGAIN

    def _fail(self, moment: datetime, failure: Unreachable) -> None:
        _LOG.warning("%s: %s", self._address, _english(failure.detail))
        self._failure, self._due = failure, moment + _AFTER_AN_ERROR

    def _read_folder(self) -> None:
        for path in self._files():
            try:
                kept = RevocationList(path.read_bytes())
            except (OSError, Malformed):
                continue
            if kept.is_by(self._issuer):
                if self._list is None or _rank(kept) > _rank(self._list):
                    kept.index()
                    self._list = kept
                return

    def _write_folder(self, one: RevocationList) -> None:
        if self._folder is None:
            return
        number, at = _rank(one)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            atomic_file.write(self._folder / f"{self._prefix}-{number:050d}-{at:012d}.crl", one.der)
            for older in self._files()[1:]:
                older.unlink(missing_ok=True)
        except OSError as error:
            _LOG.warning("%s: %s", self._folder, _english(os_reason(error)))

    def _files(self) -> list[Path]:
        """Return the list's files, the newest first: their names tell."""
        if self._folder is None:
            return []
        try:
            names = [one for one in self._folder.iterdir() if self._name.fullmatch(one.name)]
        except OSError:
            return []
        return sorted(names, reverse=True)


def _rank(one: RevocationList) -> tuple[int, int]:
    """Return what tells the newer of two lists of one address."""
    return one.number or 0, int(one.at.timestamp())


def _said(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    lists: Iterable[tuple[str, RevocationList]],
    moment: datetime,
) -> Iterator[tuple[RevocationList, Statement]]:
    """Yield what lists say of a certificate.

    A list may be answered by another address than its own: of one part of an issuer's certificates, where
    that of another part was asked for. Then its silence proves nothing.
    """
    has_parts = len(list_addresses(certificate)) > 1
    for address, one in lists:
        try:
            statement = one.statement(certificate, issuer, moment)
        except Unusable:
            continue
        is_its_own = address in one.addresses or (not one.addresses and not has_parts)
        if is_its_own or statement.standing is not Standing.GOOD:
            yield one, statement


def _english(detail: Text | str) -> str:
    return detail("en") if isinstance(detail, Text) else detail
