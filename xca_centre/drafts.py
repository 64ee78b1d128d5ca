# SPDX-License-Identifier: Apache-2.0
"""Drafts: applications that are being filled in on the centre's pages, step by step, until they are uploaded.

A draft belongs to the browser that began it, and is uploaded once: whoever uploads it a second time is given
the application that it became. Any worker goes on with it. It has the user code as user_codes keeps it: as a
hash, and sealed to who makes the card.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Connection, Row, Select, delete, insert, select, update

from xca_centre import applications
from xca_centre.application_form import FIELDS, ApplicationForm
from xca_centre.applications import Application
from xca_centre.errors import DraftGone, FormIncomplete, RenewalUnsigned
from xca_centre.i18n import text
from xca_centre.issuer_rules import IssuerRules
from xca_centre.store.database import Change, Clock, Database
from xca_centre.store.job_queue import Handler, Job, finish
from xca_centre.store.tables import CASE_ACCESSES, DRAFTS
from xca_centre.user_codes import NewUserCode
from xca_login.challenges import Challenge
from xca_login.login import Login

LIFE: Final = timedelta(hours=2)
"""How long a draft is kept."""
FORGET: Final = "forget_drafts"
"""The job that deletes what nobody goes on with."""
_HOURS: Final = LIFE // timedelta(hours=1)


class Wanted(StrEnum):
    """What a draft asks for."""

    CARD = "card"
    """A card, with a letter and a stamped form."""
    RENEWAL = "renewal"
    """A card, with the signature of the one that it follows."""
    CERTIFICATE = "certificate"
    """A certificate for a key that is elsewhere (非IC卡類憑證)."""


@dataclass(frozen=True)
class Draft:
    """A draft, as it is.

    Attributes:
        id: names it; it opens nothing in another browser.
        organisation: OID of whom it is for.
        wanted: what it asks for.
        fields: as they were filled in last, by the names of application_form.FIELDS.
        code: the user code that was chosen; None: none yet.
        request: a certificate request; None: none yet, or none is wanted.
        challenge: what the old card is asked to sign; None: nothing yet.
        application: what it became; None: it was not uploaded yet.
    """

    id: UUID
    organisation: str
    wanted: Wanted
    fields: Mapping[str, str]
    code: NewUserCode | None
    request: bytes | None
    challenge: Challenge | None
    application: UUID | None

    def form(self, rules: IssuerRules) -> ApplicationForm:
        """Return the form that was filled in.

        Raises:
            FormIncomplete: something is missing or wrong, the user code and the request included.
        """
        missing = {}
        if self.wanted is Wanted.CERTIFICATE and self.request is None:
            missing["request"] = text("the certificate request is missing")
        if self.code is None:
            missing["user_code"] = text("the user code is missing")
        try:
            form = ApplicationForm.read(self.fields, rules.terms.version)
        except FormIncomplete as error:
            missing = {**error.problems, **missing}
        if missing:
            raise FormIncomplete(count=len(missing), problems=missing, reasons=[*missing.values()])
        return form


def digest_of(browser: str) -> str:
    """Return what is kept of the secret by which a browser is known."""
    return hashlib.sha256(browser.encode("utf-8", "surrogatepass")).hexdigest()


def begin(
    change: Change, browser: str, organisation: str, wanted: Wanted, fields: Mapping[str, str]
) -> Draft:
    """Begin a draft.

    Args:
        change: the change.
        browser: what the applicant's browser alone knows. Only its digest is kept.
        organisation: the OID of whom it is for; upload() sees whether it may apply.
        wanted: what is asked for.
        fields: what is filled in already.
    """
    identity, until = uuid4(), change.now + LIFE
    row = {
        "id": identity,
        "browser": digest_of(browser),
        "until": until,
        "organisation": organisation,
        "wanted": wanted.value,
        "fields": _written(fields),
    }
    change.connection.execute(insert(DRAFTS).values(row))
    change.enqueue(FORGET, {}, not_before=until, key=FORGET)
    return _found(change, _own(identity, browser, change))


def read(connection: Connection, draft: UUID, browser: str, clock: Clock) -> Draft:
    """Return a draft.

    Raises:
        DraftGone: this browser has none of this id.
    """
    chosen = _of(draft, browser).where(DRAFTS.c.until > clock())
    return _draft(connection.execute(chosen).one_or_none())


def keep(
    change: Change,
    draft: UUID,
    browser: str,
    *,
    fields: Mapping[str, str] | None = None,
    code: NewUserCode | None = None,
    request: bytes | None = None,
    challenge: Challenge | None = None,
) -> Draft:
    """Keep what is filled in now; what is None stays as it was.

    Raises:
        DraftGone: this browser has none of this id, or it was uploaded.
    """
    before = lock(change, draft, browser)
    if before.application is not None:
        raise DraftGone(hours=_HOURS)
    values: dict[str, object] = {}
    if fields is not None:
        values["fields"] = _written(fields)
    if code is not None:
        values |= {"code_hash": code.hash, "code_sealed": code.sealed}
    if request is not None:
        values["request"] = request
    if challenge is not None:
        values |= {"challenge": challenge.text.decode("ascii"), "challenge_until": challenge.until}
    if values:
        change.connection.execute(update(DRAFTS).where(DRAFTS.c.id == draft).values(values))
    return lock(change, draft, browser)


def upload(
    change: Change, rules: IssuerRules, draft: UUID, browser: str, *, renewal: Login | None = None
) -> Application:
    """Make an application of a draft; of one that was uploaded before, return it as it is now.

    Args:
        change: the change.
        rules: the issuer's.
        draft: its id.
        browser: as in begin().
        renewal: a verified signature of the old card over the draft's challenge.

    Raises:
        DraftGone: this browser has none of this id.
        FormIncomplete: something is missing or wrong.
        RenewalUnsigned: it asks for a renewal, and nobody signed.
        OrganisationRefused, OrganisationBlocked, ApplicationError, NotCertified: as applications.submit.
    """
    filled = lock(change, draft, browser)
    if filled.application is not None:
        return applications.read(change.connection, filled.application)
    if filled.wanted is Wanted.RENEWAL and renewal is None:
        raise RenewalUnsigned(reason=text("There is none."))
    form = filled.form(rules)
    assert filled.code is not None  # noqa: S101  # form() says so
    made = applications.submit(
        change, rules, filled.organisation, form, filled.code, request=filled.request, renewal=renewal
    )
    emptied = dict.fromkeys(("code_hash", "code_sealed", "request", "challenge", "challenge_until"))
    done = update(DRAFTS).where(DRAFTS.c.id == draft)
    change.connection.execute(done.values(**emptied, fields="{}", application=made.id))
    return made


def lock(change: Change, draft: UUID, browser: str) -> Draft:
    """Return a draft, for a change that nothing happens to it beside.

    Raises:
        DraftGone: this browser has none of this id.
    """
    return _found(change, _own(draft, browser, change).with_for_update())


def forgetter() -> Handler:
    """Return what deletes drafts that nobody goes on with, and what browsers may not look at any more."""

    def work(database: Database, job: Job) -> None:
        with database.change() as change:
            finish(change, job)
            for table in (DRAFTS, CASE_ACCESSES):
                change.connection.execute(delete(table).where(table.c.until <= change.now))

    return work


def _of(draft: UUID, browser: str) -> Select[Any]:
    return select(DRAFTS).where(DRAFTS.c.id == draft, DRAFTS.c.browser == digest_of(browser))


def _own(draft: UUID, browser: str, change: Change) -> Select[Any]:
    return _of(draft, browser).where(DRAFTS.c.until > change.now)


def _found(change: Change, chosen: Select[Any]) -> Draft:
    return _draft(change.connection.execute(chosen).one_or_none())


def _draft(row: Row[Any] | None) -> Draft:
    if row is None:
        raise DraftGone(hours=_HOURS)
    challenge = None
    if row.challenge is not None:
        asked = row.challenge.encode("ascii")
        challenge = Challenge(asked, asked.split(b"\n")[3].decode("ascii"), row.challenge_until)
    return Draft(
        id=row.id,
        organisation=row.organisation,
        wanted=Wanted(row.wanted),
        fields=json.loads(row.fields),
        code=None if row.code_hash is None else NewUserCode(row.code_hash, row.code_sealed),
        request=row.request,
        challenge=challenge,
        application=row.application,
    )


def _written(fields: Mapping[str, str]) -> str:
    return json.dumps({name: FIELDS[name].cut(value) for name, value in fields.items() if name in FIELDS})
