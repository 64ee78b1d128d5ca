# SPDX-License-Identifier: Apache-2.0
"""Who acts for a card or a certificate without having logged in: its number and its user code are given.

A card is named by card number and the serial number of its certificate for signatures, a certificate without
a card by its case number. Nobody is told which of number and code is wrong.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection
from starlette.requests import Request

from xca_centre import applications, certificate_sets, orders
from xca_centre.applications import Application
from xca_centre.case_number import DIGITS
from xca_centre.certificate_sets import CertificateSet
from xca_centre.life.transitions import Actor, Role
from xca_centre.store.database import Change
from xca_centre.web.frame import Fields, Frame
from xca_common.secret import Secret

NUMBER: Final = "number"
SERIAL: Final = "serial"
CODE: Final = "code"


@dataclass(frozen=True)
class Proved:
    """What somebody may act for.

    Attributes:
        application: for which the certificates were issued.
        certificates: they, as they are; of a card the newest.
        by: who acts, as events name him.
    """

    application: Application
    certificates: CertificateSet
    by: Actor


def prove(frame: Frame, request: Request, fields: Fields) -> Proved:
    """Judge the fields NUMBER, SERIAL and CODE. A try is spent and committed before the code is compared.

    Raises:
        BadUserCode, TooManyTries, UserCodeRefused: as UserCodes.prove.
        NoSuchOrder: nothing was issued for the application yet.
    """
    number, serial = fields.get(NUMBER, ""), fields.get(SERIAL, "")

    def find(change: Change) -> UUID | None:
        if sum(map(str.isdecimal, number)) == DIGITS:
            return applications.find_code(change, number)
        return applications.find_code_of_card(change, number, serial)

    code = frame.codes.prove(find, Secret(fields.get(CODE, "")), frame.network(request), Role.HOLDER)
    with frame.database.read() as connection:
        application = applications.of_code(connection, code)
        found = of_application(connection, application)
    return Proved(application, found, Actor(Role.HOLDER, found.card or application.case_number))


def of_application(connection: Connection, application: Application) -> CertificateSet:
    """Return the certificates that were issued for an application; of a card the newest.

    Raises:
        NoSuchOrder: none are yet.
    """
    order = orders.of_application(connection, application.id)
    if order.card is None:
        return certificate_sets.find(connection, order.certificates)
    return certificate_sets.of_card(connection, order.card)[0]
