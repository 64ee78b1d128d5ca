# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  # Tool has the docstrings
"""p11-kit: a .module file, which GnuTLS, OpenSC's tools and other users of p11-kit find too."""

import os
import re
from pathlib import Path
from typing import Final

from pkcs11_shim import rules
from xca_common.base_directories import config_home
from xca_common.i18n import Text
from xca_plugin.i18n import text
from xca_plugin.tools.host_environment import module, run, shell, which
from xca_plugin.tools.managed_file import ManagedFile
from xca_plugin.tools.tool import CARD_URI, ProbeResult, Tool

_SYSTEM: Final = Path("/etc/pkcs11/modules")


class P11Kit(Tool):
    """p11-kit. The file is in the user's folder; root's is in the system's, the only one that root has."""

    name = "p11-kit"
    title = text("p11-kit, and with it GnuTLS, OpenSC and others")

    def missing(self) -> Text | None:
        return None if self.program() else text("install p11-kit (Debian: p11-kit)")

    def program(self) -> Path | None:
        return which("p11-kit")

    def files(self) -> list[ManagedFile]:
        lines = [f"module: {module()}"]
        if os.geteuid() == 0:
            return [ManagedFile(_SYSTEM / "xca.module", self.name, lines, mode=0o644, folder_mode=0o755)]
        return [ManagedFile(config_home() / "pkcs11" / "modules" / "xca.module", self.name, lines)]

    def command(self) -> str:
        if which("p11tool"):
            return shell("p11tool", "--login", "--list-all", CARD_URI)
        return shell("p11-kit", "list-modules")

    def check(self) -> ProbeResult:
        _, said = run("p11-kit", "list-modules")
        # A module's first line: "xca: PATH", since p11-kit 0.25 "module: xca".
        ours = re.search(r"^(?:xca: .*|module: xca)\n(?:[ \t].*\n)*", said, re.MULTILINE)
        if ours is None:
            return ProbeResult(False, text("p11-kit does not load the module")())
        if f"token: {rules.CARD_LABEL}" not in ours[0]:
            return ProbeResult(False, text("p11-kit sees no card")())
        return ProbeResult(True, "")
