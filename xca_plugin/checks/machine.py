# SPDX-License-Identifier: Apache-2.0
"""Checks of the computer: registered tools, the agent's port, the clock."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from xca_common.errors import XcaError
from xca_plugin import card_text, errors
from xca_plugin.agent_port import PORT, agent_at
from xca_plugin.checks.finding import Advice, CheckAnswer, failed, passed, skipped
from xca_plugin.checks.observations import Observations
from xca_plugin.i18n import text
from xca_plugin.tools import all_tools


def tools(seen: Observations) -> Iterator[CheckAnswer]:
    """Tell which tools are registered."""
    registered: list[str] = []
    others: list[str] = []
    for tool in all_tools():
        if not tool.installed():
            continue
        if (problem := tool.problem()) is not None:
            yield failed(partial(_of_tool, tool.name, problem), problem)
        else:
            (registered if tool.registered() else others).append(tool.name)
    if not registered:
        yield skipped(
            text("None is registered. Installed here: {tools}").format(tools=others),
            Advice.REGISTER_TOOLS,
        )
        return
    yield passed(text("Registered: {tools}").format(tools=registered))


def _of_tool(name: str, problem: XcaError, language: str | None = None) -> str:
    return text("{name}: {contents}").format(name=name, contents=problem.message(language))(language)


def port(seen: Observations) -> Iterator[CheckAnswer]:
    """Check that the agent's port is free, or that the agent listens there."""
    if agent_at(PORT):
        yield passed(text("The agent listens at it: {port}").format(port=PORT))
    else:
        yield passed(text("It is free for the agent: {port}").format(port=PORT))


def clock(seen: Observations) -> Iterator[CheckAnswer]:
    """Check that the clock is not behind what certificates and the card store have recorded."""
    now = datetime.now(UTC)
    # The last event of a card counts: one that was recorded later, with an earlier time, shows that the clock
    # was wrong before.
    last: dict[str, datetime] = {}
    with suppress(errors.StoreUnreadable):  # an earlier check reported that
        last = {event.card: event.at for event in seen.cards.history()}
    past = [(min(last.values()), text("the last event of every card"))] if last else []
    past += [
        (card.certificate.not_before, text("the issue of a certificate"))
        for card in seen.present
        if card.certificate
    ]
    for when, what in past:
        if when > now:
            wrong = text("It shows {now}, but {what} was at {when}.")
            facts = {"now": card_text.moment(now), "when": card_text.moment(when)}
            yield failed(wrong.format(what=what, **facts), Advice.SET_CLOCK)
            return
    if not past:
        yield skipped(text("There is nothing to compare it with."))
        return
    said = text("It shows {now}; no known event is later.")
    yield passed(said.format(now=card_text.moment(now)))
