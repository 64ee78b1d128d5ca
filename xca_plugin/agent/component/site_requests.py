# SPDX-License-Identifier: Apache-2.0
"""Requests of web sites on their way to the dispatcher: they are logged, and the time is noted.

What is done on the agent's pages is logged too. A line tells who asked, for what, and the result: names that
are fixed, codes, the site's origin, and the program that sent the request. It never holds what a site or a
person wrote otherwise.
"""

import asyncio
import logging
import socket
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request

from xca_common.errors import XcaError
from xca_plugin.agent.component.allowances import ALLOWANCE_SECONDS
from xca_plugin.agent.component.dispatcher import ANSWER_NAMES, Agreement, CardChoice, ConsentRequest
from xca_plugin.agent.component.result_codes import Code, MinorCode
from xca_plugin.agent.process.card_worker import OPERATION_SECONDS
from xca_plugin.agent.process.socket_owner import owner_of, program_of
from xca_plugin.agent.process.state import AgentState

_FAMILIES: Final = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}
_OWN_PAGE: Final = "own-page"
_KNOWN: Final = frozenset(ANSWER_NAMES.values()) | {"getChallenge", "changeUserPINCode"}
_CODES: Final = {int(code): code.name for code in Code}
_MINOR_CODES: Final = {int(code): code.name for code in MinorCode}
_log = logging.getLogger(__name__)


async def answer(
    state: AgentState,
    request: Request,
    site: str,
    body: str,
    func: str | None = None,
    *,
    agreement: Agreement | None = None,
    choice: CardChoice | None = None,
    switch_on: str | None = None,
) -> Mapping[str, Any] | ConsentRequest:
    """Return the dispatcher's answer to a site, log it, and note when the site asked."""
    if state.trusted_sites.trusts(site):
        state.last_asked.note(site)
    if agreement and agreement.for_a_while:
        await watch_for_allowance(state)
    if not _log.isEnabledFor(logging.INFO):
        return await state.dispatcher.answer(site, body, func, agreement, choice, switch_on)
    asker = asyncio.create_task(_asker(request))  # now: later the connection may be gone
    answered = await state.dispatcher.answer(site, body, func, agreement, choice, switch_on)
    if isinstance(answered, ConsentRequest):
        name, result = answered.refusal["func"], "the window asks"
    else:
        name, result = answered["func"], _result(answered)
    _write(await asker, site, name if name in _KNOWN else "something else", bool(agreement), result)
    return answered


async def watch_for_allowance(state: AgentState) -> None:
    """Watch the cards for as long as an allowance that begins now lasts: it ends when its card is pulled."""
    await state.card_changes.keep_watching(ALLOWANCE_SECONDS + OPERATION_SECONDS)


async def record(request: Request, site: str | None, what: str, error: XcaError | None = None) -> None:
    """Log something that the person did on a page of the agent, with a site if it concerns one."""
    if _log.isEnabledFor(logging.INFO):
        result = type(error).__name__ if error else Code.OK.name
        _write(await _asker(request), site or _OWN_PAGE, what, True, result)


def _write(asker: str, site: str, what: str, agreed: bool, result: str) -> None:
    agreement = "yes" if agreed else "no"
    _log.info("site=%s by=%s what=%s agreed=%s result=%s", site or "none", asker, what, agreement, result)


def _result(answered: Mapping[str, Any]) -> str:
    minor = answered.get("last_error", 0)
    return _CODES[answered["ret_code"]] + (f"/{_MINOR_CODES[minor]}" if minor else "")


async def _asker(request: Request) -> str:
    """Return the program that sent a request."""
    client, server = request.client, request.scope.get("server")
    if client is None or server is None or client.host not in _FAMILIES:
        return "unknown"
    family = _FAMILIES[client.host]
    try:
        owner = owner_of(family, (client.host, client.port), server)
        found = await asyncio.to_thread(program_of, owner) if owner else None
    except OSError:
        found = None
    return found or "unknown"
