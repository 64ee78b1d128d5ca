# SPDX-License-Identifier: Apache-2.0
"""Opens an address in the person's browser."""

import subprocess
import sys
import webbrowser
from typing import Final

_SECONDS: Final = 3
"""An opener that finds no browser has ended by then."""


def open_address(address: str) -> bool:
    """Open an address in the person's browser; return False if there is none."""
    if sys.platform != "linux":
        return webbrowser.open(address)
    try:
        # What it prints is about its own search, and English.
        opener = subprocess.Popen(  # noqa: S603
            ["xdg-open", address],  # noqa: S607  # that of the desktop
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return opener.wait(_SECONDS) == 0
    except subprocess.TimeoutExpired:
        return True  # it is the browser itself
    except OSError:
        return False
