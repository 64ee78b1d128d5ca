# SPDX-License-Identifier: Apache-2.0
"""The beginning of a centre: once, whole, and from wherever it was cut off."""

import os
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import func, select

from support.centre.begun import CODES, OFFICERS, ROOT_PIN, PaperProducer, ceremony, opened, write_settings
from support.killed_process import TRANSACTIONS, killed
from xca_centre import beginning, certificate_sets, officers, sweeps
from xca_centre.beginning import BEGUN, NewOfficer, is_begun, require_begun
from xca_centre.ceremony_record import print_record
from xca_centre.errors import AlreadyBegun, HierarchyDiffers, NotBegun, OtherOfficers, SecretExposed
from xca_centre.life.transitions import Role
from xca_centre.store.database import Database
from xca_centre.store.tables import CERTIFICATE_SETS, EVENTS, JOBS, USER_CODES
from xca_common.secret import Secret

integration = pytest.mark.integration  # SoftHSM makes keys


class Cut(Exception):
    """What cuts a beginning off."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOFTHSM2_CONF", "")  # what is opened sets it
    return write_settings(tmp_path / "centre")


def in_a_process(run: Callable[[], object]) -> None:
    """Run something in a process of its own: it configures SoftHSM by its environment."""
    child = os.fork()
    if not child:
        status = 1
        try:
            run()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def begin_here(folder: Path) -> None:
    ceremony().begin(opened(folder))


def begin(folder: Path) -> None:
    in_a_process(partial(begin_here, folder))


def require_whole(folder: Path) -> None:
    """See that a centre has all that it begins with, once."""
    centre = opened(folder)
    require_begun(centre)
    with closing(Database(centre.settings.database, centre.clock, centre.journal)) as database:
        with database.read() as connection:
            run = connection.execute
            assert run(select(func.count()).select_from(CERTIFICATE_SETS)).scalar_one() == 2
            assert run(select(func.count()).where(EVENTS.c.kind == BEGUN)).scalar_one() == 1
            assert run(select(func.count()).where(JOBS.c.key == sweeps.SWEEP)).scalar_one() == 1
            assert run(select(USER_CODES.c.sealed)).scalars().all() == [None, None]
            first, second = officers.everybody(connection)
            assert (first.id, second.id) == ("chen", "lin")
            for each in (first, second):
                assert each.card is not None
                (issued,) = certificate_sets.of_card(connection, each.card)
                signing = certificate_sets.certificates_of(connection, issued.id)[0]
                certificate = x509.load_der_x509_certificate(signing.der)
                assert each.key == officers.key_digest(certificate)
        record = beginning.read(centre, database)
    assert [each.name for each in record.authorities.made] == ["root", "issuer-2", "issuer-3"]
    producer = PaperProducer(folder / "paper")
    assert len(list(producer.folder.iterdir())) == 2
    for officer, code in CODES.items():
        card = producer.card(f"officer-{officer}")
        assert card["code"] == code
        assert card["closed"]
    assert not list(folder.glob("*.so-pin"))


@integration
def test_centre_begins_with_two_officers_who_review_apart(folder: Path) -> None:
    begin(folder)
    require_whole(folder)
    with Database(opened(folder).settings.database, opened(folder).clock).read() as connection:
        chen, lin = officers.everybody(connection)
    assert lin.acting(Role.FIRST_REVIEWER) is not None
    assert chen.acting(Role.SECOND_REVIEWER) is not None
    assert lin.acting(Role.SECOND_REVIEWER) is None
    assert chen.acting(Role.FIRST_REVIEWER) is None


@integration
def test_centre_that_is_begun_is_not_begun_again(folder: Path) -> None:
    begin(folder)
    before = sorted((path, path.read_bytes()) for path in folder.rglob("*") if path.is_file())
    with pytest.raises(AlreadyBegun):
        ceremony().begin(opened(folder))
    after = sorted((path, path.read_bytes()) for path in folder.rglob("*") if path.is_file())
    assert [each for each in after if "centre.db" not in each[0].name] == [
        each for each in before if "centre.db" not in each[0].name
    ]


@integration
def test_centre_that_was_not_begun_is_told(folder: Path) -> None:
    assert not is_begun(opened(folder))
    with pytest.raises(NotBegun):
        require_begun(opened(folder))


@integration
def test_record_of_the_beginning_is_a_document_with_the_keys_and_who_signs(folder: Path) -> None:
    begin(folder)
    centre = opened(folder)
    with closing(Database(centre.settings.database, centre.clock)) as database:
        record = beginning.read(centre, database)
        assert print_record(record, centre.clock()).startswith(b"%PDF")
    assert record.authorities.present == ("王見證",)
    assert [each.id for each in record.officers] == [each.id for each in OFFICERS]


@integration
def test_pin_of_the_token_that_others_may_read_is_refused(folder: Path) -> None:
    begin(folder)
    (folder / "token.pin").chmod(0o644)
    with pytest.raises(SecretExposed):
        _ = opened(folder).hierarchy


@integration
def test_no_secret_of_the_beginning_lies_in_a_file_but_the_pin(folder: Path) -> None:
    begin(folder)
    pin = (folder / "token.pin").read_bytes()
    for path in folder.rglob("*"):
        if path.is_file() and path.parent != folder / "paper":
            content = path.read_bytes()
            assert ROOT_PIN.encode() not in content, path
            assert not any(code.encode() in content for code in CODES.values()), path
            assert pin not in content or path.name == "token.pin", path


@pytest.mark.parametrize(
    ("first", "stride"),
    [
        pytest.param(3, 23, marks=integration),
        pytest.param(1, 1, marks=[pytest.mark.soak, pytest.mark.timeout(7200)]),
    ],
    ids=["some", "all"],
)
def test_beginning_that_is_killed_at_a_step_is_finished_by_the_next(
    tmp_path: Path, first: int, stride: int
) -> None:
    for nth in count(first, stride):
        folder = write_settings(tmp_path / str(nth))
        is_reached = killed(nth, partial(begin_here, folder), TRANSACTIONS)
        if not is_begun(opened(folder)):
            begin(folder)
        require_whole(folder)
        if not is_reached:
            break
    assert nth > 30


@integration
def test_beginning_goes_on_with_its_own_officers_alone(folder: Path) -> None:
    def code(officer: NewOfficer) -> Secret:
        if officer == OFFICERS[1]:
            raise Cut
        return Secret(CODES[officer.id])

    def cut() -> None:
        with pytest.raises(Cut):
            replace(ceremony(), user_code=code).begin(opened(folder))
        others = (NewOfficer("wu", "吳小姐"), OFFICERS[1])
        with pytest.raises(OtherOfficers):
            replace(ceremony(), officers=others).begin(opened(folder))

    in_a_process(cut)
    begin(folder)
    require_whole(folder)


@integration
def test_beginning_goes_on_with_its_own_names_alone(folder: Path) -> None:
    def code(_: NewOfficer) -> Secret:
        raise Cut

    def cut() -> None:
        with pytest.raises(Cut):
            replace(ceremony(), user_code=code).begin(opened(folder))
        write_settings(folder, root_name="C=TW,O=甲總管理中心")
        with pytest.raises(HierarchyDiffers):
            ceremony().begin(opened(folder))

    in_a_process(cut)
