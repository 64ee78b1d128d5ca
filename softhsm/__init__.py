# SPDX-License-Identifier: Apache-2.0
"""SoftHSM standing in for the card: environments, and the issuer of the cards in them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from softhsm.environment import Environment, default_path
    from softhsm.errors import (
        BadValueError,
        IssuerError,
        NoEnvironmentError,
        NoSuchCardError,
        SoftHSMError,
        TicketRefusedError,
    )
    from softhsm.issuer import (
        ACTIVATION_DAYS,
        Application,
        IssuedCard,
        IssuedCardState,
        cards,
        check_application,
        check_user_code,
        find,
        issue,
        remove,
        repair,
        reset_user_code,
        take_ticket,
    )
else:

    def __getattr__(name: str) -> object:
        # At first use: pytest loads this package, for its plugin, in projects that never touch a card.
        from importlib import import_module

        if name in __all__:
            for part in ("errors", "environment", "issuer"):
                module = import_module(f"softhsm.{part}")
                if hasattr(module, name):
                    return getattr(module, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "ACTIVATION_DAYS",
    "Application",
    "BadValueError",
    "Environment",
    "IssuedCard",
    "IssuedCardState",
    "IssuerError",
    "NoEnvironmentError",
    "NoSuchCardError",
    "SoftHSMError",
    "TicketRefusedError",
    "cards",
    "check_application",
    "check_user_code",
    "default_path",
    "find",
    "issue",
    "remove",
    "repair",
    "reset_user_code",
    "take_ticket",
]
