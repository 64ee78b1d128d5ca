# SPDX-License-Identifier: Apache-2.0
"""The command xca-login: the language first, then the commands, whose import translates their help."""

import shlex
import sys

from xca_login.i18n import text

_NEEDS = text("The command xca-login needs the Python package {name}. Install it: {command}")


def main() -> None:
    """Run xca-login.

    Raises:
        SystemExit: click, of the extra cli, is not installed.
    """
    try:
        from xca_common.command_line import speak
    except ModuleNotFoundError as error:
        # Not xca_common.extras, which needs a package of that extra itself.
        command = shlex.join([sys.executable, "-m", "pip", "install", "xca-login[cli]"])
        sys.exit(_NEEDS.format(name=error.name or "", command=command)())
    speak(sys.argv[1:])
    from xca_login.commands import xca_login

    xca_login(prog_name="xca-login")
