# SPDX-License-Identifier: Apache-2.0
"""The centre as a web server: several processes that share the database."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import uvicorn

from xca_centre import settings
from xca_centre.beginning import require_begun
from xca_centre.centre import Centre
from xca_centre.errors import CannotListen
from xca_centre.i18n import text
from xca_centre.logs import begin_log
from xca_centre.web.app import application
from xca_centre.web.frame import Frame
from xca_common.errors import os_reason
from xca_common.i18n import Text
from xca_common.web.listening import listening_socket

_HOST: Final = "127.0.0.1"
_VARIABLE: Final = "XCA_CENTRE_FOLDER"
"""Names the centre's folder to the further processes."""


def serve(folder: Path, port: int, workers: int, tell: Callable[[Text], object]) -> None:
    """Serve on this machine, until the process is told to end.

    Args:
        folder: of the centre.
        port: where to listen; 0: where it is free.
        workers: number of processes.
        tell: is told where it listens.

    Raises:
        CannotListen: another program has the port.
        CentreError: the centre cannot be opened.
    """
    _application(folder)  # what is wrong is told before anything listens
    os.environ[_VARIABLE] = str(folder.absolute())
    try:
        bound = listening_socket(_HOST, port)
    except OSError as error:
        raise CannotListen(address=f"http://{_HOST}:{port}", detail=os_reason(error)) from error
    with bound:
        here, port = bound.getsockname()
        tell(text("The centre listens at {address}.").format(address=f"http://{here}:{port}"))
        uvicorn.run(
            f"{__name__}:app",
            factory=True,
            host=here,
            port=port,
            fd=bound.fileno(),
            workers=workers,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
        )


def app() -> Any:
    """Return the centre whose folder the environment names: what each process begins with."""
    begin_log()
    return _application(Path(os.environ[_VARIABLE]))


def _application(folder: Path) -> Any:
    centre = Centre(settings.read(folder))
    require_begun(centre)
    frame = Frame(
        database=centre.database,
        rules=centre.rules,
        hierarchy=centre.hierarchy,
        origin=centre.settings.origin,
        clock=centre.clock,
        component=centre.settings.component,
        producer=centre.producer,
        payment_provider=centre.payment_provider,
    )
    return application(frame)
