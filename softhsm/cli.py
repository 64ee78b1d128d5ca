# SPDX-License-Identifier: Apache-2.0
"""The command softhsm-card: the language first, then the commands, whose import translates their help."""

import sys


def main() -> None:
    """Run softhsm-card."""
    try:
        from xca_common.command_line import speak  # here, because Ctrl-C may come while it is imported

        speak(sys.argv[1:])
        from softhsm.commands import softhsm_card

        softhsm_card(prog_name="softhsm-card")
    except KeyboardInterrupt:  # while a command runs, click takes it
        sys.exit(1)


if __name__ == "__main__":
    main()
