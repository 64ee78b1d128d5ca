# SPDX-License-Identifier: Apache-2.0
"""The group of all commands of xca-centre."""

from pathlib import Path

import click

from xca_centre.commands.common import STATUSES, Commands
from xca_centre.i18n import say
from xca_centre.settings import FOLDER

_ = say


@click.group(
    cls=Commands,
    epilog=STATUSES,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=_(
        "Run a certificate centre for organisation IC cards.\n\n"
        "To try it: xca-centre sandbox. To run one: xca-centre settings > centre.toml, then xca-centre init."
    ),
)
@click.option(
    "--dir",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    envvar="XCA_CENTRE_DIR",
    default=FOLDER,
    show_default=True,
    help=_("The folder of the centre, with its settings in centre.toml."),
)
@click.version_option(package_name="xca_plugin")
@click.pass_context
def xca_centre(context: click.Context, folder: Path) -> None:
    """Group of all commands of xca-centre."""
    context.obj = folder
