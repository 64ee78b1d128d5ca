# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  # Tool has the docstrings
"""Java: a separate configuration for the provider SunPKCS11."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from pkcs11_shim import rules
from xca_common.base_directories import own_configuration
from xca_common.i18n import Text
from xca_plugin.i18n import text
from xca_plugin.tools.file_change import read
from xca_plugin.tools.host_environment import last_line, module, run, scratch, shell, which
from xca_plugin.tools.managed_file import ManagedFile
from xca_plugin.tools.tool import ProbeResult, Tool

_KEYTOOL: Final = (
    *("keytool", "-list", "-keystore", "NONE", "-storetype", "PKCS11"),
    *("-addprovider", "SunPKCS11", "-providerArg"),
)


class Java(Tool):
    """keytool, jarsigner, and programs that add the provider with this configuration."""

    name = "java"
    title = text("Java, provider SunPKCS11 (keytool, jarsigner)")

    def missing(self) -> Text | None:
        here = self.program() and which("keytool")
        return None if here else text("install Java (Debian: default-jre-headless)")

    def program(self) -> Path | None:
        return which("java")

    def files(self) -> list[ManagedFile]:
        return [ManagedFile(_file(), self.name, ["name = XCA", f"library = {module()}"])]

    def command(self) -> str:
        return shell(*_KEYTOOL, _file())

    def remarks(self) -> list[Callable[[], str]]:
        first = text(
            "Among several cards it takes the first: leave one in, or add slotListIndex to a copy of {path}"
        )
        return [*super().remarks(), first.format(path=_file())]

    def check(self) -> ProbeResult:
        with scratch() as folder:
            shown = folder / "xca.cfg"
            shown.write_bytes((read(_file()) or b"") + b"showInfo = true\n")
            # With -protected, keytool asks for no PIN. It shows the card and then fails to log in.
            _, said = run(*_KEYTOOL, shown, "-protected")
        if f"label: {rules.CARD_LABEL}" in said:
            return ProbeResult(True, "")
        return ProbeResult(False, last_line(said))


def _file() -> Path:
    return own_configuration() / "java.cfg"
