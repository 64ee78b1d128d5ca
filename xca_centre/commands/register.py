# SPDX-License-Identifier: Apache-2.0
"""Commands for the registers of organisations and officers."""

from datetime import datetime
from pathlib import Path

import click

from xca_centre import name_changes, officers, organisations
from xca_centre.commands.common import STATUSES, begun, operator, tell
from xca_centre.commands.group import xca_centre
from xca_centre.i18n import plural, say, text
from xca_centre.life.transitions import Role
from xca_centre.staff_changes import key_of_card
from xca_common import taipei
from xca_common.command_line import Choice
from xca_common.errors import FileProblem, os_reason

_ = say

_EXAMPLE = Path(__file__).parents[1] / "data" / "organisations.csv"


@xca_centre.group("organisations", help=_("The register of organisations."))
def _organisations() -> None:
    pass


@_organisations.command(
    "import",
    help=_(
        "Read organisations from a CSV file in UTF-8. Its first line is: {columns}. What the register says "
        "of one with the same OID is replaced; the others stay. Without FILE, 20 invented ones are read."
    ).format(columns=",".join(organisations.COLUMNS)),
    epilog=STATUSES,
)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.pass_obj
def _import(folder: Path, file: Path | None) -> None:
    centre = begun(folder)
    path = file or _EXAMPLE
    try:
        with path.open("rb") as opened:
            data = opened.read(organisations.MOST_BYTES + 1)
    except OSError as error:
        raise FileProblem(path=path, detail=os_reason(error)) from error
    found = organisations.read_organisations(data)
    with centre.database.change() as change:
        organisations.import_organisations(change, found, operator())
    said = plural("{count} organisation was imported.", "{count} organisations were imported.", "count")
    tell(said.format(count=len(found)))


_day = click.option(
    "--day",
    metavar="DAY",
    type=click.DateTime(["%Y-%m-%d"]),
    help=_("The day on which it took effect, such as 2026-11-28; today, if left out."),
)
_REVOKED_AFTER = text(
    "The certificates that say otherwise are revoked after {last_day}, if nobody asks for it before."
)


@_organisations.command(
    "record-change",
    help=_(
        "Record that the name or the level of an organisation changed. The weeks begin in which it has to "
        "ask for the revocation of its certificates."
    ),
    epilog=STATUSES,
)
@click.argument("oid")
@click.option("--name", metavar="NAME", help=_("The new name; without it the register's stays."))
@_day
@click.pass_obj
def _record_change(folder: Path, oid: str, name: str | None, day: datetime | None) -> None:
    centre = begun(folder)
    with centre.database.change() as change:
        changed = day.date() if day else taipei.day(change.now)
        found = name_changes.record(change, oid, changed, operator(), centre.rules, name)
    tell(text("The change of {oid} is recorded.").format(oid=oid))
    tell(_REVOKED_AFTER.format(last_day=found.last_day))


@_organisations.command(
    "dissolve",
    help=_(
        "Record that an organisation has ended: it gets no card any more. The weeks begin in which it has to "
        "ask for the revocation of its certificates."
    ),
    epilog=STATUSES,
)
@click.argument("oid")
@_day
@click.pass_obj
def _dissolve(folder: Path, oid: str, day: datetime | None) -> None:
    centre = begun(folder)
    with centre.database.change() as change:
        ended = day.date() if day else taipei.day(change.now)
        found = name_changes.dissolve(change, oid, ended, operator(), centre.rules)
    tell(text("{oid} is noted as dissolved.").format(oid=oid))
    tell(_REVOKED_AFTER.format(last_day=found.last_day))


@xca_centre.group("officers", help=_("The officers, and the cards that they log in with."))
def _officers() -> None:
    pass


@_officers.command("list", help=_("List the officers."), epilog=STATUSES)
@click.pass_obj
def _list(folder: Path) -> None:
    with begun(folder).database.read() as connection:
        for each in officers.everybody(connection):
            roles = text("{roles}").format(roles=[role.said for role in sorted(each.roles)])
            state = text("active") if each.is_active else text("inactive")
            facts = (each.id, each.name, roles, each.counter or "-", each.card or "-", state)
            tell("\t".join(map(str, facts)))


@_officers.command(
    "record", help=_("Record an officer, or what has changed of one; the card stays."), epilog=STATUSES
)
@click.argument("officer")
@click.argument("name")
@click.option(
    "--role",
    "roles",
    type=Choice([role.value for role in officers.ROLES]),
    multiple=True,
    required=True,
    help=_("What the officer does; may be given several times."),
)
@click.option("--counter", metavar="NAME", help=_("The registration counter of first reviews."))
@click.pass_obj
def _record(folder: Path, officer: str, name: str, roles: tuple[str, ...], counter: str | None) -> None:
    with begun(folder).database.change() as change:
        made = officers.record(change, officer, name, [Role(role) for role in roles], counter, operator())
    tell(text("The officer {officer} is recorded: {name}.").format(officer=made.id, name=made.name))


@_officers.command(
    "card",
    help=_("Let an officer log in with a card of this centre, whose certificates are accepted."),
    epilog=STATUSES,
)
@click.argument("officer")
@click.argument("number")
@click.pass_obj
def _card(folder: Path, officer: str, number: str) -> None:
    with begun(folder).database.change() as change:
        officers.give_card(change, officer, number, key_of_card(change, number), operator())
    tell(text("{officer} logs in with the card {card}.").format(officer=officer, card=number))


@_officers.command("deactivate", help=_("Let an officer act no more."), epilog=STATUSES)
@click.argument("officer")
@click.pass_obj
def _deactivate(folder: Path, officer: str) -> None:
    with begun(folder).database.change() as change:
        officers.deactivate(change, officer, operator())
    tell(text("{officer} acts no more.").format(officer=officer))
