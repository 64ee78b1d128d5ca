# SPDX-License-Identifier: Apache-2.0
"""The command xca-centre: the language first, then the commands, whose import translates their help."""

import sys

from xca_centre.i18n import text
from xca_common.command_line import speak
from xca_common.extras import install_command

_NEEDS = text("The command xca-centre needs the Python package {name}. Install it: {command}")


def main() -> None:
    """Run xca-centre.

    Raises:
        SystemExit: a package of the extra centre is not installed.
    """
    speak(sys.argv[1:])
    try:
        from xca_centre.commands import xca_centre
    except ModuleNotFoundError as error:
        command = install_command("xca-plugin", "centre")
        sys.exit(_NEEDS.format(name=error.name or "", command=command)())
    xca_centre(prog_name="xca-centre")
