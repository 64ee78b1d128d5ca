# SPDX-License-Identifier: Apache-2.0
"""What a refusal is over HTTP: a status, and a kind with a page of its own below /problems."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from xca_centre import errors
from xca_centre.errors import CentreError
from xca_common.i18n import Text
from xca_common.web.request_guard import RefusalReason

PATH: Final = "/problems"
"""Below it each kind of problem is described; documents about errors name it as their type (RFC 9457)."""

_STATUSES: Final[Mapping[type[CentreError], int]] = {
    CentreError: 400,
    errors.AddressUnknown: 404,
    errors.MethodRefused: 405,
    errors.HostUnknown: 421,
    errors.ForeignPage: 403,
    errors.FormTypeWrong: 415,
    errors.FormMalformed: 400,
    errors.IdempotencyKeyMalformed: 400,
    errors.IdempotencyKeyReused: 422,
    errors.FormTooLarge: 413,
    errors.FormTooSlow: 408,
    errors.Unexpected: 500,
    errors.PageStale: 409,
    errors.TooManyRequests: 429,
    errors.NotLoggedIn: 401,
    errors.LoginTooOld: 401,
    errors.OtherLoginNeeded: 403,
    errors.Refused: 409,
    errors.NotYours: 403,
    errors.AcceptanceRefused: 403,
    errors.AcceptanceMalformed: 400,
    errors.AcceptanceTooLong: 413,
    errors.UserCodeError: 403,
    errors.BadUserCode: 400,
    errors.TooManyTries: 429,
    errors.CodesDiffer: 422,
    errors.GroundMissing: 422,
    errors.BadSecureEmail: 422,
    errors.NotOnACard: 409,
    errors.TicketRefused: 403,
    errors.ForeignCounter: 403,
    errors.ApplicationChanged: 409,
    errors.NoScan: 404,
    errors.StaffChangeRefused: 409,
    errors.StaffChangeNotYours: 403,
    errors.NoSuchCertificates: 404,
    errors.NoSuchOrder: 404,
    errors.ApplicationUnknown: 404,
    errors.DraftGone: 404,
    errors.CaseClosedToBrowser: 403,
    errors.PrimaryCardTaken: 409,
    errors.NotRenewable: 409,
    errors.AlreadyRenewed: 409,
    errors.NoFeeDue: 409,
    errors.OrganisationDissolved: 409,
    errors.BadOrganisationName: 422,
    errors.DayMissing: 422,
    errors.CardsNotMade: 503,
    errors.OrganisationUnknown: 404,
    errors.OfficerUnknown: 404,
    errors.OfficerIdTaken: 409,
    errors.SlipUnknown: 404,
    errors.StoreProblem: 503,
    errors.KeyTokenError: 503,
    errors.HierarchyError: 503,
    errors.MailUnavailable: 503,
    errors.PaymentProviderError: 503,
}
"""The status of each error (RFC 9110). One that is not named here has that of its base class."""

_OF_THE_GUARD: Final[Mapping[RefusalReason, type[CentreError]]] = {
    RefusalReason.WRONG_HOST: errors.HostUnknown,
    RefusalReason.FOREIGN_ORIGIN: errors.ForeignPage,
    RefusalReason.WRONG_CONTENT_TYPE: errors.FormTypeWrong,
    RefusalReason.BODY_TOO_LARGE: errors.FormTooLarge,
    RefusalReason.BODY_TOO_SLOW: errors.FormTooSlow,
    RefusalReason.UNEXPECTED_ERROR: errors.Unexpected,
}


def status_of(error: CentreError) -> int:
    """Return the HTTP status of an error."""
    return next(_STATUSES[each] for each in type(error).__mro__ if each in _STATUSES)


def name_of(kind: type[CentreError]) -> str:
    """Return the last part of the address of a kind of problem, such as certificate-revoked."""
    code: str | None = getattr(kind, "code", None)
    return code.replace("_", "-") if code else re.sub("(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower()


def kind_named(name: str) -> type[CentreError] | None:
    """Return a kind of problem that a person can meet; None: there is none of this name."""
    return next(
        (kind for kind in _kinds(CentreError) if hasattr(kind, "_message") and name_of(kind) == name), None
    )


def described(kind: type[CentreError]) -> tuple[Text, Text]:
    """Return the message and the next step of a kind of problem, without the facts of any one."""
    facts = {name: _Unnamed(2) for name in kind.__dataclass_fields__}
    return kind._message.format(**facts), kind._next_step.format(**facts)


def of_the_guard(reason: RefusalReason) -> CentreError:
    """Return the error of a request that the request guard refused."""
    return _OF_THE_GUARD[reason]()


class _Unnamed(int):
    """Some fact: a number, as plurals need one, that shows as dots."""

    def __format__(self, _: str) -> str:
        return "…"


def _kinds(kind: type[CentreError]) -> Iterator[type[CentreError]]:
    for each in kind.__subclasses__():
        yield each
        yield from _kinds(each)
