# SPDX-License-Identifier: Apache-2.0
"""The command xca-login: the language first, then the commands, whose import translates their help."""

import sys

from xca_common.command_line import speak


def main() -> None:
    """Run xca-login."""
    speak(sys.argv[1:])
    from xca_login.commands import xca_login

    xca_login(prog_name="xca-login")
