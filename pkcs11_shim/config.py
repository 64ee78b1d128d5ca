# SPDX-License-Identifier: Apache-2.0
"""Where the module and its files are: the same answers that the module gives itself."""

import configparser
import os
from pathlib import Path
from typing import Final

_MODULE: Final = "xca-pkcs11.so"


def module_path() -> Path:
    """Return the PKCS#11 module's path, to be loaded by any tool.

    Raises:
        FileNotFoundError: the module was not built with this package.
    """
    beside = Path(__file__).with_name(_MODULE)
    if beside.exists():
        return beside
    # An editable install keeps the sources here and the module elsewhere.
    from importlib.metadata import files  # slow to load, rarely needed

    for file in files("xca-plugin") or ():
        if file.name == _MODULE:
            return Path(str(file.locate()))
    raise FileNotFoundError(_MODULE)


def configuration_path() -> Path | None:
    """Return the configuration file that the module reads, or None when there is none."""
    if named := os.environ.get("XCA_PKCS11_CONF"):
        return Path(named)
    for folder in (_xdg("XDG_CONFIG_HOME", ".config"), Path("/etc")):
        file = folder / "xca" / "pkcs11.conf"
        if file.exists():
            return file
    return None


def store_path() -> Path:
    """Return the card store's path: XCA_CARD_STORE, else the configuration's, else the user's own.

    Raises:
        OSError: the configuration cannot be read.
        configparser.Error: the configuration cannot be parsed.
    """
    if named := os.environ.get("XCA_CARD_STORE"):
        return Path(named)
    configuration = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=(";",))
    if file := configuration_path():
        with file.open(encoding="utf-8") as text:
            configuration.read_file(text)
    if path := configuration.get("store", "path", fallback=""):
        return Path(path)
    return _xdg("XDG_DATA_HOME", ".local/share") / "xca" / "cards.db"


def _xdg(variable: str, below_home: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / below_home)
