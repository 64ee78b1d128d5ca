# SPDX-License-Identifier: Apache-2.0
"""The command xcactl. Commands are imported when they are run, so that each waits only for what it uses."""

import codecs
import gettext
import io
import os
import resource
import sys
import warnings
from itertools import zip_longest

from xca_common.errors import place_of
from xca_common.i18n import DOMAIN
from xca_plugin.i18n import CATALOGUE, text


def main() -> None:
    """Run xcactl; ends the process with a status of docs/cli.md."""
    # A core dump would hold the PIN: Python's texts cannot be wiped.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # what libraries tell programmers about odd certificates
    # Before any command is built: help texts are made then, in one language.
    if language := _named_language(sys.argv[1:]):
        os.environ["LANGUAGE"] = language
    gettext.bindtextdomain(DOMAIN, CATALOGUE.locales)
    gettext.textdomain(DOMAIN)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # ASCII is a locale that nobody chose; Python and click take it for UTF-8 as well.
            encoding = "utf-8" if codecs.lookup(stream.encoding).name == "ascii" else None
            stream.reconfigure(encoding=encoding, errors="replace")
    from xca_plugin.cli.root import xcactl

    try:
        xcactl.main(prog_name="xcactl")
    except Exception as error:
        # Not its text and no traceback: a stranger's exception may hold a secret.
        print(text("Unexpected problem: {place}").format(place=place_of(error))(), file=sys.stderr)
        sys.exit(1)


def _named_language(arguments: list[str]) -> str | None:
    """Find --lang among the options before the command."""
    for option, value in zip_longest(arguments, arguments[1:], fillvalue=""):
        if option == "--lang":
            return value
        if option.startswith("--lang="):
            return option.removeprefix("--lang=")
        if not option.startswith("-"):
            break
    return None
