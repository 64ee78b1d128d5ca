# SPDX-License-Identifier: Apache-2.0
"""The organisations that cards are issued to: their register, read from CSV files, searched by applicants.

The register is what the competent authorities know: who applies chooses an entry, and its name and OID go
into the certificate unchanged.
"""

import csv
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from io import StringIO
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, func, insert, select, true, update
from stdnum.tw import ubn

from xca_centre.errors import (
    BadOrganisationLines,
    BadOrganisationName,
    OrganisationDissolved,
    OrganisationFileInOtherEncoding,
    OrganisationFileTooBig,
    OrganisationFileWithoutHeader,
    OrganisationUnknown,
    TaxIdTaken,
)
from xca_centre.i18n import text
from xca_centre.life.transitions import Actor
from xca_centre.plain_text import objection
from xca_centre.store.database import Change
from xca_centre.store.events import Event
from xca_centre.store.restored import Loss
from xca_centre.store.tables import ORGANISATIONS
from xca_common.harmless_text import harmless
from xca_common.i18n import Text

COLUMNS: Final = ("name", "tax_id", "oid", "kind", "counter")
"""The columns of a file, in their order; its first line names them."""
MOST_BYTES: Final = 16 << 20
MOST_LINES: Final = 100_000
LONGEST_NAME: Final = 64
"""Characters of an organisation's name in a certificate (RFC 5280, appendix A.1, ub-organization-name)."""
MOST_FOUND: Final = 20
"""Organisations that a search returns."""
_LEAST_TYPED: Final = 2
_LONGEST_COUNTER: Final = 64
_LONGEST_OID: Final = 64
_MOST_LINES_TOLD: Final = 50
# Below 0 and 1 the second number is at most 39 (ITU-T X.660): no certificate can say another.
_OID: Final = re.compile(
    r"(?:[01]\.(?:[0-9]|[12][0-9]|3[0-9])|2\.(?:0|[1-9][0-9]{0,15}))(?:\.(?:0|[1-9][0-9]{0,15})){1,14}"
)
_MISMATCH: Final = text("its quotation marks do not match, or a field is far too long")
_TWICE: Final = text("{value} stands in line {line} already")
_LINE: Final = text("line {number}: {reason}")
_IMPORTED: Final = "organisations_imported"
_IMPORT_LOST: Final = text("Organisations were imported after the backup. Import them again.")
_SAME_CHARACTER: Final = str.maketrans("台", "臺")


class OrganisationKind(StrEnum):
    """What an organisation is: the six kinds that XCA issues cards to."""

    SCHOOL = "school"
    """學校, public or private."""
    FOUNDATION = "foundation"
    """財團法人."""
    ASSOCIATION = "association"
    """社團法人."""
    ADMINISTRATIVE_CORPORATION = "administrative_corporation"
    """行政法人."""
    PROFESSIONAL_OFFICE = "professional_office"
    """自由職業事務所."""
    OTHER = "other"
    """其他組織或團體."""


@dataclass(frozen=True)
class Organisation:
    """An organisation of the register.

    Attributes:
        oid: 組織識別碼, by which everything else knows it.
        name: as it stands in certificates.
        tax_id: 統一編號, 8 digits; None: it has none.
        kind: what it is.
        counter: the 初審註冊窗口 of its competent authority.
        is_dissolved: whether it has ended.
    """

    oid: str
    name: str
    tax_id: str | None
    kind: OrganisationKind
    counter: str
    is_dissolved: bool = False


def is_tax_id(number: str) -> bool:
    """Tell whether 8 digits are a 統一編號.

    Since April 2023 its weighted sum need only be divisible by 5; that of the older ones is by 10. If the
    seventh digit is 7, the sum plus one may be as well.
    """
    if not re.fullmatch("[0-9]{8}", number):
        return False
    total = ubn.calc_checksum(number)
    return total % 5 == 0 or (number[6] == "7" and total % 5 == 4)


def read_organisations(data: bytes) -> Sequence[Organisation]:
    """Read a file of organisations: CSV in UTF-8, with COLUMNS as its first line.

    Raises:
        OrganisationFileTooBig: it has more bytes or lines than are read.
        OrganisationFileInOtherEncoding: it is not UTF-8.
        OrganisationFileWithoutHeader: its first line does not name the columns.
        BadOrganisationLines: at least one line cannot be imported.
    """
    if len(data) > MOST_BYTES:
        raise OrganisationFileTooBig(bytes=MOST_BYTES >> 20, lines=MOST_LINES)
    lines = _lines(_decoded(data))
    _, header = next(lines, (0, _MISMATCH))
    if isinstance(header, Text) or [cell.strip() for cell in header] != list(COLUMNS):
        raise OrganisationFileWithoutHeader(columns=",".join(COLUMNS))
    found, bad = list[Organisation](), list[tuple[int, Text]]()
    seen = dict[str, int]()
    for number, cells in lines:
        if number > MOST_LINES:
            raise OrganisationFileTooBig(bytes=MOST_BYTES >> 20, lines=MOST_LINES)
        read = cells if isinstance(cells, Text) else _organisation(cells)
        if isinstance(read, Text):
            bad.append((number, read))
            continue
        for key in filter(None, (read.oid, read.tax_id)):
            if (before := seen.setdefault(key, number)) != number:
                bad.append((number, _TWICE.format(value=key, line=before)))
                break
        else:
            found.append(read)
    if bad:
        raise _bad_lines(bad)
    return found


def _bad_lines(bad: Sequence[tuple[int, Text]]) -> BadOrganisationLines:
    told = [_LINE.format(number=number, reason=reason) for number, reason in bad[:_MOST_LINES_TOLD]]
    return BadOrganisationLines(count=len(bad), lines=told)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise OrganisationFileInOtherEncoding(encoding="UTF-16")
    try:
        data.decode("cp950")
    except UnicodeDecodeError:
        raise OrganisationFileInOtherEncoding(encoding=text("none that is known here")) from None
    raise OrganisationFileInOtherEncoding(encoding="Big5")


def _lines(content: str) -> Iterator[tuple[int, list[str] | Text]]:
    """Yield the number and the cells of each line that is not empty; a Text: why it has none."""
    reader = csv.reader(StringIO(content, newline=""), strict=True)
    number = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:  # nothing behind it can be told apart
            yield number, _MISMATCH
            return
        if any(cell.strip() for cell in cells):
            yield number, cells
        number = reader.line_num + 1


def _organisation(cells: list[str]) -> Organisation | Text:
    """Return the organisation of a line, or what is wrong with it."""
    if len(cells) != len(COLUMNS):
        return text("it has {found} columns, not {wanted}").format(found=len(cells), wanted=len(COLUMNS))
    name, tax_id, oid, kind, counter = (cell.strip() for cell in cells)
    if wrong := objection(name, text("the name"), LONGEST_NAME):
        return wrong
    if tax_id and not is_tax_id(tax_id):
        return text("{value} is no 統一編號: 8 digits, of which the last ones check the others").format(
            value=tax_id
        )
    if not _OID.fullmatch(oid) or len(oid) > _LONGEST_OID:
        return text("{value} is no OID: numbers with dots between them").format(value=oid)
    if kind not in list(OrganisationKind):
        return text("{value} is no kind of organisation: {kinds}").format(
            value=kind, kinds=list(OrganisationKind)
        )
    if wrong := objection(counter, text("the registration counter"), _LONGEST_COUNTER):
        return wrong
    return Organisation(oid, name, tax_id or None, OrganisationKind(kind), counter)


def folded(name: str) -> str:
    """Return a name as it is searched: without case, width and blanks, 台 and 臺 alike."""
    plain = unicodedata.normalize("NFKC", name).casefold().translate(_SAME_CHARACTER)
    return "".join(plain.split())


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        organisations: the first MOST_FOUND, the best first.
        is_all: whether there are no others.
    """

    organisations: Sequence[Organisation]
    is_all: bool


def import_organisations(change: Change, organisations: Sequence[Organisation], by: Actor) -> None:
    """Add organisations to the register. What it says of one with the same OID is replaced.

    Those that the file does not name stay as they are.

    Raises:
        TaxIdTaken: a 統一編號 is that of another organisation in the register.
    """
    for one in organisations:
        values = {"name": one.name, "folded": folded(one.name), "tax_id": one.tax_id}
        values |= {"kind": one.kind.value, "counter": one.counter}
        if one.tax_id is not None:
            taken = select(ORGANISATIONS.c.name).where(
                ORGANISATIONS.c.tax_id == one.tax_id, ORGANISATIONS.c.oid != one.oid
            )
            if (name := change.connection.execute(taken).scalar()) is not None:
                raise TaxIdTaken(tax_id=one.tax_id, name=name)
        known = update(ORGANISATIONS).where(ORGANISATIONS.c.oid == one.oid).values(values)
        if not change.connection.execute(known).rowcount:
            change.connection.execute(insert(ORGANISATIONS).values(oid=one.oid, is_dissolved=False, **values))
    change.event(_IMPORTED, "organisations", by, {"count": len(organisations)})


def find(connection: Connection, typed: str) -> Found:
    """Return the organisations whose name has what was typed in it, or whose 統一編號 it is.

    Those that ended are left out.
    """
    return _find(connection, typed, ~ORGANISATIONS.c.is_dissolved)


def look_up(connection: Connection, typed: str, counter: str | None) -> Found:
    """Return organisations as find() does, for officers: those that ended, too.

    Args:
        connection: for reading.
        typed: what the officer typed.
        counter: the registration counter whose organisations are looked at; None: all.
    """
    own = true() if counter is None else ORGANISATIONS.c.counter == counter
    return _find(connection, typed, own)


def _find(connection: Connection, typed: str, which: ColumnElement[bool]) -> Found:
    plain = folded(typed[:LONGEST_NAME])
    # No name has characters that cannot be seen, and no database takes all of them.
    if len(plain) < _LEAST_TYPED or harmless(plain) != plain:
        return Found((), is_all=True)
    if is_tax_id(plain):
        wanted = ORGANISATIONS.c.tax_id == plain
    elif _OID.fullmatch(plain):
        wanted = ORGANISATIONS.c.oid == plain
    else:
        wanted = ORGANISATIONS.c.folded.contains(plain, autoescape=True)
    # Short names are nearest to what was typed.
    order = func.length(ORGANISATIONS.c.folded), ORGANISATIONS.c.folded, ORGANISATIONS.c.oid
    rows = connection.execute(
        select(ORGANISATIONS).where(wanted, which).order_by(*order).limit(MOST_FOUND + 1)
    ).all()
    return Found([_read(row) for row in rows[:MOST_FOUND]], is_all=len(rows) <= MOST_FOUND)


def organisation(connection: Connection, oid: str) -> Organisation:
    """Return an organisation, dissolved or not.

    Raises:
        OrganisationUnknown: the register has none of this OID.
    """
    return _read(_row(connection, select(ORGANISATIONS), oid))


def lock(change: Change, oid: str) -> Organisation:
    """Return an organisation that has not ended, for a change that nothing happens beside in its name.

    Raises:
        OrganisationUnknown: the register has none of this OID.
        OrganisationDissolved: it has ended.
    """
    row = _row(change.connection, select(ORGANISATIONS).with_for_update(), oid)
    if row.is_dissolved:
        raise OrganisationDissolved(name=row.name)
    return _read(row)


def rename(change: Change, oid: str, name: str) -> None:
    """Write the new name of an organisation into the register.

    Raises:
        BadOrganisationName: it cannot stand in a certificate.
    """
    check_name(name)
    _write(change, oid, name=name, folded=folded(name))


def check_name(name: str) -> None:
    """Refuse a name that cannot stand in a certificate.

    Raises:
        BadOrganisationName: it cannot.
    """
    if wrong := objection(name, text("the name"), LONGEST_NAME):
        raise BadOrganisationName(detail=wrong)


def note_end(change: Change, oid: str) -> None:
    """Note in the register that an organisation has ended: nobody applies for it any more."""
    _write(change, oid, is_dissolved=True)


def _write(change: Change, oid: str, **values: str | bool) -> None:
    change.connection.execute(update(ORGANISATIONS).where(ORGANISATIONS.c.oid == oid).values(values))


def redo(_: Change, events: Sequence[Event]) -> Sequence[Loss]:
    """Say what is to be imported again after a restore (restored.merge): no event has the register."""
    return [Loss("organisations", _IMPORT_LOST)] if any(each.kind == _IMPORTED for each in events) else []


def _row(connection: Connection, chosen: Select[Any], oid: str) -> Row[Any]:
    row = None
    if _OID.fullmatch(oid):
        row = connection.execute(chosen.where(ORGANISATIONS.c.oid == oid)).one_or_none()
    if row is None:
        raise OrganisationUnknown
    return row


def _read(row: Row[Any]) -> Organisation:
    kind = OrganisationKind(row.kind)
    return Organisation(row.oid, row.name, row.tax_id, kind, row.counter, row.is_dissolved)


def counters(connection: Connection) -> Sequence[str]:
    """Return the registration counters of the organisations in the register."""
    known = select(ORGANISATIONS.c.counter).distinct().order_by(ORGANISATIONS.c.counter)
    return connection.execute(known).scalars().all()


def oids_of_counter(counter: str) -> Select[tuple[str]]:
    """Return the statement that finds the organisations of a registration counter."""
    return select(ORGANISATIONS.c.oid).where(ORGANISATIONS.c.counter == counter)
