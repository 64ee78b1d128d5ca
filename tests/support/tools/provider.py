# SPDX-License-Identifier: Apache-2.0
"""OpenSSL's pkcs11-provider: Debian's package, or what pkcs11-provider.sh unpacked."""

import sys
from pathlib import Path

import pytest


def modules() -> Path:
    """Return the folder that holds it (OPENSSL_MODULES); skip the test where there is none."""
    for root in (Path(sys.prefix, "pkcs11-provider"), Path("/")):
        for module in root.glob("usr/lib/*/ossl-modules/pkcs11.so"):
            return module.parent
    pytest.skip("pkcs11-provider is not here; tests/tools/pkcs11-provider.sh could not get it")
