# SPDX-License-Identifier: Apache-2.0
"""The mails of a sandbox, as its page shows them."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from support.centre.cases import RULES
from xca_centre.mail import Mail, MailFolder, compose
from xca_centre.sandbox import mailbox
from xca_centre.store.job_queue import Job

NAME = "00000000-0000-0000-0000-000000000001"
LINK = "http://127.0.0.1:1/user-code/unlock#secret"


def deliver(folder: Path) -> None:
    facts = {"mail": Mail.USER_CODE_LOCKED.value, "to": "wang@school.example.tw", "about": "1"}
    facts |= {"fact_number": "XC00000000000001", "fact_days": "3"}
    at = datetime(2026, 11, 2, 1, tzinfo=UTC)
    job = Job(UUID(NAME), "send_mail", None, facts, at, 1, 1)
    MailFolder(folder).deliver(compose(job, RULES, "centre@xca.test", LINK))


def test_mail_is_shown_with_its_text_and_its_links(tmp_path: Path) -> None:
    deliver(tmp_path)
    (mail,) = mailbox.mails(tmp_path)
    assert (mail.name, mail.to) == (NAME, "wang@school.example.tw")
    assert "XC00000000000001" in mail.subject
    assert "用戶代碼" in mail.text
    assert LINK in [part for part, is_link in mail.parts if is_link]
    assert mailbox.mail(tmp_path, NAME) == mail


def test_mail_of_another_name_is_not_read(tmp_path: Path) -> None:
    deliver(tmp_path / "mails")
    (tmp_path / "secret.eml").write_text("To: a\n\n")
    assert mailbox.mail(tmp_path / "mails", "../secret") is None
    assert mailbox.mail(tmp_path / "mails", NAME.replace("1", "2")) is None


def test_folder_that_is_not_there_has_no_mails(tmp_path: Path) -> None:
    assert mailbox.mails(tmp_path / "mails") == []
