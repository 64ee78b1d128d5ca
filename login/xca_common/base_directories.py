# SPDX-License-Identifier: Apache-2.0
"""Where a user's files are (XDG Base Directory Specification); pkcs11_shim/src/config.c has the same rule."""

import os
from pathlib import Path
from typing import Final

SYSTEM_CONFIGURATION: Final = Path("/etc/xca")
"""Folder of the administrator's configuration files."""


def home() -> Path:
    """Return the user's home folder: $HOME, else the user database's, else a folder that is not there.

    /nonexistent is what Debian gives to accounts without a home (Debian Policy, section 9.2.3).
    """
    try:
        return Path.home()
    except RuntimeError:  # no HOME, and the user's number is not in the database
        return Path("/nonexistent")


def config_home() -> Path:
    """Return the folder of the user's configurations: $XDG_CONFIG_HOME, else ~/.config."""
    return _folder("XDG_CONFIG_HOME", ".config")


def data_home() -> Path:
    """Return the folder of the user's data: $XDG_DATA_HOME, else ~/.local/share."""
    return _folder("XDG_DATA_HOME", ".local/share")


def own_configuration() -> Path:
    """Return the folder of this project's configuration files in the user's."""
    return config_home() / "xca"


def own_data() -> Path:
    """Return the folder of this project's files in the user's data."""
    return data_home() / "xca"


def _folder(variable: str, below_home: str) -> Path:
    named = Path(os.environ.get(variable, ""))
    # "If an implementation encounters a relative path … it should consider the path invalid and ignore it."
    return named if named.is_absolute() else home() / below_home
