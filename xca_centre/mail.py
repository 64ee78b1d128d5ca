# SPDX-License-Identifier: Apache-2.0
"""Mails of the centre: queued in the change that they tell of, sent by a job, in Chinese and English.

A mail has a Message-ID that its job gives it. So if a worker is killed after the mail server took the mail,
the mail that goes out again is known to be the same. Nothing in the database is locked while one is sent.
"""

import smtplib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from xca_centre.errors import MailRefused, MailUnavailable
from xca_centre.i18n import text
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.transitions import Actor, Role
from xca_centre.plain_text import is_email
from xca_centre.store.database import Change, Database
from xca_centre.store.events import Facts
from xca_centre.store.job_queue import Handler, Job, finish
from xca_common import atomic_file
from xca_common.errors import os_reason
from xca_common.i18n import CHINESE, ENGLISH, Text, speaking
from xca_common.secret import Secret

JOB: Final = "send_mail"
"""The kind of the jobs that send mails."""
_CENTRE: Final = Actor(Role.CENTRE, "mail")
_SECONDS: Final = 60
_PERMANENT: Final = 500  # RFC 5321, section 4.2.1
_FACT: Final = "fact_"
_DAYS: Final = {"day", "last_day", "free_day"}
"""Names of the facts that are days, which each language writes in its own way."""


@dataclass(frozen=True)
class _Content:
    subject: Text
    body: Text


class Mail(StrEnum):
    """What mails tell. In braces stand the facts that each is sent with."""

    RETURNED = "returned"
    CARD_MAILED = "card_mailed"
    CERTIFICATE_ISSUED = "certificate_issued"
    ACTIVATION_REMINDER = "activation_reminder"
    LAPSED = "lapsed"
    EXPIRY_REMINDER = "expiry_reminder"
    ACCEPTED = "accepted"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    REVOKED = "revoked"
    NAME_CHANGED = "name_changed"
    DISSOLVED = "dissolved"
    CONTACT_CHANGED = "contact_changed"
    USER_CODE_LOCKED = "user_code_locked"
    USER_CODE_RESET = "user_code_reset"


_CONTENTS: Final[Mapping[Mail, _Content]] = {
    Mail.RETURNED: _Content(
        text("Your application {case} was returned"),
        text(
            "The application {case} of {organisation} was returned for this reason:\n\n    {reason}\n\n"
            "Correct the application with its case number and your user code, and print and stamp it again."
        ),
    ),
    Mail.CARD_MAILED: _Content(
        text("Your IC card {card} is in the mail"),
        text(
            "The card {card} for {organisation} (application {case}) was given to the post on {day}.\n\n"
            "Activate it by {last_day}, with the user code that was chosen with the application. The letter "
            "that comes with the card says how."
        ),
    ),
    Mail.CERTIFICATE_ISSUED: _Content(
        text("Your certificate {number} is issued"),
        text(
            "The certificate {number} for {organisation} (application {case}) is issued.\n\n"
            "Look at what it says, and accept it by {last_day}."
        ),
    ),
    Mail.ACTIVATION_REMINDER: _Content(
        text("Activate your card and accept its certificates by {last_day}: {number}"),
        text(
            "The certificates of {organisation} (card or serial number {number}) are not accepted yet. "
            "The last day is {last_day}.\n\n"
            "Activate the card, if it is one, and accept the certificates."
        ),
    ),
    Mail.LAPSED: _Content(
        text("Not accepted in time: {number}"),
        text(
            "The certificates of {organisation} (card or serial number {number}) were not accepted by "
            "{last_day}, and cannot be used any more. The organisation gets others from {free_day} at the "
            "earliest, for a new application."
        ),
    ),
    Mail.EXPIRY_REMINDER: _Content(
        text("Certificates expire on {last_day}: {number}"),
        text(
            "The certificates of {organisation} (card or serial number {number}) expire on {last_day}. Until "
            "then a card signs the application for the next one, without letter and stamp."
        ),
    ),
    Mail.ACCEPTED: _Content(
        text("Certificates are valid: {number}"),
        text(
            "The certificates of {organisation} (card or serial number {number}) were accepted and are valid."
        ),
    ),
    Mail.SUSPENDED: _Content(
        text("Certificates are suspended: {number}"),
        text(
            "The certificates of {organisation} (card or serial number {number}) were suspended. Nobody "
            "relies on them until they are resumed.\n\nIf this was not you, call us."
        ),
    ),
    Mail.RESUMED: _Content(
        text("Certificates are resumed: {number}"),
        text(
            "The certificates of {organisation} (card or serial number {number}) were resumed.\n\n"
            "If this was not you, suspend them again at once, and call us."
        ),
    ),
    Mail.REVOKED: _Content(
        text("Certificates are revoked: {number}"),
        text(
            "The certificates of {organisation} (card or serial number {number}) were revoked for good. "
            "For others a new application is needed."
        ),
    ),
    Mail.NAME_CHANGED: _Content(
        text("Have certificates revoked by {last_day}: {number}"),
        text(
            "The name or the level of {organisation} has changed, so its certificates (card or serial number "
            "{number}) say what is no longer true.\n\n"
            "Apply for their revocation at the registration counter by {last_day}. After that day they "
            "are revoked without it. For others a new application is needed."
        ),
    ),
    Mail.DISSOLVED: _Content(
        text("Have certificates revoked by {last_day}: {number}"),
        text(
            "It was recorded that {organisation} has been dissolved, so nobody uses its certificates (card "
            "or serial number {number}) any more.\n\n"
            "Apply for their revocation at the registration counter by {last_day}. After that day they "
            "are revoked without it.\n\nIf the organisation has not been dissolved, call us at once."
        ),
    ),
    Mail.CONTACT_CHANGED: _Content(
        text("The contact person of your IC card {card} has changed"),
        text(
            "The contact person of the card {card} of {organisation} was changed. This mail goes to the old "
            "and to the new address.\n\nIf this was not you, call us."
        ),
    ),
    Mail.USER_CODE_LOCKED: _Content(
        text("The user code for {number} is locked"),
        text(
            "Three wrong user codes in a row were entered for {number}. If that was you, lift the lock here "
            "within {days} days:\n\n    {link}\n\n"
            "If it was not you, do nothing: nobody gets in while it is locked."
        ),
    ),
    Mail.USER_CODE_RESET: _Content(
        text("A new user code for your IC card {card}"),
        text(
            "The user code reset of the card {card} was approved. Open this address on the computer with the "
            "card by {last_day}, and enter the secret that you chose with your request:\n\n    {link}\n\n"
            "If you did not ask for it, call us."
        ),
    ),
}


NewLink: TypeAlias = Callable[[Change, Facts], str]
"""Makes the address that a mail's {link} is, from the facts of the mail."""
WITH_LINK: Final = frozenset({Mail.USER_CODE_LOCKED, Mail.USER_CODE_RESET})
"""The mails with a link. Its secret stands in no job: it is made while the mail is sent."""


class Transport(Protocol):
    """What takes a mail."""

    def deliver(self, message: EmailMessage) -> None:
        """Hand a mail over.

        Raises:
            MailRefused: it will not be taken, however often it is tried.
            MailUnavailable: it was not taken now.
        """


class Security(StrEnum):
    """How a connection to a mail server is encrypted."""

    STARTTLS = "starttls"
    """RFC 3207; a server that does not offer it gets no mail."""
    TLS = "tls"
    """From the first byte (RFC 8314, section 3.3)."""
    NONE = "none"
    """On this computer alone."""


@dataclass(frozen=True)
class SmtpServer:
    """A mail server (RFC 5321).

    Attributes:
        host: its name.
        port: its port.
        security: how the connection is encrypted.
        user: name to log in with; "": none is needed.
        password: for that.
        context: whose certificates are trusted; None: those of this computer.

    Raises:
        ValueError: nothing is encrypted, and the server is on another computer.
    """

    host: str
    port: int = smtplib.SMTP_PORT
    security: Security = Security.STARTTLS
    user: str = ""
    password: Secret | None = None
    context: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        if self.security is Security.NONE and not _is_here(self.host):
            raise ValueError(f"{self.host}: only a server on this computer gets mails in clear")

    def deliver(self, message: EmailMessage) -> None:
        """Send a mail."""
        try:
            with self._connected() as server:
                server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            ((code, _),) = error.recipients.values()
            raise self._refusal(code) from None
        except smtplib.SMTPDataError as error:
            raise self._refusal(error.smtp_code) from None
        except smtplib.SMTPResponseException as error:
            # It refuses the centre, with this and any other mail: an operator can mend that.
            raise MailUnavailable(server=self.host, detail=f"SMTP {error.smtp_code}") from None
        except smtplib.SMTPException as error:
            raise MailUnavailable(server=self.host, detail=type(error).__name__) from None
        except OSError as error:
            raise MailUnavailable(server=self.host, detail=os_reason(error)) from None

    def _connected(self) -> smtplib.SMTP:
        context = self.context or ssl.create_default_context()
        if self.security is Security.TLS:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=_SECONDS, context=context)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=_SECONDS)
        try:
            if self.security is Security.STARTTLS:
                server.starttls(context=context)
            if self.user:
                server.login(self.user, self.password.reveal() if self.password else "")
        except BaseException:
            server.close()
            raise
        return server

    def _refusal(self, code: int) -> MailRefused | MailUnavailable:
        if code >= _PERMANENT:
            return MailRefused(server=self.host, code=code)
        return MailUnavailable(server=self.host, detail=f"SMTP {code}")


@dataclass(frozen=True)
class MailFolder:
    """A folder that mails are put into, for a centre without a server: each is a file (RFC 5322).

    A mail that is sent again replaces the one that is there.
    """

    folder: Path

    def deliver(self, message: EmailMessage) -> None:
        """Write a mail."""
        name = str(message["Message-ID"]).strip("<>").partition("@")[0]
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            atomic_file.write(self.folder / f"{name}.eml", message.as_bytes())
        except OSError as error:
            raise MailUnavailable(server=str(self.folder), detail=os_reason(error)) from None


def send(change: Change, mail: Mail, to: str, about: str, facts: Facts) -> None:
    """Queue a mail; it goes out if the change is committed.

    Args:
        change: what the mail tells of.
        mail: which one.
        to: an e-mail address that was checked when it was entered.
        about: the subject of the event that says what became of it, such as a case number.
        facts: what it says, but for a link; strangers' words are made harmless. No secret.

    Raises:
        ValueError: it is no e-mail address.
        KeyError: a fact is missing.
    """
    if not is_email(to):
        raise ValueError("not an e-mail address")
    content = _CONTENTS[mail]
    for part in (content.subject, content.body):
        part.format(**facts, link="")(ENGLISH)
    own = {"mail": mail.value, "to": to, "about": about}
    change.enqueue(JOB, own | {f"{_FACT}{name}": value for name, value in facts.items()})


def handler(
    rules: IssuerRules, sender: str, transport: Transport, links: Mapping[Mail, NewLink] | None = None
) -> Handler:
    """Return what sends the queued mails.

    Args:
        rules: of the issuer.
        sender: the e-mail address that mails come from.
        transport: what takes them.
        links: makes the links of the mails WITH_LINK. Each try of a mail has a new one; all are good.

    Raises:
        ValueError: the sender's is no e-mail address.
    """
    if not is_email(sender):
        raise ValueError("not an e-mail address")

    def work(database: Database, job: Job) -> None:
        link = ""
        if (mail := Mail(str(job.facts["mail"]))) in WITH_LINK:
            with database.change() as change:
                link = (links or {})[mail](change, _facts(job))
        message = compose(job, rules, sender, link)
        facts: dict[str, str | int] = {"mail": job.facts["mail"], "message_id": str(message["Message-ID"])}
        kind = "mail_sent"
        try:
            transport.deliver(message)
        except MailRefused as error:
            kind, facts["code"] = "mail_refused", error.code
        with database.change() as change:
            finish(change, job)
            change.event(kind, str(job.facts["about"]), _CENTRE, facts)

    return work


def compose(job: Job, rules: IssuerRules, sender: str, link: str = "") -> EmailMessage:
    """Return the mail of a job: the same each time, but for its link."""
    content = _CONTENTS[Mail(str(job.facts["mail"]))]
    facts: dict[str, object] = {**_facts(job), "link": link}
    facts |= {name: date.fromisoformat(str(facts[name])) for name in facts.keys() & _DAYS}
    subject, body = content.subject.format(**facts), content.body.format(**facts)
    below = text("{issuer}\n{website}\nTelephone: {line}\nThis mail was sent by a program: do not answer it.")
    parts = []
    for language in (CHINESE, ENGLISH):
        with speaking(language):
            about = rules.about
            footer = below.format(issuer=about.name, website=about.website, line=about.contact_line)
            parts.append(f"{body}\n\n{footer}\n")
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(rules.about.name(CHINESE), addr_spec=sender)
    message["To"] = Address(addr_spec=str(job.facts["to"]))
    message["Subject"] = f"{subject(CHINESE)} / {subject(ENGLISH)}"
    message["Date"] = format_datetime(job.created)
    message["Message-ID"] = f"<{job.id}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834, section 5
    message["Content-Language"] = "zh-TW, en"
    message.set_content("\n----\n\n".join(parts), cte="base64")
    return message


def _facts(job: Job) -> dict[str, str | int]:
    return {name.removeprefix(_FACT): value for name, value in job.facts.items() if name.startswith(_FACT)}


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
