# SPDX-License-Identifier: Apache-2.0
"""Whether payment slips were paid: the centre asks the payment provider, until they have lapsed.

What the provider does not clearly say was not paid. What follows from a payment is in applications.pay.
"""

import logging
from datetime import timedelta
from typing import Final

from xca_centre import applications, payments
from xca_centre.errors import (
    CentreError,
    PaymentDoubtful,
    PaymentProviderError,
    PaymentProviderUnavailable,
    WrongAmount,
)
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.payment import PaymentState
from xca_centre.life.transitions import Actor, Role
from xca_centre.payment_provider import Payment, PaymentProvider
from xca_centre.payments import Slip
from xca_centre.store.database import Change, Database
from xca_centre.store.job_queue import Handler, Job, finish
from xca_common.errors import place_of

EVERY: Final = timedelta(minutes=10)
"""How often it asks about a slip."""
_BY: Final = Actor(Role.PAYMENT_PROVIDER, payments.ASK)
_ANSWERED: Final = frozenset({PaymentState.PAID, PaymentState.REFUND_DUE, PaymentState.REFUNDED})
_LOG: Final = logging.getLogger(__name__)


def ask(database: Database, rules: IssuerRules, provider: PaymentProvider, number: str) -> None:
    """Ask about a slip once. If it was paid, its application goes on, or the money is to be paid back.

    Raises:
        SlipUnknown: there is none of this number.
        PaymentProviderUnavailable: the provider does not tell.
        PaymentDoubtful, WrongAmount: what it tells cannot be taken; the slip stays as it is.
    """
    with database.read() as connection:
        slip = payments.read(connection, number)
    payment = _told(provider, slip)
    if payment is not None:
        with database.change() as change:
            _note(change, rules, slip, payment)


def asker(rules: IssuerRules, provider: PaymentProvider) -> Handler:
    """Return what asks about slips, for the job payments.ASK.

    A slip that was withdrawn or has lapsed is asked about, too: its payer may have been faster.
    """

    def work(database: Database, job: Job) -> None:
        with database.read() as connection:
            slip = payments.read(connection, str(job.facts["number"]))
        try:
            begun = database.clock()
            payment = _told(provider, slip)
            with database.change() as change:
                finish(change, job)
                if payment is not None:
                    _note(change, rules, slip, payment)
                elif begun < slip.lapses_at and slip.state not in _ANSWERED:
                    change.enqueue(payments.ASK, job.facts, not_before=change.now + EVERY)
        except (
            PaymentProviderError,
            WrongAmount,
        ) as error:  # the operator finds the job when it has failed too often
            _LOG.error("slip %s stays unpaid: %s", slip.number, error)
            raise

    return work


def _told(provider: PaymentProvider, slip: Slip) -> Payment | None:
    """Return what a provider tells of a slip that was not paid before; None: nothing was paid."""
    if slip.state in _ANSWERED:
        return None
    try:
        payment = provider.payment(slip.to_pay)
    except CentreError:
        raise
    except Exception as error:  # a package of others; what it says may be a secret
        raise PaymentProviderUnavailable(reason=place_of(error)) from error
    if payment is None:
        return None
    is_one = isinstance(payment, Payment) and type(payment.amount) is int
    if not is_one or getattr(payment.paid_at, "tzinfo", None) is None:
        raise PaymentDoubtful(number=slip.number)
    return payment


def _note(change: Change, rules: IssuerRules, slip: Slip, payment: Payment) -> None:
    if payment.paid_at > change.now:
        raise PaymentDoubtful(number=slip.number)
    applications.pay(change, rules, slip.number, payment.amount, payment.paid_at, _BY)
