# SPDX-License-Identifier: Apache-2.0
"""What takes bytes from browsers and from an issuer's addresses, for programs that make these bytes up.

Each target is called with bytes. It raises when they lead to anything but a login or an error of ours. No
program that makes bytes up can sign: so what is signed is judged twice, as it is, and as if every signature
in it were right.
"""

import asyncio
import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from html import unescape
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp
from types import ModuleType
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from asn1crypto import cms  # type: ignore[import-untyped]

from support.login_http import Answer, ask_asgi, issuer_of, posted
from support.login_site import SITE, Desk, Saying
from support.oidc import BACK, FORM, LEFT, SECRET, settings_file
from xca_common.pki import encrypted_data, ocsp_response, revocation_list, strict_certificate
from xca_common.pki.encrypted_data import EncryptedData, NotDecryptable, RecipientCertificate
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_common.pki.ocsp_response import OcspResponse, question
from xca_common.pki.revocation_list import RevocationList, is_signed
from xca_common.pki.standing import Unusable
from xca_common.statement import Statement
from xca_login import Login, MemoryStore, RegisteredKeys, Trust, Verifier, errors
from xca_login import verifier as verifying
from xca_login.challenges import Challenge
from xca_login.evidence import Evidence, MalformedEvidence
from xca_login.holder import Holder
from xca_login.http import MOST_BODY_BYTES, CardLogin, Request
from xca_login.later import verify_evidence
from xca_login.oidc import settings as oidc_settings
from xca_login.oidc.app import make_app
from xca_login.registered_keys import MemoryKeys
from xca_login.sessions import MemorySessions, Session
from xca_login.testing import CASES, Setting
from xca_login.testing.case import Attempt
from xca_login.testing.parties import NOW, Party, encryption, opened
from xca_login.testing.tokens import sign


class Finding(AssertionError):
    """Bytes led to what must not be."""


class Target:
    """Something that takes bytes.

    Attributes:
        seeds: bytes to begin with.
    """

    def __init__(self) -> None:
        self.seeds: list[bytes] = []

    def __call__(self, data: bytes) -> None:
        """Take bytes.

        Raises:
            Finding: they led to what must not be. So does any other exception.
        """
        raise NotImplementedError


@contextmanager
def _with(module: ModuleType | type, **names: object) -> Iterator[None]:
    """Have other things under some names of a module or a class."""
    before = {name: getattr(module, name) for name in names}
    for name, value in names.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


@contextmanager
def _as_if_signed() -> Iterator[None]:
    """Take every signature for right."""
    issued = _with(verifying._ReadCertificate, is_issued_by=lambda *_: True)
    made = _with(verifying, _check_signature=lambda *_: None)
    answered = _with(ocsp_response, has_signed=lambda *_: True)
    listed = _with(revocation_list, _has_signed=lambda *_: True)
    with issued, made, answered, listed:
        try:
            yield
        finally:
            for one in vars(verifying).values():  # it keeps nothing of what no CA issued
                if hasattr(one, "cache_clear"):
                    one.cache_clear()


def _twice(judge: Callable[[], object]) -> None:
    judge()
    with _as_if_signed():
        judge()


class _Kit(Target):
    """What the kit for tests has of a login: a CA, a card, a challenge, and wrong ones of each."""

    def __init__(self) -> None:
        super().__init__()
        self.setting = Setting("http://127.0.0.1:1")
        self.challenge = self.setting.challenge()
        self.at = NOW
        self.trust = Trust.of(
            strict_certificate.load(one.der) for one in (self.setting.root, self.setting.ca)
        )
        made = [recipe.make(self.setting, self.challenge) for recipe in CASES.values()]
        self.attempts = [one if isinstance(one, Attempt) else Attempt(one) for one in made]

    def verifier(self) -> Verifier:
        site_of_the_kit = type(SITE)("https://bids.example.gov.tw", "")
        return Verifier(site_of_the_kit, self.trust, Saying(), clock=lambda: self.at)

    def certificates(self) -> list[bytes]:
        found: dict[bytes, None] = {}
        for one in self.attempts:
            with suppress(ValueError, TypeError, KeyError):
                for certificate in cms.ContentInfo.load(one.token)["content"]["certificates"]:
                    found[certificate.dump()] = None
        return [*found]


class TokenTarget(_Kit):
    """Tokens (Verifier.verify)."""

    def __init__(self) -> None:
        super().__init__()
        self.seeds = [one.token for one in self.attempts]

    def __call__(self, data: bytes) -> None:
        def judge() -> None:
            with suppress(errors.LoginRefused):
                if not isinstance(self.verifier().verify(data, self.challenge), Login):
                    raise Finding

        _twice(judge)


class CertificateTarget(_Kit):
    """Certificates, as they are posted to register keys (Verifier.check)."""

    def __init__(self) -> None:
        super().__init__()
        card, ca = self.setting.card, self.setting.ca
        self.seeds = [*self.certificates(), encryption(card, ca).der, card.der]

    def __call__(self, data: bytes) -> None:
        def judge() -> None:
            for encrypts in (False, True):
                with suppress(errors.LoginRefused):
                    self.verifier().check(data, encrypts=encrypts)
            with suppress(Malformed):
                certificate = strict_certificate.load(data)
                with suppress(errors.LoginRefused):
                    Holder.of(certificate)
            with suppress(Malformed, TooMuchError, encrypted_data.NotForEncryption):
                RecipientCertificate.read_all(data)

        _twice(judge)


class ListTarget(_Kit):
    """CRLs (RevocationList)."""

    def __init__(self) -> None:
        super().__init__()
        answers = [one.answers for one in self.attempts if one.answers]
        self.seeds = [*{der for one in answers for der in one.lists.values()}]

    def __call__(self, data: bytes) -> None:
        def judge() -> None:
            ca, card = self.setting.ca.certificate, self.setting.card.certificate
            if not isinstance(is_signed(data, ca), bool):
                raise Finding
            with suppress(Malformed, TooMuchError, Unusable):
                found = RevocationList(data)
                found.statement(card, ca, self.at)

        _twice(judge)


class ResponseTarget(_Kit):
    """OCSP responses (OcspResponse)."""

    def __init__(self) -> None:
        super().__init__()
        asked = question(self.setting.card.certificate, self.setting.ca.certificate, nonce=bytes(32))
        responders = [one.answers.responder for one in self.attempts if one.answers]
        self.seeds = [responder(asked) for responder in responders if responder]

    def __call__(self, data: bytes) -> None:
        def judge() -> None:
            with suppress(Malformed, Unusable):
                OcspResponse(data).statement(
                    self.setting.card.certificate, self.setting.ca.certificate, self.at
                )

        _twice(judge)


class EvidenceTarget(_Kit):
    """Evidence of logins (Evidence.load, verify_evidence)."""

    def __init__(self) -> None:
        super().__init__()
        for one in self.attempts:
            lists = tuple(one.answers.lists.values()) if one.answers else ()
            issuers = (self.setting.ca.der, self.setting.root.der)
            evidence = Evidence(self.at, self.challenge.text, one.token, issuers, lists, ())
            self.seeds.append(evidence.dump())

    def __call__(self, data: bytes) -> None:
        try:
            found = Evidence.load(data)
        except MalformedEvidence:
            return

        def judge() -> None:
            with suppress(errors.LoginRefused):
                verify_evidence(found, self.trust)
            with suppress(errors.LoginRefused, errors.BadTrust, Malformed):
                verify_evidence(found, Trust.of(map(strict_certificate.load, found.issuers)))

        _twice(judge)


class EnvelopeTarget(Target):
    """Envelopes, as a card opens them to prove that it can (EncryptedData)."""

    def __init__(self) -> None:
        super().__init__()
        desk = Desk()
        self.cert2 = encryption(desk.school, desk.ca)
        keys = RegisteredKeys(SITE, desk.verifier(), MemoryKeys(), clock=desk.clock)
        account = desk.verifier().check(desk.school.der).account
        keys.register(account, desk.school.der, self.cert2.der)
        self.seeds = [keys.begin_proof(account).content]
        for cbc in (False, True):
            output = BytesIO()
            recipients = [
                RecipientCertificate.read(one.der) for one in (self.cert2, encryption(desk.ca, desk.ca))
            ]
            encrypted_data.encrypt(BytesIO(b"content" * 1000), output, recipients, cbc=cbc)
            self.seeds.append(output.getvalue())

    def __call__(self, data: bytes) -> None:
        with suppress(Malformed, TooMuchError, EOFError, NotDecryptable):
            found = EncryptedData(BytesIO(data))
            recipient = found.recipient(self.cert2.der)
            if recipient is not None and recipient.transport is not None:
                found.open(recipient, self.cert2.key, BytesIO())


class _LastingStore(MemoryStore):
    """Challenges that can be taken again and again, or else one input would use them up for all others."""

    def take(self, session: str, nonce: str) -> Challenge | None:
        return self._open.get((session, nonce))


class _LastingSessions(MemorySessions):
    """Whoever has a cookie is logged in."""

    session: Session | None = None

    def add(self, key: str, session: Session) -> None:
        self.session = session

    def get(self, key: str) -> Session | None:
        return self.session

    def remove(self, key: str) -> None:
        pass


class PostTarget(Target):
    """Posts to a login. The bytes are lines: method, path, origins, kind, cookies; then a body."""

    def __init__(self) -> None:
        super().__init__()
        desk = Desk()
        keys = RegisteredKeys(SITE, desk.verifier(), MemoryKeys(), _LastingStore(10_000), clock=desk.clock)
        stores = _LastingStore(10_000), _LastingSessions()
        self.card_login = CardLogin(SITE, desk.verifier(), *stores, keys=keys, clock=desk.clock)
        begun = self._post("begin", "", b"")
        browser = dict(begun.headers)["Set-Cookie"].partition(";")[0]
        token = sign(desk.school, json.loads(begun.body)["statement"].encode())
        done = self._post("finish", browser, posted(token))
        cookies = f"{browser}; {dict(done.headers)['Set-Cookie'].partition(';')[0]}"
        certificates = {"signing": desk.school, "encryption": encryption(desk.school, desk.ca)}
        both = {name: base64.b64encode(one.der).decode() for name, one in certificates.items()}
        self._post("register", cookies, json.dumps(both).encode())
        envelope = json.loads(self._post("prove", cookies, b"").body)["envelope"]
        held = opened(certificates["encryption"], base64.b64decode(envelope))
        self._post("proved", cookies, json.dumps({"nonce": Statement.parse(held).nonce}).encode())
        self._post("logout", cookies, b"")

    def _post(self, action: str, cookies: str, body: bytes) -> Any:
        head = "\n".join(("POST", f"/login/{action}", SITE.origin, "application/json", cookies))
        self.seeds.append(head.encode("latin-1") + b"\n\n" + body)
        return self.card_login.answer(self._request(self.seeds[-1]))

    def _request(self, data: bytes) -> Request:
        head, _, body = data.partition(b"\n\n")
        method, path, origins, kind, cookies, *_ = [*head.decode("latin-1").split("\n"), *[""] * 5]
        return Request(method, path, origins.split(" "), kind, cookies, body[: MOST_BODY_BYTES + 1])

    def __call__(self, data: bytes) -> None:
        request = self._request(data)
        answer = self.card_login.answer(request)
        if answer.status == 500:
            raise Finding
        self.card_login.session(request.cookies)
        with suppress(errors.LoginRefused):
            self.card_login.end(request.cookies)


class ProviderTarget(Target):
    """Requests to the OpenID Connect provider, written as in HTTP/1.1: a first line, headers, a body."""

    origin: Final = "http://127.0.0.1"

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        folder, desk = Path(mkdtemp()), Desk()
        self._cookies: dict[str, str] = {}
        with issuer_of(desk, folder) as card:
            self._app = make_app(oidc_settings.read(settings_file(folder, self.origin)), desk.clock)
            self._make_seeds(card)

    def __call__(self, data: bytes) -> None:
        answer = self._ask(data)
        if answer is not None and answer.status == 500:
            raise Finding(answer.body.decode("utf-8", "replace"))

    def _ask(self, data: bytes) -> Answer | None:
        head, _, body = data.partition(b"\n\n")
        first, *rest = head.decode("latin-1").split("\n")
        method, _, path = first.partition(" ")
        headers = {name.strip(): value.strip() for name, _, value in (one.partition(":") for one in rest)}
        return self._loop.run_until_complete(ask_asgi(self._app, method, path, body, headers))

    def _send(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        given = {"Cookie": cookies, **{name.replace("_", "-"): value for name, value in headers.items()}}
        lines = [f"{method} {path}", *(f"{name}: {value}" for name, value in given.items())]
        self.seeds.append("\n".join(lines).encode("latin-1") + b"\n\n" + body)
        answer = self._ask(self.seeds[-1])
        assert answer is not None
        for name, value in answer.headers:
            if name == "set-cookie":
                cookie, _, kept = value.partition(";")[0].partition("=")
                self._cookies[cookie] = kept
        return answer

    def _make_seeds(self, card: Party) -> None:
        own = {"Origin": self.origin}
        fields = {"response_type": "code", "client_id": "bids", "redirect_uri": BACK, "state": "a state"}
        fields |= {"scope": "openid profile organisation", "nonce": "a nonce", "max_age": "3600"}
        query = f"/authorize?{urlencode(fields)}"
        self._send("POST", "/authorize", urlencode(fields).encode(), **FORM)
        page = self._send("GET", query)
        begun = self._send("POST", "/login/begin", b"", **own)
        token = posted(sign(card, begun.json["statement"].encode()))
        self._send("POST", "/login/finish", token, Content_Type="application/json", **own)
        found = re.search(r'data-next="([^"]+)"', page.body.decode())
        assert found is not None
        consent = self._send("GET", unescape(found[1]))
        code = self._code(consent)
        basic = base64.b64encode(f"bids:{SECRET}".encode()).decode()
        with_secret = {**FORM, "Authorization": f"Basic {basic}"}
        exchanged = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}
        tokens = self._send("POST", "/token", urlencode(exchanged).encode(), **with_secret).json
        refreshed = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        self._send("POST", "/token", urlencode(refreshed).encode(), **with_secret)
        in_form = {**refreshed, "client_id": "bids", "client_secret": SECRET}
        self._send("POST", "/token", urlencode(in_form).encode(), **FORM)
        self._send("GET", "/userinfo", Authorization=f"Bearer {tokens['access_token']}")
        for hint in (tokens["id_token"], *_odd_tokens(tokens["id_token"])):
            self._send("GET", f"{query}&{urlencode({'id_token_hint': hint, 'prompt': 'none'})}")
            leaving = {"id_token_hint": hint, "post_logout_redirect_uri": LEFT, "state": "b"}
            self._send("GET", f"/end-session?{urlencode(leaving)}")
        for path in ("/jwks", "/.well-known/openid-configuration", "/login/xca-login.js", "/elsewhere"):
            self._send("GET", path)

    def _code(self, page: Answer) -> str:
        pending = re.search(r'name="request" value="([^"]+)"', page.body.decode())
        assert pending is not None
        answer = page
        for said in ("refuse", "allow"):
            fields = {"request": unescape(pending[1]), "answer": said}
            answer = self._send(
                "POST", "/authorize/consent", urlencode(fields).encode(), Origin=self.origin, **FORM
            )
        return dict(parse_qsl(urlsplit(answer.header("Location") or "").query))["code"]


def _odd_tokens(token: str) -> list[str]:
    """Return tokens whose heads ask for much work: keys from a password, and compressed contents."""
    heads = [
        {"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 1 << 40, "p2s": "AAAA", "zip": "DEF"},
        {"alg": "none"},
        {"alg": "RS256", "b64": False, "crit": ["b64"]},
        {"alg": "HS256", "jku": "http://127.0.0.1/", "jwk": {"kty": "oct", "k": "AAAA"}},
    ]
    made = [base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in heads]
    _, content, signature = token.split(".")
    return [f"{head}.{content}.{signature}" for head in made] + [f"{made[0]}.AAAA.AAAA.AAAA.AAAA"]


TARGETS: Mapping[str, Callable[[], Target]] = {
    "token": TokenTarget,
    "certificate": CertificateTarget,
    "post": PostTarget,
    "envelope": EnvelopeTarget,
    "evidence": EvidenceTarget,
    "list": ListTarget,
    "response": ResponseTarget,
    "provider": ProviderTarget,
}
"""How each target is made, by its name."""
