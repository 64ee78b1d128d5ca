# SPDX-License-Identifier: Apache-2.0
"""The SoftHSM of this computer: its library, and the configuration that it is started with."""

import os
from pathlib import Path
from typing import Final

VARIABLE: Final = "SOFTHSM2_MODULE"
"""Names the library, where it is in no usual place."""
CONFIGURATION_VARIABLE: Final = "SOFTHSM2_CONF"
"""Names the configuration, for SoftHSM."""
_LIBRARIES: Final = (
    "usr/lib/softhsm",  # Debian, Arch
    "usr/lib64/pkcs11",  # Fedora
    "usr/lib64/softhsm",
    "usr/lib/*/softhsm",
    "usr/lib/pkcs11",
    "usr/local/lib/softhsm",
)


def softhsm_library() -> Path | None:
    """Return the library; None: it is not installed, or not where VARIABLE says."""
    if named := os.environ.get(VARIABLE):
        candidates = [Path(named)]
    else:
        candidates = [file for folder in _LIBRARIES for file in Path("/").glob(f"{folder}/libsofthsm2.so")]
    return next((library for library in candidates if library.is_file()), None)


def softhsm_configuration(tokens: Path) -> bytes:
    """Return SoftHSM's configuration (softhsm2.conf(5)) for tokens in a folder."""
    return os.fsencode(
        f"directories.tokendir = {tokens}\n"
        "objectstore.backend = file\n"
        "log.level = ERROR\n"
        "slots.removable = true\n"
    )
