# SPDX-License-Identifier: Apache-2.0
"""The command softhsm-card: the language first, then the commands, whose import translates their help."""

import sys

from xca_common.command_line import speak


def main() -> None:
    """Run softhsm-card."""
    speak(sys.argv[1:])
    from softhsm.commands import softhsm_card

    softhsm_card(prog_name="softhsm-card")


if __name__ == "__main__":
    main()
