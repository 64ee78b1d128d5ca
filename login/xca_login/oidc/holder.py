# SPDX-License-Identifier: Apache-2.0
"""What a client is told of the holder of a card."""

import hashlib
import hmac
import json
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


def session_id(session: Session) -> str:
    """Return what names a session in the provider: each login of an account has its own.

    Whoever has the certificate can compute it from the time of the login. So no client is told it.
    """
    named = json.dumps([*session.account, session.at.isoformat()])
    return hashlib.sha256(named.encode("ascii")).hexdigest()[:32]


def told_session_id(session: Session, client: Client, salt: bytes) -> str:
    """Return what names a session to one client (sid). Clients that compare theirs learn nothing.

    Args:
        session: who is logged in.
        client: the client.
        salt: as in subject().
    """
    named = json.dumps(["sid", client.id, session_id(session)])
    return hmac.new(salt, named.encode("ascii"), hashlib.sha256).hexdigest()[:32]


def subject(session: Session, client: Client, salt: bytes) -> str:
    """Return the subject of an account at a client (OpenID Connect Core, section 8).

    Args:
        session: who is logged in.
        client: the client. Clients of one sector are told the same, those of another one something else.
        salt: the provider's secret, without which nobody computes a subject from a certificate.
    """
    named = json.dumps([client.sector, *session.account])
    return hmac.new(salt, named.encode("ascii"), hashlib.sha256).hexdigest()


def claims(session: Session, client: Client, scope: str, salt: bytes) -> dict[str, Any]:
    """Return the claims about a holder that scopes allow; what the certificate does not tell is left out."""
    scopes = scope_to_list(scope)
    found: dict[str, Any] = {
        "sub": subject(session, client, salt),
        "sid": told_session_id(session, client, salt),
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
