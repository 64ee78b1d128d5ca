# SPDX-License-Identifier: Apache-2.0
"""What the programs of the centre write on stderr."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.fast
PROGRAM = """
import logging
from xca_centre.logs import begin_log
begin_log()
logging.getLogger("xca_centre.worker").info("own")
logging.getLogger("xca_login.http").info("login")
logging.getLogger("fontTools.subset").info("Glyph names: uni738B")
logging.getLogger("python_multipart.multipart").warning("no boundary")
logging.getLogger("sqlalchemy.pool").error("gone wrong")
"""


def test_log_has_what_the_centre_tells_and_what_went_wrong_elsewhere() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    lines = ["INFO xca_centre.worker: own", "INFO xca_login.http: login", "ERROR sqlalchemy.pool: gone wrong"]
    assert run.stderr.splitlines() == lines
