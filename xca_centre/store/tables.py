# SPDX-License-Identifier: Apache-2.0
"""Every table of the centre.

Moments are UtcDateTime. A text has a length only where both engines must refuse a longer one.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)

from xca_centre.life.certificate import CertificateState, Reason
from xca_centre.life.transitions import Word
from xca_common.utc_datetime import UtcDateTime
from xca_login.sql_store import METADATA as METADATA_OF_LOGINS

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""All of them; a migration can drop a constraint only if it has a name that both engines know."""


def _one_of(column: str, words: type[Word]) -> CheckConstraint:
    """Return the constraint that a column holds one of some words, or NULL."""
    listed = ", ".join(f"'{word.value}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


EVENTS: Final = Table(
    "event",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("role", String(32), nullable=False),
    Column("name", String(128), nullable=False),
    Column("facts", Text, nullable=False),
    Column("number", BigInteger, unique=True),
    Column("hash", String(64)),
)
"""What happened: at one moment, to a subject, by somebody. Nobody changes a row but the chainer.

The id is random: after a restore, a number from a sequence could be given to a second event. `facts` is the
JSON that the hash covers. `number` and `hash` are the chainer's (event_chain); until then both are NULL.
"""

Index(
    "ix_event_unchained",
    EVENTS.c.at,
    EVENTS.c.id,
    sqlite_where=EVENTS.c.number.is_(None),
    postgresql_where=EVENTS.c.number.is_(None),
)
Index(None, EVENTS.c.subject, EVENTS.c.at)

JOURNALLED: Final = Table(
    "journalled", METADATA, Column("number", BigInteger, primary_key=True, autoincrement=False)
)
"""One row: up to which number the chained events are in the journal. No row: none is."""

JOBS: Final = Table(
    "job",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("key", String(128)),
    Column("facts", Text, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("due", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("parked", UtcDateTime),
    Column("problem", Text),
)
"""What is to be done after a change: written in its transaction, gone when it is done (job_queue).

A claimed job is due again when its lease ends. `fence` counts its claims, `attempts` those since it was made
or taken up again. A parked job waits for an operator; `problem` says why the last attempt failed.
"""

Index(
    "ix_job_due",
    JOBS.c.due,
    JOBS.c.id,
    sqlite_where=JOBS.c.parked.is_(None),
    postgresql_where=JOBS.c.parked.is_(None),
)
Index(None, JOBS.c.key)

USER_CODES: Final = Table(
    "user_code",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("hash", String(256), nullable=False),
    Column("sealed", LargeBinary),
    Column("spent", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("is_told", Boolean, nullable=False),
    Column("until", UtcDateTime, index=True),
)
"""User codes of applications, then of the cards that were made for them (user_codes).

`hash` is argon2id. `sealed` is the code for the card producer, until the card is made. `spent`
counts tries since the last right one; at user_codes.TRIES the code is locked. `epoch` counts how often they
were given back. `is_told`: somebody was told that it is locked. `until` is when the code of a saved file is
forgotten; NULL: of others, never.
"""

USER_CODE_LINKS: Final = Table(
    "user_code_link",
    METADATA,
    Column("hash", String(64), primary_key=True),
    Column("code", Uuid, ForeignKey(USER_CODES.c.id), nullable=False, index=True),
    Column("until", UtcDateTime, nullable=False, index=True),
)
"""Links in mails that lift the lock of a user code once. `hash` is SHA-256 of the secret in the link."""

NETWORK_COUNTS: Final = Table(
    "network_count",
    METADATA,
    Column("act", String(32), primary_key=True),
    Column("network", String(64), primary_key=True),
    Column("began", UtcDateTime, nullable=False, index=True),
    Column("count", Integer, nullable=False),
)
"""How often something was done from a network since a moment (network_limits)."""

REISSUE_BLOCKS: Final = Table(
    "reissue_block",
    METADATA,
    Column("organisation", String(128), primary_key=True),
    Column("until", UtcDateTime, nullable=False),
)
"""Organisations, by their OIDs, that get no card before a moment (reissue_blocks)."""

CERTIFICATE_SETS: Final = Table(
    "certificate_set",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("card", String(16), index=True),
    Column("organisation", String(128), nullable=False, index=True),
    Column("rank", String(16), nullable=False),
    Column("state", String(20), nullable=False),
    Column("reason", String(32)),
    Column("holds", String(64), nullable=False),
    Column("listed", String(32)),
    Column("since", UtcDateTime, nullable=False),
    Column("version", Integer, nullable=False),
    Column("issued", UtcDateTime, nullable=False),
    Column("accepted", UtcDateTime),
    Column("compromised", UtcDateTime),
    Column("lapses_at", UtcDateTime, nullable=False),
    Column("not_after", UtcDateTime, nullable=False),
    Column("is_published", Boolean, nullable=False),
    _one_of("state", CertificateState),
    _one_of("reason", Reason),
)
"""Certificates that move together: the two of a card, or the one of a key elsewhere (certificate_sets).

`card` is the card number; a card has a second set after a reissue. `state`, `reason` and `holds` are its
life.certificate.Standing. `listed` is the reason with which lists and OCSP name it since `since`; NULL: it is
good. `version` rises with each change: what was signed for another version does not count. `lapses_at` is the
first moment that is too late for the acceptance, `not_after` the last second of the certificates.
`compromised` is since when a key may be known to others, if that is why they are revoked, and known.
"""

Index(None, CERTIFICATE_SETS.c.state, CERTIFICATE_SETS.c.lapses_at)
Index(None, CERTIFICATE_SETS.c.state, CERTIFICATE_SETS.c.not_after)

CERTIFICATES: Final = Table(
    "certificate",
    METADATA,
    Column("serial", String(40), primary_key=True),
    Column("set", Uuid, ForeignKey(CERTIFICATE_SETS.c.id), nullable=False, index=True),
    Column("use", String(16), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("key", String(64), nullable=False, index=True),
    Column("der", LargeBinary, nullable=False),
    UniqueConstraint("generation", "sequence"),
)
"""Every certificate that was issued to a holder; no row ever changes.

`serial` is hexadecimal, in upper case, without zeros in front. `sequence` counts within the generation, with
gaps. `partition` is that of the CRL, fixed at the issue: the certificate names it. `key` is the SHA-256 of
the certified key (SubjectPublicKeyInfo).
"""

Index(None, CERTIFICATES.c.generation, CERTIFICATES.c.partition)

SEQUENCES: Final = Table(
    "certificate_sequence",
    METADATA,
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("next", BigInteger, nullable=False),
)
"""The sequence number that a generation's next certificate gets."""

ORGANISATIONS: Final = Table(
    "organisation",
    METADATA,
    Column("oid", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("folded", String(128), nullable=False),
    Column("tax_id", String(8), unique=True),
    Column("kind", String(32), nullable=False),
    Column("counter", String(64), nullable=False),
    Column("is_dissolved", Boolean, nullable=False),
)
"""The register of organisations (organisations). `folded` is the name as it is searched."""

APPLICATIONS: Final = Table(
    "application",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("case_number", String(25), nullable=False, unique=True),
    Column("organisation", String(64), ForeignKey(ORGANISATIONS.c.oid), nullable=False, index=True),
    Column("state", String(32), nullable=False, index=True),
    Column("form", Text, nullable=False),
    Column("rank", String(16), nullable=False),
    Column("request", LargeBinary),
    Column("key", String(64), index=True),
    Column("code", Uuid, ForeignKey(USER_CODES.c.id), nullable=False),
    Column("fee", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("submitted", UtcDateTime, nullable=False),
    Column("letter", UtcDateTime),
    Column("renews", String(64), index=True),
    Column("signature", LargeBinary),
    Column("first_person", String(128)),
    Column("first_card", String(128)),
    Column("reason", Text),
)
"""Applications (案件), each for one card or certificate (applications).

`form` is the JSON of application_form's fields, `revision` counts its versions; `version` rises with each
change of the row. `request` is a certificate request for a key that is elsewhere, `key` the SHA-256 of that
key. `letter` is when the letter arrived. `renews` is the key of the card that signed a renewal, `signature`
what it signed. `first_…` is who passed the first review, `reason` why it was returned.
"""

DRAFTS: Final = Table(
    "application_draft",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("browser", String(64), nullable=False),
    Column("until", UtcDateTime, nullable=False, index=True),
    Column("organisation", String(64), nullable=False),
    Column("wanted", String(16), nullable=False),
    Column("fields", Text, nullable=False),
    Column("code_hash", String(256)),
    Column("code_sealed", LargeBinary),
    Column("request", LargeBinary),
    Column("challenge", Text),
    Column("challenge_until", UtcDateTime),
    Column("application", Uuid, ForeignKey(APPLICATIONS.c.id)),
)
"""Applications that are being filled in (drafts), until they are uploaded, or `until`.

`browser` is the SHA-256 of what the applicant's browser alone knows.
`fields` is JSON. `code_…` is the user code as user_codes keeps it. `challenge` is what the old card is asked
to sign for a renewal. `application` is what the draft became; then there is nothing else in it.
"""

CASE_ACCESSES: Final = Table(
    "case_access",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("browser", String(64), nullable=False),
    Column("application", Uuid, ForeignKey(APPLICATIONS.c.id), nullable=False),
    Column("until", UtcDateTime, nullable=False, index=True),
)
"""Browsers that gave case number and user code of an application (case_access)."""

SLIPS: Final = Table(
    "payment_slip",
    METADATA,
    Column("number", String(16), primary_key=True),
    Column("application", Uuid, ForeignKey(APPLICATIONS.c.id), nullable=False, index=True),
    Column("state", String(32), nullable=False, index=True),
    Column("due", Integer, nullable=False),
    Column("issued", UtcDateTime, nullable=False),
    Column("lapses_at", UtcDateTime, nullable=False),
    Column("paid_at", UtcDateTime),
)
"""Payment slips, each with a number of its own to pay to (payments)."""

SCANS: Final = Table(
    "scan",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("application", Uuid, ForeignKey(APPLICATIONS.c.id), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("size", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("added", UtcDateTime, nullable=False),
    Column("person", String(32), nullable=False),
    UniqueConstraint("application", "digest"),
)
"""Scans of the paper that came with applications (scans). `digest` is SHA-256 of `content`."""

NAME_CHANGES: Final = Table(
    "name_change",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("organisation", String(64), ForeignKey(ORGANISATIONS.c.oid), nullable=False),
    Column("changed", Date, nullable=False),
    Column("recorded", UtcDateTime, nullable=False),
    Column("ends", UtcDateTime, nullable=False),
    Column("settled", UtcDateTime),
    UniqueConstraint("organisation", "changed", "kind"),
)
"""Organisations, by their OIDs, that changed their name or level on a day, or ended on it (name_changes).

At `ends` the centre revokes what the organisation did not have revoked; `settled`: it has.
"""

Index(
    "ix_name_change_ends",
    NAME_CHANGES.c.ends,
    sqlite_where=NAME_CHANGES.c.settled.is_(None),
    postgresql_where=NAME_CHANGES.c.settled.is_(None),
)

PUBLISHED_LISTS: Final = Table(
    "published_list",
    METADATA,
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("taken", BigInteger, nullable=False),
    Column("number", BigInteger),
    Column("at", UtcDateTime),
    Column("until", UtcDateTime),
    Column("entries", LargeBinary),
    Column("der", LargeBinary),
)
"""The revocation lists (status.published_lists); partition -1 is the complete one of a generation.

`taken` is the highest cRLNumber that somebody signs with, `number` that of the list that is published; NULL:
none is yet. `at` and `until` are its thisUpdate and nextUpdate. `entries` is what a partition's list names,
in DER, for the complete one.
"""

OCSP_ANSWERS: Final = Table(
    "ocsp_answer",
    METADATA,
    Column("serial", String(40), ForeignKey(CERTIFICATES.c.serial), primary_key=True),
    Column("algorithm", String(8), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("renew", UtcDateTime, nullable=False),
    Column("der", LargeBinary, nullable=False),
)
"""OCSP answers that are kept (status.answers), by the hash algorithm of the request.

One counts only if `version` is that of the certificate's set, from `at` until `renew`.
"""

ORDERS: Final = Table(
    "card_order",
    METADATA,
    Column("application", Uuid, ForeignKey(APPLICATIONS.c.id), primary_key=True),
    Column("card", String(16), unique=True),
    Column("certificates", Uuid, ForeignKey(CERTIFICATE_SETS.c.id), nullable=False, unique=True),
    Column("closed", UtcDateTime, index=True),
    Column("mailed", UtcDateTime),
)
"""What was made for an application, from the moment that its certificates are issued (orders).

`card` is NULL if the key is on none. `certificates` is the set that was issued first. `closed` is when the
producer handed the card out, or the certificate was issued, `mailed` when the card was given to the post.
"""

OFFICERS: Final = Table(
    "officer",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("roles", String(128), nullable=False),
    Column("counter", String(64)),
    Column("card", String(16), unique=True),
    Column("key", String(64), unique=True),
    Column("is_active", Boolean, nullable=False),
)
"""Registration officers and operators (officers).

`roles` are words of life.transitions.Role with blanks between them; `counter` is the registration counter of
who does first reviews. `card` is the number of the card that the officer logs in with, `key` the SHA-256 of
its key for signatures (SubjectPublicKeyInfo); NULL: there is none yet.
"""

STAFF_CHANGES: Final = Table(
    "staff_change",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("act", String(16), nullable=False),
    Column("officer", String(32), nullable=False, unique=True),
    Column("name", String(64)),
    Column("roles", String(128)),
    Column("counter", String(64)),
    Column("card", String(16)),
    Column("proposer", String(32), ForeignKey(OFFICERS.c.id), nullable=False),
    Column("proposer_key", String(64), nullable=False),
    Column("until", UtcDateTime, nullable=False),
)
"""Appointments and dismissals that one officer proposed and nobody supported yet (staff_changes).

`name`, `roles`, `counter` and `card` are what the officer is to be; NULL: dismissed. There is one about an
officer at a time; it goes when it takes effect, is dropped, or at `until`.
"""

SESSIONS: Final = Table(
    "web_session",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("set", Uuid, ForeignKey(CERTIFICATE_SETS.c.id), nullable=False, index=True),
    Column("key", String(64), nullable=False),
    Column("holder_name", String(64), nullable=False),
    Column("token", LargeBinary),
    Column("at", UtcDateTime, nullable=False),
    Column("seen", UtcDateTime, nullable=False),
    Column("until", UtcDateTime, nullable=False, index=True),
)
"""Who is logged in with a card (web.sessions).

`id` is SHA-256 of what the browser's cookie says. `set` is the certificates that logged in, `key` the SHA-256
of their key for signatures. `token` is what the card signed, as long as the certificates are not accepted.
`seen` is the last use, to the minute; `until` the end, whatever happens.
"""

CHALLENGES: Final = METADATA_OF_LOGINS.tables["xca_login_challenge"].to_metadata(METADATA)
"""Open challenges of logins (xca_login.sql_store.SqlStore)."""

REPEATABLE_REQUESTS: Final = Table(
    "repeatable_request",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("asked", String(64), nullable=False),
    Column("code", Uuid),
    Column("answer", Text, nullable=False),
    Column("until", UtcDateTime, nullable=False, index=True),
)
"""Requests of programs with an Idempotency-Key, and how they were answered (web.idempotency).

`key` and `asked` are SHA-256, `code` is the id of the application's user code.
"""

SPENT_FORMS: Final = Table(
    "spent_form",
    METADATA,
    Column("token", String(64), primary_key=True),
    Column("at", UtcDateTime, nullable=False, index=True),
)
"""Forms that did their act (web.once). `token` is SHA-256 of what the form carried."""
CODE_RESETS: Final = Table(
    "code_reset",
    METADATA,
    Column("number", String(16), primary_key=True),
    Column("card", String(16), nullable=False, index=True),
    Column("serial", String(40), ForeignKey(CERTIFICATES.c.serial), nullable=False),
    Column("application", Uuid, ForeignKey(APPLICATIONS.c.id), nullable=False),
    Column("secret", Uuid, ForeignKey(USER_CODES.c.id), nullable=False, unique=True),
    Column("is_activated", Boolean, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("requested", UtcDateTime, nullable=False),
    Column("until", UtcDateTime),
    Column("counter", BigInteger),
)
"""Requests for a new user code of a card (tickets).

`serial` is that of the certificate for signatures that the requester named. `secret` is what the requester
chose, kept as a user code is. `is_activated` is how the requester says the card is. `until` is the end of the
ticket, from the approval on, `counter` its number, from its issue on.
"""

CODE_RESET_LINKS: Final = Table(
    "code_reset_link",
    METADATA,
    Column("hash", String(64), primary_key=True),
    Column("reset", String(16), ForeignKey(CODE_RESETS.c.number), nullable=False, index=True),
)
"""Links in mails that lead to a ticket, together with the secret. `hash` is SHA-256 of what the link has."""
