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
    # The modules that define the names, those that load fast first.
    _HOMES = (
        "xca_common.i18n",
        "xca_common.errors",
        "xca_common.secret",
        "xca_plugin.errors",
        "xca_common.pki.certificate",
        "xca_plugin.model",
        "xca_plugin.action",
        "xca_plugin.hookspecs",
        "xca_plugin.cards",
    )

    def __getattr__(name: str) -> object:
        # At first use: the imports take longer than a command needs that shows its help or its version, and
        # while they last, Ctrl-C cannot end the command without a traceback.
        from importlib import import_module, metadata

        if name == "__version__":
            return metadata.version("xca-plugin")
        if name in __all__:
            return next(vars(home)[name] for home in map(import_module, _HOMES) if name in vars(home))
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
