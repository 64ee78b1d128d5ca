# SPDX-License-Identifier: Apache-2.0
"""One case of the kit: a login that a right verifier lets in, or refuses for one reason."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from cryptography import x509

from xca_common.statement import Statement, StatementKind
from xca_login.challenges import LIFETIME, Challenge, now
from xca_login.testing.issuer import LIST, Answers, addresses, revocation_list
from xca_login.testing.parties import Party, holder, party

OK: Final = "ok"
"""The answer to a login that is let in."""
ORIGIN: Final = "https://bids.example.gov.tw"
"""The origin of the site that the cases are for."""


SESSION: Final = "a session"
"""The session that the challenges are made for."""


@dataclass(frozen=True)
class Case:
    """A login, and what a right verifier answers.

    Attributes:
        name: names it; it does not change.
        words: what it is.
        answer: OK, or the code of the error with which xca_login refuses it (errors.LoginRefused.code).
        token: what comes back from the holder's program.
        challenge: what the site had asked to be signed.
        asked_in: the session that the site made the challenge for.
        posted_in: the session that the token is posted in.
        at: when.
        trusted: the certificates that the site trusts, in DER: issuing CAs and roots above them.
        answers: what the issuer's addresses answer meanwhile.
        before: logins that the same verifier has to be given before, in their order.
    """

    name: str
    words: str
    answer: str
    token: bytes = field(repr=False)
    challenge: Challenge = field(repr=False)
    asked_in: str
    posted_in: str
    at: datetime
    trusted: tuple[bytes, ...] = field(repr=False)
    answers: Answers = field(repr=False)
    before: "tuple[Case, ...]" = field(repr=False)

    def fetch(self, address: str, request: bytes = b"") -> bytes | None:
        """Return what an issuer's address answers; None: nothing. For verifiers whose fetching is replaced.

        Args:
            address: the URL of a CRL or of the OCSP responder.
            request: the OCSP request in DER.
        """
        return self.answers.get(urlsplit(address).path, request)


@dataclass(frozen=True)
class Attempt:
    """What a recipe makes of a challenge; what is None is as in a right login.

    Attributes:
        token: the token.
        challenge: the challenge, if it is another.
        posted_in: the session that the token is posted in.
        at: when.
        trusted: whom the site trusts.
        answers: what the issuer's addresses answer.
        before: attempts before it, each with its answer.
    """

    token: bytes = field(repr=False)
    challenge: Challenge | None = None
    posted_in: str | None = None
    at: datetime | None = None
    trusted: tuple[Party, ...] | None = None
    answers: Answers | None = None
    before: "tuple[tuple[str, Attempt], ...]" = ()


class Setting:
    """A CA and its card, and the site that the card logs in at.

    Attributes:
        url: of the issuer's addresses.
        root: the root.
        ca: the issuing CA.
        card: a card's certificate for signatures.
        answers: what the issuer's addresses answer: a CRL without entries.
    """

    def __init__(self, url: str) -> None:
        """Make them.

        Args:
            url: of the issuer's addresses (issuer.serving).
        """
        self.url: Final = url
        self.root = party("root", ca=True)
        self.ca = party("ca", self.root, ca=True)
        self.card = self.holder()
        self.answers = Answers({LIST: revocation_list(self.ca, 1)})

    def holder(
        self,
        issuer: Party | None = None,
        *,
        more: Sequence[tuple[x509.ExtensionType, bool]] = (),
        **options: Any,
    ) -> Party:
        """Return another card, whose certificate names the address of a CRL.

        Args:
            issuer: the issuing CA, if it is another.
            more: further extensions, each with whether it is critical.
            options: the others of parties.holder().
        """
        return holder(issuer or self.ca, more=[*addresses(self.url, LIST), *more], **options)

    def challenge(self, *, at: datetime | None = None, origin: str = ORIGIN, nonce: str = "") -> Challenge:
        """Return a new challenge.

        Args:
            at: when it is made; None: now.
            origin: the site's.
            nonce: 64 hexadecimal digits; empty: a new one.
        """
        made = at or now().replace(microsecond=0)
        nonce = nonce or secrets.token_hex(32)
        return Challenge(
            Statement(StatementKind.LOGIN, origin, made, nonce, ()).encode(), nonce, made + LIFETIME
        )

    def case(self, name: str, recipe: "Recipe") -> Case:
        """Return the case that a recipe makes."""
        asked = self.challenge()
        made = recipe.make(self, asked)
        attempt = Attempt(made) if isinstance(made, bytes) else made
        return self._case(name, recipe.words, recipe.answer, attempt, asked)

    def _case(self, name: str, words: str, answer: str, attempt: Attempt, asked: Challenge) -> Case:
        challenge = attempt.challenge or asked
        return Case(
            name,
            words,
            answer,
            attempt.token,
            challenge,
            SESSION,
            attempt.posted_in or SESSION,
            attempt.at or now(),
            tuple(one.der for one in attempt.trusted or (self.root, self.ca)),
            attempt.answers or self.answers,
            tuple(self._case(name, words, before, one, asked) for before, one in attempt.before),
        )


class Recipe(NamedTuple):
    """How a case is made.

    Attributes:
        words: what it is.
        answer: what a right verifier answers (Case.answer).
        make: makes the token alone, or an attempt, of the challenge.
    """

    words: str
    answer: str
    make: Callable[[Setting, Challenge], bytes | Attempt]
