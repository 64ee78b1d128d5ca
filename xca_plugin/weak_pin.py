# SPDX-License-Identifier: Apache-2.0
"""Built-in plugin: objects to new PINs that anybody would guess first."""

from itertools import pairwise

from xca_common.i18n import Text
from xca_common.secret import Secret
from xca_plugin.hookspecs import hookimpl
from xca_plugin.i18n import text
from xca_plugin.model import Card


@hookimpl
def xca_veto_new_pin(
    card: Card, new_pin: Secret, pin: Secret | None, user_code: Secret | None
) -> Text | None:
    """Object to repetitions, runs, and what is printed on the card or known already."""
    value = new_pin.reveal()
    if len(set(value)) == 1:
        return text("All its characters are the same.")
    if _steps(value) in ({1}, {-1}):
        return text("Its characters follow one another, up or down.")
    if user_code is not None and new_pin == user_code:
        return text("It is the user code.")
    if pin is not None and new_pin == pin:
        return text("It is the old PIN.")
    if value in card.number:
        return text("It is part of the card number.")
    if any(value in number for number in _organisation_numbers(card)):
        return text("It is part of the organisation's number.")
    return None


def _steps(value: str) -> set[int]:
    return {ord(second) - ord(first) for first, second in pairwise(value)}


def _organisation_numbers(card: Card) -> list[str]:
    """The organisation's OID with and without dots, and its 統一編號."""
    if card.certificate is None:
        return []
    oid = card.certificate.organisation_oid or ""
    return [oid, oid.replace(".", ""), card.certificate.tax_id or ""]
