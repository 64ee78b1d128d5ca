# SPDX-License-Identifier: Apache-2.0
"""A centre that knows a card of the stand-in, as if it had issued it; what it publishes is not signed."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.request import Request, urlopen

from cryptography import x509

from softhsm.card_fixture import CardFixture
from support.agent.agent_process import Agent, trust
from support.agent.component_client import SITE
from support.centre.authority import key
from support.centre.web import OPERATOR, SoftHierarchy, frame_of
from support.login_http import asgi_site
from xca_centre.authority.certificates import Generation
from xca_centre.certificate_sets import NewSet, Use, add, reserve
from xca_centre.store.database import Database
from xca_centre.web.app import application


def now() -> datetime:
    """The clock of such a centre: that of the agent and the card."""
    return datetime.now(UTC)


def certificates_of(agent: Agent) -> dict[str, x509.Certificate]:
    """The certificates on the agent's card, by label. It has to trust SITE."""
    with urlopen(Request(f"{agent.url}/pkcs11info?withcert=true", headers={"Origin": SITE})) as answer:
        said = json.load(answer)
    (token,) = (slot["token"] for slot in said["slots"] if isinstance(slot.get("token"), dict))
    return {
        each["label"]: x509.load_der_x509_certificate(base64.b64decode(each["certb64"]))
        for each in token["certs"]
    }


@contextmanager
def centre_of(card: CardFixture, agent: Agent, database: Database) -> Iterator[str]:
    """Serve a centre that has issued a card, and give its origin, which the agent trusts."""
    root, ca = (
        x509.load_pem_x509_certificate((card.environment.pki / f"{name}.pem").read_bytes())
        for name in ("root", "ca")
    )
    hierarchy = SoftHierarchy()
    generation = Generation(ca, key("nobody's"), 2, root, hierarchy.repository)
    hierarchy.root, hierarchy.generations = root, {2: generation}  # type: ignore[misc]  # the stand-in's
    held = certificates_of(agent)
    both = [(Use.SIGNING, held["cert1"]), (Use.ENCRYPTION, held["cert2"])]
    with database.change() as change:
        sequence, lapses = reserve(change, 2, 2), now() + timedelta(days=90)
        new = NewSet(card.number, "2.16.886.111.100000", "secondary", 2, sequence, both, lapses, True)
        add(change, new, OPERATOR)
    frame = replace(frame_of(database, now), hierarchy=hierarchy, component=agent.url)
    with asgi_site(lambda origin: application(replace(frame, origin=origin))) as origin:
        trust(agent, origin)
        yield origin
