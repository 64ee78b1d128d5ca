# SPDX-License-Identifier: Apache-2.0
"""What an operator does with commands: audit, jobs that failed, the post, a database from a backup."""

import shutil
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import insert, select, update

from support.centre.authority import NAME, NOW, key
from support.centre.begun import write_settings
from support.centre.cases import NEW_CODE, OPERATOR, RULES, SCHOOL, form, with_organisations
from support.centre.web import SoftHierarchy
from support.moved_clock import MovedClock
from support.new_sets import new_set
from xca_centre import applications, certificate_sets
from xca_centre.beginning import BEGUN
from xca_centre.centre import Centre
from xca_centre.commands import xca_centre
from xca_centre.life.certificate import CertificateEvent, CertificateState
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.database import Database
from xca_centre.store.event_chain import chain
from xca_centre.store.job_queue import MOST_ATTEMPTS, claim, fail
from xca_centre.store.journal import Journal
from xca_centre.store.restored import LOST
from xca_centre.store.tables import APPLICATIONS, EVENTS, JOBS, ORDERS

HOLDER = Actor(Role.HOLDER, "XC00000000000001")


@pytest.fixture
def folder(sqlite_template: Path, tmp_path: Path) -> Path:
    """A centre that is begun as far as its database knows; it has no keys."""
    made = write_settings(tmp_path / "centre")
    shutil.copy(sqlite_template, made / "centre.db")
    (made / "centre.db").chmod(0o600)
    (made / "journal").mkdir()
    Journal.begin(made / "journal")
    with opened(made) as database, database.change() as change:
        change.event(BEGUN, "centre", OPERATOR, {})
    return made


def opened(folder: Path) -> "closing[Database]":
    journal = Journal(folder / "journal")
    return closing(Database(f"sqlite:///{folder}/centre.db", MovedClock(), journal))


def issue(database: Database, card: str) -> UUID:
    with database.change() as change:
        return certificate_sets.add(change, new_set(change.now, card=card), OPERATOR)


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(xca_centre, ["--dir", str(folder), *words], env={"LANGUAGE": "en"})


def test_audit_prints_the_head_that_later_proves_the_chain(folder: Path) -> None:
    with opened(folder) as database:
        chain(database)
    head = run(folder, "audit").stdout.strip()
    assert head.startswith("1:")
    assert run(folder, "audit", "--head", head).exit_code == 0
    with opened(folder) as database, database.change() as change:
        change.connection.execute(update(EVENTS).values(subject="another"))
    broken = run(folder, "audit", "--head", head)
    assert broken.exit_code == 1
    assert "event 1 is missing, or not what it was" in broken.stderr


def test_audit_says_what_is_not_chained_yet(folder: Path) -> None:
    done = run(folder, "audit")
    assert done.exit_code == 0
    assert "1 event waits" in done.stderr


def test_audit_refuses_what_is_no_head(folder: Path) -> None:
    assert run(folder, "audit", "--head", "1:abc").exit_code == 2


@pytest.fixture
def parked(folder: Path) -> UUID:
    """A job that waits for an operator."""
    with opened(folder) as database:
        with database.change() as change:
            change.enqueue("send_mail", {})
            change.connection.execute(update(JOBS).values(attempts=MOST_ATTEMPTS - 1))
        job = claim(database, {"send_mail"})
        assert job is not None
        fail(database, job, "the server is down")
    return job.id


def test_job_that_failed_is_listed_and_tried_again(folder: Path, parked: UUID) -> None:
    listed = run(folder, "jobs", "list").stdout
    assert str(parked) in listed
    assert "the server is down" in listed
    assert run(folder, "jobs", "retry", str(parked)).exit_code == 0
    assert run(folder, "jobs", "list").stdout == ""
    assert run(folder, "jobs", "retry", str(parked)).exit_code == 1


def test_job_that_is_given_up_leaves_its_reason(folder: Path, parked: UUID) -> None:
    assert run(folder, "jobs", "drop", str(parked)).exit_code == 2
    assert run(folder, "jobs", "drop", str(parked), "--reason", "told by telephone").exit_code == 0
    with opened(folder) as database, database.read() as connection:
        assert connection.execute(select(JOBS.c.id)).all() == []
        facts = connection.execute(select(EVENTS.c.facts).where(EVENTS.c.kind == "job_dropped")).scalar_one()
    assert "told by telephone" in facts


@pytest.fixture
def made(folder: Path) -> str:
    """A card that waits for the post; its number."""
    with opened(folder) as database:
        with_organisations(database)
        certificates = issue(database, "XC00000000000001")
        with database.change() as change:
            case = applications.submit(change, RULES, SCHOOL.oid, form(), NEW_CODE).id
            order = {"application": case, "card": "XC00000000000001", "certificates": certificates}
            change.connection.execute(insert(ORDERS).values(**order, closed=change.now))
            change.connection.execute(update(APPLICATIONS).values(state="issued"))
    return "XC00000000000001"


@pytest.mark.integration  # PDF files
def test_post_is_printed_until_the_cards_are_mailed(folder: Path, made: str, tmp_path: Path) -> None:
    post = tmp_path / "post"
    assert run(folder, "print", str(post)).exit_code == 0
    assert {path.name for path in post.iterdir()} == {f"{made}.pdf", "list.pdf", "labels.pdf"}
    assert all(path.read_bytes().startswith(b"%PDF") for path in post.iterdir())
    for _ in range(2):
        assert run(folder, "mail", made).exit_code == 0
    with opened(folder) as database, database.read() as connection:
        assert len(connection.execute(select(JOBS.c.id).where(JOBS.c.kind == "send_mail")).all()) == 1
    assert "No card waits" in run(folder, "print", str(tmp_path / "again")).stdout
    assert not (tmp_path / "again").exists()


def test_card_that_was_not_made_is_not_mailed(folder: Path) -> None:
    assert run(folder, "mail", "XC00000000000009").exit_code == 1


def test_database_from_a_backup_is_refused_until_it_is_restored(folder: Path, tmp_path: Path) -> None:
    with opened(folder) as database:
        certificates = issue(database, "XC00000000000001")
        with database.change() as change:
            certificate_sets.change_state(change, certificates, CertificateEvent.ACCEPT, HOLDER, RULES)
    shutil.copy(folder / "centre.db", tmp_path / "backup.db")
    with opened(folder) as database, database.change() as change:
        certificate_sets.change_state(change, certificates, CertificateEvent.SUSPEND, HOLDER, RULES)
    for left in folder.glob("centre.db*"):
        left.unlink()
    shutil.copy(tmp_path / "backup.db", folder / "centre.db")
    refused = run(folder, "officers", "list")
    assert refused.exit_code == 1
    assert "1 event of the journal was missing, and is there now." in run(folder, "restore").stdout
    assert run(folder, "officers", "list").exit_code == 0
    with opened(folder) as database, database.read() as connection:
        found = certificate_sets.find(connection, certificates)
    assert found.standing.state is CertificateState.HELD


def test_damaged_line_of_the_journal_is_told_by_restore(folder: Path) -> None:
    with opened(folder) as database:
        issue(database, "XC00000000000001")
        chain(database)
    (path,) = (
        path for path in (folder / "journal").glob("*.journal") if b'"certificates' in path.read_bytes()
    )
    path.write_bytes(path.read_bytes().replace(b'\n["', b'\n{"', 1) + b'["killed')
    done = run(folder, "restore")
    assert done.exit_code == 0
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [f"Line 2 of {path} is damaged"]
    with opened(folder) as database, database.read() as connection:
        lost = connection.execute(select(EVENTS.c.subject).where(EVENTS.c.kind == LOST)).scalars().all()
    assert lost == ["journal"]


def test_list_that_is_none_is_refused_before_anything_is_merged(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "no.crl").write_bytes(b"no list")
    done = run(folder, "restore", str(tmp_path / "no.crl"))
    assert done.exit_code == 1
    assert "is no revocation list" in done.stderr


@pytest.mark.parametrize(("signer", "state"), [("issuer 2", "revoked"), ("stranger", "issued")])
def test_list_is_merged_if_a_ca_of_the_centre_signed_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signer: str, state: str
) -> None:
    monkeypatch.setattr(Centre, "hierarchy", SoftHierarchy())
    with opened(folder) as database:
        certificates = issue(database, "XC00000000000001")
        with database.read() as connection:
            serial = int(certificate_sets.certificates_of(connection, certificates)[0].serial, 16)
    revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW).build()
    listed = x509.CertificateRevocationListBuilder(NAME, NOW, NOW + timedelta(days=1), [], [revoked])
    path = tmp_path / "complete.crl"
    path.write_bytes(listed.sign(key(signer), SHA256()).public_bytes(Encoding.DER))
    done = run(folder, "restore", str(path))
    is_own = signer == "issuer 2"
    assert (done.exit_code, "No CA of this centre" in done.stderr) == ((0, False) if is_own else (1, True))
    with opened(folder) as database, database.read() as connection:
        assert certificate_sets.find(connection, certificates).standing.state == state
