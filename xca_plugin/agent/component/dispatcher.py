# SPDX-License-Identifier: Apache-2.0
"""Answers requests of web sites: checks trust, asks for consent, and uses the card."""

import asyncio
import hashlib
import json
import secrets
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlencode

from xca_common.errors import XcaError
from xca_common.harmless_text import harmless
from xca_common.i18n import Text
from xca_common.secret import Secret, TypedAtReader
from xca_common.web.one_time_tokens import OneTimeTokens
from xca_plugin import card_text, code_ticket, errors
from xca_plugin.agent.component import information
from xca_plugin.agent.component.allowances import UnaskedUse
from xca_plugin.agent.component.blind_sites import BLIND_IS_ENFORCED, BlindSites
from xca_plugin.agent.component.decrypting import DecryptOperation
from xca_plugin.agent.component.enrolment import CertificateRequestOperation, WriteCertificateOperation
from xca_plugin.agent.component.operation import Operation
from xca_plugin.agent.component.pin_change import ChangePinOperation
from xca_plugin.agent.component.request_body import base64_field, decode_fields, named_function
from xca_plugin.agent.component.result_codes import Code, Refusal, failure, page_safe, success
from xca_plugin.agent.component.signing import SignOperation
from xca_plugin.agent.component.trusted_sites import TrustedSites
from xca_plugin.agent.pages.code_tickets import CodeTickets
from xca_plugin.agent.pages.pin_actions import ACTIVATE, RESET_PIN, RESET_USER_CODE, CardAction
from xca_plugin.agent.pages.pin_pattern import TYPE_AT_READER, pin_pattern
from xca_plugin.agent.pages.rendering import USER_CODE_RESET
from xca_plugin.agent.process.card_worker import CardWorker
from xca_plugin.agent.process.origin import is_exposed
from xca_plugin.agent.process.settings import PagePin, Settings
from xca_plugin.cards import REAL_CARD_WARNING, Cards, check_pin_usable
from xca_plugin.centre.settings import CentreSettings
from xca_plugin.errors import SecretMissing
from xca_plugin.history_note import asked_by
from xca_plugin.i18n import _, text
from xca_plugin.last_try import allowed
from xca_plugin.model import Card

_CHALLENGE_BYTES: Final = 8
_STRANGERS_MAX: Final = 64 << 10  # characters of a request of an untrusted site that are decoded
_NEW_PIN_FIELD: Final = "newpin"
_WITH_CERTIFICATES: Final = {"CheckEnvir": False, "GetUserCert": True}
_OPERATIONS: Final[Mapping[str, type[Operation]]] = {
    "MakeSignature": SignOperation,
    "DecryptData": DecryptOperation,
    "changeUserPINCode": ChangePinOperation,
    "makeCsr": CertificateRequestOperation,
    "writecert": WriteCertificateOperation,
}
# Functions of the vendor's component that need the card-management centre. The person does the same here.
_DONE_HERE: Final[Mapping[str, CardAction]] = {
    "bulidResetUserPINRequest": RESET_PIN,
    "resetUserPIN": RESET_PIN,
    "bulidUnblockCardRequest": RESET_PIN,
    "unblockCard": RESET_PIN,
    "buildOpenCardGetUserPINRequest": ACTIVATE,
    "buildOpenCardValidateUserRequest": ACTIVATE,
    "openCard": ACTIVATE,
    "resetUserCode": RESET_USER_CODE,  # the vendor's component has none
}
_OF_THE_CENTRE: Final = frozenset({*_DONE_HERE, "changeUserPINCode"})
"""What the centre's site alone asks for, where a centre is configured: what is done to the card's secrets."""
_WANTED: Final = {
    ACTIVATE: text(
        "This site wants your card to be activated (開卡). You do that on a page of this computer."
    ),
    RESET_PIN: text(
        "This site wants to unlock your card or reset its PIN (重設PIN碼). You do that on a page of this "
        "computer."
    ),
    RESET_USER_CODE: text(
        "This site has a ticket (授權票), with which your card takes a new user code. You choose the new "
        "code on a page of this computer."
    ),
}
_NO_TICKET: Final = "此網站提供的資料不是授權票"
_ANSWERED_IN_MSG: Final = {"exDynamicCreateFile", "exDynamicReleaseFile"}
"""Requests whose pages read the message in the member `msg` as well."""
ANSWER_NAMES: Final = {
    "CheckEnvir": information.ANSWER_NAME,
    "GetUserCert": information.ANSWER_NAME,
    "MakeSignature": "sign",
    "DecryptData": "decrypt",
    "makeCsr": "csr",
    "writecert": "writeCert",
}
"""The name of the answer by the name of the request, where the two differ."""
_NEEDS_POPUP: Final = "此網站須經由元件的視窗取得您的同意"
_BLIND_IS_OFF: Final = "此網站要求簽章或解密，但元件無法顯示其內容，須由您在元件的視窗中為此網站開啟"
_CENTRE_ALONE: Final = text(
    "Only the certificate centre, {centre}, may ask you for this. Nothing was done. If you want it, go to "
    "that site."
)
_CHANGED: Final = text("This has changed since you agreed. Nothing was done yet. Please read it again.")
_NOT_ENCRYPTED: Final = text(
    "The connection to this site is not encrypted. Others on the network can read it, or pretend to be the "
    "site."
)


@dataclass(frozen=True)
class Agreement:
    """What a person answered to a ConsentRequest.

    Attributes:
        ticket: the ticket of the ConsentRequest. It is valid once, for the same request and question.
        card_number: the card number of the ConsentRequest.
        pin: the PIN that was typed into the popup; None: the popup did not ask for it.
        new_pin: the new PIN, likewise.
        for_a_while: the site may go on without asking.
        last_try: the last try may be spent.
    """

    ticket: str
    card_number: str
    pin: str | None = field(repr=False)
    new_pin: str | None = field(repr=False)
    for_a_while: bool
    last_try: bool


@dataclass(frozen=True)
class CardChoice:
    """The card that a person chose of several, for a request that names none.

    Attributes:
        number: the card number.
        remember: use this card for the site until the agent ends or the site is no longer trusted.
    """

    number: str
    remember: bool


@dataclass(frozen=True)
class ConsentRequest:
    """A question that the person has to answer before a request is carried out.

    Attributes:
        question: what the popup shows and asks for, as JSON. With a member `cards` a card is chosen; with
            a member `blindness` blind requests are switched on for the site. With a member `told` the popup
            only says why the site is refused.
        refusal: the answer to the site if the person refuses.
        unasked: the answer to the site where there is no popup that could ask.
        done_by: the action with which the person carries the request out on a page of the agent. Then the
            question has a member `ownPage`.
        card_number: the card that such a request names.
    """

    question: Mapping[str, Any]
    refusal: Mapping[str, Any]
    unasked: Mapping[str, Any]
    done_by: CardAction | None = None
    card_number: str | None = None


class Dispatcher:
    """Answers the requests of web sites.

    Trust is checked when a request arrives, and again when the card is free for it. If the person has stopped
    trusting the site in between, nothing is carried out.

    Args:
        card_worker: runs everything that uses a card.
        settings: the agent's.
        trusted_sites: which sites may ask.
        blind_sites: which of them may make blind requests.
        code_tickets: takes the tickets that sites hand over.
    """

    def __init__(
        self,
        card_worker: CardWorker,
        settings: Settings,
        trusted_sites: TrustedSites,
        blind_sites: BlindSites,
        code_tickets: CodeTickets,
    ) -> None:
        self._card_worker, self._settings = card_worker, settings
        self._trusted_sites, self._blind_sites = trusted_sites, blind_sites
        self._code_tickets = code_tickets
        self._tickets = OneTimeTokens()
        self._waiting_queries: dict[bool, asyncio.Future[Mapping[str, Any]]] = {}

    async def answer(
        self,
        site: str,
        body: str,
        func: str | None = None,
        agreement: Agreement | None = None,
        choice: CardChoice | None = None,
        switch_on: str | None = None,
    ) -> Mapping[str, Any] | ConsentRequest:
        """Return the answer to a request, or what the person has to be asked first.

        Args:
            site: the origin of the page that asks, from the browser; empty: unknown.
            body: the request, in any of its encodings.
            func: the name of the request; None: its member `func` holds it.
            agreement: what the person answered to the ConsentRequest for the same request.
            choice: the card that the person chose for the same request.
            switch_on: the ticket of a ConsentRequest for the same request: the person switched blind requests
                on for the site.
        """
        try:
            if len(body) > _STRANGERS_MAX and not self._trusted_sites.trusts(site):
                func = func or named_function(body)
                fields: Mapping[str, str] = {}
            else:
                # Not in the loop: what a site sends can take seconds to decode.
                fields = await asyncio.to_thread(decode_fields, body)
                func = func or fields.get("func", "")
            if func in _WITH_CERTIFICATES and not self._trusted_sites.trusts(site):
                return information.versions_alone(Refusal(Code.NOT_TRUSTED))
            self._check_trust(site)
            if func in _WITH_CERTIFICATES:
                answer = await self._query_cards(_WITH_CERTIFICATES[func])
                self._check_trust(site)
                return answer
            if func == "getChallenge":
                return success(func, challenge=secrets.token_hex(_CHALLENGE_BYTES))
            if func in _OF_THE_CENTRE:
                await asyncio.to_thread(_check_is_centre, site)  # it reads files
            if func in _OPERATIONS:
                if choice and choice.remember:
                    self._trusted_sites.remember_card(site, choice.number)
                return await self._run_operation(site, func, body, fields, agreement, choice, switch_on)
            if func in _DONE_HERE:
                return self._own_page_request(site, func, fields)
            raise Refusal(Code.UNSUPPORTED, self._hint_at_own_page("/") if func == "umakeSig" else None)
        except _NotTheCentreError as error:
            return _told_request(site, func or "", error)
        except (Refusal, XcaError) as error:
            answer = failure(_answer_name(func or ""), error)
            return answer | {"msg": answer["message"]} if func in _ANSWERED_IN_MSG else answer

    def _check_trust(self, site: str) -> None:
        if not self._trusted_sites.trusts(site):
            raise Refusal(Code.NOT_TRUSTED)

    async def _query_cards(self, certificates: bool) -> Mapping[str, Any]:
        """Read readers and cards. All who ask before a query has begun share its result."""

        def query(cards: Cards) -> Mapping[str, Any]:
            self._waiting_queries.pop(certificates, None)  # it has begun
            return information.card_information(cards, certificates=certificates)

        waiting = self._waiting_queries.get(certificates)
        if waiting is None or waiting.done():
            waiting = asyncio.ensure_future(self._card_worker.run(query))
            self._waiting_queries[certificates] = waiting
        return await asyncio.shield(waiting)

    async def _run_operation(
        self,
        site: str,
        func: str,
        body: str,
        fields: Mapping[str, str],
        agreement: Agreement | None,
        choice: CardChoice | None,
        switch_on: str | None,
    ) -> Mapping[str, Any] | ConsentRequest:
        operation = await asyncio.to_thread(_OPERATIONS[func], fields, site)  # it reads what the site sent
        chosen = agreement.card_number if agreement else choice.number if choice else None
        sent = fields if self._settings.page_pin is PagePin.ACCEPT else {}

        def secret(typed: str | None, name: str) -> Secret | None:
            value = sent.get(name) if typed is None else typed
            return None if value is None else Secret(value)

        pending = _PendingOperation(
            site,
            func,
            hashlib.sha256("\0".join((site, func, body)).encode("utf-8", "surrogatepass")).hexdigest(),
            operation,
            fields,
            chosen,
            secret(agreement.pin if agreement else None, operation.pin_field),
            secret(agreement.new_pin if agreement else None, _NEW_PIN_FIELD),
            asks_pin=operation.pin_field not in sent,
            asks_new_pin=operation.needs_new_pin and _NEW_PIN_FIELD not in sent,
            switch_on=switch_on,
        )
        return await self._card_worker.run(
            lambda cards: self._perform_or_ask(cards, pending, agreement),
            [each for each in (pending.pin, pending.new_pin) if each],
        )

    def _perform_or_ask(
        self, cards: Cards, pending: "_PendingOperation", agreement: Agreement | None
    ) -> Mapping[str, Any] | ConsentRequest:
        """Carry an operation out, or return the question that has to be asked first. Runs in the worker."""
        self._check_trust(pending.site)
        try:
            operation = pending.operation
            card = operation.find_card(cards)
        except errors.SeveralCards as several:
            number = pending.chosen or self._trusted_sites.remembered_card(pending.site)
            if number is None or number not in several.numbers:
                return self._card_request(pending, cards, several)
            operation = _OPERATIONS[pending.func]({**pending.fields, "cardid": number}, pending.site)
            pending = replace(pending, operation=operation)
            card = operation.find_card(cards)
        if operation.blindness is not None and not self._blind_sites.allows(pending.site):
            if pending.switch_on is None or not self._tickets.spend(_blind(pending), pending.switch_on):
                return self._blind_request(pending, operation.blindness)
            self._blind_sites.switch_on(pending.site)
        check_pin_usable(card)
        was_agreed = agreement is not None
        if agreement and not self._is_agreed(pending, card, agreement):
            agreement = None
        if agreement is None:
            if not self._may_go_unasked(pending, card):
                return self._consent_request(pending, card, changed=was_agreed)
        elif card.pin_tries == 1 and not agreement.last_try:
            return self._consent_request(pending, card)
        if pending.is_typed_at(card):
            pending = replace(pending, pin=TypedAtReader(), new_pin=TypedAtReader())
        if pending.pin is None:
            raise SecretMissing(option=operation.pin_field, detail="")
        try:
            site = pending.site.partition("://")[2] or pending.site
            with asked_by(f"agent {site}"), allowed() if card.pin_tries == 1 else nullcontext():
                members = operation.perform(cards, card, pending.pin, pending.new_pin)
        except errors.LastTryNotConfirmed:
            # Another program used a try after the card was read, and one is left. This PIN was not tried.
            return self._consent_request(pending, cards.read(card), changed=was_agreed)
        except errors.WrongPin as wrong:
            # A site must not go on trying unasked.
            self._trusted_sites.allowances.end(pending.site, card.number)
            was_typed = agreement is not None and pending.asks_pin
            if not was_typed or wrong.tries_left is None or wrong.tries_left <= 1:
                raise
            return self._consent_request(pending, cards.read(card), wrong=wrong)
        if agreement is None:
            facts = [(fact.label, fact.value) for fact in operation.consent_facts()]
            self._trusted_sites.allowances.record(
                UnaskedUse(pending.site, card.number, operation.title, facts)
            )
        elif agreement.for_a_while and operation.allowance_covers:
            self._trusted_sites.allowances.allow(pending.site, card)
        return success(_answer_name(pending.func), **members)

    def _is_agreed(self, pending: "_PendingOperation", card: Card, agreement: Agreement) -> bool:
        """Spend an agreement's ticket; tell whether it was given to exactly what would be asked now."""
        purpose = _purpose(pending, self._question(pending, card))
        return agreement.card_number == card.number and self._tickets.spend(purpose, agreement.ticket)

    def _may_go_unasked(self, pending: "_PendingOperation", card: Card) -> bool:
        """Tell whether a request is carried out without a window: the one place that decides it."""
        operation = pending.operation
        is_covered = operation.allowance_covers and operation.blindness is None
        if not is_covered or pending.pin is None or card.pin_tries == 1:
            return False
        sites = self._trusted_sites
        return sites.allowed_by_administrator(pending.site) or sites.allowances.cover(
            pending.site, card.number
        )

    def _consent_request(
        self,
        pending: "_PendingOperation",
        card: Card,
        *,
        changed: bool = False,
        wrong: errors.WrongPin | None = None,
    ) -> ConsentRequest:
        """Return the question for consent.

        Args:
            pending: what the site asks for.
            card: the card.
            changed: the person agreed to something that is different now.
            wrong: the PIN that the person typed was wrong.
        """
        func = _answer_name(pending.func)
        unasked = failure(func, Refusal(Code.CANCELLED, _NEEDS_POPUP))
        refusal = failure(func, Refusal(Code.CANCELLED))
        question = self._question(pending, card)
        ticket = self._tickets.issue(_purpose(pending, question))
        # Other programs change the tries meanwhile: they are shown, and are no part of what is agreed to.
        shown = {"tries": card_text.pin_tries(card), "ticket": ticket}
        notice = {"notice": _CHANGED()} if changed else {}
        error = {"wrong": wrong.message()} if wrong else {}
        return ConsentRequest({**question, **shown, **notice, **error}, refusal, unasked)

    def _blind_request(self, pending: "_PendingOperation", blindness: Text) -> ConsentRequest:
        """Return the question whether to switch blind requests on for a site.

        It has no ticket if the administrator enforces the list: then the popup only says that they are off.
        """
        is_enforced = self._blind_sites.is_enforced
        message = BLIND_IS_ENFORCED if is_enforced else _BLIND_IS_OFF
        answer = failure(_answer_name(pending.func), Refusal(Code.CANCELLED, message))
        question = {
            "site": harmless(pending.site),
            "title": pending.operation.title(),
            "blindness": blindness(),
        }
        ticket = {} if is_enforced else {"ticket": self._tickets.issue(_blind(pending))}
        return ConsentRequest({**question, **ticket}, answer, answer)

    def _card_request(
        self, pending: "_PendingOperation", cards: Cards, several: errors.SeveralCards
    ) -> ConsentRequest:
        """Return the question which card a request is for."""
        func = _answer_name(pending.func)
        question = {
            "site": harmless(pending.site),
            "cards": [
                {
                    "number": card.number,
                    "label": harmless(f"{card.number}, {card_text.holder(card)}, {card.reader}"),
                }
                for card in cards.detect()
            ],
        }
        return ConsentRequest(question, failure(func, Refusal(Code.CANCELLED)), failure(func, several))

    def _question(self, pending: "_PendingOperation", card: Card) -> dict[str, Any]:
        """Return what the person is asked. An agreement counts for exactly this."""
        operation, pattern, is_typed_there = pending.operation, pin_pattern(card), pending.is_typed_at(card)
        warnings = [
            (_NOT_ENCRYPTED, is_exposed(pending.site)),
            (REAL_CARD_WARNING, card.real),
            (operation.blindness, operation.blindness is not None),
        ]
        facts = operation.consent_facts()
        return {
            "number": card.number,
            "site": harmless(pending.site),
            "title": operation.title(),
            "card": [[_("Card"), harmless(f"{card.number}, {card_text.holder(card)}")]],
            "holder": harmless(card.certificate.holder) if card.certificate else "",
            "facts": [[fact.label(), harmless(fact.value, lines=fact.lines)] for fact in facts],
            "warnings": [warning() for warning, applies in warnings if applies and warning],
            "keypad": TYPE_AT_READER() if is_typed_there else "",
            "pin": pending.asks_pin and not is_typed_there,
            "pinPattern": pattern.regex,
            "pinForm": pattern.mismatch.message(),
            "newPin": pending.asks_new_pin and not is_typed_there,
            "forAWhile": operation.allowance_covers and not pending.asks_pin,
            "lastTry": card.pin_tries == 1,
        }

    def _own_page_request(self, site: str, func: str, fields: Mapping[str, str]) -> ConsentRequest:
        """Return what the popup says about a request that the person carries out on a page of the agent."""
        action = _DONE_HERE[func]
        number = fields.get("cardid", "")
        query = {"card": number} if number.isalnum() else {}
        if action is RESET_USER_CODE:
            given = base64_field(fields, "ticket")
            try:
                number = code_ticket.read(given, "").card
            except errors.NotATicket:
                raise Refusal(Code.BAD_PARAMETER, _NO_TICKET) from None
            query = {"ticket": self._code_tickets.add(given)}
        address = f"{action.path}?{urlencode(query)}" if query else action.path
        question = {
            "site": harmless(site),
            "ownPage": address,
            "wanted": _WANTED[action](),
            "button": action.title(),
        }
        own_page = USER_CODE_RESET if action is RESET_USER_CODE else action.path
        unasked = Refusal(Code.UNSUPPORTED, self._hint_at_own_page(own_page))
        func = _answer_name(func)
        return ConsentRequest(
            question,
            failure(func, Refusal(Code.CANCELLED)),
            failure(func, unasked),
            done_by=action,
            card_number=number or None,
        )

    def _hint_at_own_page(self, path: str) -> str:
        return f"本元件不經卡管中心辦理，請改用您電腦上的網頁：{self._settings.origins()[0]}{path}"


@dataclass(frozen=True)
class _PendingOperation:
    """An operation, the site that asks for it, the card that the person chose, and the PINs.

    Attributes:
        digest: stands for the site and its request.
        asks_pin: the site sent no PIN, or none that counts.
        asks_new_pin: likewise the new PIN.
        switch_on: the ticket with which the person switched blind requests on.
    """

    site: str
    func: str
    digest: str
    operation: Operation
    fields: Mapping[str, str]
    chosen: str | None
    pin: Secret | None
    new_pin: Secret | None
    asks_pin: bool
    asks_new_pin: bool
    switch_on: str | None

    def is_typed_at(self, card: Card) -> bool:
        """Tell whether the person types what is asked for at the reader of a card, which has a keypad."""
        return card.has_keypad and (self.asks_pin or self.asks_new_pin)


def _check_is_centre(site: str) -> None:
    """Refuse a site that is not the configured centre. Without a configuration any trusted site may be one.

    Raises:
        _NotTheCentreError: another centre is configured, or nobody can tell which one is.
    """
    try:
        centre = CentreSettings.load()
    except errors.BadCentreConfiguration as error:
        raise _NotTheCentreError(error, f"{error.message()} {error.next_step()}") from error
    if centre is not None and centre.origin != site:
        told = _CENTRE_ALONE.format(centre=centre.origin)()
        raise _NotTheCentreError(Refusal(Code.FAILED, told), told)


class _NotTheCentreError(Exception):
    """A site asks for what only the centre's site may ask for.

    Attributes:
        refusal: what the site is told.
        told: what the person is told.
    """

    def __init__(self, refusal: Refusal | XcaError, told: str) -> None:
        super().__init__()
        self.refusal, self.told = refusal, told


def _told_request(site: str, func: str, error: _NotTheCentreError) -> ConsentRequest:
    """Return what the popup says about a site that is refused; then the site is told."""
    answer = failure(_answer_name(func), error.refusal)
    return ConsentRequest({"site": harmless(site), "told": harmless(error.told)}, answer, answer)


def _purpose(pending: _PendingOperation, question: Mapping[str, Any]) -> str:
    """Return the purpose of a ticket: this request of this site, shown by this question."""
    shown = json.dumps(question, sort_keys=True).encode()
    return f"{pending.digest} {hashlib.sha256(shown).hexdigest()}"


def _blind(pending: _PendingOperation) -> str:
    """Return the purpose of a ticket that switches blind requests on for the site of this request."""
    return f"{pending.digest} blind"


def _answer_name(func: str) -> str:
    return page_safe(ANSWER_NAMES.get(func, func))
