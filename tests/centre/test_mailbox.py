# SPDX-License-Identifier: Apache-2.0
"""The mails that a sandbox shows."""

from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

from xca_centre.sandbox import mailbox

NAME = "0b9d4ecb-6b1c-4c0c-9ad2-6f0c6f5d3e11"


def test_mail_is_shown_in_lines_with_links(tmp_path: Path) -> None:
    message = EmailMessage(SMTP)
    message["To"], message["Subject"] = "clerk@school.example.tw", "用戶代碼重設"
    message["Date"] = "Sat, 28 Nov 2026 12:00:00 +0800"
    message.set_content("請開啟\n\n    http://127.0.0.1:8000/link?a=1 。\n")
    (tmp_path / f"{NAME}.eml").write_bytes(message.as_bytes())
    mail = mailbox.mail(tmp_path, NAME)
    assert mail is not None
    link = ("http://127.0.0.1:8000/link?a=1", True)
    assert mail.lines == [[("請開啟", False)], [], [link, (" 。", False)]]
    assert "\r" not in mail.text
