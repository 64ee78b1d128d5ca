# SPDX-License-Identifier: Apache-2.0
"""The state of the agent's process, in one object that every handler gets."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

from starlette.requests import Request
from starlette.responses import Response

from xca_common.single_flight import SingleFlight
from xca_common.web.language import Endpoint
from xca_common.web.one_time_tokens import OneTimeTokens
from xca_plugin import pcsc
from xca_plugin.agent.component.blind_sites import BlindSites
from xca_plugin.agent.component.dispatcher import Dispatcher
from xca_plugin.agent.component.last_asked import LastAsked
from xca_plugin.agent.component.recent_sites import RecentSites
from xca_plugin.agent.component.shown_questions import ShownQuestions
from xca_plugin.agent.component.trusted_sites import TrustedSites
from xca_plugin.agent.files.workspace import Workspaces
from xca_plugin.agent.pages.code_tickets import CodeTickets
from xca_plugin.agent.pages.results import ActionResults
from xca_plugin.agent.process.card_worker import CardWorker
from xca_plugin.agent.process.change_topics import CardChanges
from xca_plugin.agent.process.own_word import OwnWord
from xca_plugin.agent.process.settings import Settings
from xca_plugin.checks.finding import Finding


@dataclass(frozen=True, slots=True)
class AgentState:
    """What the agent's handlers share. All of it is used in the event loop's thread.

    Attributes:
        settings: what the configuration files say.
        card_worker: runs everything that uses a card.
        trusted_sites: the sites that may ask, and their allowances.
        blind_sites: those of them that may make blind requests.
        own_word: the word by which the person knows this agent.
        dispatcher: answers what sites ask.
        shown_questions: the questions that popups show now.
        form_tokens: one token for each form of the agent's own pages.
        action_results: how the latest actions with a card ended.
        code_tickets: tickets for a new user code, on their way to a card.
        card_changes: what pages that show cards follow.
        recent_sites: the sites that asked recently.
        last_asked: when each trusted site last asked.
        reader_query: asks PC/SC for the readers; the daemon behind it may hang.
        self_test: the checks of the self-test page.
        workspaces: the files of the pages that sign, verify, encrypt and decrypt.
    """

    settings: Settings
    card_worker: CardWorker
    trusted_sites: TrustedSites
    blind_sites: BlindSites
    own_word: OwnWord
    dispatcher: Dispatcher
    shown_questions: ShownQuestions
    form_tokens: OneTimeTokens
    action_results: ActionResults
    code_tickets: CodeTickets
    card_changes: CardChanges
    recent_sites: RecentSites
    last_asked: LastAsked
    reader_query: SingleFlight[Sequence[pcsc.Reader]]
    self_test: SingleFlight[Sequence[Finding]]
    workspaces: Workspaces

    @classmethod
    def create(cls, settings: Settings) -> Self:
        """Return the state of a new process."""
        card_worker = CardWorker()
        trusted_sites, blind_sites = TrustedSites(settings), BlindSites(settings)
        code_tickets = CodeTickets()
        return cls(
            settings=settings,
            card_worker=card_worker,
            trusted_sites=trusted_sites,
            blind_sites=blind_sites,
            own_word=OwnWord(settings.own_word),
            dispatcher=Dispatcher(card_worker, settings, trusted_sites, blind_sites, code_tickets),
            shown_questions=ShownQuestions(),
            form_tokens=OneTimeTokens(),
            action_results=ActionResults(),
            code_tickets=code_tickets,
            card_changes=CardChanges(card_worker, trusted_sites.allowances),
            recent_sites=RecentSites(),
            last_asked=LastAsked(settings.trusted_sites.with_name("sites-asked.json")),
            reader_query=SingleFlight(),
            self_test=SingleFlight(),
            workspaces=Workspaces(),
        )


Handler = Callable[[AgentState, Request], Awaitable[Response]]
"""Answers a request to one path."""


def endpoint(state: AgentState, handler: Handler) -> Endpoint:
    """Return a handler as Starlette calls it."""
    return partial(handler, state)
