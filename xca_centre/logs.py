# SPDX-License-Identifier: Apache-2.0
"""What the programs of the centre that run for long write on stderr, for whoever keeps it."""

import logging
import sys


def begin_log() -> None:
    """Write what is worth knowing on stderr, a line for each."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of each look at the schema
