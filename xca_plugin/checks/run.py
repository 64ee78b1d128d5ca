# SPDX-License-Identifier: Apache-2.0
"""All checks, in their order, each with a time limit."""

import queue
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from threading import Thread
from typing import Final

from xca_common.errors import XcaError
from xca_common.i18n import Text
from xca_plugin.checks import card_state, certification, installation, machine, readers
from xca_plugin.checks.finding import Advice, CheckAnswer, Finding, failed, failed_with, skipped
from xca_plugin.checks.observations import CardSource, Observations
from xca_plugin.i18n import text
from xca_plugin.model import Card

_SECONDS: Final = 20.0  # for one check; longer than certification.FETCHING_SECONDS

_Check = Callable[[Observations], Iterator[CheckAnswer]]


def run(cards: CardSource, hosts: Sequence[str] = (), number: str | None = None) -> Iterator[Finding]:
    """Do every check, in the order of CHECKS; yield each finding at once.

    Args:
        cards: the facade that is asked.
        hosts: hosts that may be asked about revocation, in addition to those of the government's issuers.
        number: the card to look at; None: all of them.
    """
    seen = Observations(cards, hosts=hosts, number=number)
    for name, (title, check) in CHECKS.items():
        for answer in _in_time(check, seen):
            yield Finding(**vars(answer), check=name, title=title)


def _in_time(check: _Check, seen: Observations) -> Sequence[CheckAnswer]:
    """Do one check in a thread of its own, which is left running when its time is up."""
    answers: queue.SimpleQueue[Sequence[CheckAnswer]] = queue.SimpleQueue()
    Thread(target=lambda: answers.put(_answers(check, seen)), name="check", daemon=True).start()
    try:
        return answers.get(timeout=_SECONDS)
    except queue.Empty:
        late = text("No answer within {seconds} seconds.").format(seconds=int(_SECONDS))
        return [
            failed(
                late,
                text(
                    "Restart the program or device that is checked, or the computer, and repeat the checks."
                ),
            )
        ]


def _answers(check: _Check, seen: Observations) -> Sequence[CheckAnswer]:
    answers: list[CheckAnswer] = []
    try:
        for answer in check(seen):
            answers.append(answer)
    except XcaError as error:
        answers.append(failed_with(error))
    except Exception as error:
        # The exception's text is left out: that of a plugin may hold a secret.
        unexpected = text("The check itself failed: {detail}").format(detail=type(error).__name__)
        answers.append(failed(unexpected, Advice.SEND_REPORT))
    return answers


def _of_each_card(check: Callable[[Observations, Card], CheckAnswer]) -> _Check:
    def each(seen: Observations) -> Iterator[CheckAnswer]:
        if not seen.present:
            yield skipped(text("There is no card to look at."))
        for card in seen.present:
            try:
                yield replace(check(seen, card), card=card)
            except XcaError as error:
                yield failed_with(error, card)

    return each


CHECKS: Final[dict[str, tuple[Text, _Check]]] = {
    "module": (text("PKCS#11 module"), installation.module),
    "architecture": (text("Architecture"), installation.module_architecture),
    "inner-module": (text("Inner module"), installation.inner_module),
    "store": (text("Card store"), installation.store),
    "reader-daemon": (text("Card readers' daemon"), readers.reader_daemon),
    "readers": (text("Card readers"), readers.readers),
    "cards": (text("Cards"), readers.cards),
    "card-state": (text("State of the card"), _of_each_card(card_state.state)),
    "deadline": (text("Days to activate"), _of_each_card(card_state.deadline)),
    "certificate": (text("Validity of the certificate"), _of_each_card(card_state.validity)),
    "chain": (text("Chain of the certificate"), _of_each_card(certification.chain)),
    "crl": (text("Revocation list (CRL)"), _of_each_card(certification.revoked_by_list)),
    "ocsp": (text("Revocation service (OCSP)"), _of_each_card(certification.revoked_by_responder)),
    "acceptance": (text("Acceptance of the certificates"), _of_each_card(certification.acceptance)),
    "tools": (text("Registered tools"), machine.tools),
    "port": (text("Port of the agent"), machine.port),
    "clock": (text("Clock"), machine.clock),
}
"""Every check by its name, with its name for people."""
