# SPDX-License-Identifier: Apache-2.0
"""Is all in order? Named checks from the module to the clock, each with what it found and what to do.

No check costs a try, and none waits for ever. A check that fails is often the reason for those after it.
"""

import ctypes
import os
import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from threading import Thread
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import NameOID

from pkcs11_shim import (
    ConfigurationError,
    Store,
    StoreError,
    configuration_path,
    inner_module_path,
    module_path,
    store_path,
)
from xca_common.errors import XcaError
from xca_common.i18n import Text
from xca_common.pki import revocation
from xca_common.pki.certificate import Certificate
from xca_common.pki.fetching import Fetcher, Unreachable
from xca_common.pki.revocation import Judgement, Standing, Statement
from xca_plugin import errors, pcsc
from xca_plugin.agent_port import PORT, agent_at
from xca_plugin.cards import Cards, signing_certificate
from xca_plugin.i18n import plural, text
from xca_plugin.model import Card, CardState
from xca_plugin.tools import all_tools
from xca_plugin.tools.host_environment import architecture
from xca_plugin.validity import NO_END, day

Say = Callable[..., str]
"""A sentence, said in the language that is given: a Text, or a method of a XcaError."""

_SECONDS: Final = 20.0  # for one check; the slowest asks two addresses after each other
_FETCHING: Final = 15.0  # seconds, of these
_MOST_ADDRESSES: Final = 4
# Reserved (RFC 6761, section 6.2): nobody knows of it but the proxy of who tests.
_HOSTS_OF_TESTS: Final = ("xca.test",)
_NEW_CARD: Final = text("Ask the issuer for a new card: XCA, https://xca.nat.gov.tw, telephone 02-2192-7111.")
_SET_CLOCK: Final = text("Set the computer's clock and its time zone: timedatectl set-ntp true")


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """There was nothing to be checked, or no way to do it."""


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        check: its name, a key of CHECKS.
        title: its name for people.
        outcome: how it ended.
        said: what was found.
        next_step: what to do about it, None: nothing.
        card: number of the card that it is about, None: no single card.
    """

    check: str
    title: Text
    outcome: Outcome
    said: Say
    next_step: Say | None = None
    card: str | None = None


def run(cards: Cards) -> Iterator[Finding]:
    """Do every check, in the order of CHECKS; yield each finding as soon as it is there."""
    seen = _Seen(cards)
    for name, (title, check) in CHECKS.items():
        for answer in _in_time(check, seen):
            yield Finding(name, title, *answer)


def places() -> list[Path]:
    """Return the files that findings may name."""
    found = []
    for place in (module_path, _inner_path, configuration_path, store_path):
        with suppress(OSError, ConfigurationError, XcaError):
            found.append(place())
    return [path for path in found if path]


# --- how a check is done


@dataclass
class _Seen:
    """What earlier checks saw.

    Attributes:
        cards: the facade that is asked.
        works: the module and its inner module do.
        stand_in: the card store knows cards: SoftHSM stands in, no reader is needed.
        readers: the readers, None: they cannot be looked at.
        present: the cards.
    """

    cards: Cards
    works: bool = False
    stand_in: bool = False
    readers: Sequence[pcsc.Reader] | None = None
    present: Sequence[Card] = ()


_Answer = tuple[Outcome, Say, Say | None, str | None]
_Check = Callable[[_Seen], Iterator[_Answer]]


def _passed(said: Say, next_step: Say | None = None) -> _Answer:
    return Outcome.PASSED, said, next_step, None


def _failed(said: Say, next_step: Say) -> _Answer:
    return Outcome.FAILED, said, next_step, None


def _skipped(said: Say, next_step: Say | None = None) -> _Answer:
    return Outcome.SKIPPED, said, next_step, None


def _in_time(check: _Check, seen: _Seen) -> Sequence[_Answer]:
    """Do one check in a thread that may be left behind: what hangs there holds up nobody else."""
    answers: queue.SimpleQueue[Sequence[_Answer]] = queue.SimpleQueue()
    Thread(target=lambda: answers.put(_answers(check, seen)), name="check", daemon=True).start()
    try:
        return answers.get(timeout=_SECONDS)
    except queue.Empty:
        late = text("No answer within {seconds} seconds.").format(seconds=int(_SECONDS))
        return [_failed(late, text("Restart what it looks at, or the computer, and repeat the checks."))]


def _answers(check: _Check, seen: _Seen) -> Sequence[_Answer]:
    answers: list[_Answer] = []
    try:
        for answer in check(seen):
            answers.append(answer)
    except XcaError as error:
        answers.append(_failed(error.message, error.next_step))
    except Exception as error:
        # Its name and not its text: a stranger's exception may hold a secret.
        unexpected = text("The check itself failed: {detail}").format(detail=type(error).__name__)
        answers.append(
            _failed(unexpected, text("Report it with the file that this writes: xcactl doctor --report FILE"))
        )
    return answers


# --- the module and what it stands on


def _module(seen: _Seen) -> Iterator[_Answer]:
    path = _module_path()
    try:
        ctypes.CDLL(str(path))
    except OSError as error:
        raise errors.ModuleFailed(detail=str(error)) from error
    yield _passed(text("It loads: {path}").format(path=path))


def _architecture(seen: _Seen) -> Iterator[_Answer]:
    ours = architecture(Path("/proc/self/exe"))
    paths = [_module_path(), _inner_path()]
    for path in paths:
        its = architecture(path) if path and path.exists() else ours
        if its != ours:
            differs = text("{path} is for {its}, this program for {ours}.")
            yield _failed(
                differs.format(path=path, its=its or text("nothing that is known"), ours=ours),
                text("Install the build of it that is for {ours}.").format(ours=ours),
            )
            return
    yield _passed(text("{ours}, as this program").format(ours=ours))


def _inner_module(seen: _Seen) -> Iterator[_Answer]:
    path = _inner_path()
    if path is None:
        raise errors.ModuleFailed(detail=text("no configuration names an inner module"))
    if not path.exists():
        raise errors.ModuleFailed(detail=text("{path} is not there").format(path=path))
    with suppress(errors.StoreUnreadable):  # the next check's to tell
        seen.cards.readers()
    seen.works = True
    yield _passed(text("It answers: {path}").format(path=path))


def _store(seen: _Seen) -> Iterator[_Answer]:
    try:
        path = Store().path
        if not path.exists():
            yield _skipped(text("There is none: only cards that SoftHSM stands in for need it."))
            return
        count = len(Store().cards())
        shared = path.stat().st_mode & 0o022
    except ConfigurationError as error:
        raise errors.StoreUnreadable(detail=errors.where(error)) from error
    except (StoreError, OSError) as error:
        raise errors.StoreUnreadable(detail=str(error)) from error
    seen.stand_in = count > 0
    if shared:
        raise errors.StoreUnreadable(detail=text("others may write it, {path}").format(path=path))
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        raise errors.StoreNotWritable(path=path)
    yield _passed(
        plural("{count} card: {path}", "{count} cards: {path}", "count").format(count=count, path=path)
    )


def _module_path() -> Path:
    try:
        return module_path()
    except FileNotFoundError as error:
        raise errors.NoModule from error


def _inner_path() -> Path | None:
    """Return the inner module's path, as the module finds it (README, Configuration)."""
    try:
        return inner_module_path()
    except ConfigurationError as error:
        raise errors.ModuleFailed(detail=errors.where(error)) from error
    except OSError as error:
        raise errors.ModuleFailed(detail=str(error)) from error


# --- readers and cards


def _reader_daemon(seen: _Seen) -> Iterator[_Answer]:
    try:
        seen.readers = pcsc.readers()
    except errors.NoReaderSupport as error:
        yield _skipped(error.message, error.next_step)
    except XcaError as error:
        if not seen.stand_in:
            raise
        yield _skipped(error.message, text("The cards that SoftHSM stands in for do without."))
    else:
        yield _passed(text("It is running."))


def _readers(seen: _Seen) -> Iterator[_Answer]:
    if seen.readers is None:
        yield _skipped(text("They cannot be looked at."))
    elif not seen.readers:
        if not seen.stand_in:
            raise errors.NoReader
        yield _skipped(errors.NoReader().message)
    for reader in seen.readers or ():
        said = text("{name}: {contents}").format(name=reader.name, contents=reader.says)
        if reader.contents is pcsc.Contents.MUTE:
            yield _failed(said, errors.CardMute(name=reader.name).next_step)
        elif reader.contents is pcsc.Contents.UNAVAILABLE:
            yield _failed(said, errors.ReaderFault(detail=reader.name).next_step)
        else:
            yield _passed(said)


def _cards(seen: _Seen) -> Iterator[_Answer]:
    if not seen.works:
        yield _skipped(text("Without its module no card can be seen."))
        return
    seen.present = seen.cards.detect()
    if not seen.present:
        raise errors.NoCard
    found = plural("{count} card is here: {numbers}", "{count} cards are here: {numbers}", "count")
    numbers = ", ".join(card.number for card in seen.present)
    yield _passed(found.format(count=len(seen.present), numbers=numbers))


# --- each card


def _of_each_card(check: Callable[[_Seen, Card], _Answer]) -> _Check:
    def each(seen: _Seen) -> Iterator[_Answer]:
        if not seen.present:
            yield _skipped(text("There is no card to look at."))
        for card in seen.present:
            try:
                outcome, said, next_step, _ = check(seen, card)
            except XcaError as error:
                outcome, said, next_step = Outcome.FAILED, error.message, error.next_step
            yield outcome, said, next_step, card.number

    return each


def _state(seen: _Seen, card: Card) -> _Answer:
    user_code_locked = errors.UserCodeLocked(number=card.number)
    if card.state is CardState.LAPSED:
        raise errors.CardLapsed(number=card.number)
    if card.state is CardState.NOT_ACTIVATED:
        raise user_code_locked if card.user_code_tries == 0 else errors.NotActivated(number=card.number)
    if card.pin_tries == 0:
        raise user_code_locked if card.user_code_tries == 0 else errors.PinLocked(number=card.number)
    if card.pin_to_be_changed:
        return _failed(text("Somebody else set its PIN."), text("Change it: xcactl pin change"))
    if card.user_code_tries == 0:
        return _passed(text("It is activated; its user code is locked."), user_code_locked.next_step)
    return _passed(text("It is activated."))


def _deadline(seen: _Seen, card: Card) -> _Answer:
    if card.activate_by is None or card.days_left is None:
        return _skipped(text("The card has none."))
    if card.state is CardState.ACTIVE:
        return _skipped(text("It was activated in time."))
    if card.state is CardState.LAPSED:
        raise errors.CardLapsed(number=card.number)
    left = plural("{days} day left, until {day}", "{days} days left, until {day}", "days")
    return _passed(left.format(days=card.days_left, day=card.activate_by))


def _validity(seen: _Seen, card: Card) -> _Answer:
    certificate = signing_certificate(card)
    now = datetime.now(UTC)
    if now < certificate.not_before:
        early = text("It is not valid before {day}.").format(day=_day(certificate.not_before))
        return _failed(early, _SET_CLOCK)
    if certificate.not_after == NO_END:
        return _passed(text("It is valid without end."))
    if now > certificate.not_after:
        return _failed(text("It expired on {day}.").format(day=_day(certificate.not_after)), _NEW_CARD)
    return _passed(text("It is valid until {day}.").format(day=_day(certificate.not_after)))


def _chain(seen: _Seen, card: Card) -> _Answer:
    issued = _parsed(signing_certificate(card))
    held = list(_held(seen, card))
    now = datetime.now(UTC)
    for _ in held:
        if issued.issuer == issued.subject:
            break
        issuer = next((one for one in held if _issued(issued, one)), None)
        if issuer is None:
            missing = text("The card does not hold the certificate of {issuer}, or another one of that name.")
            return _failed(
                missing.format(issuer=_name(issued.issuer)),
                text("Get it from https://grca.nat.gov.tw; xcactl verify takes it as --ca-file."),
            )
        if not issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc:
            return _failed(
                text("That of {issuer} is not valid today.").format(issuer=_name(issuer.subject)), _NEW_CARD
            )
        issued = issuer
    return _passed(text("It is whole, and ends at {issuer}.").format(issuer=_name(issued.subject)))


def _by_list(
    fetcher: Fetcher, address: str, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime
) -> Statement:
    return revocation.statement_of_list(fetcher.get_list(address), certificate, issuer, now)


def _by_response(
    fetcher: Fetcher, address: str, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime
) -> Statement:
    response = fetcher.get_response(address, revocation.question(certificate, issuer))
    return revocation.statement_of_response(response, certificate, issuer, now)


def _revoked_by(
    addresses: Callable[[x509.Certificate], list[str]], ask: Callable[..., Statement]
) -> Callable[[_Seen, Card], _Answer]:
    def check(seen: _Seen, card: Card) -> _Answer:
        certificate = _parsed(signing_certificate(card))
        issuer = next((one for one in _held(seen, card) if _issued(certificate, one)), None)
        if issuer is None:
            return _skipped(text("Without the certificate of its issuer there is nothing to ask with."))
        answer = _skipped(text("The certificate names no address."))
        fetcher = Fetcher(_HOSTS_OF_TESTS if getproxies().get("http") else (), _FETCHING)
        for address in addresses(certificate)[:_MOST_ADDRESSES]:
            now = datetime.now(UTC)
            try:
                statement = ask(fetcher, address, certificate, issuer, now)
            except Unreachable as error:
                answer = _silent(address, error.detail, asked=not error.not_asked)
            except revocation.Unusable as error:
                answer = _silent(address, error.detail)
            else:
                found = revocation.judge([statement])
                if found.standing is not Standing.UNKNOWN:
                    return _told(address, found)
                answer = _silent(address, found.detail or "")
        return answer

    return check


def _silent(address: str, detail: Text | str, *, asked: bool = True) -> _Answer:
    said = text("{address} gives no answer: {detail}").format(address=address, detail=detail)
    if asked:
        return _failed(said, text("Check the network and its proxy (http_proxy), and try again later."))
    if (urlsplit(address).hostname or "").endswith(".test"):
        return _skipped(said, text("Nobody serves names below .test: the certificate is one for tests."))
    return _skipped(
        said, text("If you know that host, have it asked: xcactl verify --fetch --allow-host HOST")
    )


def _told(address: str, found: Judgement) -> _Answer:
    if found.since is None:
        return _passed(text("{address} answers: not revoked.").format(address=address))
    facts = {"address": address, "day": _day(found.since)}
    if found.standing is Standing.SUSPENDED:
        return _failed(
            text("{address} answers: suspended since {day}.").format(**facts),
            text("Have it resumed (復用) by the issuer: XCA, https://xca.nat.gov.tw, 02-2192-7111."),
        )
    return _failed(text("{address} answers: revoked since {day}.").format(**facts), _NEW_CARD)


def _held(seen: _Seen, card: Card) -> Iterator[x509.Certificate]:
    """Yield the certificates on the card, but for those that cannot be read."""
    for certificate in seen.cards.certificates(card):
        with suppress(errors.CardFault):
            yield _parsed(certificate)


def _parsed(certificate: Certificate) -> x509.Certificate:
    try:
        parsed = x509.load_der_x509_certificate(certificate.der)
        parsed.subject, parsed.issuer, parsed.extensions  # noqa: B018  # read when they are asked for
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        unreadable = text("the certificate {label} cannot be read").format(label=certificate.label)
        raise errors.CardFault(detail=unreadable) from error
    return parsed


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _name(name: x509.Name) -> str:
    return ", ".join(str(part.value) for part in name if part.oid != NameOID.COUNTRY_NAME)


def _day(when: datetime) -> str:
    return day(when).isoformat()


# --- what is around


def _tools(seen: _Seen) -> Iterator[_Answer]:
    registered: list[str] = []
    others: list[str] = []
    for tool in all_tools():
        if tool.installed():
            (registered if tool.registered() else others).append(tool.name)
    if not registered:
        yield _skipped(
            text("None of those that are here knows of the module: {tools}").format(tools=", ".join(others)),
            text("Tell those that you use of it: xcactl tools register"),
        )
        return
    yield _passed(text("These know of the module: {tools}").format(tools=", ".join(registered)))


def _port(seen: _Seen) -> Iterator[_Answer]:
    if agent_at(PORT):
        yield _passed(text("The agent listens at it: {port}").format(port=PORT))
    else:
        yield _passed(text("It is free for the agent: {port}").format(port=PORT))


def _clock(seen: _Seen) -> Iterator[_Answer]:
    now = datetime.now(UTC)
    past = [(event.at, text("the last event of a card")) for event in seen.cards.history()[-1:]]
    past += [
        (card.certificate.not_before, text("the issue of a certificate"))
        for card in seen.present
        if card.certificate
    ]
    for when, what in past:
        if when > now:
            wrong = text("It shows {now}, but {what} was at {when}.")
            facts = {"now": f"{now:%Y-%m-%d %H:%M:%SZ}", "when": f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"}
            yield _failed(wrong.format(what=what, **facts), _SET_CLOCK)
            return
    if not past:
        yield _skipped(text("There is nothing to compare it with."))
        return
    yield _passed(
        text("It shows {now}; nothing that is known happened later.").format(now=f"{now:%Y-%m-%d %H:%M:%SZ}")
    )


CHECKS: Final[dict[str, tuple[Text, _Check]]] = {
    "module": (text("PKCS#11 module"), _module),
    "architecture": (text("Architecture"), _architecture),
    "inner-module": (text("Inner module"), _inner_module),
    "store": (text("Card store"), _store),
    "reader-daemon": (text("Card readers' daemon"), _reader_daemon),
    "readers": (text("Card readers"), _readers),
    "cards": (text("Cards"), _cards),
    "card-state": (text("State of the card"), _of_each_card(_state)),
    "deadline": (text("Days to activate"), _of_each_card(_deadline)),
    "certificate": (text("Validity of the certificate"), _of_each_card(_validity)),
    "chain": (text("Chain of the certificate"), _of_each_card(_chain)),
    "crl": (text("Revocation list (CRL)"), _of_each_card(_revoked_by(revocation.list_addresses, _by_list))),
    "ocsp": (
        text("Revocation service (OCSP)"),
        _of_each_card(_revoked_by(revocation.responder_addresses, _by_response)),
    ),
    "tools": (text("Tools that know of the module"), _tools),
    "port": (text("Port of the agent"), _port),
    "clock": (text("Clock"), _clock),
}
"""Every check, by its name; with its name for people."""
