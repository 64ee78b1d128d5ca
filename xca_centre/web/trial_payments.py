# SPDX-License-Identifier: Apache-2.0
"""The page of the test provider, where nobody pays: it stands in for the site of a bank.

It is there only where that provider collects the fees, and certificates have the policy for tests.
"""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xca_centre import paid_slips, payments
from xca_centre.payments import Slip
from xca_centre.trial_provider import TrialProvider
from xca_centre.web.frame import Fields, Frame
from xca_common.pki.profile import TEST_POLICY

PATH: Final = "/test-payments"
"""Below it each slip has a page, by its number."""


def provider_of(frame: Frame) -> TrialProvider | None:
    """Return the test provider, if it collects the fees of a centre."""
    found = frame.payment_provider
    if isinstance(found, TrialProvider) and frame.rules.profile.policy == TEST_POLICY:
        return found
    return None


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes; none at a centre with another provider."""
    provider = provider_of(frame)
    if provider is None:
        return []

    def slip_of(request: Request) -> Slip:
        with frame.database.read() as connection:
            return payments.read(connection, request.path_params["number"])

    def show(request: Request) -> Response:
        slip = slip_of(request)
        return frame.page(request, "test_payment.html", slip=slip)

    def pay(request: Request, fields: Fields) -> Response:
        slip = slip_of(request)
        provider.pay(slip.to_pay, frame.clock())
        paid_slips.ask(frame.database, frame.rules, provider, slip.number)
        return frame.see_other(f"{PATH}/{slip.number}")

    address = f"{PATH}/{{number}}"
    return [Route(address, show), Route(address, frame.posted(pay), methods=["POST"])]
