# SPDX-License-Identifier: Apache-2.0
"""Why the PKCS#11 module does not load: it writes the reason to its log, and answers CKR_GENERAL_ERROR."""

import ctypes
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from xca_common.i18n import Text
from xca_common.scratch import scratch_folder
from xca_plugin import errors
from xca_plugin.i18n import text

_LINE: Final = re.compile(r" xca-pkcs11 error: (.*)")
_NOT_CONFIGURED: Final = "no configuration: "
_REASONS: Final = (
    (
        re.compile(r"configuration (?P<path>.*): line (?P<line>\d+) is too long, or no known"),
        text("line {line} of {path} is too long, or has no section, name and value that are known"),
    ),
    (
        re.compile(r"configuration (?P<path>.*): not a file of at most (?P<size>\d+) bytes"),
        text("{path} is not a file of at most {size} bytes"),
    ),
    (re.compile(r"configuration (?P<path>/.*): (?P<reason>[^:]*)$"), text("{path}: {reason}")),
    (
        re.compile(r"configuration: log level is none of (?P<words>.*)"),
        text("the log level of the configuration is none of {words}"),
    ),
    (
        re.compile(r"configuration: the path (?P<path>.*) is not absolute"),
        text("the path {path} of the configuration is not absolute"),
    ),
    (
        re.compile(r"configuration: (?P<name>.*) is not of the form NAME=value"),
        text("{name} of the configuration is not of the form NAME=value"),
    ),
    (
        re.compile(r"configuration: (?P<name>.*) is not (?P<word>.*)"),
        text("{name} of the configuration has another value than {word}"),
    ),
    (
        re.compile(r"configuration: (?P<name>.*) is too long"),
        text("the value of {name} is too long"),
    ),
    (
        re.compile(r"inner module (?P<path>.*): not a PKCS#11 module"),
        text("{path} is not a PKCS#11 module"),
    ),
    (
        re.compile(r"inner module (?P<path>.*): (?:that is this module itself|loads this module again)"),
        text("{path} is, or loads, this project's own module; name the card's module"),
    ),
)
"""The lines that the module logs (config.c, module.c), and what they mean."""
_INNER: Final = "inner module: "
_LOADER: Final = (
    (
        re.compile(r"(?P<path>.*): cannot open shared object file: No such file or directory"),
        text("{path} is not there"),
    ),
    (
        re.compile(r"(?P<path>.*): (?:invalid ELF header|file too short)"),
        text("{path} is no shared library"),
    ),
    (re.compile(r"(?P<path>.*): wrong ELF class: .*"), text("{path} is for another kind of processor")),
)
"""What dlopen(3) of the GNU C library says, and what it means."""


def why(module: Path, otherwise: str) -> errors.CardError:
    """Return why the module does not load: NotConfigured or ModuleFailed.

    It asks the module once more, with a log file of its own. This changes the environment for that time.

    Args:
        module: path of the module.
        otherwise: the reason to be told if the module logs none.
    """
    said = _logged(module)
    if said.startswith(_NOT_CONFIGURED):
        return errors.NotConfigured()
    return errors.ModuleFailed(detail=_meaning(said) if said else otherwise)


def _meaning(said: str) -> Text | str:
    for pattern, meaning in _REASONS:
        if found := pattern.match(said):
            return meaning.format(**found.groupdict())
    return loader_reason(said.removeprefix(_INNER)) if said.startswith(_INNER) else said


def loader_reason(said: str) -> Text | str:
    """Return what an error of dlopen(3) means; one that is not known stays as it is."""
    for pattern, meaning in _LOADER:
        if found := pattern.fullmatch(said):
            return meaning.format(**found.groupdict())
    return said


def _logged(module: Path) -> str:
    with suppress(OSError), scratch_folder() as folder:
        log = folder / "log"
        before = os.environ.get("XCA_LOG_FILE")
        os.environ["XCA_LOG_FILE"] = str(log)
        try:
            listed = ctypes.c_void_p()
            with suppress(OSError, AttributeError):
                ctypes.CDLL(str(module)).C_GetFunctionList(ctypes.byref(listed))
        finally:
            if before is None:
                del os.environ["XCA_LOG_FILE"]
            else:
                os.environ["XCA_LOG_FILE"] = before
        lines = _LINE.findall(log.read_text(encoding="utf-8", errors="replace"))
        return str(lines[-1]) if lines else ""
    return ""
