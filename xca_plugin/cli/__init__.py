# SPDX-License-Identifier: Apache-2.0
"""The command xcactl. The module of a subcommand is imported only when it runs, for a fast start."""

import sys


def main() -> None:
    """Run xcactl and end the process with an exit status of docs/cli.md."""
    try:
        from xca_plugin.cli.program import run  # here, because Ctrl-C may come while it is imported

        run()
    except KeyboardInterrupt:  # while a command runs, click takes it
        sys.exit(1)
