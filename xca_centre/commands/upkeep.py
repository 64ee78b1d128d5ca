# SPDX-License-Identifier: Apache-2.0
"""Commands for who looks after a centre: the chain of events, jobs that failed, a restored database."""

import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from uuid import UUID

import click
from cryptography import x509

from xca_centre import certificate_sets
from xca_centre.commands.common import STATUSES, begun, operator, tell, warn
from xca_centre.commands.group import xca_centre
from xca_centre.errors import ForeignList, UnreadableList
from xca_centre.i18n import plural, say, text
from xca_centre.life.certificate import Reason
from xca_centre.restoration import restore
from xca_centre.status.published_lists import number_above
from xca_centre.store.database import Database
from xca_centre.store.event_chain import Head, audit
from xca_centre.store.job_queue import drop, parked_jobs, take_up
from xca_common import taipei
from xca_common.errors import FileProblem, os_reason

_ = say


class _Head(click.ParamType[Head]):
    """Type of a head of the chain, as `audit` prints it."""

    name = "head"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Head:
        number, _, digest = str(value).partition(":")
        if not number.isdecimal() or len(digest) != 64:
            wrong = text("{value} is no head of the chain: NUMBER:HASH, as xca-centre audit prints it.")
            raise click.BadParameter(wrong.format(value=value)(), ctx, param)
        return Head(int(number), digest)


@xca_centre.command(
    "audit",
    help=_(
        "Compute the chain of events anew, and print its head. Keep that elsewhere: given with --head later, "
        "it proves that nothing before it was changed or removed."
    ),
    epilog=STATUSES,
)
@click.option(
    "--head",
    "heads",
    metavar="NUMBER:HASH",
    type=_Head(),
    multiple=True,
    help=_("A head that was kept; may be given several times."),
)
@click.pass_obj
def _audit(folder: Path, heads: tuple[Head, ...]) -> None:
    with begun(folder).database.read() as connection:
        found = audit(connection, heads)
    tell(f"{found.head.number}:{found.head.hash}")
    if found.unchained:
        said = plural("{count} event waits to be chained.", "{count} events wait to be chained.", "count")
        warn(said.format(count=len(found.unchained)))
    if found.broken is not None:
        warn(
            text("The chain is broken: event {number} is missing, or not what it was.").format(
                number=found.broken
            )
        )
        sys.exit(1)


@xca_centre.group("jobs", help=_("Jobs that failed too often, and wait for you."))
def _jobs() -> None:
    pass


@_jobs.command("list", help=_("List them, with how they failed."), epilog=STATUSES)
@click.pass_obj
def _list(folder: Path) -> None:
    with begun(folder).database.read() as connection:
        for job in parked_jobs(connection):
            tell("\t".join((str(job.id), job.kind, taipei.moment(job.parked), job.problem)))


@_jobs.command("retry", help=_("Let the workers try a job again."), epilog=STATUSES)
@click.argument("job", type=click.UUID)
@click.pass_obj
def _retry(folder: Path, job: UUID) -> None:
    with begun(folder).database.change() as change:
        take_up(change, job)
    tell(text("The workers take the job up again."))


@_jobs.command("drop", help=_("Give a job up. The log of events keeps why."), epilog=STATUSES)
@click.argument("job", type=click.UUID)
@click.option("--reason", metavar="TEXT", required=True, help=_("Why."))
@click.pass_obj
def _drop(folder: Path, job: UUID, reason: str) -> None:
    with begun(folder).database.change() as change:
        drop(change, job, reason[:500], operator())
    tell(text("The job is given up."))


@xca_centre.command(
    "restore",
    help=_(
        "Merge the journal and the last published lists into a database from a backup. Until then nobody "
        "works with it: it would call good what was revoked since. It says what is lost; the log of events "
        "keeps that. End all programs of the centre first.\n\n"
        "LISTS are revocation lists as they were published last, such as from a mirror."
    ),
    epilog=STATUSES,
)
@click.argument("lists", type=click.Path(path_type=Path), nargs=-1)
@click.pass_obj
def _restore(folder: Path, lists: tuple[Path, ...]) -> None:
    centre = begun(folder)
    published = [(path, _read_list(path)) for path in lists]
    for path, listed in published:
        if not centre.hierarchy.has_signed(listed):
            raise ForeignList(path=path)
    with closing(Database(centre.settings.database, centre.clock)) as database:
        done = restore(database, centre.journal, centre.rules, operator())
        merged = plural(
            "{count} event of the journal was missing, and is there now.",
            "{count} events of the journal were missing, and are there now.",
            "count",
        )
        tell(merged.format(count=done.count))
        for loss in done.losses:
            warn(loss.said)
        for path, listed in published:
            with database.change() as change:
                unknown = certificate_sets.merge_list(change, _entries(listed), operator(), centre.rules)
                number_above(change, _number(listed))
            tell(text("{path}: merged.").format(path=path))
            for serial in unknown:
                warn(text("The database does not know the certificate {serial}.").format(serial=serial))


def _read_list(path: Path) -> x509.CertificateRevocationList:
    try:
        return x509.load_der_x509_crl(path.read_bytes())
    except OSError as error:
        raise FileProblem(path=path, detail=os_reason(error)) from error
    except ValueError:
        raise UnreadableList(path=path) from None


def _number(listed: x509.CertificateRevocationList) -> int:
    try:
        return listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return 0


def _entries(listed: x509.CertificateRevocationList) -> Iterator[tuple[str, Reason, datetime]]:
    for entry in listed:
        try:
            reason = Reason(entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.name)
        except x509.ExtensionNotFound:
            reason = Reason.UNSPECIFIED
        yield f"{entry.serial_number:X}", reason, entry.revocation_date_utc
