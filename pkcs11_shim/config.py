# SPDX-License-Identifier: Apache-2.0
"""Where the module and its files are, found by the rules of the module itself (src/config.c)."""

import configparser
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from xca_common.base_directories import SYSTEM_CONFIGURATION, own_configuration, own_data

_MODULE: Final = "xca-pkcs11.so"


class ConfigurationError(Exception):
    """A configuration file cannot be read as one. The text of the file is never told: it may hold a PIN.

    Attributes:
        path: the file.
        line: number of the first line that cannot be read; None: it is no regular file, it is not UTF-8, or
            a value goes over several lines.
    """

    def __init__(self, path: Path, line: int | None) -> None:
        super().__init__(f"{path}: line {line}" if line else f"{path}")
        self.path, self.line = path, line


def module_path() -> Path:
    """Return the PKCS#11 module's path, to be loaded by any tool.

    Raises:
        FileNotFoundError: the module was not built with this package.
    """
    beside = Path(__file__).with_name(_MODULE)
    if beside.exists():
        # A package of the system has a link here; tools are told of the file, which stays where it is.
        return beside.resolve() if beside.is_symlink() else beside
    # An editable install keeps the sources here and the module elsewhere.
    from importlib.metadata import files  # slow to load, rarely needed

    for file in files("xca-plugin") or ():
        if file.name == _MODULE:
            return Path(str(file.locate()))
    raise FileNotFoundError(_MODULE)


def library_path() -> Path:
    """Return the path of the module that this package loads: its own, which keeps the card's rules.

    A build for another system has none. There it is the card's own module, which the configuration names.

    Raises:
        FileNotFoundError: there is neither.
        OSError: the configuration cannot be read.
        ConfigurationError: it means nothing.
    """
    try:
        return module_path()
    except FileNotFoundError:
        if inner := inner_module_path():
            return inner
        raise


def configuration_path() -> Path | None:
    """Return the configuration file that the module reads, or None when there is none."""
    if named := os.environ.get("XCA_PKCS11_CONF"):
        return Path(named)
    for folder in (own_configuration(), SYSTEM_CONFIGURATION):
        file = folder / "pkcs11.conf"
        if file.exists():
            return file
    return None


def store_path() -> Path:
    """Return the card store's path: XCA_CARD_STORE, else the configuration's, else the user's own.

    Raises:
        OSError: the configuration cannot be read.
        ConfigurationError: it cannot be read as a configuration file.
    """
    return _named("XCA_CARD_STORE", "store") or own_data() / "cards.db"


def store_is_configured() -> bool:
    """Tell whether XCA_CARD_STORE or the configuration names the card store.

    Raises:
        OSError, ConfigurationError: as store_path.
    """
    return _named("XCA_CARD_STORE", "store") is not None


def card_labels() -> Sequence[str]:
    """Return the more token labels that cards have: [module] label, separated by commas.

    Raises:
        OSError, ConfigurationError: as store_path.
    """
    names = _read().get("module", "label", fallback="").split(",")
    return [name.strip() for name in names if name.strip()]


def inner_module_path() -> Path | None:
    """Return the inner module's path: XCA_PKCS11_MODULE, else the configuration's, or None.

    Raises:
        OSError, ConfigurationError: as store_path.
    """
    return _named("XCA_PKCS11_MODULE", "module")


def parse(file: Path, configuration: configparser.ConfigParser) -> None:
    """Read a configuration file.

    Raises:
        OSError: it cannot be read.
        ConfigurationError: it cannot be read as a configuration file.
    """
    try:
        # The module refuses a pipe or a device too: reading it could wait, or never end.
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, encoding="utf-8-sig") as lines:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigurationError(file, None)
            configuration.read_file(lines)
    except (
        configparser.MissingSectionHeaderError,
        configparser.DuplicateOptionError,
        configparser.DuplicateSectionError,
    ) as error:
        raise ConfigurationError(file, error.lineno) from None
    except configparser.ParsingError as error:
        raise ConfigurationError(file, error.errors[0][0]) from None
    except UnicodeDecodeError:
        raise ConfigurationError(file, None) from None


def _named(variable: str, section: str) -> Path | None:
    """Return the path that a variable names, or else a section of the module's configuration."""
    if named := os.environ.get(variable):
        return Path(named)
    named = _read().get(section, "path", fallback="")
    return Path(named) if named else None


def _read() -> configparser.ConfigParser:
    """Read the module's configuration, empty where there is none."""
    configuration = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=(";",))
    if file := configuration_path():
        parse(file, configuration)
        # The module takes no value of several lines. The second line may hold a secret.
        if any("\n" in value for each in configuration.values() for value in each.values()):
            raise ConfigurationError(file, None)
    return configuration
