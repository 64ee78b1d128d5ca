# SPDX-License-Identifier: Apache-2.0
"""The user's folders (XDG Base Directory Specification 0.8), by the rule of the PKCS#11 module."""

import os
from pathlib import Path


def config_home() -> Path:
    """Return the folder of the user's configuration files: $XDG_CONFIG_HOME, else ~/.config."""
    return _folder("XDG_CONFIG_HOME", ".config")


def data_home() -> Path:
    """Return the folder of the user's data files: $XDG_DATA_HOME, else ~/.local/share."""
    return _folder("XDG_DATA_HOME", ".local/share")


def _folder(variable: str, below_home: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / below_home)
