# SPDX-License-Identifier: Apache-2.0
"""What ends when, by the rules of an issuer.

Days are those of Taipei. The day of the event itself is not counted, and the last day counts to its end
(民法, articles 120 and 121). Each end is returned as the first moment that is too late, in UTC. A holiday
prolongs no calendar days: the issuers count them through.
"""

from datetime import date, datetime, timedelta
from typing import Final

from xca_centre.issuer_rules import DaysBefore, IssuerRules, WorkingDays
from xca_centre.work_calendar import WorkCalendar
from xca_common import taipei

_DAY: Final = timedelta(days=1)


def lapses_at(issued: datetime, rules: IssuerRules) -> datetime:
    """Return when it is too late to accept certificates.

    Args:
        issued: when the card was issued (發卡日期), or when a lapse was lifted.
        rules: the issuer's.
    """
    return _end_of_days(taipei.day(issued), rules.deadlines.acceptance.days)


def blocked_until(lapsed: datetime, rules: IssuerRules) -> datetime:
    """Return from when an organisation gets a card again.

    Args:
        lapsed: when its certificates lapsed.
        rules: the issuer's.
    """
    months = rules.deadlines.reissue_block.months
    if not months:
        return lapsed
    return taipei.midnight(_last_day_of_months(taipei.day(lapsed), months) + _DAY)


def renewal_opens(not_after: datetime, rules: IssuerRules) -> datetime:
    """Return from when a certificate can be renewed. It can be until it expires."""
    return taipei.midnight(taipei.day(not_after) - rules.deadlines.renewal_window.days * _DAY)


def name_change_ends(changed: date, rules: IssuerRules) -> datetime:
    """Return from when the centre itself revokes, if nobody has asked for it (the two-week rule).

    Args:
        changed: the day on which the organisation's name or level changed.
        rules: the issuer's.
    """
    return _end_of_days(changed, rules.deadlines.name_change.weeks * 7)


def slip_lapses_at(issued: datetime, rules: IssuerRules) -> datetime:
    """Return when a payment slip cannot be paid any more."""
    return _end_of_days(taipei.day(issued), rules.deadlines.payment_slip.days)


def ticket_ends(approved: datetime, rules: IssuerRules) -> datetime:
    """Return when a ticket for a new user code cannot be used any more."""
    return _end_of_days(taipei.day(approved), rules.deadlines.ticket.days)


def work_ends(approved: datetime, work: WorkingDays, rules: IssuerRules) -> datetime:
    """Return when what was approved is done too late.

    Args:
        approved: when.
        work: how long it may take: rules.deadlines.revocation or .suspension.
        rules: the issuer's.
    """
    calendar = WorkCalendar(rules.calendar.days_off, rules.calendar.working_days)
    return taipei.midnight(calendar.after(taipei.day(approved), work.working_days) + _DAY)


def last_day(end: datetime) -> date:
    """Return the last day of what ends at a moment, as people are told it."""
    return taipei.day(end - timedelta(microseconds=1))


def next_reminder(last: date, before: DaysBefore, now: datetime) -> datetime | None:
    """Return when the next mail is due; None: there is no more.

    Args:
        last: the last day.
        before: how many days before it mails are sent.
        now: the present; what was due until then is not made up for.
    """
    moments = (taipei.midnight(last - days * _DAY) for days in before.days_before)
    return next((moment for moment in moments if moment > now), None)


def _end_of_days(first: date, days: int) -> datetime:
    return taipei.midnight(first + (days + 1) * _DAY)


def _last_day_of_months(event: date, months: int) -> date:
    """Return the last day of some months that begin on the day after an event (民法, article 121).

    That is the day before the one with the same number, or the last of a month that has no such day.
    """
    begin = event + _DAY
    year, month = divmod(begin.year * 12 + begin.month - 1 + months, 12)
    try:
        return date(year, month + 1, begin.day) - _DAY
    except ValueError:
        return date(year, month + 2, 1) - _DAY  # never December, which has every day
