# SPDX-License-Identifier: Apache-2.0
"""The result of a check, and what to do about it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum

from xca_common.errors import XcaError
from xca_common.i18n import Text
from xca_plugin.errors import CardError
from xca_plugin.i18n import text
from xca_plugin.model import Card

Say = Callable[..., str]
"""Returns a sentence in the language that is given: a Text, or a method of an XcaError."""


class CheckOutcome(StrEnum):
    """The outcome of a check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """There was nothing to check, or no way to check it."""


class Advice(Enum):
    """What to do about a finding that is no error. A front end may name the command instead."""

    ACCEPT = text("Accept the certificates (憑證接受), if that was not done.")
    ALLOW_HOST = text("If you know that host, allow it to be asked.")
    CHANGE_PIN = text("Change the PIN.")
    GET_ISSUERS_CERTIFICATE = text("Get it from https://grca.nat.gov.tw, and give it to whoever verifies.")
    NEW_CARD = text("Ask the issuer for a new card.")
    REGISTER_TOOLS = text("Register those that you use.")
    RESUME_CERTIFICATE = text("Have it resumed (復用) by the issuer.")
    SEND_REPORT = text("Report it, and add the report of these checks, which contains no personal data.")
    SET_CLOCK = text("Set the computer's clock and its time zone.")


NextStep = XcaError | Advice | Text
"""What to do about a finding: the next step of an error, an Advice, or a sentence."""


@dataclass(frozen=True)
class CheckAnswer:
    """What a check found about one thing.

    Attributes:
        outcome: passed, failed or skipped.
        said: what was found.
        next_step: what to do about it; None: nothing.
        card: the card that it is about; None: no single card.
        host: the host that Advice.ALLOW_HOST is about.
    """

    outcome: CheckOutcome
    said: Say
    next_step: NextStep | None = None
    card: Card | None = None
    host: str | None = None


@dataclass(frozen=True, kw_only=True)
class Finding(CheckAnswer):
    """An answer together with its check.

    Attributes:
        check: name of the check, a key of run.CHECKS.
        title: the check's name for people.
    """

    check: str
    title: Text

    @property
    def needs_issuer(self) -> bool:
        """True when only the card's issuer can help."""
        if isinstance(self.next_step, CardError):
            return self.next_step.needs_issuer
        return self.next_step in (Advice.NEW_CARD, Advice.RESUME_CERTIFICATE)

    def advice(self, language: str | None = None) -> str | None:
        """Return what to do about it, in words without a command; None: nothing."""
        if self.next_step is None:
            return None
        if isinstance(self.next_step, XcaError):
            return self.next_step.next_step(language)
        sentence = self.next_step.value if isinstance(self.next_step, Advice) else self.next_step
        return str(sentence(language))


def passed(said: Say, next_step: NextStep | None = None) -> CheckAnswer:
    """Return an answer with the outcome PASSED."""
    return CheckAnswer(CheckOutcome.PASSED, said, next_step)


def failed(said: Say, next_step: NextStep) -> CheckAnswer:
    """Return an answer with the outcome FAILED."""
    return CheckAnswer(CheckOutcome.FAILED, said, next_step)


def failed_with(error: XcaError, card: Card | None = None) -> CheckAnswer:
    """Return an answer with the outcome FAILED, with the message and next step of an error."""
    return CheckAnswer(CheckOutcome.FAILED, error.message, error, card)


def skipped(said: Say, next_step: NextStep | None = None) -> CheckAnswer:
    """Return an answer with the outcome SKIPPED."""
    return CheckAnswer(CheckOutcome.SKIPPED, said, next_step)
