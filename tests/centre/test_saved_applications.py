# SPDX-License-Identifier: Apache-2.0
"""Applications that applicants save on their own disk, and load again."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from io import BytesIO

import pytest
from argon2 import PasswordHasher
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from support.moved_clock import MovedClock
from xca_centre import applications, sweeps, user_codes
from xca_centre.errors import SavedApplicationUnusable, UserCodeRefused
from xca_centre.issuer_rules import Issuer, load
from xca_centre.saved_applications import MOST_BYTES, SavedApplications
from xca_centre.store.database import Database
from xca_centre.store.job_queue import work_on_one
from xca_centre.store.tables import USER_CODES
from xca_centre.user_codes import NewUserCode, UserCodes
from xca_common.pki.authority import ENCRYPTION
from xca_common.pki.encrypted_data import RecipientCertificate, encrypt
from xca_common.secret import Secret
from xca_login.testing.parties import Party, party

RIGHT, WRONG = "Abc-1234", "abc-1234"
NETWORK = "192.0.2.0/24"
HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
CHOSEN = NewUserCode(HASHER.hash(RIGHT))
FIELDS = {"organisation": "2.16.886.111.990001", "contact_name": "王小明", "rank": "secondary"}


@pytest.fixture(scope="module")
def centre() -> Party:
    return party("centre", usage=ENCRYPTION)


@pytest.fixture
def saved(database: Database, centre: Party) -> SavedApplications:
    return SavedApplications(UserCodes(database, applications.tell_locked, HASHER), centre.key, centre.der)


def written(content: object, recipient: Party) -> bytes:
    plain = content if isinstance(content, bytes) else json.dumps(content).encode()
    encrypt(BytesIO(plain), output := BytesIO(), [RecipientCertificate.read(recipient.der)])
    return output.getvalue()


def test_application_is_saved_and_loaded_with_its_user_code(saved: SavedApplications) -> None:
    file = saved.save({**FIELDS, "user_code": RIGHT, "password": "x"}, CHOSEN)
    assert saved.load(file, Secret(RIGHT), NETWORK) == FIELDS


def test_application_that_was_saved_before_the_certificate_was_renewed_is_loaded(
    saved: SavedApplications, database: Database, centre: Party
) -> None:
    file = saved.save(FIELDS, CHOSEN)
    issuer = x509.load_der_x509_certificate(party("another", usage=ENCRYPTION).der)
    renewed = (
        x509.CertificateBuilder(issuer.issuer, issuer.subject, centre.key.public_key(), 7)
        .not_valid_before(issuer.not_valid_before_utc)
        .not_valid_after(issuer.not_valid_after_utc)
        .sign(centre.key, hashes.SHA256())
    )
    codes = UserCodes(database, applications.tell_locked, HASHER)
    after = SavedApplications(codes, centre.key, renewed.public_bytes(Encoding.DER))
    assert after.load(file, Secret(RIGHT), NETWORK) == FIELDS
    assert after.load(after.save(FIELDS, CHOSEN), Secret(RIGHT), NETWORK) == FIELDS


def test_saved_file_tells_nothing_to_who_has_it(saved: SavedApplications) -> None:
    file = saved.save(FIELDS, CHOSEN)
    assert file.startswith(b"-----BEGIN CMS-----")
    assert saved.save(FIELDS, CHOSEN) != file


def test_three_wrong_codes_lock_a_saved_file_in_any_copy(saved: SavedApplications, centre: Party) -> None:
    file = saved.save(FIELDS, CHOSEN)
    copies = file, file.replace(b"\n", b"\r\n"), b"\n\nsome text\n" + file
    for copy in copies:
        with pytest.raises(UserCodeRefused):
            saved.load(copy, Secret(WRONG), NETWORK)
    with pytest.raises(UserCodeRefused):
        saved.load(file, Secret(RIGHT), NETWORK)
    assert saved.load(saved.save(FIELDS, CHOSEN), Secret(RIGHT), NETWORK) == FIELDS


def test_file_loaded_twice_at_once_is_loaded_twice(saved: SavedApplications) -> None:
    file = saved.save(FIELDS, CHOSEN)
    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(lambda _: saved.load(file, Secret(RIGHT), NETWORK), range(2))] == [FIELDS] * 2


def test_fields_that_are_far_too_long_are_not_saved(saved: SavedApplications) -> None:
    with pytest.raises(SavedApplicationUnusable):
        saved.save({"contact_name": "x" * MOST_BYTES}, CHOSEN)


def document(**changed: object) -> dict[str, object]:
    sound = {
        "format": 1,
        "id": "12345678-1234-4234-8234-123456789012",
        "hash": HASHER.hash(RIGHT),
        "fields": {},
    }
    return {**sound, **changed}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[" * 50_000,
        [],
        {},
        document(fields=[]),
        document(id="x"),
        document(id=None),
        document(hash=""),
        document(hash=PasswordHasher(time_cost=99, memory_cost=8, parallelism=1).hash(RIGHT)),
        document(hash=HASHER.hash(RIGHT)[:-1] + "\0"),
        document(hash=HASHER.hash(RIGHT)[:-1] + "\ud800"),
        document(hash=HASHER.hash(RIGHT).replace("m=8", f"m={'0' * 300}8")),
        document(hash="$argon2id$v=19$m=4194304,t=1000000,p=1$AAAAAAAAAAAAAAAAAAAAAA$" + "A" * 43),
    ],
)
def test_file_that_a_stranger_wrote_to_the_centre_is_refused(
    saved: SavedApplications, centre: Party, content: object
) -> None:
    with pytest.raises(SavedApplicationUnusable):
        saved.load(written(content, centre), Secret(RIGHT), NETWORK)


def test_file_that_a_stranger_wrote_opens_for_his_own_code_only(
    saved: SavedApplications, centre: Party
) -> None:
    file = written(document(fields={"contact_name": "x", "other": "y"}), centre)
    assert saved.load(file, Secret(RIGHT), NETWORK) == {"contact_name": "x"}
    with pytest.raises(UserCodeRefused):
        saved.load(written(document(hash=HASHER.hash(WRONG)), centre), Secret(WRONG), NETWORK)


def test_file_that_a_stranger_wrote_tries_no_code_of_a_case(
    database: Database, saved: SavedApplications, centre: Party
) -> None:
    with database.change() as change:
        code = user_codes.add(change, CHOSEN)
    for _ in range(3):
        with pytest.raises(UserCodeRefused):
            saved.load(written(document(id=str(code)), centre), Secret(WRONG), NETWORK)
    with database.read() as connection:
        assert not user_codes.is_locked(connection, code)


def test_tries_of_a_saved_file_are_forgotten_when_it_was_opened_or_after_a_year(
    database: Database, saved: SavedApplications, clock: MovedClock
) -> None:
    opened, locked = saved.save(FIELDS, CHOSEN), saved.save(FIELDS, CHOSEN)
    with database.change() as change:
        of_a_case = user_codes.add(change, CHOSEN)
        sweeps.begin(change)
    saved.load(opened, Secret(RIGHT), NETWORK)
    for _ in range(3):
        with pytest.raises(UserCodeRefused):
            saved.load(locked, Secret(WRONG), NETWORK)
    assert (kept(database, clock, 1), kept(database, clock, 363)) == (2, 2)
    with pytest.raises(UserCodeRefused):
        saved.load(locked, Secret(RIGHT), NETWORK)
    assert (kept(database, clock, 364), kept(database, clock, 3)) == (2, 1)
    with database.read() as connection:
        assert not user_codes.is_locked(connection, of_a_case)


def kept(database: Database, clock: MovedClock, days: int) -> int:
    """How many codes are kept after some days."""
    clock.move(timedelta(days=days))
    while work_on_one(database, sweeps.handlers(load(Issuer.TEST))):
        pass
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(USER_CODES)).scalar_one()


def test_other_files_are_refused(saved: SavedApplications, centre: Party) -> None:
    file = saved.save(FIELDS, CHOSEN)
    for other in (
        b"",
        b"x",
        file[:-40],
        bytes(MOST_BYTES + 1),
        centre.der,
        written({}, party("other", usage=ENCRYPTION)),
    ):
        with pytest.raises(SavedApplicationUnusable):
            saved.load(other, Secret(RIGHT), NETWORK)


@pytest.fixture
def on_sqlite(sqlite_address: str, clock: object, centre: Party) -> SavedApplications:
    codes = UserCodes(Database(sqlite_address, clock), applications.tell_locked, HASHER)  # type: ignore[arg-type]
    return SavedApplications(codes, centre.key, centre.der)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.data())
def test_altered_file_is_refused_or_the_same(
    on_sqlite: SavedApplications, centre: Party, data: st.DataObject
) -> None:
    file = bytearray(written(document(), centre))
    place = data.draw(st.integers(0, len(file) - 1))
    file[place] ^= data.draw(st.integers(1, 255))
    with suppress(SavedApplicationUnusable):
        assert on_sqlite.load(bytes(file), Secret(RIGHT), NETWORK) == {}
