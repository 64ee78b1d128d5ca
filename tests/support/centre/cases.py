# SPDX-License-Identifier: Apache-2.0
"""What tests of applications begin with: rules, organisations, forms, officers, the producer's key."""

from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from support.centre.authority import issuer, key
from xca_centre import applications, certificate_sets, orders, organisations
from xca_centre.application_form import ApplicationForm
from xca_centre.applications import Officer
from xca_centre.certificate_sets import CertificateSet
from xca_centre.issuer_rules import Issuer, load
from xca_centre.life.application import Reviewer
from xca_centre.life.transitions import Actor, Role
from xca_centre.organisations import Organisation, OrganisationKind
from xca_centre.store.database import Database
from xca_centre.store.job_queue import work_on_one
from xca_centre.user_codes import NewUserCode, UserCodes
from xca_common.card_making import CardCertificates, CardDates, CardKeys
from xca_common.secret import Secret

RULES = load(Issuer.TEST)
TERMS = "2026-11"
HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""As argon2id of the centre, with little work."""
CODE = "Abc-1234"
NEW_CODE = NewUserCode(HASHER.hash(CODE), b"sealed to the producer")
NETWORK = "192.0.2.0/24"

SCHOOL = Organisation(
    "2.16.886.111.990001", "測試縣立青溪國民小學", "00000162", OrganisationKind.SCHOOL, "測試縣政府教育處"
)
FOUNDATION = Organisation(
    "2.16.886.111.990007", "財團法人測試文化基金會", "00001107", OrganisationKind.FOUNDATION, "文化部"
)
OPERATOR = Actor(Role.OPERATOR, "operator")
BANK = Actor(Role.PAYMENT_PROVIDER, "bank")
APPLICANT = Actor(Role.APPLICANT, "applicant")
FIRST = Officer(Reviewer("lin", "card of lin"), Role.FIRST_REVIEWER, SCHOOL.counter)
SECOND = Officer(Reviewer("chen", "card of chen"), Role.SECOND_REVIEWER)

FIELDS = {
    "rank": "secondary",
    "consent": TERMS,
    "applicant_email": "wang@school.example.tw",
    "contact_name": "王小明",
    "contact_title": "採購組組長",
    "contact_email": "purchase@school.example.tw",
    "contact_address": "測試市明湖區測試路一段 1 號",
    "contact_phone": "(02)2192-7111#12",
    "contact_fax": "",
    "secure_email": "",
    "published": "yes",
}


def form(**fields: str) -> ApplicationForm:
    """A form that was filled in rightly, but for these fields."""
    return ApplicationForm.read({**FIELDS, **fields}, TERMS)


def with_organisations(database: Database) -> Database:
    """A database whose register has SCHOOL and FOUNDATION."""
    with database.change() as change:
        organisations.import_organisations(change, [SCHOOL, FOUNDATION], OPERATOR)
    return database


def codes(database: Database) -> UserCodes:
    """User codes with little work."""
    return UserCodes(database, applications.tell_locked, HASHER)


class CardMaker:
    """A card producer without cards: their keys are in memory.

    Attributes:
        cards: the numbers of those that were handed out, by order.
    """

    def __init__(self) -> None:
        self._orders: list[str] = []
        self.cards: dict[str, str] = {}

    def public_key(self) -> RSAPublicKey:
        return key("producer").public_key()

    def make_keys(self, order: str) -> CardKeys:
        if order not in self._orders:
            self._orders.append(order)
        number = 1 + self._orders.index(order)
        signing, encryption = (key(f"{name} of {number}").public_key() for name in ("SIGN", "KEYX"))
        return CardKeys(f"XC{number:014}", signing, encryption)

    def set_user_code(self, order: str, sealed: bytes) -> None:
        pass

    def write(self, order: str, certificates: CardCertificates) -> None:
        pass

    def close(self, order: str, dates: CardDates) -> None:
        self.cards[order] = self.make_keys(order).number


def card_of_an_application(database: Database) -> CertificateSet:
    """The certificates of a card that was made for an application; they are not accepted."""
    code = codes(database).choose(Secret(CODE), key("producer").public_key())
    with database.change() as change:
        case = applications.submit(change, RULES, SCHOOL.oid, form(), code)
        slip = applications.fetch_slip(change, RULES, case.id, APPLICANT)
        applications.pay(change, RULES, slip.number, slip.due, change.now, BANK)
        applications.receive(change, RULES, case.id, FIRST)
        applications.pass_first(change, RULES, case.id, FIRST)
        applications.approve(change, RULES, case.id, SECOND)
    maker = orders.handler(RULES, {2: issuer(2)}, CardMaker())
    while work_on_one(database, {orders.JOB: maker}):
        pass
    with database.read() as connection:
        order = orders.of_application(connection, case.id)
        return certificate_sets.find(connection, order.certificates)
