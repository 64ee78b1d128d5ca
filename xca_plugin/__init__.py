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

__version__: str
"""The version of xca-plugin, of which the module and every package here is a part."""

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
    "__version__",
    "hookimpl",
    "next_action",
]


def __getattr__(name: str) -> str:
    if name == "__version__":
        from importlib.metadata import version  # slow to load, rarely needed

        return version("xca-plugin")
    raise AttributeError(name)
