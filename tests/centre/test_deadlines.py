# SPDX-License-Identifier: Apache-2.0
"""What ends when: at Taipei's midnight, over leap days, ends of years, and holidays."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from softhsm import ACTIVATION_DAYS
from xca_centre import deadlines
from xca_centre.issuer_rules import Days, DaysBefore, Issuer, IssuerRules, Months, WorkingDays, load
from xca_centre.work_calendar import WorkCalendar

RULES: Final = load(Issuer.XCA)
TAIPEI: Final = timezone(timedelta(hours=8))


def at(text: str) -> datetime:
    """A moment in Taipei."""
    return datetime.fromisoformat(text).replace(tzinfo=TAIPEI)


def with_block(months: int) -> IssuerRules:
    return replace(RULES, deadlines=replace(RULES.deadlines, reissue_block=Months(months)))


@pytest.mark.parametrize(
    ("issued", "last_day"),
    [
        ("2026-01-01T09:00", "2026-04-01"),
        ("2026-01-01T23:59:59", "2026-04-01"),
        ("2026-01-02T00:00", "2026-04-02"),
        ("2028-01-01T09:00", "2028-03-31"),  # over a leap day
        ("2026-11-28T09:00", "2027-02-26"),  # over an end of a year
        ("2027-12-01T09:00", "2028-02-29"),  # on a leap day
    ],
)
def test_acceptance_ends_with_the_ninetieth_day_after_the_issue(issued: str, last_day: str) -> None:
    end = deadlines.lapses_at(at(issued), RULES)
    assert str(deadlines.last_day(end)) == last_day
    assert end == at(f"{last_day}T00:00") + timedelta(days=1)
    assert end.tzinfo is UTC


def test_acceptance_ends_on_the_day_after_which_the_stand_ins_card_cannot_be_activated() -> None:
    assert RULES.deadlines.acceptance.days == ACTIVATION_DAYS


def test_acceptance_of_a_card_issued_before_midnight_utc_counts_taipeis_day() -> None:
    issued = datetime(2026, 1, 1, 16, 30, tzinfo=UTC)  # 2 January, 00:30 in Taipei
    assert str(deadlines.last_day(deadlines.lapses_at(issued, RULES))) == "2026-04-02"


@pytest.mark.parametrize(
    ("lapsed", "first_day"),
    [
        ("2026-01-15T00:00", "2026-04-16"),
        ("2026-11-30T00:00", "2027-03-01"),  # begins with a month, ends with one
        ("2027-11-30T00:00", "2028-03-01"),
        ("2026-11-29T00:00", "2027-03-01"),  # February has no 30th
        ("2027-11-29T00:00", "2028-03-01"),
        ("2027-11-28T00:00", "2028-02-29"),
        ("2026-02-28T00:00", "2026-06-01"),
        ("2026-09-30T23:59", "2027-01-01"),
        ("2026-10-01T00:00", "2027-01-02"),
        ("2028-02-29T12:00", "2028-06-01"),
        ("2026-08-30T12:00", "2026-12-01"),  # November has no 31st
    ],
)
def test_block_after_a_lapse_is_three_months_of_the_civil_code(lapsed: str, first_day: str) -> None:
    assert deadlines.blocked_until(at(lapsed), RULES) == at(f"{first_day}T00:00")


def test_block_of_no_months_ends_at_once() -> None:
    lapsed = at("2026-08-30T12:00")
    assert deadlines.blocked_until(lapsed, with_block(0)) == lapsed


@given(
    lapsed=st.dates(date(2020, 1, 1), date(2060, 1, 1)),
    months=st.integers(1, 36),
)
def test_block_of_any_length_is_of_so_many_months_and_no_shorter_for_a_later_lapse(
    lapsed: date, months: int
) -> None:
    rules = with_block(months)
    moment = datetime(lapsed.year, lapsed.month, lapsed.day, 12, tzinfo=TAIPEI)
    end = deadlines.blocked_until(moment, rules)
    assert timedelta(days=28 * months) <= end - moment <= timedelta(days=31 * months + 1)
    assert deadlines.blocked_until(moment + timedelta(days=1), rules) >= end


@pytest.mark.parametrize(
    ("not_after", "opens"),
    [
        ("2032-03-01T10:00", "2032-01-01"),
        ("2031-03-01T10:00", "2030-12-31"),
        ("2031-03-01T00:00:00", "2030-12-31"),
    ],
)
def test_renewal_opens_sixty_days_before_the_last(not_after: str, opens: str) -> None:
    assert deadlines.renewal_opens(at(not_after), RULES) == at(f"{opens}T00:00")


def test_name_change_is_the_holders_to_report_for_two_weeks() -> None:
    assert deadlines.name_change_ends(date(2026, 12, 25), RULES) == at("2027-01-09T00:00")
    assert deadlines.name_change_ends(date(2028, 2, 20), RULES) == at("2028-03-06T00:00")


def test_slip_and_ticket_end_with_a_day() -> None:
    assert deadlines.slip_lapses_at(at("2026-12-25T10:00"), RULES) == at("2027-01-09T00:00")
    assert deadlines.ticket_ends(at("2026-12-25T10:00"), RULES) == at("2027-01-09T00:00")


@pytest.mark.parametrize(
    ("approved", "done_by"),
    [
        ("2026-11-30T10:00", "2026-12-02"),  # a Monday
        ("2026-11-27T10:00", "2026-12-01"),  # a Friday: Monday is the working day
        ("2026-11-28T10:00", "2026-12-01"),  # a Saturday
        ("2026-12-24T10:00", "2026-12-29"),  # before the Constitution Day, a Friday
        ("2026-02-13T10:00", "2026-02-24"),  # before the New Year of the Chinese calendar
        ("2025-02-07T10:00", "2025-02-09"),  # a Friday before a Saturday that made up for another day
        ("2014-12-26T10:00", "2014-12-28"),  # and one for a day of the next year
    ],
)
def test_work_of_one_day_ends_with_the_next_working_day(approved: str, done_by: str) -> None:
    end = deadlines.work_ends(at(approved), RULES.deadlines.revocation, RULES)
    assert end == at(f"{done_by}T00:00")


def test_work_over_a_day_off_that_the_operator_adds_ends_later() -> None:
    typhoon = replace(RULES.calendar, days_off=(date(2026, 12, 1),), working_days=(date(2026, 12, 5),))
    rules = replace(RULES, calendar=typhoon)
    assert deadlines.work_ends(at("2026-11-30T10:00"), WorkingDays(1), rules) == at("2026-12-03T00:00")
    assert deadlines.work_ends(at("2026-12-04T10:00"), WorkingDays(1), rules) == at("2026-12-06T00:00")
    assert deadlines.work_ends(at("2026-11-30T10:00"), WorkingDays(0), rules) == at("2026-12-01T00:00")


def test_calendar_knows_the_make_up_day_whichever_day_is_asked_first() -> None:
    assert WorkCalendar().is_working(date(2025, 2, 8))
    assert not WorkCalendar().is_working(date(2025, 1, 27))
    assert WorkCalendar().is_working(date(2014, 12, 27))


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-01-01T00:00", "2026-01-31"),
        ("2026-01-30T23:59:59", "2026-01-31"),
        ("2026-01-31T00:00", "2026-03-02"),
        ("2026-03-24T00:00", "2026-03-25"),
        ("2026-03-25T00:00", "2026-03-31"),
        ("2026-03-31T00:00", None),
        ("2026-05-01T00:00", None),
    ],
)
def test_reminder_is_the_next_that_is_not_past(now: str, due: str | None) -> None:
    found = deadlines.next_reminder(date(2026, 4, 1), DaysBefore((60, 30, 7, 1)), at(now))
    assert found == (at(f"{due}T00:00") if due else None)


@given(
    issued=st.datetimes(datetime(2020, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)),
    days=st.integers(0, 400),
)
def test_acceptance_has_whole_days_and_never_fewer(issued: datetime, days: int) -> None:
    rules = replace(RULES, deadlines=replace(RULES.deadlines, acceptance=Days(days)))
    end = deadlines.lapses_at(issued, rules)
    assert timedelta(days=days) < end - issued <= timedelta(days=days + 1)
    assert end.astimezone(TAIPEI).time().isoformat() == "00:00:00"
