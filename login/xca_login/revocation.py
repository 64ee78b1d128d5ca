# SPDX-License-Identifier: Apache-2.0
"""Whether a holder's certificate stands, at the cost of a look-up.

A CRL is verified once, when it is fetched; a login looks a serial number up in it. It is fetched again in the
background long before it ends. What is older than what was seen before is refused. Where lists do not answer,
or tell a suspension, which may have ended meanwhile, the OCSP responder is asked. The processes of a site
share lists and answers in a folder.
"""

import hashlib
import logging
import os
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from threading import Lock, Thread
from typing import Final, Protocol, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from xca_common import atomic_file
from xca_common.errors import os_reason
from xca_common.harmless_text import harmless
from xca_common.i18n import Text
from xca_common.pki.addresses import list_addresses, responder_addresses
from xca_common.pki.fetching import Fetcher, Unreachable
from xca_common.pki.malformed import Malformed
from xca_common.pki.ocsp_response import MOST_BYTES, OcspResponse, question
from xca_common.pki.revocation import MOST_ADDRESSES, RevocationData
from xca_common.pki.revocation_list import RevocationList, is_signed
from xca_common.pki.standing import Judgement, SourceStatus, Standing, Unusable, judge
from xca_login.i18n import text
from xca_login.keys import key_of

_LOG: Final = logging.getLogger("xca_login.revocation")

_SECONDS: Final = 10.0  # for all lists that one login fetches, and for all responders that it asks
_AGAIN: Final = timedelta(minutes=10)
"""How long a list is used before it is fetched again, and how old an OCSP response without nonce may be."""
_AFTER_AN_ERROR: Final = timedelta(seconds=30)
_MOST_REMEMBERED: Final = 10_000  # certificates whose newest OCSP response is remembered
_NONCE_BYTES: Final = 32
_LOOKS: Final = 10  # into a folder whose files other processes replace
_RESPONSE_NAME: Final = re.compile(r"([01])-(\d{12})-(\d)\.ocsp")
_NOBODY: Final = text("nobody could be asked")


@dataclass(frozen=True)
class Known:
    """What is known of a certificate.

    Attributes:
        judgement: how it stands.
        lists: the CRLs that said so, in DER.
        responses: the OCSP responses that said so, in DER.
        hosts_are_silent: nobody answers: no address gave anything when it was asked last, and nothing that
            is known speaks against the certificate.
    """

    judgement: Judgement
    lists: tuple[bytes, ...] = ()
    responses: tuple[bytes, ...] = ()
    hosts_are_silent: bool = False


_Rank = tuple[int, int, int]


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
        self._responses = [OcspResponse(der) for der in responses]

    def judge(self, certificate: x509.Certificate, issuer: x509.Certificate, moment: datetime) -> Known:
        """Tell how a certificate stood (RevocationSource.judge)."""
        return Known(
            RevocationData(self._lists, self._responses).judge(certificate, issuer, moment),
            tuple(one.der for one in self._lists),
            tuple(one.der for one in self._responses),
        )


class Revocation:
    """Fetches CRLs and OCSP responses, and keeps them.

    Args:
        folder: where lists and answers are kept, for all processes of the site; None: in this process alone.
        hosts: hosts that may be asked beside those of the government's issuers (fetching.Fetcher).
    """

    def __init__(self, folder: Path | None = None, hosts: Collection[str] = ()) -> None:
        self._hosts = tuple(hosts)
        self._folder = folder
        self._lock = Lock()
        self._kept: dict[tuple[str, bytes], _KeptList] = {}
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()
        self._flights: dict[bytes, Future[_Answer]] = {}  # questions that are being asked
        self._silent: dict[str, tuple[datetime, Text | str]] = {}  # responders that did not answer, and when

    def judge(self, certificate: x509.Certificate, issuer: x509.Certificate, moment: datetime) -> Known:
        """Tell how a certificate stands (RevocationSource.judge)."""
        named = _named(certificate)
        name = named.name
        lists, said, silence = self._lists(named, certificate, issuer, moment)
        ders = tuple(one.der for one, _ in said)
        kept = self._newest(name, certificate, issuer, lists, moment)
        # That a responder said no counts further; whether it still says yes is asked again.
        earlier = [kept] if kept is not None and kept.statement.standing is not Standing.GOOD else []
        by_lists = judge([*(one for _, one in said), *(one.statement for one in earlier)])
        if by_lists.standing in (Standing.GOOD, Standing.REVOKED):
            return Known(by_lists, ders, tuple(one.response.der for one in earlier))
        answer = self._fresh(kept, certificate, issuer, lists, moment)
        failure: _NoAnswer | None = None
        if answer is None:
            try:
                answer = self._asked_once(name, lambda: self._ask(certificate, issuer, lists, moment, kept))
                # Another process may have been told something that counts more meanwhile.
                answer = self._newest(name, certificate, issuer, lists, moment) or answer
            except _NoAnswer as error:
                failure = error
        if answer is not None:
            # A hold that a list tells is not undone by an older answer.
            together = judge(
                [*(one for _, one in said), *(one.statement for one in earlier), answer.statement]
            )
            return Known(together, ders, (answer.response.der,))
        if by_lists.standing is Standing.SUSPENDED:
            return Known(by_lists, ders, tuple(one.response.der for one in earlier))
        details = [*silence, failure.detail if failure else None, by_lists.detail]
        nobody = Judgement(
            Standing.UNKNOWN, detail=next((one for one in details if one is not None), _NOBODY)
        )
        nobody_answers = all(one.is_silent for one in self._asked(named, issuer))
        return Known(nobody, hosts_are_silent=nobody_answers and failure is not None and failure.is_silence)

    def _lists(
        self, named: "_Named", certificate: x509.Certificate, issuer: x509.Certificate, moment: datetime
    ) -> tuple[list[tuple[str, RevocationList]], list[tuple[RevocationList, SourceStatus]], list[Text | str]]:
        """Return the lists that a certificate names, what they say of it, and why others are missing."""
        found: list[tuple[str, RevocationList]] = []
        said: list[tuple[RevocationList, SourceStatus]] = []
        silence: list[Text | str] = []
        fetcher = Fetcher(self._hosts, _SECONDS)
        for kept in self._asked(named, issuer):
            try:
                new = [(kept.address, one) for one in kept.current(moment, fetcher)]
            except Unreachable as error:
                silence.append(error.detail)
                continue
            found += new
            said_now = list(_said(certificate, issuer, new, moment))
            said += said_now
            if any(statement.current for _, statement in said_now):
                break
        return found, said, silence

    def _asked(self, named: "_Named", issuer: x509.Certificate) -> "list[_KeptList]":
        return [self._list(one, issuer) for one in named.lists[:MOST_ADDRESSES]]

    def _list(self, address: str, issuer: x509.Certificate) -> "_KeptList":
        key = (address, key_of(issuer))
        with self._lock:
            if key not in self._kept:
                self._kept[key] = _KeptList(address, issuer, self._folder, self._hosts)
            return self._kept[key]

    def _newest(
        self,
        name: bytes,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        lists: Sequence[tuple[str, RevocationList]],
        moment: datetime,
    ) -> "_Answer | None":
        """Return what a responder said of a certificate, to this process or to another one."""
        with self._lock:
            kept = self._answers.get(name)
        if self._folder is None:
            return kept
        shared = _SharedAnswers(self._folder, name)
        files = _Files(shared.files)
        for path, rank in files:
            if kept is not None and rank <= _rank(kept.statement):
                break
            try:
                response = OcspResponse(shared.read(path))
                statement = _by_responder(response, certificate, issuer, lists, moment)
            except FileNotFoundError:
                files.again()
                continue
            except (OSError, Malformed, Unusable):
                continue
            kept = self._remember(name, _Answer(response, statement))
        return kept

    def _fresh(
        self,
        kept: "_Answer | None",
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        lists: Sequence[tuple[str, RevocationList]],
        moment: datetime,
    ) -> "_Answer | None":
        """Return the answer that is kept if it says good, and is new enough to be used again."""
        if kept is None or kept.statement.standing is not Standing.GOOD:
            return None
        if moment - kept.statement.at > _AGAIN:
            return None
        with suppress(Unusable):
            statement = _by_responder(kept.response, certificate, issuer, lists, moment)
            if statement.current:
                return _Answer(kept.response, statement)
        return None

    def _asked_once(self, name: bytes, ask: "Callable[[], _Answer]") -> "_Answer":
        """Return what a responder says; logins with one certificate at once share one question.

        Args:
            name: the certificate's.
            ask: asks, and returns what is to be remembered.

        Raises:
            _NoAnswer: as ask().
        """
        with self._lock:
            under_way = self._flights.get(name)
            if under_way is None:
                flight: Future[_Answer] = Future()
                self._flights[name] = flight
        if under_way is not None:
            return under_way.result()
        try:
            answer = self._remember(name, ask())
            if self._folder is not None:
                _SharedAnswers(self._folder, name).write(answer)
        except BaseException as error:
            flight.set_exception(error)
            raise
        else:
            flight.set_result(answer)
            return answer
        finally:
            with self._lock:
                del self._flights[name]

    def _ask(
        self,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        lists: Sequence[tuple[str, RevocationList]],
        moment: datetime,
        kept: "_Answer | None",
    ) -> "_Answer":
        """Return what a responder says of a certificate.

        Raises:
            _NoAnswer: none says anything.
        """
        detail: Text | str | None = None
        is_silence = True
        fetcher = Fetcher(self._hosts, _SECONDS)
        for address in responder_addresses(certificate)[:MOST_ADDRESSES]:
            nonce = secrets.token_bytes(_NONCE_BYTES)
            try:
                data = self._get(fetcher, address, question(certificate, issuer, nonce=nonce), moment)
            except Unreachable as error:
                detail = error.detail
                continue
            is_silence = False
            try:
                if len(data) > MOST_BYTES:
                    raise Unusable(text("the responder's answer is too long"))
                response = OcspResponse(data)
                statement = _by_responder(response, certificate, issuer, lists, moment)
            except (Malformed, Unusable) as error:
                detail = error.detail
                continue
            if response.nonce not in (None, nonce):
                detail = text("the responder answers another question")
            elif statement.standing is Standing.REVOKED:
                return _Answer(response, statement)  # for good, whenever that was said
            elif not statement.current or (response.nonce is None and moment - statement.at > _AGAIN):
                detail = text("the responder's answer is too old")
            elif kept is not None and statement.at < kept.statement.at:
                detail = text("the responder's answer is older than one before")
            else:
                return _Answer(response, statement)
        raise _NoAnswer(detail, is_silence)

    def _get(self, fetcher: Fetcher, address: str, request: bytes, moment: datetime) -> bytes:
        """Return what a responder answers; one that did not answer is left alone for a while."""
        with self._lock:
            silent = self._silent.get(address)
        if silent is not None and _is_within(moment, silent[0], _AFTER_AN_ERROR):
            raise Unreachable(address, silent[1])
        try:
            return fetcher.get(address, request, MOST_BYTES)
        except Unreachable as error:
            with self._lock:
                self._silent[address] = (moment, error.detail)
            raise

    def _remember(self, name: bytes, answer: "_Answer") -> "_Answer":
        """Remember an answer unless one that counts more is known; return the one that counts."""
        with self._lock:
            known = self._answers.pop(name, None)
            if known is not None and _rank(known.statement) > _rank(answer.statement):
                answer = known
            self._answers[name] = answer
            if len(self._answers) > _MOST_REMEMBERED:
                self._answers.popitem(last=False)
        return answer


class _Files:
    """Files that processes share, and their ranks, the highest first.

    Args:
        listed: lists them.
    """

    def __init__(self, listed: Callable[[], list[tuple[Path, _Rank]]]) -> None:
        self._listed = listed
        self._left = _LOOKS
        self.again()

    def again(self) -> None:
        """Begin anew: a file is gone, for one of a higher rank took its place."""
        self._left -= 1
        self._next = iter(self._listed() if self._left >= 0 else ())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[Path, _Rank]:
        return next(self._next)


@dataclass(frozen=True)
class _Answer:
    """What a responder said of a certificate, when it was asked."""

    response: OcspResponse
    statement: SourceStatus


class _SharedAnswers:
    """What responders told the processes of a site about one certificate.

    Each answer is a file whose name tells its rank, so that no process waits for another. The highest rank
    counts, and lower ones are deleted. What is read is verified again.

    Args:
        folder: of all certificates' answers.
        name: the certificate's.
    """

    def __init__(self, folder: Path, name: bytes) -> None:
        # A string: every login looks into it, and joining Paths takes as long as looking.
        self._folder = f"{folder}/responses/{name.hex()}"

    def files(self) -> list[tuple[Path, _Rank]]:
        """Return the files and their ranks, the highest first."""
        if not os.access(self._folder, os.F_OK):
            return []  # as for most certificates; an exception takes three times as long
        try:
            with os.scandir(self._folder) as listed:
                names = [_RESPONSE_NAME.fullmatch(one.name) for one in listed]
        except OSError:
            return []
        found = [
            (Path(self._folder, name[0]), (int(name[1]), int(name[2]), int(name[3])))
            for name in names
            if name
        ]
        return sorted(found, key=lambda one: one[1], reverse=True)

    def read(self, path: Path) -> bytes:
        """Return what a file holds.

        Raises:
            OSError: it cannot be read.
            Unusable: it is too long for an answer.
        """
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise Unusable(text("the responder's answer is too long"))
        return data

    def write(self, answer: "_Answer") -> None:
        """Write an answer; without success if that cannot be done, and then it is logged."""
        rank = _rank(answer.statement)
        final, at, standing = rank
        path = Path(self._folder, f"{final}-{at:012d}-{standing}.ocsp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_file.write(path, answer.response.der)
            for other, its_rank in self.files():
                if its_rank < rank:
                    other.unlink(missing_ok=True)
        except OSError as error:
            _LOG.warning("%s: %s", self._folder, _english(os_reason(error)))


class _NoAnswer(Exception):  # a situation
    """No responder says anything of a certificate.

    Attributes:
        detail: why not.
        is_silence: none answered at all.
    """

    def __init__(self, detail: Text | str | None, is_silence: bool) -> None:
        super().__init__()
        self.detail = detail
        self.is_silence = is_silence


class _KeptList:
    """The newest CRL of one address, signed by one key.

    Attributes:
        address: the address.
        is_silent: it did not answer when it was asked last.
    """

    def __init__(
        self, address: str, issuer: x509.Certificate, folder: Path | None, hosts: Sequence[str]
    ) -> None:
        self.address: Final = address
        self.is_silent = False
        self._issuer = issuer
        self._folder = folder
        self._hosts = hosts
        self._fetching = Lock()
        self._list: RevocationList | None = None
        self._other: RevocationList | None = None  # what the address answered last, where it is not its own
        self._asked: tuple[datetime, timedelta] | None = (
            None  # when it was fetched, and for how long that does
        )
        self._failure: Text | str | None = None  # why the last fetch failed
        self._prefix = hashlib.sha256(address.encode() + key_of(issuer)).hexdigest()[:40]
        self._name = re.compile(rf"{self._prefix}-([01])-(\d{{50}})-(\d{{12}})\.crl")

    def current(self, moment: datetime, fetcher: Fetcher) -> list[RevocationList]:
        """Return the newest list. One that ended is returned only if there is no newer.

        A list of other certificates that the address answered is returned too. It takes no list's place, for
        the numbers of different lists cannot be compared.

        Raises:
            Unreachable: there is none.
        """
        if self._is_due(moment) and not self._holds(moment):
            with self._fetching:
                if self._is_due(moment) and not self._holds(moment):  # nobody fetched it meanwhile
                    self._renew(moment, fetcher)
        elif self._is_due(moment) and self._fetching.acquire(blocking=False):
            self._refresh_aside(moment)
        found = self._found()
        if not found:
            raise Unreachable(self.address, self._failure or _NOBODY)
        return found

    def _found(self) -> list[RevocationList]:
        return [one for one in (self._list, self._other) if one is not None]

    def _is_due(self, moment: datetime) -> bool:
        return self._asked is None or not _is_within(moment, *self._asked)

    def _holds(self, moment: datetime) -> bool:
        return self._list is not None and self._list.until is not None and moment <= self._list.until

    def _refresh_aside(self, moment: datetime) -> None:
        """Fetch it in a thread of its own, which releases _fetching."""
        try:
            Thread(target=self._refresh, args=(moment,), name="revocation list", daemon=True).start()
        except RuntimeError as error:  # there are no more threads, or Python ends
            self._fetching.release()
            _LOG.warning("%s: %s", harmless(self.address), error)

    def _refresh(self, moment: datetime) -> None:
        try:
            self._renew(moment, Fetcher(self._hosts, _SECONDS))
        finally:
            self._fetching.release()

    def _renew(self, moment: datetime, fetcher: Fetcher) -> None:
        """Take what another process fetched just now, else what the address answers. _fetching is held."""
        fetched_at = self._read_folder()
        if fetched_at is not None and _is_within(moment, fetched_at, self._time(fetched_at)):
            self._failure, self._asked = None, (fetched_at, self._time(fetched_at))
            return
        try:
            self._take(fetcher, moment)
        except (Malformed, Unreachable) as error:
            self._fail(moment, error.detail)
        else:
            self._failure, self._asked = None, (moment, self._time(moment))

    def _time(self, moment: datetime) -> timedelta:
        """Return how long a list that was fetched at a moment is used: it is fetched again before it ends."""
        until = self._list.until if self._list is not None else None
        half = (until - moment) / 2 if until is not None else timedelta()
        return max(min(_AGAIN, half), _AFTER_AN_ERROR)

    def _take(self, fetcher: Fetcher, moment: datetime) -> None:
        try:
            data = fetcher.get(self.address)
        except Unreachable:
            self.is_silent = True
            raise
        self.is_silent = False
        self._read_folder()  # another process may have got a newer one meanwhile
        # Before its entries are read: only the issuer may have this process read millions of them.
        if not is_signed(data, self._issuer):
            raise Unreachable(self.address, text("the issuer did not sign its list"))
        if self._list is not None and data == self._list.der:
            self._other = None
            self._write_folder(moment, is_new=False)
            return
        fetched = RevocationList(data)
        if not fetched.is_by(self._issuer):
            raise Unreachable(self.address, text("the issuer did not sign its list"))
        if not self._is_own(fetched):
            self._other = fetched
            raise Unreachable(self.address, text("its list is that of other certificates"))
        if self._list is not None and self._rank(fetched) < self._rank(self._list):
            raise Unreachable(self.address, text("its list is older than one before"))
        self._other = None
        if self._list is None or self._rank(fetched) > self._rank(self._list):
            self._list = fetched
            self._write_folder(moment, is_new=True)
        else:
            self._write_folder(moment, is_new=False)

    def _fail(self, moment: datetime, detail: Text | str) -> None:
        _LOG.warning("%s: %s", harmless(self.address), _english(detail))
        self._failure, self._asked = detail, (moment, _AFTER_AN_ERROR)

    def _is_own(self, one: RevocationList) -> bool:
        """Tell whether a list is one of this address, by what it says of itself."""
        return one.is_for_holders and (not one.addresses or self.address in one.addresses)

    def _rank(self, one: RevocationList) -> tuple[int, int, int]:
        """Return what tells the newer of two lists; one that names its address counts for newer."""
        return int(self.address in one.addresses), one.number or 0, int(one.at.timestamp())

    def _read_folder(self) -> datetime | None:
        """Take the newest list of the folder, and return when a process fetched it; None: there is none."""
        files = _Files(self._files)
        for path, rank in files:
            try:
                if self._list is None or rank > self._rank(self._list):
                    data = path.read_bytes()
                    kept = RevocationList(data) if is_signed(data, self._issuer) else None
                    if kept is None or not kept.is_by(self._issuer) or not self._is_own(kept):
                        continue
                    if self._list is None or self._rank(kept) > self._rank(self._list):
                        self._list = kept
                if rank != self._rank(self._list):
                    return None
                return datetime.fromtimestamp(path.stat().st_mtime, UTC)
            except FileNotFoundError:
                files.again()
            except (OSError, OverflowError, Malformed):
                continue
        return None

    def _write_folder(self, moment: datetime, *, is_new: bool) -> None:
        """Keep the list, with the time when it was fetched as that of its file."""
        if self._folder is None or self._list is None:
            return
        names, number, at = self._rank(self._list)
        path = self._folder / f"{self._prefix}-{names}-{number:050d}-{at:012d}.crl"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if is_new or not path.exists():
                atomic_file.write(path, self._list.der)
            os.utime(path, (moment.timestamp(), moment.timestamp()))
            for older, _ in self._files()[1:]:
                older.unlink(missing_ok=True)
        except OSError as error:
            _LOG.warning("%s: %s", self._folder, _english(os_reason(error)))

    def _files(self) -> list[tuple[Path, _Rank]]:
        """Return the list's files and their ranks, the newest first: their names tell."""
        if self._folder is None:
            return []
        try:
            names = [(one, self._name.fullmatch(one.name)) for one in self._folder.iterdir()]
        except OSError:
            return []
        found = [(path, (int(name[1]), int(name[2]), int(name[3]))) for path, name in names if name]
        return sorted(found, key=lambda one: one[1], reverse=True)


@dataclass(frozen=True)
class _Named:
    """What a certificate says of whom to ask about it.

    Attributes:
        name: its SHA-256 fingerprint.
        lists: the addresses of CRLs.
    """

    name: bytes
    lists: tuple[str, ...]


@lru_cache(_MOST_REMEMBERED)
def _named(certificate: x509.Certificate) -> _Named:
    """Return what a certificate, which a trusted CA signed, says of whom to ask; that never changes."""
    return _Named(certificate.fingerprint(hashes.SHA256()), tuple(list_addresses(certificate)))


def _said(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    lists: Iterable[tuple[str, RevocationList]],
    moment: datetime,
) -> Iterator[tuple[RevocationList, SourceStatus]]:
    """Yield what lists say of a certificate.

    A list may be answered by another address than its own: of one part of an issuer's certificates, where
    that of another part was asked for. Then its silence proves nothing.
    """
    for address, one in lists:
        try:
            statement = one.statement(certificate, issuer, moment)
        except Unusable:
            continue
        is_its_own = address in one.addresses or (not one.addresses and len(_named(certificate).lists) <= 1)
        if is_its_own or statement.standing is not Standing.GOOD:
            yield one, statement


def _by_responder(
    response: OcspResponse,
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    lists: Sequence[tuple[str, RevocationList]],
    moment: datetime,
) -> SourceStatus:
    """Return what a response says of a certificate, unless a list says that its signer is revoked.

    Raises:
        Unusable: it says nothing.
    """

    def is_revoked(responder: x509.Certificate) -> bool:
        said = judge(statement for _, statement in _said(responder, issuer, lists, moment))
        return said.standing in (Standing.SUSPENDED, Standing.REVOKED)

    return response.statement(certificate, issuer, moment, is_revoked=is_revoked)


def _rank(statement: SourceStatus) -> _Rank:
    """Return what tells which of two answers counts: one for good, the newer one, of one time the worse."""
    return (
        int(statement.standing is Standing.REVOKED),
        int(statement.at.timestamp()),
        int(statement.standing),
    )


def _is_within(moment: datetime, start: datetime, time: timedelta) -> bool:
    """Tell whether a time has not passed yet; it has if the clock was set back."""
    return start - _AFTER_AN_ERROR <= moment < start + time


def _english(detail: Text | str) -> str:
    return detail("en") if isinstance(detail, Text) else detail
