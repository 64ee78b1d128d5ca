# SPDX-License-Identifier: Apache-2.0
"""A login over HTTP, without a framework: what a browser posts, and what it is answered.

A page posts to `begin` and is given the text that the card signs. It posts the signature to `finish`, and to
`logout` when the person leaves; the script `xca-login.js` does that. Every other answer is JSON, or empty.

At a site that registers keys for encryption, who is logged in posts both certificates of the card to
`register`. That the card opens what is encrypted to it is proved by opening what `prove` answers, and posting
the nonce that was in it to `proved`.

Two cookies, which no script can read:

- the browser's: a random value, under which open challenges are kept. It opens nothing.
- the session's: a new one at each login. Whoever had put a value into the browser before is not logged in.

A post counts only with the site's own Origin header, so that no other site logs somebody in or out.
"""

import base64
import hashlib
import json
import logging
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import Final

from xca_common.harmless_text import harmless
from xca_common.i18n import LANGUAGE_TAGS
from xca_login.challenges import LIFETIME, Challenges, ChallengeStore, MemoryStore, now
from xca_login.errors import (
    LoginRefused,
    Misconfigured,
    NotLoggedIn,
    RequestForeign,
    RequestMalformed,
    RequestTooLong,
    RequestTooSlow,
    RequestUnknown,
    SiteMisconfigured,
    StoreUnavailable,
    TooManyChallenges,
)
from xca_login.login import Account, Login
from xca_login.registered_keys import RegisteredKey, RegisteredKeys
from xca_login.sessions import MemorySessions, Session, SessionStore
from xca_login.site import Site
from xca_login.token import MOST_BYTES, Token
from xca_login.verifier import Verifier

MOST_BODY_BYTES: Final = 2 * MOST_BYTES
"""A body that is read: a token in base64, and the JSON around it."""
BODY_SECONDS: Final = 10.0
"""Seconds in which a body has to arrive."""
SCRIPT: Final = "xca-login.js"
"""The last part of the script's address."""
SESSION_LIFETIME: Final = timedelta(hours=8)

_LOG: Final = logging.getLogger(__name__)

_MOST_SAID: Final = 200
"""Characters of an Origin header, or of why a store cannot be reached, that are logged."""
_ID: Final = re.compile("[A-Za-z0-9_-]{43}")  # secrets.token_urlsafe(32)
_STATUSES: Final[dict[type[LoginRefused], HTTPStatus]] = {
    NotLoggedIn: HTTPStatus.UNAUTHORIZED,
    RequestMalformed: HTTPStatus.BAD_REQUEST,
    RequestTooLong: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    RequestTooSlow: HTTPStatus.REQUEST_TIMEOUT,
    RequestUnknown: HTTPStatus.NOT_FOUND,
    SiteMisconfigured: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    TooManyChallenges: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The HTTP status of each refusal; of all others FORBIDDEN."""


@dataclass(frozen=True)
class Request:
    """A request, as a web framework has read it.

    Attributes:
        method: such as POST.
        path: of its URL. The last part names what is asked for.
        origins: its Origin headers.
        content_type: its Content-Type header; "": it has none.
        cookies: its Cookie headers, joined with "; ".
        body: what was sent. What reads it stops after MOST_BODY_BYTES, and one byte more.
    """

    method: str
    path: str
    origins: Sequence[str]
    content_type: str
    cookies: str
    body: bytes = b""


@dataclass(frozen=True)
class Response:
    """An answer.

    Attributes:
        status: of HTTP.
        headers: names and values. Several may have one name.
        body: JSON, a script, or nothing.
    """

    status: HTTPStatus
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""


class Exchange:
    """The two posts of a login: for frameworks that keep sessions of their own. The others use CardLogin.

    Args:
        site: who asks.
        verifier: verifies what comes back.
        challenges: keeps open challenges; None: in this process alone.
        keys: registers keys for encryption; None: the site needs none.
        clock: tells the time, with a time zone.

    Attributes:
        site, verifier: as given.
    """

    def __init__(
        self,
        site: Site,
        verifier: Verifier,
        challenges: ChallengeStore | None = None,
        *,
        keys: RegisteredKeys | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self.site: Final = site
        self.verifier: Final = verifier
        self._keys = keys
        self._challenges = Challenges(site, challenges or MemoryStore(), clock=clock)
        is_shared = challenges is not None and not isinstance(challenges, MemoryStore)
        if is_shared and not verifier.remembers_accounts:
            _LOG.warning(
                "each process remembers for itself which accounts logged in with a verified origin, and in "
                "another one they fall back. Keep them with the challenges: Verifier(…, accounts=…)."
            )
        self._browser = Cookie("xca-browser", site, "Strict")

    def begin(self, request: Request) -> Response:
        """Return a new challenge for the browser that asks.

        Raises:
            LoginRefused: the request is not one of the site's own pages, or no challenge can be made.
        """
        self.check(request)
        browser = self._browser.value(request.cookies)
        headers: tuple[tuple[str, str], ...] = ()
        if browser is None:
            browser = new_id()
            headers = (self._browser.set(browser),)
        challenge = self._challenges.new(browser)
        document = {"statement": challenge.text.decode("ascii"), "seconds": int(LIFETIME.total_seconds())}
        return answer(HTTPStatus.OK, document, headers)

    def finish(self, request: Request) -> Login:
        """Verify what the card signed. Of several posts with one token, at most one is let in.

        Raises:
            LoginRefused: nobody is let in; the class says why.
        """
        with self.finishing(request) as login:
            return login

    @contextmanager
    def finishing(self, request: Request) -> Iterator[Login]:
        """Verify what the card signed, and let the block keep the login.

        If the block ends with StoreUnavailable, nobody was let in: the token may be posted again.

        Raises:
            LoginRefused: nobody is let in; the class says why.
        """
        self.check(request)
        (der,) = _decoded(_document(request), "token")
        token = Token.read(der)
        # Without the cookie there is no challenge; the text of a token is judged all the same.
        browser = self._browser.value(request.cookies) or new_id()
        challenge = self._challenges.take(browser, token)
        try:
            with _settings():
                login = self.verifier.verify(token, challenge)
            yield login
        except StoreUnavailable:
            with suppress(StoreUnavailable, TooManyChallenges):  # then the person signs anew
                self._challenges.put_back(browser, challenge)
            raise
        with suppress(StoreUnavailable):  # then the holder is told again
            self.verifier.note_told(login)

    def register(self, request: Request, account: Account) -> Response:
        """Register the key for encryption of the card that logged in.

        Args:
            request: the post, with both certificates.
            account: who is logged in.

        Raises:
            LoginRefused: as RegisteredKeys.register, or the site registers no keys, or as check().
        """
        keys = self._checked_keys(request)
        with _settings():
            key = keys.register(account, *_decoded(_document(request), "signing", "encryption"))
        return answer(HTTPStatus.OK, shown_key(key))

    def prove(self, request: Request, account: Account) -> Response:
        """Return an envelope for the card that logged in.

        Raises:
            LoginRefused: as RegisteredKeys.begin_proof, or the site registers no keys, or as check().
        """
        keys = self._checked_keys(request)
        with _settings():
            envelope = keys.begin_proof(account)
        content = base64.b64encode(envelope.content).decode("ascii")
        return answer(HTTPStatus.OK, {"envelope": content, "seconds": int(LIFETIME.total_seconds())})

    def proved(self, request: Request, account: Account) -> Response:
        """Take the nonce that was in the envelope.

        Raises:
            LoginRefused: as RegisteredKeys.finish_proof, or the site registers no keys, or as check().
        """
        keys = self._checked_keys(request)
        nonce = _document(request).get("nonce")
        if not isinstance(nonce, str):
            raise RequestMalformed
        return answer(HTTPStatus.OK, shown_key(keys.finish_proof(account, nonce)))

    def _checked_keys(self, request: Request) -> RegisteredKeys:
        self.check(request)
        if self._keys is None:
            raise RequestUnknown
        return self._keys

    def check(self, request: Request) -> None:
        """See that a request is a post of the site's own pages.

        Raises:
            RequestUnknown: it is no post.
            RequestForeign: another site's page sent it, or it does not say whose page.
            RequestTooLong: its body is longer than is read.
        """
        if request.method != "POST":
            raise RequestUnknown
        if list(request.origins) != [self.site.origin]:
            said = harmless(", ".join(request.origins), longest=_MOST_SAID)
            raise RequestForeign(origin=self.site.origin, said=said)
        if len(request.body) > MOST_BODY_BYTES:
            raise RequestTooLong(most=MOST_BODY_BYTES)


class CardLogin:
    """Logins of a site, and the sessions that begin with them.

    Args:
        site: who asks.
        verifier: verifies what comes back.
        challenges: keeps open challenges; None: in this process alone.
        sessions: keeps sessions; None: in this process alone.
        on_login: called with each login before its session begins: keeps what the site wants to keep. It may
            raise a LoginRefused. It is called once more where a session could not be kept and the token is
            posted again.
        keys: registers keys for encryption; None: the site needs none.
        lifetime: how long a session lasts.
        clock: tells the time, with a time zone.

    Attributes:
        site: who asks.
    """

    def __init__(
        self,
        site: Site,
        verifier: Verifier,
        challenges: ChallengeStore | None = None,
        sessions: SessionStore | None = None,
        *,
        on_login: Callable[[Login], None] | None = None,
        keys: RegisteredKeys | None = None,
        lifetime: timedelta = SESSION_LIFETIME,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._exchange = Exchange(site, verifier, challenges, keys=keys, clock=clock)
        self.site: Final = site
        self._sessions: SessionStore = sessions or MemorySessions()
        self._on_login = on_login
        self._lifetime = lifetime
        self._clock = clock
        self._cookie = Cookie("xca-session", site, "Lax")
        self._answers = {"begin": self._exchange.begin, "finish": self._finish, "logout": self._logout}
        self._answers |= {
            "register": partial(self._of_session, self._exchange.register),
            "prove": partial(self._of_session, self._exchange.prove),
            "proved": partial(self._of_session, self._exchange.proved),
        }

    def answer(self, request: Request) -> Response:
        """Return the answer to a post (see this module), or the script; else a refusal."""
        name = request.path.rpartition("/")[2]
        if name == SCRIPT and request.method in ("GET", "HEAD"):
            return script()
        try:
            found = self._answers.get(name)
            if found is None:
                raise RequestUnknown
            return found(request)
        except LoginRefused as error:
            return refusal(error)

    def session(self, cookies: str) -> Session | None:
        """Return whose request it is; None: nobody is logged in.

        Args:
            cookies: the Cookie headers of the request, joined with "; ".

        Raises:
            StoreUnavailable: it cannot be told.
        """
        key = self.session_key(cookies)
        session = self._sessions.get(key) if key else None
        return session if session is not None and self._clock() < session.until else None

    def session_key(self, cookies: str) -> str | None:
        """Return what the session of a request is kept under, if it is still kept; None: it names none.

        Args:
            cookies: as in session().
        """
        name = self._cookie.value(cookies)
        return _digest(name) if name else None

    def end(self, cookies: str) -> tuple[str, str]:
        """End the session of a request, if it has one, and return the header that takes its cookie away.

        Args:
            cookies: as in session().

        Raises:
            StoreUnavailable: the session may still be there.
        """
        if (key := self.session_key(cookies)) is not None:
            self._sessions.remove(key)
        return self._cookie.clear()

    def _finish(self, request: Request) -> Response:
        with self._exchange.finishing(request) as login:
            return self._let_in(request, login)

    def _let_in(self, request: Request, login: Login) -> Response:
        if self._on_login is not None:
            self._on_login(login)
        session = Session(
            account=login.account,
            holder_name=login.holder_name,
            holder_kind=login.holder_kind,
            organisation_oid=login.organisation_oid,
            tax_id=login.tax_id,
            rank=login.rank,
            binding=login.binding,
            at=login.at,
            until=login.at + self._lifetime,
        )
        name = new_id()
        self._sessions.add(_digest(name), session)
        self.end(request.cookies)
        return answer(HTTPStatus.OK, shown(login), (self._cookie.set(name),))

    def _of_session(self, step: Callable[[Request, Account], Response], request: Request) -> Response:
        """Answer a post of whoever is logged in."""
        self._exchange.check(request)
        session = self.session(request.cookies)
        if session is None:
            raise NotLoggedIn
        return step(request, session.account)

    def _logout(self, request: Request) -> Response:
        self._exchange.check(request)
        # What the back button would show is not kept (W3C Clear Site Data, section 3.1).
        headers = self.end(request.cookies), ("Clear-Site-Data", '"cache"')
        return answer(HTTPStatus.NO_CONTENT, None, headers)


class Cookie:
    """A cookie of the site's host alone, sent over https alone; on this machine over http too.

    Args:
        name: its name.
        site: whose it is.
        same_site: Strict or Lax (RFC 6265bis, section 5.2).
    """

    def __init__(self, name: str, site: Site, same_site: str) -> None:
        secure = site.origin.startswith("https:")
        self.name: Final = f"__Host-{name}" if secure else name
        self._attributes = f"Path=/; HttpOnly; SameSite={same_site}" + ("; Secure" if secure else "")

    def value(self, cookies: str) -> str | None:
        """Return the id that Cookie headers give; None: they give none, or two.

        Args:
            cookies: the headers, joined with "; ".
        """
        # strip() alone also takes bytes away that browsers keep: they are of another cookie, of no prefix.
        pairs = [part.strip(" \t").partition("=") for part in cookies.split(";")]
        values = [value for name, _, value in pairs if name == self.name]
        return values[0] if len(values) == 1 and _ID.fullmatch(values[0]) else None

    def set(self, value: str) -> tuple[str, str]:
        """Return the header that gives the browser an id, until it is closed."""
        return "Set-Cookie", f"{self.name}={value}; {self._attributes}"

    def clear(self) -> tuple[str, str]:
        """Return the header that takes it from the browser."""
        return "Set-Cookie", f"{self.name}=; Max-Age=0; {self._attributes}"


def new_id() -> str:
    """Return an id that nobody can guess."""
    return secrets.token_urlsafe(32)


def shown(login: Login) -> dict[str, object]:
    """Return what the page is told of a login. It has to show the notice, if there is one."""
    notice = login.notice
    return {
        "holder_name": login.holder_name,
        "organisation_oid": login.organisation_oid,
        "tax_id": login.tax_id,
        "rank": login.rank,
        "origin": login.binding.name.lower(),
        "at": login.at.isoformat(),
        "notice": notice and {tag: notice(language) for tag, language in LANGUAGE_TAGS.items()},
    }


def shown_key(key: RegisteredKey) -> dict[str, str | None]:
    """Return what the page is told of a registered key. Its possession is proved if `proved` is a time."""
    return {
        "holder_name": key.holder_name,
        "rank": key.rank,
        "sha256": key.fingerprint,
        "valid_until": key.valid_until.isoformat(),
        "registered": key.registered.isoformat(),
        "proved": key.proved.isoformat() if key.proved else None,
    }


def refusal(error: LoginRefused) -> Response:
    """Return the answer to a request that is refused (RFC 9457): the code, and words for the person."""
    status = _STATUSES.get(type(error), HTTPStatus.FORBIDDEN)
    tell_operator(error)
    problem = {"title": status.phrase, "status": status.value, "code": error.code, **error.words()}
    return answer(status, problem, media_type="application/problem+json")


@cache
def script() -> Response:
    """Return the script for pages: what it exports is in static/xca-login.d.ts."""
    body = Path(__file__).with_name("static").joinpath(SCRIPT).read_bytes()
    headers = (
        ("Content-Type", "text/javascript; charset=utf-8"),
        ("Cache-Control", "no-cache"),
        ("X-Content-Type-Options", "nosniff"),
    )
    return Response(HTTPStatus.OK, headers, body)


def answer(
    status: HTTPStatus,
    document: Mapping[str, object] | None,
    headers: Sequence[tuple[str, str]] = (),
    media_type: str = "application/json",
) -> Response:
    """Return an answer that nobody keeps.

    Args:
        status: of HTTP.
        document: its body, as JSON; None: it has none.
        headers: more headers.
        media_type: of the body.
    """
    body = b"" if document is None else json.dumps(document).encode("ascii")
    kind = () if document is None else (("Content-Type", media_type),)
    fixed = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))
    return Response(status, (*kind, *fixed, *headers), body)


def tell_operator(error: LoginRefused) -> None:
    """Log a refusal: as a warning, with what to do, where the site itself may be the reason."""
    if not error.hint:
        _LOG.info("login refused (%s): %s", error.code, error)
        return
    hint = error.hint.format(**error.facts())
    if error.__cause__ is not None:  # a database's words: what was to be stored is below the first line
        reason, *_ = str(error.__cause__).splitlines() or [""]
        hint += f" {harmless(reason, longest=_MOST_SAID)}"
    _LOG.warning("login refused (%s): %s For the operator: %s", error.code, error, hint)


@contextmanager
def _settings() -> Iterator[None]:
    """Log what is wrong with the site's own settings; the browser is not told what that is."""
    try:
        yield
    except Misconfigured as error:
        _LOG.error("nobody can log in: %s", error)
        raise SiteMisconfigured from error


def _document(request: Request) -> Mapping[str, object]:
    """Return the JSON object that a body is.

    Raises:
        RequestMalformed: it is none.
    """
    if request.content_type.partition(";")[0].strip(" \t").lower() != "application/json":
        raise RequestMalformed
    try:
        document = json.loads(request.body)
    except (ValueError, RecursionError):
        raise RequestMalformed from None
    if not isinstance(document, dict):
        raise RequestMalformed
    return document


def _decoded(document: Mapping[str, object], *names: str) -> list[bytes]:
    """Return members that are in base64.

    Raises:
        RequestMalformed: one is missing, or is something else.
    """
    found = []
    for name in names:
        value = document.get(name)
        if not isinstance(value, str):
            raise RequestMalformed
        try:
            found.append(base64.b64decode(value, validate=True))
        except ValueError:
            raise RequestMalformed from None
    return found


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("ascii")).hexdigest()
