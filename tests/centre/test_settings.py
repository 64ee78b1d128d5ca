# SPDX-License-Identifier: Apache-2.0
"""The settings of a centre: what they say, what is refused, and where secrets are."""

from datetime import timedelta
from pathlib import Path

import pytest

from support.centre.begun import write_settings
from xca_centre import settings
from xca_centre.clocks import MovableClock, now
from xca_centre.errors import BadSettings, ClockNotMoved, SecretExposed
from xca_centre.issuer_rules import Issuer
from xca_centre.mail import Security


def test_example_of_settings_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "centre.toml").write_text(settings.example(), encoding="utf-8")
    found = settings.read(tmp_path)
    assert (found.issuer, found.pin, found.journal) == (
        Issuer.TEST,
        tmp_path / "token.pin",
        tmp_path / "journal",
    )
    assert found.database == f"sqlite:///{tmp_path}/centre.db"
    assert found.mail.folder == tmp_path / "mails"


def test_example_of_settings_has_a_mail_server_to_be_filled_in(tmp_path: Path) -> None:
    lines = (
        settings.example().replace('folder = "mails"', "#").replace("#host", "host").replace("#port", "port")
    )
    (tmp_path / "centre.toml").write_text(lines.replace("#security", "security"), encoding="utf-8")
    mail = settings.read(tmp_path).mail
    assert (mail.folder, mail.host, mail.port, mail.security) == (
        None,
        "mail.example",
        587,
        Security.STARTTLS,
    )


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("colour = 1\n", "colour"),
        ("rules = 1\n", "rules"),
        ('database = ""\n', "database"),
        ('[token]\npin = ["a"]\n', "token.pin"),
        ('[token]\nport = "a"\n', "token.port"),
        ('[token.environment]\n"A B" = "a"\n', "token.environment.A B"),
    ],
)
def test_setting_that_is_none_is_told_with_its_key(tmp_path: Path, line: str, key: str) -> None:
    write_settings(tmp_path)
    path = tmp_path / "centre.toml"
    said = path.read_text(encoding="utf-8")
    path.write_text(said + line if line.startswith("[") else line + said, encoding="utf-8")
    with pytest.raises(BadSettings) as refused:
        settings.read(tmp_path)
    assert (refused.value.key, refused.value.path) == (key, path)


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ('issuer = "test"', 'issuer = "moica"', "issuer"),
        ("https://xca.example", "https://xca.example/", "origin"),
        ('sender = "centre@xca.example"', 'sender = "centre"', "mail.sender"),
        ('[root]\nname = "C=TW', '[root]\nnome = "C=TW', "root.name"),
        ('folder = "mails"', "", "mail.host"),
    ],
)
def test_setting_of_a_wrong_form_is_told_with_its_key(
    tmp_path: Path, before: str, after: str, key: str
) -> None:
    write_settings(tmp_path)
    path = tmp_path / "centre.toml"
    path.write_text(path.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")
    with pytest.raises(BadSettings) as refused:
        settings.read(tmp_path)
    assert refused.value.key == key


def test_clock_that_can_be_moved_is_refused_to_a_real_issuer(tmp_path: Path) -> None:
    write_settings(tmp_path, 'clock = "clock"\n')
    assert settings.read(tmp_path).clock == tmp_path / "clock"
    path = tmp_path / "centre.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('"test"', '"xca"'), encoding="utf-8")
    with pytest.raises(BadSettings) as refused:
        settings.read(tmp_path)
    assert refused.value.key == "clock"


def test_settings_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(BadSettings):
        settings.read(tmp_path)


def test_secret_is_read_from_a_file_of_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "pin"
    path.write_text("1234\n")
    path.chmod(0o640)
    with pytest.raises(SecretExposed):
        settings.secret(path)
    path.chmod(0o600)
    assert settings.secret(path).reveal() == "1234"


@pytest.mark.parametrize(
    ("address", "is_secret"),
    [
        ("postgresql://centre:word@db/centre", True),
        ("postgresql://centre@db/centre?password=word", True),
        ("postgresql://centre@db/centre", False),
        ("sqlite:///centre.db", False),
    ],
    ids=["password", "password in the query", "no password", "file"],
)
def test_password_of_the_database_is_in_settings_of_their_user_alone(
    tmp_path: Path, address: str, is_secret: bool
) -> None:
    write_settings(tmp_path)
    path = tmp_path / "centre.toml"
    path.write_text(f'database = "{address}"\n' + path.read_text(encoding="utf-8"), encoding="utf-8")
    path.chmod(0o600)
    settings.read(tmp_path)
    path.chmod(0o644)
    if is_secret:
        with pytest.raises(SecretExposed):
            settings.read(tmp_path)
    else:
        settings.read(tmp_path)


def test_clock_that_is_moved_is_moved_for_all_who_read_its_file(tmp_path: Path) -> None:
    ours, theirs = MovableClock(tmp_path / "clock"), MovableClock(tmp_path / "clock")
    assert abs(ours() - now()) < timedelta(minutes=1)
    ours.move(timedelta(days=91))
    ours.move(timedelta(days=1))
    assert timedelta(days=92) <= theirs() - now() + timedelta(minutes=1) < timedelta(days=92, minutes=2)


@pytest.mark.parametrize("by", [timedelta(seconds=-1), timedelta(days=50 * 366)])
def test_clock_is_not_moved_back_nor_out_of_the_calendar(tmp_path: Path, by: timedelta) -> None:
    clock = MovableClock(tmp_path / "clock")
    with pytest.raises(ClockNotMoved):
        clock.move(by)
    assert clock.ahead == timedelta()
