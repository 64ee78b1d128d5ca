# SPDX-License-Identifier: Apache-2.0
"""The errors of environments and their cards. Every message ends with the next step."""

from xca_common.i18n import Text


class IssuerError(Exception):
    """The environment, or a part of the machine that it needs, does not do what was asked.

    Attributes:
        said: what happened, and what to do; a Text is shown in the language being spoken.
    """

    def __init__(self, said: Text | str) -> None:
        super().__init__(said)
        self.said = said

    def __str__(self) -> str:
        return self.said if isinstance(self.said, str) else self.said()


class NoEnvironmentError(IssuerError):
    """There is no environment in this directory."""


class BadValueError(IssuerError):
    """A value that was given breaks a rule of the card or of its certificates, or is taken."""


class NoSuchCardError(IssuerError):
    """The environment has no card of this number."""


class TicketRefusedError(IssuerError):
    """A card does not take a ticket (授權票): it does not count, or not for this card as it is."""


class SoftHSMError(IssuerError):
    """SoftHSM refused, or its process ended."""
