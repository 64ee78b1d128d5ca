# SPDX-License-Identifier: Apache-2.0
"""A worker: does the jobs that follow from changes, and chains the events. Any number may run."""

import logging
from contextlib import suppress
from threading import Event
from typing import Final

from xca_centre import (
    applications,
    certificate_sets,
    drafts,
    mail,
    notices,
    orders,
    paid_slips,
    payments,
    sweeps,
    user_codes,
)
from xca_centre.centre import Centre
from xca_centre.errors import StoreProblem
from xca_centre.mail_links import links
from xca_centre.status.published_lists import PublishedLists
from xca_centre.store.event_chain import chain
from xca_centre.store.job_queue import Handler, work_on_one

_LOG: Final = logging.getLogger(__name__)
_PAUSE: Final = 0.5  # seconds
_AFTER_FAILURE: Final = 5.0


def handlers(centre: Centre) -> dict[str, Handler]:
    """Return how each kind of job is done."""
    rules, settings = centre.rules, centre.settings
    lists = PublishedLists(centre.database, centre.hierarchy, centre.clock)
    generations, provider = centre.hierarchy.generations, centre.payment_provider
    return {
        **sweeps.handlers(rules),
        **notices.handlers(rules),
        certificate_sets.PUBLISH: lists.work,
        drafts.FORGET: drafts.forgetter(),
        payments.ANNOUNCE: payments.announcer(provider),
        payments.ASK: paid_slips.asker(rules, provider),
        payments.LAPSE: payments.lapser(rules),
        user_codes.LOCKED: user_codes.handler(applications.tell_locked),
        orders.JOB: orders.handler(rules, generations, centre.producer),
        orders.ISSUE_CERTIFICATE: orders.certificate_handler(rules, generations),
        mail.JOB: mail.handler(rules, settings.mail.sender, centre.transport, links(settings.origin)),
    }


def work(centre: Centre, is_over: Event) -> None:
    """Do what there is to do, until it is over.

    Args:
        centre: whose.
        is_over: is set by whoever ends it; the job in work is done to its end.

    Raises:
        CentreError: something that all jobs need cannot be used.
    """
    done = handlers(centre)
    with suppress(StoreProblem), centre.database.change() as change:
        sweeps.begin(change)  # again: a clock that was put back since may have planned it for years on
    while not is_over.is_set():
        try:
            was_there = work_on_one(centre.database, done)
            chain(centre.database)
        except StoreProblem as error:
            _LOG.error("the database: %s", error)
            is_over.wait(_AFTER_FAILURE)
        else:
            if not was_there:
                is_over.wait(_PAUSE)
