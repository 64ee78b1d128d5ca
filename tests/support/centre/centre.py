# SPDX-License-Identifier: Apache-2.0
"""A centre that issues and publishes: CAs in tokens, a database, and a clock that a test moves."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

from starlette.applications import Starlette

from support.centre.authority import key, school
from support.centre.key_token import soft_token
from support.moved_clock import MovedClock
from xca_centre.authority.certificates import certify_card
from xca_centre.authority.hierarchy import Hierarchy, Plan, begin
from xca_centre.authority.repository import Repository
from xca_centre.certificate_sets import NewSet, Use, add, change_state, reserve
from xca_centre.issuer_rules import Issuer, load
from xca_centre.life.certificate import CertificateEvent, Reason
from xca_centre.life.transitions import Actor, Role
from xca_centre.status.routes import status_routes
from xca_centre.store.database import Database
from xca_common.card_making import CardCertificates, CardKeys

RULES = load(Issuer.XCA)
HOLDER = Actor(Role.HOLDER, "XC00000000000001")
OPERATOR = Actor(Role.OPERATOR, "1")


class Centre:
    """A centre with two generations of its CA.

    Attributes:
        database: its database.
        clock: of the database, and of what is published.
        hierarchy: its CAs.
        app: its repository and responder.
    """

    def __init__(
        self, module: Path, folder: Path, database: Database, clock: MovedClock, base: str = "http://xca.test"
    ) -> None:
        plan = Plan(
            "C=TW,O=政府測試憑證總管理中心",
            "C=TW,O=行政院,OU=組織及團體測試憑證管理中心",
            Repository(base, "XCA"),
            generations={2: 2048, 3: 2048},  # an RSA key of 4096 bits takes long to make
            root_bits=2048,
        )
        root, centre = soft_token(module, "ROOT"), soft_token(module, "CENTRE")
        begin(folder, plan, root, centre, clock(), ["王小明"])
        self.database, self.clock = database, clock
        self.hierarchy = Hierarchy(folder, centre)
        self.app = Starlette(routes=status_routes(database, self.hierarchy, clock))

    def issue(self, generation: int = 3) -> tuple[UUID, CardCertificates]:
        """Issue the certificates of a card; they are not accepted yet."""
        keys = CardKeys("XC00000000000001", key("SIGN").public_key(), key("KEYX").public_key())
        with self.database.change() as change:
            sequence = reserve(change, generation, 2)
            made = certify_card(
                self.hierarchy.generations[generation], sequence, keys, school(), change.now, 6
            )
            both = [(Use.SIGNING, made.signing), (Use.ENCRYPTION, made.encryption)]
            lapses = change.now + timedelta(days=90)
            new = NewSet(
                keys.number, "2.16.886.111.100000", "secondary", generation, sequence, both, lapses, True
            )
            return add(change, new, OPERATOR), made

    def happen(self, certificates: UUID, event: CertificateEvent, reason: Reason | None = None) -> None:
        """Let something happen to certificates: its holder does it, but for a revocation."""
        by = OPERATOR if event is CertificateEvent.REVOKE else HOLDER
        with self.database.change() as change:
            change_state(change, certificates, event, by, RULES, reason)
