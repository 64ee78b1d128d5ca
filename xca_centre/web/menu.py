# SPDX-License-Identifier: Apache-2.0
"""Where the pages are: the thirteen functions for certificates and cards, and what stands beside them."""

from dataclasses import dataclass, fields
from typing import Final

from xca_centre.issuer_rules import IssuerRules, Menu, Wording

HOME: Final = "/"
APPLY: Final = "/apply"
PROGRESS: Final = "/apply/progress"
HOW_TO_ACTIVATE: Final = "/how-to-activate"
QUESTIONS: Final = "/questions"
COMPONENTS: Final = "/components"
LOGIN: Final = "/login"
ACCEPT: Final = "/login/done"
LOGOUT: Final = "/logout"
OFFICERS: Final = "/officers"
API: Final = "/api"
"""What programs ask is below it."""
API_DESCRIPTION: Final = "/openapi.json"

PATHS: Final = {
    "activate": "/activate",
    "accept_certificate": "/accept-certificate",
    "reset_pin": "/reset-pin",
    "change_pin": "/change-pin",
    "reset_user_code": "/user-code-reset",
    "query": "/certificates",
    "revoke": "/revoke",
    "suspend_or_resume": "/suspend-resume",
    "change_contact": "/contact",
    "show_card": "/card",
    "list_certificates": "/organisation/certificates",
    "list_expiring": "/organisation/expiring",
    "write_email": "/secure-email",
}
"""The path of each function of issuer_rules.Menu."""


@dataclass(frozen=True)
class Function:
    """One of the thirteen functions.

    Attributes:
        path: of its page.
        label: what the issuer calls it.
    """

    path: str
    label: Wording


def functions(rules: IssuerRules) -> list[Function]:
    """Return the functions in the order of the issuer's page."""
    return [Function(PATHS[field.name], getattr(rules.menu, field.name)) for field in fields(Menu)]
