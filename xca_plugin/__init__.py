# SPDX-License-Identifier: Apache-2.0
"""Activate Taiwan's organisation IC card and use it: hooks, the default plugin, and the facade over them."""

from xca_common.errors import XcaError
from xca_common.i18n import Text
from xca_common.pki.certificate import Certificate
from xca_common.secret import Secret, TypedAtReader
from xca_plugin.action import Action, next_action
from xca_plugin.cards import REAL_CARD_WARNING, Cards
from xca_plugin.errors import CardError
from xca_plugin.hookspecs import hookimpl
from xca_plugin.model import (
    Card,
    CardSession,
    CardState,
    Event,
    Hash,
    IssuerContact,
    Key,
    OddCertificate,
    Padding,
)

__all__ = [
    "REAL_CARD_WARNING",
    "Action",
    "Card",
    "CardError",
    "CardSession",
    "CardState",
    "Cards",
    "Certificate",
    "Event",
    "Hash",
    "IssuerContact",
    "Key",
    "OddCertificate",
    "Padding",
    "Secret",
    "Text",
    "TypedAtReader",
    "XcaError",
    "hookimpl",
    "next_action",
]
