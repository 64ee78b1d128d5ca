# SPDX-License-Identifier: Apache-2.0
"""The command xca-centre: what it says and refuses; a centre begun, served and worked for by its programs."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from softhsm import Environment
from support.centre.begun import CODES, ROOT_PIN, write_settings
from support.centre.cases import CODE, FIELDS
from xca_centre import (
    certificate_sets,
    drafts,
    mail,
    name_changes,
    orders,
    payments,
    settings,
    sweeps,
    user_codes,
)
from xca_centre.centre import Centre
from xca_centre.commands import xca_centre
from xca_centre.worker import handlers

PROGRAM = Path(sys.executable).with_name("xca-centre")
OFFICERS = ("--officer", "lin", "林小姐", "--officer", "chen", "陳先生")
integration = pytest.mark.integration


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(xca_centre, ["--dir", str(folder), *words], env={"LANGUAGE": "en"})


def program(folder: Path, *words: str, language: str = "en") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PROGRAM, "--lang", language, "--dir", folder, *words],
        env={**os.environ, "ROOT_PIN": ROOT_PIN},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


@contextmanager
def running(folder: Path, *words: str) -> "Iterator[subprocess.Popen[str]]":
    """A program that runs until the end of the block, and ends well when it is told to."""
    process = subprocess.Popen(
        [PROGRAM, "--lang", "en", "--dir", folder, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert "Traceback" not in said
    assert process.returncode in (0, -signal.SIGINT), said


def test_settings_are_printed_to_begin_with(tmp_path: Path) -> None:
    done = run(tmp_path, "settings")
    assert done.exit_code == 0
    assert 'issuer = "test"' in done.stdout


@pytest.mark.parametrize(
    "words", [["init", *OFFICERS], ["serve"], ["worker"], ["officers", "list"], ["record", "a.pdf"]]
)
def test_command_without_settings_names_them(tmp_path: Path, words: list[str]) -> None:
    done = run(tmp_path, *words)
    assert done.exit_code == 1
    assert f"{tmp_path}/centre.toml cannot be used" in done.stderr
    assert "xca-centre settings" in done.stderr


@pytest.mark.parametrize("words", [["serve"], ["worker"], ["officers", "list"], ["organisations", "import"]])
def test_command_for_a_centre_that_was_not_begun_says_so(tmp_path: Path, words: list[str]) -> None:
    done = run(write_settings(tmp_path / "centre"), *words)
    assert done.exit_code == 1
    assert "was not begun" in done.stderr


@pytest.mark.parametrize(
    "officers", [OFFICERS[:3], [*OFFICERS[:3], *OFFICERS[:3]], [*OFFICERS, "--officer", "wu", "吳小姐"]]
)
def test_centre_is_not_begun_with_other_than_two_officers(tmp_path: Path, officers: list[str]) -> None:
    done = run(write_settings(tmp_path / "centre"), "init", *officers)
    assert done.exit_code == 2
    assert "two persons" in done.stderr


def test_secret_that_is_typed_as_its_source_is_not_repeated(tmp_path: Path) -> None:
    done = run(write_settings(tmp_path / "centre"), "init", *OFFICERS, "--root-pin", "hunter22")
    assert done.exit_code == 2
    assert "hunter22" not in done.output + done.stderr
    assert not list(tmp_path.rglob("*.db-journal"))


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A centre that was begun by the program, with cards of the stand-in."""
    folder = write_settings(tmp_path_factory.mktemp("commands") / "centre")
    Environment.create(folder / "cards")
    codes = folder / "codes"
    codes.write_text("".join(f"{code}\n" for code in CODES.values()))
    done = program(folder, "init", *OFFICERS, "--root-pin", "env:ROOT_PIN", "--user-codes", f"file:{codes}")
    codes.unlink()
    assert done.returncode == 0, done.stderr
    assert "The record to sign is" in done.stdout
    assert len(re.findall(r"XC\d{14}", done.stdout)) == 2
    return folder


@integration
def test_centre_that_is_begun_is_not_begun_again_by_its_program(centre: Path) -> None:
    done = program(centre, "init", *OFFICERS, language="zh_TW")
    assert (done.returncode, done.stdout) == (1, "")
    assert "已建立完成" in done.stderr


@integration
def test_organisations_are_imported_and_dissolved(centre: Path, tmp_path: Path) -> None:
    assert "20 organisations" in program(centre, "organisations", "import").stdout
    words = ("2.16.886.111.990001", "--day", "2026-01-02")
    changed = program(centre, "organisations", "record-change", *words, "--name", "測試縣立明湖國民小學")
    assert "2026-01-16" in changed.stdout
    assert "2026-01-16" in program(centre, "organisations", "dissolve", *words).stdout
    again = program(centre, "organisations", "dissolve", *words)
    assert (again.returncode, "測試縣立明湖國民小學" in again.stderr) == (1, True)
    unknown = program(centre, "organisations", "dissolve", "2.16.886.111.1")
    assert unknown.returncode == 1
    assert "no such organisation" in unknown.stderr


@integration
def test_officers_are_listed_recorded_and_deactivated(centre: Path) -> None:
    words = ("wu", "吳小姐", "--role", "first_reviewer", "--counter", "教育部")
    assert program(centre, "officers", "record", *words).returncode == 0
    assert program(centre, "officers", "deactivate", "wu").returncode == 0
    listed = program(centre, "officers", "list").stdout.splitlines()
    assert [line.split("\t")[0] for line in listed] == ["chen", "lin", "wu"]
    assert "inactive" in listed[2]
    card = re.search(r"XC\d{14}", listed[0])
    assert card is not None
    refused = program(centre, "officers", "card", "wu", card[0])
    assert refused.returncode == 1  # it is not accepted


@integration
def test_root_list_is_signed_again_with_the_pin_of_the_root(centre: Path) -> None:
    before = (centre / "ca" / "root.crl").read_bytes()
    time.sleep(1.1)  # its number is the second
    assert program(centre, "root-list", "--root-pin", "env:ROOT_PIN").returncode == 0
    after = (centre / "ca" / "root.crl").read_bytes()
    numbers = [
        x509.load_der_x509_crl(each).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        for each in (before, after)
    ]
    assert numbers[0] < numbers[1]


@integration
def test_worker_does_every_kind_of_job(centre: Path) -> None:
    kinds = {
        *(certificate_sets.PUBLISH, certificate_sets.TELL_CONTACT, name_changes.TELL_ORGANISATION),
        *(sweeps.SWEEP, sweeps.REMIND_CONTACT, drafts.FORGET, user_codes.LOCKED, mail.JOB),
        *(payments.ANNOUNCE, payments.LAPSE, orders.JOB, orders.ISSUE_CERTIFICATE),
    }
    assert kinds - handlers(Centre(settings.read(centre))).keys() == set()


@integration
def test_served_centre_takes_applications_for_cards_of_its_producer(centre: Path) -> None:
    assert program(centre, "organisations", "import").returncode == 0
    asked = {**FIELDS, "organisation": "2.16.886.111.990003", "user_code": CODE}
    with running(centre, "serve", "--port", "0") as server:
        assert server.stdout is not None
        found = re.search(r"http://127.0.0.1:\d+", server.stdout.readline())
        assert found is not None
        headers = {"Host": "xca.example"}
        answer = httpx.post(f"{found[0]}/api/applications", json=asked, headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["state"]) == (201, "submitted")


@integration
def test_served_centre_publishes_what_its_worker_signed(centre: Path) -> None:
    with running(centre, "serve", "--port", "0") as server, running(centre, "worker") as worker:
        assert server.stdout is not None
        assert worker.stdout is not None
        found = re.search(r"http://127.0.0.1:\d+", server.stdout.readline())
        assert found is not None
        assert "works" in worker.stdout.readline()
        address = f"{found[0]}/repository/XCA/CRL3/complete.crl"
        deadline = time.monotonic() + 60
        while True:
            answer = httpx.get(address, headers={"Host": "xca.test"}, timeout=60)
            if answer.status_code == 200 and len(x509.load_der_x509_crl(answer.content)) == 4:
                break  # two cards with two certificates, not accepted yet
            assert time.monotonic() < deadline, (answer.status_code, answer.text)
            time.sleep(0.2)
