# SPDX-License-Identifier: Apache-2.0
"""What a card of the stand-in does with a ticket (授權票): its issuer's program does it, softhsm-card.

SoftHSM sets a new user code with the old one alone, so this is no operation of the module.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from pkcs11_shim import store_path
from xca_common.secret import Secret
from xca_plugin import errors
from xca_plugin.i18n import text

_PROGRAM: Final = "softhsm-card"
_SECONDS: Final = 60.0
_DETAIL: Final = re.compile(": |：")
"""Before the reason, in what the program says."""
_REFUSED: Final = 4
"""Exit status: the card does not take the ticket."""


def reset_user_code(number: str, ticket: bytes, new_user_code: Secret) -> None:
    """Give a card of the stand-in a new user code.

    Raises:
        TicketRefused: the card does not take the ticket.
        CardFault: the program failed.
    """
    beside = Path(sys.executable).with_name(_PROGRAM)
    program = str(beside) if beside.exists() else shutil.which(_PROGRAM)
    if program is None:
        raise errors.CardFault(detail=text("{program} is not installed").format(program=_PROGRAM))
    reading, writing = os.pipe()
    try:
        # Not ASCII: a code that is none is refused by the program, and quoted by no error of an encoding.
        with suppress(BrokenPipeError), os.fdopen(writing, "w", encoding="utf-8") as code:
            code.write(f"{new_user_code.reveal()}\n")  # a pipe holds more than a user code has
        with tempfile.TemporaryFile() as given:
            given.write(ticket)
            given.seek(0)
            done = subprocess.run(  # noqa: S603
                [
                    program,
                    *("--dir", str(store_path().parent), "reset-user-code", number, "--yes"),
                    *("--ticket", "-", "--new-user-code", f"fd:{reading}"),
                ],
                stdin=given,
                capture_output=True,
                pass_fds=(reading,),
                timeout=_SECONDS,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise errors.CardFault(detail=type(error).__name__) from None
    finally:
        os.close(reading)
    if done.returncode == 0:
        return
    said = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode == _REFUSED:
        raise errors.TicketRefused(number=number, detail=_DETAIL.split(said)[-1].rstrip(".。"))
    raise errors.CardFault(detail=said)
