# SPDX-License-Identifier: Apache-2.0
"""What a client is told of the holder of a card."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any, Final

from authlib.oauth2.rfc6749 import scope_to_list

from xca_login.login import Binding
from xca_login.oidc.client import Client
from xca_login.sessions import Session

CLAIMS: Final = (
    "sub",
    "sid",
    "auth_time",
    "acr",
    "amr",
    "name",
    "org_oid",
    "tax_id",
    "holder_kind",
    "card_rank",
    "origin_binding",
)
"""All claims about a holder."""
ACR: Final = {
    Binding.DECLARED: "urn:xca:acr:card",
    Binding.VERIFIED: "urn:xca:acr:card-verified-origin",
}
"""How good a login was: a card with its PIN; and the holder's program compared the origin as well."""
_AMR: Final = ("sc", "pin", "mfa")  # RFC 8176, section 2


@dataclass(frozen=True)
class Person:
    """Who is logged in, as one client is told: authlib's user.

    Attributes:
        session: who is logged in.
        key: what the session is kept under. No client is told it.
        client: the client.
    """

    session: Session
    key: str
    client: Client


def session_id(person: Person, salt: bytes) -> str:
    """Return what names a session to one client (sid). Clients that compare theirs learn nothing.

    Args:
        person: who is logged in.
        salt: as in subject().
    """
    named = json.dumps(["sid", person.client.id, person.key])
    return hmac.new(salt, named.encode("ascii"), hashlib.sha256).hexdigest()[:32]


def subject(person: Person, salt: bytes) -> str:
    """Return the subject of an account at a client (OpenID Connect Core, section 8).

    Clients of one sector are told the same, those of another one something else.

    Args:
        person: who is logged in.
        salt: the provider's secret, without which nobody computes a subject from a certificate.
    """
    named = json.dumps([person.client.sector, *person.session.account])
    return hmac.new(salt, named.encode("ascii"), hashlib.sha256).hexdigest()


def claims(person: Person, scope: str, salt: bytes) -> dict[str, Any]:
    """Return the claims about a holder that scopes allow; what the certificate does not tell is left out."""
    scopes = scope_to_list(scope)
    session = person.session
    found: dict[str, Any] = {
        "sub": subject(person, salt),
        "sid": session_id(person, salt),
        "auth_time": int(session.at.timestamp()),
        "acr": ACR[session.binding],
        "amr": list(_AMR),
        "origin_binding": session.binding.name.lower(),
    }
    if "profile" in scopes:
        found["name"] = session.holder_name
    if "organisation" in scopes:
        found |= {
            "org_oid": session.organisation_oid,
            "tax_id": session.tax_id,
            "holder_kind": session.holder_kind,
            "card_rank": session.rank,
        }
    return {name: value for name, value in found.items() if value is not None}
