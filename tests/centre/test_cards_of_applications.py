# SPDX-License-Identifier: Apache-2.0
"""What is done online with the card of an application: its user code, its contact person."""

import json
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select, update

from support.centre.cases import CODE, NETWORK, NEW_CODE, RULES, SCHOOL, codes, form, with_organisations
from support.moved_clock import MovedClock
from xca_centre import applications
from xca_centre.errors import NotWithoutACard, NotYours, UserCodeRefused, WrongState
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.database import Database
from xca_centre.store.tables import APPLICATIONS, CERTIFICATE_SETS, CERTIFICATES, JOBS, ORDERS
from xca_common.secret import Secret

CARD, SIGNING, ENCRYPTION = "TTXC000000000001", "1AF3", "2BF4"
HOLDER = Actor(Role.HOLDER, CARD)


@pytest.fixture
def register(database: Database) -> Database:
    return with_organisations(database)


@pytest.fixture
def case(register: Database, clock: MovedClock) -> UUID:
    """An application whose card was made."""
    certificates = {
        "id": uuid4(),
        "card": CARD,
        "organisation": SCHOOL.oid,
        "rank": "secondary",
        "state": "issued",
        "holds": "",
        "since": clock.at,
        "version": 1,
        "issued": clock.at,
        "lapses_at": clock.at,
        "not_after": clock.at,
        "is_published": True,
    }
    with register.change() as change:
        made = applications.submit(change, RULES, SCHOOL.oid, form(), NEW_CODE).id
        run = change.connection.execute
        run(insert(CERTIFICATE_SETS).values(certificates))
        for sequence, (serial, use) in enumerate(((SIGNING, "signing"), (ENCRYPTION, "encryption"))):
            row = {"serial": serial, "set": certificates["id"], "use": use, "generation": 2}
            run(insert(CERTIFICATES).values(**row, sequence=sequence, partition=0, key="", der=b""))
        run(insert(ORDERS).values(application=made, card=CARD, certificates=certificates["id"]))
        run(update(APPLICATIONS).values(state="mailed"))
    return made


def proved(database: Database, card: str, serial: str, code: str = CODE) -> UUID:
    return codes(database).prove(
        lambda change: applications.find_code_of_card(change, card, serial),
        Secret(code),
        NETWORK,
        Role.HOLDER,
    )


@pytest.mark.parametrize(
    ("card", "serial"), [(CARD, SIGNING), (CARD.lower(), "1a:f3"), (f" {CARD} ", "00001af3"), (CARD, "1A F3")]
)
def test_card_is_known_by_its_number_and_the_serial_number_of_cert1(
    register: Database, case: UUID, card: str, serial: str
) -> None:
    with register.read() as connection:
        assert proved(register, card, serial) == applications.read(connection, case).code


@pytest.mark.parametrize(
    ("card", "serial"),
    [
        (CARD, ""),
        ("", SIGNING),
        (CARD, ENCRYPTION),
        (CARD, "1AF4"),
        ("TTXC000000000002", SIGNING),
        (CARD, "0"),
        ("\0" * 16, "\ud800"),
        (CARD, "1" * 10**5),
    ],
)
def test_one_of_the_two_numbers_finds_no_card(register: Database, case: UUID, card: str, serial: str) -> None:
    with pytest.raises(UserCodeRefused):
        proved(register, card, serial)


def test_new_contact_and_old_one_are_told(register: Database, case: UUID) -> None:
    new = replace(form().contact, name="林美麗", email="lin@school.example.tw")
    for _ in range(2):
        with register.change() as change:
            after = applications.change_contact(change, RULES, case, new, HOLDER)
    assert (after.form.contact, after.revision) == (new, 2)
    with register.read() as connection:
        told = [json.loads(facts) for facts in connection.execute(select(JOBS.c.facts)).scalars()]
    assert {(one["mail"], one["to"], one["fact_card"]) for one in told} == {
        ("contact_changed", "lin@school.example.tw", CARD),
        ("contact_changed", "purchase@school.example.tw", CARD),
    }
    assert len(told) == 2


def test_contact_is_changed_by_the_holder_of_a_card_that_was_made(register: Database, case: UUID) -> None:
    contact = replace(form().contact, name="林美麗")
    with pytest.raises(NotYours), register.change() as change:
        applications.change_contact(change, RULES, case, contact, Actor(Role.PRODUCER, "producer"))
    with register.change() as change:
        other = applications.submit(change, RULES, SCHOOL.oid, form(), NEW_CODE).id
    with pytest.raises(WrongState), register.change() as change:
        applications.change_contact(change, RULES, other, contact, HOLDER)


def test_contact_of_a_certificate_without_a_card_is_not_changed_here(register: Database, case: UUID) -> None:
    with register.change() as change:
        change.connection.execute(update(APPLICATIONS).values(request=b"x"))
    with pytest.raises(NotWithoutACard), register.change() as change:
        applications.change_contact(change, RULES, case, replace(form().contact, name="林美麗"), HOLDER)
