# SPDX-License-Identifier: Apache-2.0
"""Registration of the module with other programs, such as browsers, OpenSSL and ssh.

xcactl writes its lines between two comments (xca_plugin.tools.managed_block). Every other byte of a file
stays as it was.
"""

from collections.abc import Sequence
from pathlib import Path

from xca_plugin.tools.curl import Curl
from xca_plugin.tools.file_change import FileChange, make
from xca_plugin.tools.java import Java
from xca_plugin.tools.managed_file import Registration
from xca_plugin.tools.nss import Chromium, Firefox
from xca_plugin.tools.openssh import OpenSSH
from xca_plugin.tools.openssl import Engine, Provider
from xca_plugin.tools.p11_kit import P11Kit
from xca_plugin.tools.pyhanko import PyHanko
from xca_plugin.tools.tool import ProbeResult, Tool
from xca_plugin.tools.xca import XCA

__all__ = ["XCA", "FileChange", "ProbeResult", "Registration", "Tool", "all_tools", "make"]


def all_tools(*, database: Path | None = None) -> Sequence[Tool]:
    """Return every supported tool, installed or not.

    Args:
        database: the database for XCA; None: the one that XCA opens when it starts.
    """
    return (
        *(P11Kit(), Engine(), Provider(), Firefox(), Chromium(), OpenSSH(), Java(), PyHanko(), Curl()),
        XCA(database),
    )
