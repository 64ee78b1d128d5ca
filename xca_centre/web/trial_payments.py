# SPDX-License-Identifier: Apache-2.0
"""The page of the test provider, where nobody pays: it stands in for the site of a bank.

It is there only where certificates have the policy for tests. What is paid there is told to the centre as a
provider tells it (applications.pay).
"""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xca_centre import applications, payments
from xca_centre.life.transitions import Actor, Role
from xca_centre.payments import Slip
from xca_centre.web.frame import Fields, Frame
from xca_common.pki.profile import TEST_POLICY

PATH: Final = "/test-payments"
"""Below it each slip has a page, by its number."""
_BY: Final = Actor(Role.PAYMENT_PROVIDER, "test provider")


def is_there(frame: Frame) -> bool:
    """Tell whether the test provider collects the fees of a centre."""
    return frame.rules.profile.policy == TEST_POLICY


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes; none at a centre whose certificates are not for tests."""

    def slip_of(request: Request) -> Slip:
        with frame.database.read() as connection:
            return payments.read(connection, request.path_params["number"])

    def show(request: Request) -> Response:
        slip = slip_of(request)
        return frame.page(request, "test_payment.html", slip=slip)

    def pay(request: Request, fields: Fields) -> Response:
        slip = slip_of(request)
        with frame.database.change() as change:
            applications.pay(change, frame.rules, slip.number, slip.due, change.now, _BY)
        return frame.see_other(f"{PATH}/{slip.number}")

    if not is_there(frame):
        return []
    address = f"{PATH}/{{number}}"
    return [Route(address, show), Route(address, frame.posted(pay), methods=["POST"])]
