# SPDX-License-Identifier: Apache-2.0
"""What web sites ask by name, from trust over consent to the answer."""

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

from xca_common.errors import SecretMissing, XcaError
from xca_common.harmless_text import harmless
from xca_common.secret import Secret
from xca_common.web.one_time_tokens import Tokens
from xca_plugin import card_text, errors
from xca_plugin.agent.component import information
from xca_plugin.agent.component.decrypting import Decrypting
from xca_plugin.agent.component.enrolment import Request, Writing
from xca_plugin.agent.component.operation import Task
from xca_plugin.agent.component.pin_change import PinChange
from xca_plugin.agent.component.request_body import decode
from xca_plugin.agent.component.result_codes import Code, Refusal, failure, plain, success
from xca_plugin.agent.component.signing import Signing
from xca_plugin.agent.component.trust import Trust
from xca_plugin.agent.pages.pin_actions import ACTIVATE, RESET_PIN
from xca_plugin.agent.pages.pin_pattern import pin_of
from xca_plugin.agent.process.card_worker import Desk
from xca_plugin.agent.process.settings import PagePin, Settings
from xca_plugin.cards import REAL_CARD_WARNING, Cards, check_pin_usable
from xca_plugin.i18n import _, text
from xca_plugin.last_try import allowed
from xca_plugin.model import Card

_CHALLENGE_BYTES: Final = 8
_NEW_PIN_FIELD: Final = "newpin"
_WITH_CERTIFICATES: Final = {"CheckEnvir": False, "GetUserCert": True}
_TASKS: Final[Mapping[str, type[Task]]] = {
    "MakeSignature": Signing,
    "DecryptData": Decrypting,
    "changeUserPINCode": PinChange,
    "makeCsr": Request,
    "writecert": Writing,
}
# What the card-management centre does for pages, and our page for the same: a centre would come in here.
_CENTRE: Final = {
    "umakeSig": "/",
    "bulidResetUserPINRequest": RESET_PIN.path,
    "resetUserPIN": RESET_PIN.path,
    "bulidUnblockCardRequest": RESET_PIN.path,
    "unblockCard": RESET_PIN.path,
    "buildOpenCardGetUserPINRequest": ACTIVATE.path,
    "buildOpenCardValidateUserRequest": ACTIVATE.path,
    "openCard": ACTIVATE.path,
}
ANSWERS: Final = {
    "CheckEnvir": information.FUNC,
    "GetUserCert": information.FUNC,
    "MakeSignature": "sign",
    "DecryptData": "decrypt",
    "makeCsr": "csr",
    "writecert": "writeCert",
}
"""Names of answers, by the names of requests, where they are not the same."""
_NOT_ENCRYPTED: Final = text(
    "The site is not encrypted: others on the network may read along, or pose as it."
)


@dataclass(frozen=True)
class Agreement:
    """What a person said to a Consent.

    Attributes:
        ticket: of the Consent, good for the same request once.
        number: card number of the Consent.
        pin: typed into our window; None: it was not asked for.
        new_pin: likewise.
        for_a_while: the site may go on without asking.
        last_try: the last try may be spent.
    """

    ticket: str
    number: str
    pin: str | None = field(repr=False)
    new_pin: str | None = field(repr=False)
    for_a_while: bool
    last_try: bool


@dataclass(frozen=True)
class Consent:
    """A question to the person.

    Attributes:
        shown: what the window shows, as JSON.
        refusal: the answer if the person refuses.
    """

    shown: Mapping[str, Any]
    refusal: Mapping[str, Any]


class Component:
    """Answers requests of web sites.

    Args:
        desk: where the cards are.
        settings: the agent's.
        trust: which sites may ask.
    """

    def __init__(self, desk: Desk, settings: Settings, trust: Trust) -> None:
        self._desk, self._settings, self._trust = desk, settings, trust
        self._tickets = Tokens()
        self._looks: dict[bool, asyncio.Future[Mapping[str, Any]]] = {}

    async def answer(
        self, site: str, body: str, func: str | None = None, agreement: Agreement | None = None
    ) -> Mapping[str, Any] | Consent:
        """Return the answer to a request, or what the person has to be asked first.

        Args:
            site: true origin of who asks; empty when nobody knows.
            body: the request, in any of its encodings.
            func: name of the request; by default its own member.
            agreement: what the person said to the Consent for the same request.
        """
        try:
            fields = decode(body)
            func = func or fields.get("func", "")
            if not self._trust.trusts(site):
                raise Refusal(Code.NOT_TRUSTED)
            if func in _WITH_CERTIFICATES:
                return await self._look(_WITH_CERTIFICATES[func])
            if func == "getChallenge":
                return success(func, challenge=secrets.token_hex(_CHALLENGE_BYTES))
            if func in _TASKS:
                return await self._ask_card(site, func, body, fields, agreement)
            raise Refusal(Code.UNSUPPORTED, self._centre(func))
        except (Refusal, XcaError) as error:
            return failure(_answer_name(func or ""), error)

    async def _look(self, certificates: bool) -> Mapping[str, Any]:
        """Look at readers and cards; those who ask before a look has begun share it."""

        def look(cards: Cards) -> Mapping[str, Any]:
            self._looks.pop(certificates, None)  # it has begun
            return information.read(cards, certificates=certificates)

        awaited = self._looks.get(certificates)
        if awaited is None or awaited.done():
            awaited = self._looks[certificates] = asyncio.ensure_future(self._desk.ask(look))
        return await asyncio.shield(awaited)

    async def _ask_card(
        self, site: str, func: str, body: str, fields: Mapping[str, str], agreement: Agreement | None
    ) -> Mapping[str, Any] | Consent:
        task = _TASKS[func](fields)

        def secret(typed: str | None, name: str) -> Secret | None:
            if typed is None and self._settings.page_pin is PagePin.ACCEPT:
                typed = fields.get(name)
            return None if typed is None else Secret(typed)

        asked = _Asked(
            site,
            func,
            hashlib.sha256("\0".join((site, func, body)).encode("utf-8", "surrogatepass")).hexdigest(),
            task,
            secret(agreement.pin if agreement else None, task.pin_field),
            secret(agreement.new_pin if agreement else None, _NEW_PIN_FIELD),
        )
        if agreement and not self._tickets.spend(asked.purpose(agreement.number), agreement.ticket):
            agreement = None
        return await self._desk.ask(
            lambda cards: self._operate(cards, asked, agreement),
            [each for each in (asked.pin, asked.new_pin) if each],
        )

    def _operate(
        self, cards: Cards, asked: "_Asked", agreement: Agreement | None
    ) -> Mapping[str, Any] | Consent:
        task = asked.task
        card = task.card(cards)
        check_pin_usable(card)
        if agreement is None:
            unasked = task.may_go_unasked and asked.pin is not None and card.pin_tries != 1
            if not (unasked and self._trust.needs_no_consent(asked.site, card.number)):
                return self._consent(asked, card)
        elif agreement.number != card.number:
            raise errors.CardNotFound(number=agreement.number)
        elif card.pin_tries == 1 and not agreement.last_try:
            return self._consent(asked, card)
        if asked.pin is None:
            raise SecretMissing(option=task.pin_field, detail="")
        try:
            with allowed() if card.pin_tries == 1 else nullcontext():
                members = task.do(cards, card, asked.pin, asked.new_pin)
        except errors.LastTryNotConfirmed:
            # Another program left one try since the card was looked at. Nothing was tried.
            return self._consent(asked, cards.read(card))
        except errors.WrongPin:
            self._trust.ask_again(asked.site, card.number)
            raise
        if agreement and agreement.for_a_while and task.may_go_unasked:
            self._trust.allow(asked.site, card.number)
        return success(_answer_name(asked.func), **members)

    def _consent(self, asked: "_Asked", card: Card) -> Consent:
        refusal = failure(_answer_name(asked.func), Refusal(Code.CANCELLED))
        return Consent(self._question(asked, card), refusal)

    def _question(self, asked: "_Asked", card: Card) -> Mapping[str, Any]:
        task, form = asked.task, pin_of(card)
        warnings = [
            (_NOT_ENCRYPTED, asked.site.startswith("http:")),
            (REAL_CARD_WARNING, card.real),
        ]
        facts = [
            (_("Card"), f"{card.number}, {card_text.holder(card)}"),
            (_("PIN"), card_text.pin_tries(card)),
            *((shown.label(), shown.value) for shown in task.shown()),
        ]
        return {
            "ticket": self._tickets.issue(asked.purpose(card.number)),
            "number": card.number,
            "site": harmless(asked.site),
            "title": task.title(),
            "facts": [[label, harmless(value, lines=True)] for label, value in facts],
            "warnings": [warning() for warning, due in warnings if due],
            "pin": asked.pin is None,
            "pinPattern": form.pattern,
            "pinForm": form.otherwise.message(),
            "newPin": task.asks_new_pin and asked.new_pin is None,
            "forAWhile": task.may_go_unasked and asked.pin is not None,
            "lastTry": card.pin_tries == 1,
        }

    def _centre(self, func: str) -> str | None:
        if func not in _CENTRE:
            return None
        page = f"{self._settings.origins()[0]}{_CENTRE[func]}"
        return f"本元件不經卡管中心辦理，請改用您電腦上的網頁：{page}"


@dataclass(frozen=True)
class _Asked:
    """A task, who asks for it, and the secrets that are there for it."""

    site: str
    func: str
    digest: str
    task: Task
    pin: Secret | None
    new_pin: Secret | None

    def purpose(self, number: str) -> str:
        """Return what a ticket for this request with that card is good for."""
        return f"{self.digest} {number}"


def _answer_name(func: str) -> str:
    return plain(ANSWERS.get(func, func))
