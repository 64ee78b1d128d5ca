# SPDX-License-Identifier: Apache-2.0
"""Activate Taiwan's organisation IC card and use it: hooks, the default plugin, and the facade over them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
else:
    _HOMES = {
        "xca_common.errors": ("XcaError",),
        "xca_common.i18n": ("Text",),
        "xca_common.pki.certificate": ("Certificate",),
        "xca_common.secret": ("Secret", "TypedAtReader"),
        "xca_plugin.action": ("Action", "next_action"),
        "xca_plugin.cards": ("REAL_CARD_WARNING", "Cards"),
        "xca_plugin.errors": ("CardError",),
        "xca_plugin.hookspecs": ("hookimpl",),
        "xca_plugin.model": (
            *("Card", "CardSession", "CardState", "Event", "Hash", "IssuerContact", "Key"),
            *("OddCertificate", "Padding"),
        ),
    }

    def __getattr__(name: str) -> object:
        # At first use: the imports take longer than a command needs that shows its help or its version, and
        # while they last, Ctrl-C cannot end the command without a traceback.
        from importlib import import_module, metadata

        if name == "__version__":
            return metadata.version("xca-plugin")
        for home, names in _HOMES.items():
            if name in names:
                return getattr(import_module(home), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
