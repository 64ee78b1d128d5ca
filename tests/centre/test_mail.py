# SPDX-License-Identifier: Apache-2.0
"""Mails of the centre: what they say, and that each goes out."""

import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.policy import default
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from hypothesis import assume, example, given
from hypothesis import strategies as st
from sqlalchemy import select

from support.moved_clock import MovedClock
from xca_centre.errors import MailUnavailable
from xca_centre.issuer_rules import Issuer, load
from xca_centre.mail import JOB, WITH_LINK, Mail, MailFolder, Security, SmtpServer, Transport, handler, send
from xca_centre.plain_text import is_email
from xca_centre.store.database import Change, Database
from xca_centre.store.events import Facts
from xca_centre.store.job_queue import LEASE, work_on_one
from xca_centre.store.tables import EVENTS, JOBS
from xca_common.i18n import CHINESE, ENGLISH
from xca_common.secret import Secret

TO = "contact@example.org"
SENDER = "no-reply@xca.test"
RULES = load(Issuer.TEST)
FACTS: Facts = {
    "case": "12345-67890",
    "card": "XC00000000091349",
    "number": "XC00000000091349",
    "organisation": "國立臺灣大學",
    "reason": "印信不清",
    "day": "2026-11-28",
    "last_day": "2027-02-26",
    "free_day": "2027-05-27",
    "days": 3,
}


@dataclass
class Post:
    """A transport that keeps what it takes.

    Attributes:
        taken: the mails.
        fails: what it raises instead of taking one; the first is raised first.
    """

    taken: list[EmailMessage] = field(default_factory=list)
    fails: list[BaseException] = field(default_factory=list)

    def deliver(self, message: EmailMessage) -> None:
        if self.fails:
            raise self.fails.pop(0)
        self.taken.append(message_from_bytes(message.as_bytes(), policy=default))


@dataclass
class Mailbox:
    """What a mail server does, and what it took."""

    answer: str = "250 OK"
    sender_answer: str = "250 OK"
    recipient_answer: str = "250 OK"
    taken: list[tuple[list[str], EmailMessage]] = field(default_factory=list)

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.sender_answer

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.recipient_answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            message = message_from_bytes(envelope.content, policy=default)
            assert isinstance(message, EmailMessage)
            self.taken.append((envelope.rcpt_tos, message))
        return self.answer


def queue(database: Database, mail: Mail = Mail.RETURNED, to: str = TO, **facts: str) -> None:
    with database.change() as change:
        send(change, mail, to, "12345-67890", {**FACTS, **facts})


def new_link(_: Change, facts: Facts) -> str:
    return f"https://xca.test/lift/{facts['number']}"


def work(database: Database, transport: Transport) -> bool:
    links = dict.fromkeys(WITH_LINK, new_link)
    return work_on_one(database, {JOB: handler(RULES, SENDER, transport, links)})


def events(database: Database) -> list[tuple[str, str, str]]:
    with database.read() as connection:
        return [
            tuple(row) for row in connection.execute(select(EVENTS.c.kind, EVENTS.c.subject, EVENTS.c.facts))
        ]


def jobs(database: Database) -> int:
    with database.read() as connection:
        return len(connection.execute(select(JOBS.c.id)).all())


@contextmanager
def smtp_server(box: Mailbox, tls: ssl.SSLContext | None = None, secret: str | None = None) -> Iterator[int]:
    """A mail server on this computer."""

    def authenticate(_s: SMTP, _session: Session, _e: Envelope, _m: str, given: object) -> AuthResult:
        assert isinstance(given, LoginPassword)
        return AuthResult(success=given.password.decode() == secret, handled=False)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(
        box,
        hostname="127.0.0.1",
        port=port,
        tls_context=tls,
        require_starttls=tls is not None,
        auth_required=secret is not None,
        authenticator=authenticate,
    )
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


@pytest.fixture
def server_here() -> Iterator[tuple[Mailbox, SmtpServer]]:
    box = Mailbox()
    with smtp_server(box) as port:
        yield box, SmtpServer("127.0.0.1", port, Security.NONE)


@pytest.mark.parametrize("mail", Mail)
def test_mail_says_everything_in_both_languages(sqlite_address: str, mail: Mail) -> None:
    database, post = Database(sqlite_address, MovedClock()), Post()
    queue(database, mail)
    assert work(database, post)
    (message,) = post.taken
    said = message.get_content()
    assert "{" not in f"{message['Subject']}{said}"
    for language in (CHINESE, ENGLISH):
        assert RULES.about.name(language) in said
    assert "本郵件由系統自動寄發" in said
    assert "do not answer" in said
    assert (message["To"], message["Auto-Submitted"]) == (TO, "auto-generated")
    assert message["From"] == f"{RULES.about.name(CHINESE)} <{SENDER}>"
    if mail in WITH_LINK:
        assert said.count("https://xca.test/lift/XC00000000091349") == 2


def test_day_in_a_mail_is_written_as_each_language_does(sqlite_address: str) -> None:
    database, post = Database(sqlite_address, MovedClock()), Post()
    queue(database, Mail.LAPSED)
    assert work(database, post)
    chinese, english = post.taken[0].get_content().split("----")
    assert {"2027年2月26日", "2027年5月27日"} <= set(re.findall("[0-9]{4}年[0-9]+月[0-9]+日", chinese))
    assert {"2027-02-26", "2027-05-27"} <= set(re.findall("[0-9]{4}-[0-9]{2}-[0-9]{2}", english))


def test_mail_goes_out_only_if_the_change_does(database: Database) -> None:
    def undone() -> None:
        with database.change() as change:
            send(change, Mail.ACCEPTED, TO, "case", FACTS)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        undone()
    assert not work(database, Post())


def test_mail_that_was_sent_is_an_event_without_the_address(database: Database) -> None:
    post = Post()
    queue(database)
    assert work(database, post)
    ((kind, subject, facts),) = events(database)
    assert (kind, subject) == ("mail_sent", "12345-67890")
    assert TO not in facts
    assert str(post.taken[0]["Message-ID"]) in facts
    assert jobs(database) == 0


def test_strangers_words_make_no_header_and_no_line(database: Database) -> None:
    post = Post()
    queue(database, case="1\r\nBcc: victim@example.org", reason="x\n\nClick http://evil.example\x1b[2J")
    assert work(database, post)
    (message,) = post.taken
    assert message["Bcc"] is None
    assert "1<U+000D><U+000A>Bcc: victim@example.org" in message["Subject"]
    assert "    x<U+000A x2>Click" in message.get_content()
    assert "\x1b" not in message.get_content()


@pytest.mark.parametrize(
    "to",
    [
        "",
        "a@b.example\r\nBcc: c@d.example",
        "a@b.example, c@d.example",
        "<a@b.example>",
        "a b@c.example",
        "=?utf-8?q?a=0D=0ABcc=3A_c?=@d.example",
        "a@127.0.0.1",
        "a@0x7f.1",
    ],
)
def test_address_that_is_none_is_not_queued(database: Database, to: str) -> None:
    with pytest.raises(ValueError, match="e-mail"):
        queue(database, to=to)


@given(st.text("aZ0!#$%&'*+/=?^_`{|}~-.", min_size=1, max_size=20))
@example("=?utf-8?q?a=0D=0ABcc=3A_victim?=")
@example("=?a?b?c?=")
def test_address_that_is_taken_is_read_from_the_mail_as_it_is(local: str) -> None:
    address = f"{local}@b.example"
    assume(is_email(address))
    message = EmailMessage(policy=SMTP_POLICY)
    message["To"] = Address(addr_spec=address)
    read = message_from_bytes(message.as_bytes(), policy=default)
    assert [one.addr_spec for one in read["To"].addresses] == [address]


def test_mail_without_one_of_its_facts_is_not_queued(database: Database) -> None:
    with pytest.raises(KeyError), database.change() as change:
        send(change, Mail.RETURNED, TO, "case", {"case": "1"})


def test_mail_that_is_tried_again_is_the_same_mail(database: Database, clock: MovedClock) -> None:
    post = Post(fails=[MailUnavailable(server="mail.test", detail="SMTP 451")])
    queue(database)
    assert work(database, post)
    assert not work(database, post)
    clock.move(LEASE)
    failed = Post(fails=[KeyboardInterrupt()])  # as a kill, before the worker could write what it did
    with pytest.raises(KeyboardInterrupt):
        work(database, failed)
    for _ in range(2):
        clock.move(2 * LEASE)
        work(database, post)
    assert [kind for kind, *_ in events(database)] == ["mail_sent"]
    first = post.taken[0]

    again = Post()

    class Killed(Post):
        def deliver(self, message: EmailMessage) -> None:
            super().deliver(message)
            again.taken = self.taken
            raise KeyboardInterrupt

    queue(database)
    with pytest.raises(KeyboardInterrupt):
        work(database, Killed())
    clock.move(2 * LEASE)
    assert work(database, post)
    assert again.taken[0].as_bytes() == post.taken[1].as_bytes()
    assert first["Message-ID"] != post.taken[1]["Message-ID"]


def test_database_can_be_changed_while_a_mail_is_sent(
    address: str, database: Database, clock: MovedClock
) -> None:
    other = Database(address, clock)

    class Slow(Post):
        def deliver(self, message: EmailMessage) -> None:
            queue(other, Mail.ACCEPTED)
            super().deliver(message)

    slow = Slow()
    queue(database)
    assert work(database, slow)
    assert jobs(database) == 1
    other.close()


def test_server_gets_the_mail(database: Database, server_here: tuple[Mailbox, SmtpServer]) -> None:
    box, server = server_here
    queue(database)
    assert work(database, server)
    ((recipients, message),) = box.taken
    assert recipients == [TO]
    assert "國立臺灣大學的案件 12345-67890 已退件" in message.get_content()
    assert message["Subject"].startswith("您的案件 12345-67890 已退件")


@pytest.mark.parametrize("where", ["answer", "recipient_answer"])
def test_server_that_refuses_for_good_is_not_asked_again(
    database: Database, server_here: tuple[Mailbox, SmtpServer], where: str
) -> None:
    box, server = server_here
    setattr(box, where, "550 no such user")
    queue(database)
    assert work(database, server)
    ((kind, _, facts),) = events(database)
    assert kind == "mail_refused"
    assert '"code":550' in facts
    assert jobs(database) == 0


@pytest.mark.parametrize(
    ("where", "answer"),
    [
        ("answer", "451 later"),
        ("recipient_answer", "451 later"),
        ("sender_answer", "451 later"),
        ("sender_answer", "530 authentication required"),
        ("sender_answer", "550 who are you"),
    ],
)
def test_server_that_refuses_for_now_or_whoever_sends_is_asked_again(
    database: Database,
    clock: MovedClock,
    server_here: tuple[Mailbox, SmtpServer],
    where: str,
    answer: str,
) -> None:
    box, server = server_here
    setattr(box, where, answer)
    queue(database)
    assert work(database, server)
    assert (events(database), jobs(database)) == ([], 1)
    setattr(box, where, "250 OK")
    clock.move(LEASE)
    assert work(database, server)
    assert len(box.taken) == 1


def test_server_that_is_not_there_is_told() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = SmtpServer("127.0.0.1", probe.getsockname()[1], Security.NONE)
        with pytest.raises(MailUnavailable, match=r"127\.0\.0\.1"):
            server.deliver(EmailMessage())


def test_mails_leave_this_computer_in_no_clear_connection() -> None:
    for host in ("mail.example.org", "192.0.2.1", "localhost.example.org"):
        with pytest.raises(ValueError, match="in clear"):
            SmtpServer(host, 25, Security.NONE)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "server.pem", folder / "server.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", key, "-out", certificate, "-subj", "/CN=mail", "-days", "3650"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def test_server_with_tls_and_a_password_gets_the_mail(
    database: Database, certificate: tuple[Path, Path]
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    trust = ssl.create_default_context(cafile=certificate[0])
    box = Mailbox()
    with smtp_server(box, tls, "right") as port:
        server = SmtpServer("127.0.0.1", port, user="centre", password=Secret("right"), context=trust)
        queue(database)
        assert work(database, server)
        assert len(box.taken) == 1
        with pytest.raises(MailUnavailable, match="SMTP 535") as caught:
            replace(server, password=Secret("wrong")).deliver(box.taken[0][1])
        assert "wrong" not in f"{caught.value} {caught.value!r} {server!r}"
        with pytest.raises(MailUnavailable, match="not trusted"):
            replace(server, context=None).deliver(box.taken[0][1])


def test_server_without_tls_gets_nothing_if_tls_is_wanted(
    server_here: tuple[Mailbox, SmtpServer],
) -> None:
    box, server = server_here
    with pytest.raises(MailUnavailable):
        replace(server, security=Security.STARTTLS).deliver(EmailMessage())
    assert box.taken == []


def test_folder_keeps_one_file_of_a_mail_however_often_it_is_sent(database: Database, tmp_path: Path) -> None:
    folder = MailFolder(tmp_path / "mails")
    post = Post()
    queue(database)
    assert work(database, post)
    for _ in range(2):
        folder.deliver(post.taken[0])
    (file,) = folder.folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert message_from_bytes(file.read_bytes(), policy=default)["Subject"] == post.taken[0]["Subject"]
