# SPDX-License-Identifier: Apache-2.0
"""What the programs of the centre that run for long write on stderr, for whoever keeps it."""

import logging
import sys


def begin_log() -> None:
    """Write what is worth knowing on stderr, a line for each.

    Of libraries that is what went wrong. What they tell beside that may be of people: the library for fonts
    tells which characters are on a printed application.
    """
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
    for own in ("xca_centre", "xca_common", "xca_login", "uvicorn"):
        logging.getLogger(own).setLevel(logging.INFO)
    # It tells of each form that is none, and strangers send as many as they like.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
