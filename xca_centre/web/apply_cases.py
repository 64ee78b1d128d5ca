# SPDX-License-Identifier: Apache-2.0
"""What became of an application: its progress, the printed form, the fee, its correction and withdrawal.

Case number and user code open it, for a while and in one browser. Who has one of the two alone is told no
more than who has neither; each wrong code is counted (user_codes).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import segno
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from markupsafe import Markup
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from xca_centre import (
    applications,
    case_access,
    case_number,
    certificate_sets,
    orders,
    organisations,
    payments,
)
from xca_centre.application_form import FIELDS, RANKS, ApplicationForm, caption
from xca_centre.applications import Application
from xca_centre.drafts import Wanted
from xca_centre.errors import BadCaseNumber, CentreError, FormIncomplete, NoSuchOrder, UserCodeError
from xca_centre.i18n import text
from xca_centre.life.application import ApplicationEvent, ApplicationState
from xca_centre.life.payment import PaymentState
from xca_centre.life.transitions import Actor, Role
from xca_centre.orders import Order
from xca_centre.printed_application import print_application
from xca_centre.web import menu, trial_payments
from xca_centre.web.apply import CASES, KINDS
from xca_centre.web.browsers import Browsers
from xca_centre.web.frame import Fields, Frame
from xca_common.i18n import Text
from xca_common.secret import Secret
from xca_common.web.language import language_of

_PRINTS_OF_A_NETWORK: Final = 300
"""Applications that a network may have printed within an hour: the making of a PDF file takes long."""
_QR_SCALE: Final = 4
_FACTS: Final = tuple(name for name in FIELDS if name not in ("rank", "consent"))
_DOING: Final[Mapping[ApplicationState, Text]] = {
    ApplicationState.SUBMITTED: text(
        "Print the application, have it stamped, and send it with a letter to the registration counter. Pay "
        "the fee."
    ),
    ApplicationState.PAID: text(
        "Print the application, have it stamped, and send it with a letter to the registration counter."
    ),
    ApplicationState.LETTER_ARRIVED: text("Pay the fee. The review begins then."),
    ApplicationState.FIRST_REVIEW: text(
        "The registration counter reviews it. There is nothing for you to do."
    ),
    ApplicationState.SECOND_REVIEW: text(
        "It passed the first review and is in the second. There is nothing for you to do."
    ),
    ApplicationState.APPROVED: text("It passed both reviews. There is nothing for you to do."),
    ApplicationState.MAKING: text("There is nothing for you to do until the card comes."),
    ApplicationState.ISSUED: text("There is nothing for you to do until the card comes."),
    ApplicationState.MAILED: text("Activate the card when it has come: its letter says how."),
    ApplicationState.CLOSED: text("Nothing is left to do here."),
    ApplicationState.RETURNED: text(
        "Correct the application. If what you filled in is right and the letter was not, send another letter."
    ),
    ApplicationState.WITHDRAWN: text("Nothing will be made. You may apply again."),
}
_TO_ACCEPT: Final = text("Download the certificate, look at what it says, and accept it.")
SLIP_STATES: Final = {
    PaymentState.OPEN: "soon",
    PaymentState.PAID: "good",
    PaymentState.LAPSED: "bad",
    PaymentState.CANCELLED: "bad",
    PaymentState.REFUND_DUE: "soon",
    PaymentState.REFUNDED: "good",
}
"""How the state of a slip is coloured."""


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""
    return _Pages(frame).routes()


class _Pages:
    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._browsers = Browsers(frame.site)

    def routes(self) -> Sequence[Route]:
        """Return the routes."""
        one, posted = f"{CASES}/{{access:uuid}}", self._frame.posted
        return [
            Route(menu.PROGRESS, self._ask),
            Route(menu.PROGRESS, posted(self._prove), methods=["POST"]),
            Route(one, self._case),
            Route(f"{one}/application.pdf", self._printed),
            Route(f"{one}/certificate.cer", self._certificate),
            Route(f"{one}/certificate.pem", self._certificate),
            Route(f"{one}/slip", posted(self._slip), methods=["POST"]),
            Route(f"{one}/correct", self._correct),
            Route(f"{one}/correct", posted(self._corrected), methods=["POST"]),
            Route(f"{one}/withdraw", self._withdraw),
            Route(f"{one}/withdraw", posted(self._withdrawn), methods=["POST"]),
            Route(f"{one}/leave", posted(self._leave), methods=["POST"]),
        ]

    def _ask(self, request: Request) -> Response:
        return self._frame.page(request, "apply_progress.html", typed="", problems={}, error=None)

    def _prove(self, request: Request, fields: Fields) -> Response:
        """Open a case with its number and user code."""
        typed = fields.get("case_number", "")
        browser = self._browsers.known(request)
        try:
            case_number.read(typed)  # so no try is spent on a slip of the finger
            with Secret(fields.get("user_code", "")) as code:
                proved = self._frame.codes.prove(
                    lambda change: applications.find_code(change, typed),
                    code,
                    self._frame.network(request),
                    Role.APPLICANT,
                )
        except (BadCaseNumber, UserCodeError) as error:
            problems = {"case_number": error.message()} if isinstance(error, BadCaseNumber) else {}
            return self._frame.refusal(
                request, error, "apply_progress.html", typed=typed[:100], problems=problems
            )
        with self._frame.database.change() as change:
            access = case_access.grant(change, applications.of_code(change.connection, proved).id, browser)
        return self._browsers.remember(self._frame.see_other(f"{CASES}/{access}"), browser)

    def _case(self, request: Request) -> Response:
        return self._case_page(request)

    def _case_page(self, request: Request, error: CentreError | None = None) -> Response:
        rules = self._frame.rules
        with self._frame.database.read() as connection:
            case = self._application(request, connection)
            order = _order_of(connection, case)
            context: dict[str, Any] = {
                "case": case,
                "number": case_number.shown(case.case_number),
                "qr": _qr_code(case.case_number),
                "organisation": organisations.organisation(connection, case.organisation),
                "kind": _kind_of(case),
                "ranks": RANKS,
                "caption": caption,
                "shown": _FACTS,
                "values": case.form.fields(),
                "doing": _doing(case, order),
                "slips": payments.of_application(connection, case.id),
                "slip_states": SLIP_STATES,
                "order": order,
                "address": f"{CASES}/{request.path_params['access']}",
                "is_new": "uploaded" in request.query_params,
                "is_corrected": "corrected" in request.query_params,
                "is_fee_open": case.state in applications.FEE_OPEN,
                "has_test_provider": trial_payments.provider_of(self._frame) is not None,
                **{
                    f"may_{event.value}": Role.APPLICANT in rules.applications.roles(case.state, event)
                    for event in (ApplicationEvent.CORRECT, ApplicationEvent.WITHDRAW)
                },
            }
        if error is not None:
            return self._frame.refusal(request, error, "apply_case.html", **context)
        return self._frame.page(request, "apply_case.html", **context, error=None)

    def _printed(self, request: Request) -> Response:
        """Return the application on paper, both copies."""
        with self._frame.database.read() as connection:
            case = self._application(request, connection)
            organisation = organisations.organisation(connection, case.organisation)
        self._frame.limit(request, "print", _PRINTS_OF_A_NETWORK)
        pdf = print_application(
            case, organisation, self._frame.rules, self._frame.clock(), language_of(request)
        )
        name = f"application-{case_number.shown(case.case_number)}.pdf"
        headers = {"Content-Disposition": f'inline; filename="{name}"'}
        return Response(pdf, headers=headers, media_type="application/pdf")

    def _certificate(self, request: Request) -> Response:
        """Return the certificate that was issued for a key that is elsewhere."""
        with self._frame.database.read() as connection:
            case = self._application(request, connection)
            order = orders.of_application(connection, case.id)
            if order.card is not None:
                raise NoSuchOrder
            issued = certificate_sets.certificates_of(connection, order.certificates)[0]
        is_pem = request.url.path.endswith(".pem")
        content = issued.der
        if is_pem:
            content = x509.load_der_x509_certificate(issued.der).public_bytes(Encoding.PEM)
        name = f"{issued.serial}.{'pem' if is_pem else 'cer'}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        kind = "application/x-pem-file" if is_pem else "application/pkix-cert"
        return Response(content, headers=headers, media_type=kind)

    def _slip(self, request: Request, fields: Fields) -> Response:
        """Fetch a payment slip: the open one, or a new one."""
        try:
            with self._frame.database.change() as change:
                case = self._application(request, change.connection)
                applications.fetch_slip(change, self._frame.rules, case.id, _by(case))
        except CentreError as error:
            return self._refused(request, error)
        return self._back(request, "#fee")

    def _correct(self, request: Request) -> Response:
        with self._frame.database.read() as connection:
            case = self._application(request, connection)
        return self._correct_page(request, case, case.form.fields())

    def _correct_page(
        self,
        request: Request,
        case: Application,
        values: Mapping[str, str],
        error: CentreError | None = None,
        version: int | None = None,
    ) -> Response:
        problems = error.problems if isinstance(error, FormIncomplete) else {}
        with self._frame.database.read() as connection:
            organisation = organisations.organisation(connection, case.organisation)
        context: dict[str, Any] = {
            "case": case,
            "version": case.version if version is None else version,
            "number": case_number.shown(case.case_number),
            "organisation": organisation,
            "kind": _kind_of(case),
            "values": {name: values.get(name, "") for name in FIELDS},
            "problems": {name: reason() for name, reason in problems.items()},
            "fields": FIELDS,
            "caption": caption,
            "ranks": RANKS,
            "address": f"{CASES}/{request.path_params['access']}",
        }
        if error is not None:
            return self._frame.refusal(request, error, "apply_correct.html", **context)
        return self._frame.page(request, "apply_correct.html", **context, error=None)

    def _corrected(self, request: Request, fields: Fields) -> Response:
        """Take another version of the form, unless another window has brought one meanwhile."""
        rules = self._frame.rules
        with self._frame.database.read() as connection:
            case = self._application(request, connection)
        # Who agreed to these terms before, need not do so again; of a renewal or a key the rank stays.
        values = {name: fields.get(name, "") for name in FIELDS}
        if case.form.terms == rules.terms.version:
            values["consent"] = case.form.terms
        if case.renews is not None or case.request is not None:
            values["rank"] = case.form.rank
        typed = fields.get("version", "")
        version = int(typed) if typed.isascii() and typed.isdecimal() and len(typed) < 9 else 0
        try:
            form = ApplicationForm.read(values, rules.terms.version)
            with self._frame.database.change() as change:
                own = self._application(request, change.connection)
                applications.require_version(change, own.id, version)
                applications.correct(change, rules, own.id, form, _by(own))
        except FormIncomplete as error:
            return self._correct_page(request, case, values, error, version)
        except CentreError as error:
            return self._refused(request, error)
        return self._back(request, "?corrected=yes")

    def _withdraw(self, request: Request) -> Response:
        with self._frame.database.read() as connection:
            case = self._application(request, connection)
        address = f"{CASES}/{request.path_params['access']}"
        number = case_number.shown(case.case_number)
        return self._frame.page(request, "apply_withdraw.html", number=number, address=address)

    def _withdrawn(self, request: Request, fields: Fields) -> Response:
        try:
            with self._frame.database.change() as change:
                case = self._application(request, change.connection)
                applications.withdraw(change, self._frame.rules, case.id, _by(case))
        except CentreError as error:
            return self._refused(request, error)
        return self._back(request)

    def _leave(self, request: Request, fields: Fields) -> Response:
        """End the access: nobody else at this computer looks at the case."""
        access: UUID = request.path_params["access"]
        with self._frame.database.change() as change:
            case_access.end(change, access, self._browsers.of(request))
        return self._frame.leave(menu.PROGRESS)

    def _refused(self, request: Request, error: CentreError) -> Response:
        """Show the case again, with what was refused; without access, that alone."""
        return self._case_page(request, error)

    @staticmethod
    def _back(request: Request, more: str = "") -> Response:
        return RedirectResponse(f"{CASES}/{request.path_params['access']}{more}", 303)

    def _application(self, request: Request, connection: Connection) -> Application:
        access: UUID = request.path_params["access"]
        return case_access.application(connection, access, self._browsers.of(request), self._frame.clock)


def _qr_code(number: str) -> Markup:
    """Return the address of a picture: it is longer than a text that pages show, and has no sign of HTML."""
    made: str = segno.make(number, error="m", micro=False).png_data_uri(scale=_QR_SCALE)
    return Markup(made)  # noqa: S704  # base64


def _by(case: Application) -> Actor:
    return Actor(Role.APPLICANT, case.case_number)


def _kind_of(case: Application) -> Text:
    if case.request is not None:
        return KINDS[Wanted.CERTIFICATE]
    return KINDS[Wanted.RENEWAL if case.renews is not None else Wanted.CARD]


def _order_of(connection: Connection, case: Application) -> Order | None:
    try:
        return orders.of_application(connection, case.id)
    except NoSuchOrder:
        return None


def _doing(case: Application, order: Order | None) -> Text:
    if case.request is not None and case.state is ApplicationState.ISSUED:
        return _TO_ACCEPT
    return _DOING[case.state]
