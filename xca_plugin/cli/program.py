# SPDX-License-Identifier: Apache-2.0
"""The run of xcactl: language, streams, command, and the exit status."""

import resource
import sys
import warnings

from xca_common.command_line import speak
from xca_common.errors import FileProblem, XcaError, os_reason, place_of
from xca_common.standard_streams import tolerate_characters
from xca_plugin.i18n import text
from xca_plugin.terminal.exit_statuses import exit_status
from xca_plugin.terminal.streams import prepare_streams, show_module_log


def run() -> None:
    """Run xcactl and end the process with an exit status of docs/cli.md."""
    # A core dump would hold the PIN: Python's texts cannot be wiped.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # warnings of libraries about odd certificates, meant for programmers
    speak(sys.argv[1:])
    tolerate_characters()
    prepare_streams()
    show_module_log(wanted=False)
    from xca_plugin.cli.root import show_error, xcactl

    try:
        xcactl.main(prog_name="xcactl")
    except (XcaError, OSError) as error:  # for example, the help cannot be printed
        problem = error if isinstance(error, XcaError) else _file_problem(error)
        show_error(problem)
        sys.exit(exit_status(problem))
    except Exception as error:
        # Neither its text nor a traceback is shown: the exception of a plugin may hold a secret.
        print(text("Unexpected problem: {place}").format(place=place_of(error))(), file=sys.stderr)
        sys.exit(1)


def _file_problem(error: OSError) -> FileProblem:
    return FileProblem(path=error.filename or place_of(error), detail=os_reason(error))
