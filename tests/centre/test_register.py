# SPDX-License-Identifier: Apache-2.0
"""The register of organisations in the database."""

from dataclasses import replace
from datetime import date
from importlib.resources import files

import pytest

from support.centre.cases import FOUNDATION, OPERATOR, RULES, SCHOOL, with_organisations
from xca_centre import name_changes, organisations
from xca_centre.errors import OrganisationDissolved, OrganisationUnknown, TaxIdTaken
from xca_centre.organisations import MOST_FOUND, Organisation, OrganisationKind
from xca_centre.store.database import Database

DAY = date(2026, 11, 1)


@pytest.fixture
def register(database: Database) -> Database:
    return with_organisations(database)


def found(database: Database, typed: str) -> list[str]:
    with database.read() as connection:
        return [one.name for one in organisations.find(connection, typed).organisations]


@pytest.mark.parametrize(
    "typed", ["青溪", "測試縣立青溪國民小學", "00000162", " ０００００１６２ ", "青 溪　國民"]
)
def test_organisation_is_found_by_part_of_its_name_and_by_tax_id(register: Database, typed: str) -> None:
    assert found(register, typed) == [SCHOOL.name]


@pytest.mark.parametrize(
    "typed", ["", "青", "%", "__", "測試%", "00000163", "'; --", "\0\0", "\ud800x" * 3, "x" * 10**6]
)
def test_search_for_what_is_not_there_finds_nothing(register: Database, typed: str) -> None:
    assert found(register, typed) == []


def test_search_takes_both_characters_for_tai(register: Database) -> None:
    taiwan = Organisation("2.16.886.111.1", "國立臺灣測試大學", None, OrganisationKind.SCHOOL, "教育部")
    with register.change() as change:
        organisations.import_organisations(change, [taiwan], OPERATOR)
    assert found(register, "台灣") == found(register, "臺灣") == [taiwan.name]


def test_search_that_finds_many_says_so(register: Database) -> None:
    many = [
        replace(SCHOOL, oid=f"2.16.886.111.{n}", name=f"同名{n}", tax_id=None) for n in range(MOST_FOUND + 1)
    ]
    with register.change() as change:
        organisations.import_organisations(change, many, OPERATOR)
    with register.read() as connection:
        result = organisations.find(connection, "同名")
    assert (len(result.organisations), result.is_all) == (MOST_FOUND, False)


def test_import_replaces_what_it_names_and_leaves_the_rest(register: Database) -> None:
    with register.change() as change:
        organisations.import_organisations(change, [replace(SCHOOL, name="改名國民小學")], OPERATOR)
    with register.read() as connection:
        assert organisations.organisation(connection, SCHOOL.oid).name == "改名國民小學"
        assert organisations.organisation(connection, FOUNDATION.oid) == FOUNDATION


def test_import_of_a_tax_id_of_another_organisation_changes_nothing(register: Database) -> None:
    new = Organisation("2.16.886.111.1", "新學校", None, OrganisationKind.SCHOOL, "教育部")
    taken = replace(new, oid="2.16.886.111.2", tax_id=SCHOOL.tax_id)
    with pytest.raises(TaxIdTaken, match=SCHOOL.name), register.change() as change:
        organisations.import_organisations(change, [new, taken], OPERATOR)
    with pytest.raises(OrganisationUnknown), register.read() as connection:
        organisations.organisation(connection, new.oid)


def test_shipped_organisations_are_imported(database: Database) -> None:
    shipped = organisations.read_organisations(
        files("xca_centre").joinpath("data/organisations.csv").read_bytes()
    )
    with database.change() as change:
        organisations.import_organisations(change, shipped, OPERATOR)
    assert found(database, "雲岡") == ["國立雲岡測試大學"]


def test_dissolved_organisation_is_not_found_and_applies_for_nothing(register: Database) -> None:
    with register.change() as change:
        name_changes.dissolve(change, SCHOOL.oid, DAY, OPERATOR, RULES)
        organisations.import_organisations(change, [SCHOOL], OPERATOR)
    assert found(register, "青溪") == []
    with pytest.raises(OrganisationDissolved), register.change() as change:
        organisations.lock(change, SCHOOL.oid)
    with pytest.raises(OrganisationUnknown), register.change() as change:
        name_changes.dissolve(change, "2.16", DAY, OPERATOR, RULES)


@pytest.mark.parametrize("oid", ["", "2.16", "\0", "\ud800", "2.16.886.111.990001 "])
def test_organisation_of_another_oid_is_unknown(register: Database, oid: str) -> None:
    with pytest.raises(OrganisationUnknown), register.read() as connection:
        organisations.organisation(connection, oid)
    with pytest.raises(OrganisationUnknown), register.change() as change:
        organisations.lock(change, oid)


def look_up(database: Database, typed: str, counter: str | None = None) -> list[Organisation]:
    with database.read() as connection:
        return [*organisations.look_up(connection, typed, counter).organisations]


@pytest.mark.parametrize("typed", ["青溪", SCHOOL.tax_id or "", SCHOOL.oid, f" {SCHOOL.oid} "])
def test_officer_finds_an_organisation_of_his_counter_also_when_it_has_ended(
    register: Database, typed: str
) -> None:
    assert look_up(register, typed) == look_up(register, typed, SCHOOL.counter) == [SCHOOL]
    assert look_up(register, typed, FOUNDATION.counter) == []
    with register.change() as change:
        name_changes.dissolve(change, SCHOOL.oid, DAY, OPERATOR, RULES)
    assert look_up(register, typed) == [replace(SCHOOL, is_dissolved=True)]
