# SPDX-License-Identifier: Apache-2.0
"""The PKCS#11 module that behaves like the card: where it is, its rules, and what its store remembers."""

from pkcs11_shim import rules
from pkcs11_shim.config import (
    ConfigurationError,
    card_labels,
    configuration_path,
    inner_module_path,
    library_path,
    module_path,
    store_is_configured,
    store_path,
)
from pkcs11_shim.store import EMPTY_STORE, CardRow, EventRow, Store, StoreError, StoreWriter

__all__ = [
    "EMPTY_STORE",
    "CardRow",
    "ConfigurationError",
    "EventRow",
    "Store",
    "StoreError",
    "StoreWriter",
    "card_labels",
    "configuration_path",
    "inner_module_path",
    "library_path",
    "module_path",
    "rules",
    "store_is_configured",
    "store_path",
]
