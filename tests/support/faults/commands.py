# SPDX-License-Identifier: Apache-2.0
"""Runs xcactl with a fault: python -m support.faults.commands (forking.py)."""

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final

from support.faults.forking import Request, serve
from xca_plugin import cards
from xca_plugin.agent.process import service
from xca_plugin.cli import main

_IMPORTED: Final = (
    *("encodings.utf_8_sig", "psutil", "rfc3161_client", "smartcard.scard", "smartcard.System", "yaml"),
    *("rich.console", "rich.markup", "rich.padding", "rich.table", "rich.text"),
    *("xca_plugin.agent.process.server", "xca_plugin.card_report", "xca_plugin.cms", "xca_plugin.enveloped"),
    *("xca_plugin.hicos", "xca_plugin.pdf_verification", "xca_plugin.time_stamping"),
    *("xca_plugin.verification",),
    *(
        f"xca_plugin.cli.{name}"
        for name in (
            *("activate", "agent", "certificates", "doctor", "encryption", "pin", "reading", "root"),
            *("setup", "signatures", "tools", "verification"),
        )
    ),
)
"""What the commands import when they run."""


def prepare() -> None:
    """Do once what is the same in each run."""
    for name in _IMPORTED:
        import_module(name)
    import_module("rich.cells").cell_len("憑證")  # it imports a table
    vars(cards)["entry_points"] = entry_points().select  # else each run reads those of all distributions
    vars(service)["check_free"] = lambda port: None  # an agent of another test may have the port


def run(request: Request, arm: Callable[[], None], disarm: Callable[[], None]) -> int:
    """Run a command to its end with the fault."""
    sys.argv = ["xcactl", *request["arguments"]]
    arm()
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


if __name__ == "__main__":
    prepare()
    serve(run)
