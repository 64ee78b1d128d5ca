# SPDX-License-Identifier: Apache-2.0
"""The pages of the demonstration: one to log in; one that shows what was checked, and registers the key."""

import base64
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from xca_common.i18n import CHINESE, ENGLISH, LANGUAGES, Text, language_named
from xca_common.pki import profile, strict_certificate
from xca_common.pki.revocation_list import RevocationList
from xca_common.taipei import moment
from xca_login.errors import EncryptionRefused
from xca_login.evidence import EvidenceFolder
from xca_login.evidence import read as read_evidence
from xca_login.http import CardLogin
from xca_login.i18n import text
from xca_login.integrations.wsgi import WsgiLogin, WsgiSessions, session_of
from xca_login.later import verify_evidence
from xca_login.login import Account, Binding, Login
from xca_login.policy import Policy
from xca_login.registered_keys import MemoryKeys, RegisteredKey, RegisteredKeys
from xca_login.revocation import GivenRevocation
from xca_login.site import Site
from xca_login.token import Token
from xca_login.trust import TrustFolder, policies_of
from xca_login.verifier import Verifier

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

_POLICY: Final = Policy(frozenset({profile.TEST_POLICY}), binding=Binding.VERIFIED)
_STATIC: Final = {
    "/demo.css": ("demo.css", "text/css; charset=utf-8"),
    "/demo.js": ("demo.js", "text/javascript; charset=utf-8"),
}
_POLICY_OF_CONTENT: Final = (
    "default-src 'self'; connect-src 'self' http://localhost:*; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS: Final = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", _POLICY_OF_CONTENT),
    ("Cross-Origin-Opener-Policy", "same-origin-allow-popups"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)
_TAGS: Final = {CHINESE: "zh-TW", ENGLISH: "en"}
_NAMES: Final = {CHINESE: "中文", ENGLISH: "English"}
_GUIDE: Final = "docs/login.md"

_RANKS: Final = {"primary": text("primary card"), "secondary": text("secondary card")}
_KEY: Final = text("The key for encryption")
_WORDS: Final = '<p><output data-xca-login-words role="status"></output></p>'

_Row = tuple[Text, Text | str]


class DemoSite:
    """The site, a WSGI program (PEP 3333).

    Args:
        origin: its own.
        component: address of the local component.
        trust: the test CA.
        lists: the test CA's CRLs, in DER.
        evidence: folder for the evidence of logins; the one with the CAs stands beside it.
        pin: the test card's PIN, which the page tells: nobody else knows it.
    """

    def __init__(
        self,
        origin: str,
        component: str,
        trust: TrustFolder,
        lists: Iterable[bytes],
        evidence: Path,
        pin: str,
    ) -> None:
        self._host = urlsplit(origin).netloc
        self._component = component
        self._trust = trust
        self._evidence = evidence
        self._pin = pin
        self._logins: dict[Account, tuple[Login, Path]] = {}
        site = Site(origin, "demo")
        verifier = Verifier(site, trust, GivenRevocation(lists, ()), _POLICY)
        self._keys = RegisteredKeys(site, verifier, MemoryKeys())
        card_login = CardLogin(site, verifier, on_login=self._keep, keys=self._keys)
        self._login = WsgiLogin(card_login)
        self._pages = WsgiSessions(self._page, card_login)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request."""
        path = environ.get("PATH_INFO", "")
        if environ.get("HTTP_HOST") != self._host:
            return _answer(start_response, "421 Misdirected Request", "text/plain", b"")
        if path.startswith("/login/"):
            return self._login(environ, start_response)
        if path in _STATIC:
            name, kind = _STATIC[path]
            return _answer(start_response, "200 OK", kind, _file(name))
        if path != "/":
            return _answer(start_response, "404 Not Found", "text/plain", b"")
        return self._pages(environ, start_response)

    def _keep(self, login: Login) -> None:
        self._logins[login.account] = (login, EvidenceFolder(self._evidence).keep(login.evidence))

    def _page(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        language = _language(environ)
        session = session_of(environ)
        kept = self._logins.get(session.account) if session is not None else None
        body = self._first() if kept is None else self._result(*kept)
        other = next(one for one in LANGUAGES if one != language)
        page = _file("page.html").decode("utf-8")
        parts = {
            "language": _TAGS[language],
            "other": f'<a href="/?lang={other}" lang="{_TAGS[other]}">{_NAMES[other]}</a>',
            "title": escape(text("A login with the card, to try")(language)),
            "body": body(language),
        }
        html = re.sub(r"\{(\w+)\}", lambda found: parts[found[1]], page)
        return _answer(start_response, "200 OK", "text/html; charset=utf-8", html.encode("utf-8"))

    def _first(self) -> Callable[[str], str]:
        steps = (
            text("Press the button. The window of the local component opens."),
            text("It tells what the site asks for. Enter the PIN of the test card there: {pin}").format(
                pin=self._pin
            ),
            text("This page then shows what the site checked, and what it keeps as evidence."),
            text("There you register the card's key, to which the site encrypts without the card."),
        )
        about = text(
            "This site, the local component and the test card run on this computer alone, until you end the "
            "command. The card is one of the stand-in; its test CA vouches for nobody."
        )

        def shown(language: str) -> str:
            items = "".join(f"<li>{escape(step(language))}</li>" for step in steps)
            return (
                f"<p>{escape(about(language))}</p><ol>{items}</ol>"
                + self._button("login", text("Log in with the card"), language)
                + _WORDS
            )

        return shown

    def _result(self, login: Login, path: Path) -> Callable[[str], str]:
        tables: Sequence[tuple[Text, Sequence[_Row]]] = (
            (text("Who logged in"), _holder(login)),
            (text("What was checked"), _checks(login)),
            (text("What is kept as evidence"), self._kept(login, path)),
        )
        key = self._keys.of(login.account)
        next_step = text("How a site of your own does the same: {guide} of the project").format(guide=_GUIDE)

        def shown(language: str) -> str:
            parts = [_table(title(language), rows, language) for title, rows in tables]
            parts.append(self._unregistered(language) if key is None else self._registered(key, language))
            leave = escape(text("Log out")(language))
            parts.append(f"<p>{escape(next_step(language))}</p><p><button data-log-out>{leave}</button></p>")
            return "".join(parts)

        return shown

    def _unregistered(self, language: str) -> str:
        about = text(
            "A site keeps the card's certificate for encryption, so that it can encrypt to the holder later, "
            "without the card. The local component hands it over; no PIN is needed."
        )
        return (
            f"<h2>{escape(_KEY(language))}</h2><p>{escape(about(language))}</p>"
            + self._button("register", text("Register the key"), language)
            + _WORDS
        )

    def _registered(self, key: RegisteredKey, language: str) -> str:
        message = text("This was encrypted to {holder} without the card, and only the card opens it.")
        content, envelope = message.format(holder=key.holder_name)(language), BytesIO()
        try:
            self._keys.encrypt(BytesIO(content.encode("utf-8")), envelope, [key])
        except EncryptionRefused as error:
            said = f"{error.message(language)} {error.next_step(language)}"
            return f"<h2>{escape(_KEY(language))}</h2><p>{escape(said)}</p>"
        rows: list[_Row] = [
            (text("SHA-256 of the certificate"), key.fingerprint),
            (text("valid until"), moment(key.valid_until)),
            (text("registered"), moment(key.registered)),
            (
                text("seen to open what is encrypted to it"),
                moment(key.proved) if key.proved else text("not yet"),
            ),
            (
                text("a sentence, encrypted to it just now while the card was not asked"),
                text("AuthEnvelopedData with AES-256-GCM, {size} bytes").format(
                    size=len(envelope.getvalue())
                ),
            ),
        ]
        about = text("Each of the two asks for the card, and for its PIN: {pin}").format(pin=self._pin)
        encoded = base64.b64encode(envelope.getvalue()).decode("ascii")
        address, opens = escape(self._component), escape(text("Open the sentence with the card")(language))
        return (
            _table(_KEY(language), rows, language)
            + f"<p>{escape(about(language))}</p>"
            + self._button("prove", text("Prove that the card opens it"), language)
            + f'<p><button data-open="{encoded}" data-component="{address}">{opens}</button></p>'
            + _WORDS
        )

    def _button(self, act: str, label: Text, language: str) -> str:
        """Return a button that the script xca-login.js knows; the page is shown anew when it is done."""
        return (
            f'<p><button data-xca-{act}="/login" data-next="/?lang={language}"'
            f' data-component="{escape(self._component)}">{escape(label(language))}</button></p>'
        )

    def _kept(self, login: Login, path: Path) -> list[_Row]:
        again = verify_evidence(read_evidence(path), self._trust.current(), _POLICY)
        trusted = self._evidence.with_name("ca")
        command = f"xca-login verify-evidence --trust {trusted} --policy {profile.TEST_POLICY} {path}"
        return [
            (text("file"), str(path)),
            (
                text("what is in it"),
                text("challenge, token, certificates of the CAs, and the revocation list"),
            ),
            (
                text("verified again, from the file alone"),
                text("the same account") if again.account == login.account else text("another account"),
            ),
            (text("to do so yourself, while this command runs"), command),
        ]


def _holder(login: Login) -> list[_Row]:
    rows: list[tuple[Text, Text | str | None]] = [
        (text("holder"), login.holder_name),
        (text("subject of the certificate"), login.holder),
        (text("OID of the organisation"), login.organisation_oid),
        (text("tax id"), login.tax_id),
        (text("rank of the card"), _RANKS[login.rank]),
        (text("account: domain, organisation, SHA-256 of the key"), " / ".join(login.account)),
    ]
    return [(name, value) for name, value in rows if value is not None]


def _checks(login: Login) -> list[_Row]:
    evidence = login.evidence
    token = Token.read(evidence.token)
    certificate = token.certificate
    issuer, root = (strict_certificate.load(evidence.issuers[at]) for at in (0, -1))
    (listed,) = map(RevocationList, evidence.lists)
    key = certificate.public_key()
    bits = key.key_size if isinstance(key, RSAPublicKey) else 0
    return [
        (
            text("form of the token"),
            text("SignedData in DER with one signer, {size} bytes").format(size=len(token.der)),
        ),
        (text("what was signed: exactly the challenge"), token.content.decode("ascii")),
        (
            text("used once"),
            text("the challenge was this browser's, not older than 300 seconds, and is gone now"),
        ),
        (
            text("algorithms and key"),
            text("{digest}, RSA with {bits} bits").format(digest=token.digest.upper(), bits=bits),
        ),
        (
            text("issuer, found by its key among the CAs that the site trusts"),
            text("{ca}, below {root}").format(
                ca=issuer.subject.rfc4514_string(), root=root.subject.rfc4514_string()
            ),
        ),
        (
            text("validity of the certificate"),
            text("{start} to {end}").format(
                start=certificate.not_valid_before_utc.date(), end=certificate.not_valid_after_utc.date()
            ),
        ),
        (text("signature"), text("it fits the key in the certificate")),
        (
            text("what the certificate is for"),
            text("signatures, by the policy {policies}").format(
                policies=", ".join(sorted(policies_of(certificate)))
            ),
        ),
        (
            text("revocation"),
            text(
                "list number {number} of {at}, good until {until}, does not name the certificate {serial}"
            ).format(
                number=listed.number or 0,
                at=listed.at,
                until=listed.until or "-",
                serial=login.serial,
            ),
        ),
        (
            text("the page that asked"),
            text(
                "the local component compared its origin with the challenge's, and signed it: {origin}"
            ).format(origin=token.origin or "-"),
        ),
    ]


def _table(title: str, rows: Sequence[_Row], language: str) -> str:
    lines = "".join(
        f'<tr><th scope="row">{escape(name(language))}</th>'
        f"<td>{escape(value(language) if isinstance(value, Text) else value)}</td></tr>"
        for name, value in rows
    )
    return f"<h2>{escape(title)}</h2><table>{lines}</table>"


def _language(environ: "WSGIEnvironment") -> str:
    """Return the language that the address names, else the first of the browser's that the page has."""
    chosen = parse_qs(environ.get("QUERY_STRING", "")).get("lang", [""])[0]
    tags = environ.get("HTTP_ACCEPT_LANGUAGE", "").split(",")
    named = (language_named(tag.partition(";")[0]) for tag in (chosen, *tags))
    return next((one for one in named if one is not None), CHINESE)


@cache
def _file(name: str) -> bytes:
    return Path(__file__).with_name("static").joinpath(name).read_bytes()


def _answer(start_response: "StartResponse", status: str, kind: str, body: bytes) -> Iterable[bytes]:
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *_HEADERS])
    return [body]
