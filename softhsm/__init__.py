# SPDX-License-Identifier: Apache-2.0
"""SoftHSM standing in for the card: environments, and the issuer of the cards in them."""

from softhsm.environment import Environment, default_path
from softhsm.errors import BadValueError, IssuerError, NoEnvironmentError, NoSuchCardError, SoftHSMError
from softhsm.issuer import (
    ACTIVATION_DAYS,
    Application,
    IssuedCard,
    State,
    cards,
    find,
    issue,
    remove,
    repair,
    reset_user_code,
)

__all__ = [
    "ACTIVATION_DAYS",
    "Application",
    "BadValueError",
    "Environment",
    "IssuedCard",
    "IssuerError",
    "NoEnvironmentError",
    "NoSuchCardError",
    "SoftHSMError",
    "State",
    "cards",
    "default_path",
    "find",
    "issue",
    "remove",
    "repair",
    "reset_user_code",
]
