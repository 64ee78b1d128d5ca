# SPDX-License-Identifier: Apache-2.0
"""Commands with which a centre begins: its settings, its ceremony and the record of that, the root's list."""

from pathlib import Path

import click

from xca_centre import beginning, settings
from xca_centre.authority.hierarchy import renew_root_list
from xca_centre.beginning import Ceremony, NewOfficer
from xca_centre.ceremony_record import print_record
from xca_centre.commands.common import STATUSES, asked_secret, begun, opened, tell
from xca_centre.commands.group import xca_centre
from xca_centre.i18n import say, text
from xca_common import atomic_file
from xca_common.atomic_file import whole_file
from xca_common.command_line import SourceOption
from xca_common.i18n import Text
from xca_common.secret import Secret
from xca_common.secret_source import FORMS, SecretReader

_ = say

_ROOT_PIN = text("PIN of the root's token")
_RECORD = "ceremony.pdf"


def _source(sentence: Text) -> str:
    return text("{sentence}: {forms}. Asked for when left out.").format(sentence=sentence, forms=FORMS)()


_root_pin = click.option(
    "--root-pin", metavar="SOURCE", cls=SourceOption, help=_source(text("The PIN of the root's token"))
)


@xca_centre.command("settings", help=_("Print settings to begin with, each explained."))
def _settings() -> None:
    tell(settings.example().rstrip("\n"))


@xca_centre.command(
    "init",
    help=_(
        "Begin the centre: tokens, root and CAs, database, and the cards of the first two officers. Whoever "
        "is cut off runs it again. Afterwards the root's token is put away.\n\n"
        "The settings are read from centre.toml in the folder of the centre."
    ),
    epilog=STATUSES,
)
@click.option(
    "--officer",
    "officers",
    metavar="ID NAME",
    nargs=2,
    multiple=True,
    required=True,
    help=_("An officer: the first does first reviews, the second does second ones. Give it twice."),
)
@click.option(
    "--present", metavar="NAME", multiple=True, help=_("Who else is there; may be given several times.")
)
@_root_pin
@click.option(
    "--user-codes",
    metavar="SOURCE",
    cls=SourceOption,
    help=_source(text("The user codes of the two officers' cards, a line for each")),
)
@click.pass_obj
def _init(
    folder: Path,
    officers: tuple[tuple[str, str], ...],
    present: tuple[str, ...],
    root_pin: str | None,
    user_codes: str | None,
) -> None:
    if len(officers) != len(beginning.ROLES) or len({officer for officer, _ in officers}) != len(officers):
        raise click.UsageError(_("Give --officer twice, for two persons."))
    first, second = (NewOfficer(*officer) for officer in officers)
    centre = opened(folder)
    with SecretReader() as reader:

        def pin() -> Secret:
            return asked_secret(reader, root_pin, _ROOT_PIN)

        def code(officer: NewOfficer) -> Secret:
            question = text("User code for the card of {name}").format(name=officer.name)
            return asked_secret(reader, user_codes, question)

        people = [*(name for _, name in officers), *present]
        begun_now = Ceremony((first, second), people, pin, code, tell).begin(centre)
    path = centre.settings.folder / _RECORD
    atomic_file.write(path, print_record(begun_now, centre.clock()))
    tell(text("The centre is begun. The record to sign is {path}.").format(path=path))
    for officer in begun_now.officers:
        said = text("The card of {name} is {card}: activate it, and accept its certificates.")
        tell(said.format(name=officer.name, card=officer.card or ""))
    tell(text("Put the root's token away. Next: xca-centre serve, and xca-centre worker beside it."))


@xca_centre.command(
    "record", help=_("Print the record of the beginning again, as a PDF file."), epilog=STATUSES
)
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def _record(folder: Path, file: Path) -> None:
    centre = begun(folder)
    record = print_record(beginning.read(centre, centre.database), centre.clock())
    with whole_file(file, 0o600) as written:
        written.write(record)


@xca_centre.command(
    "root-list",
    help=_(
        "Sign the root's list of revoked CAs again; it holds for a year. The root's token is needed for that."
    ),
    epilog=STATUSES,
)
@_root_pin
@click.pass_obj
def _root_list(folder: Path, root_pin: str | None) -> None:
    centre = begun(folder)
    with SecretReader() as reader, asked_secret(reader, root_pin, _ROOT_PIN) as pin:
        renew_root_list(centre.certificates, centre.root_token(pin), centre.clock())
    tell(text("The root's list is signed. Put the root's token away."))
