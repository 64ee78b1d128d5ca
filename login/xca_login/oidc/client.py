# SPDX-License-Identifier: Apache-2.0
"""The clients: programs that let people in through the provider."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final

from authlib.oauth2.rfc6749 import ClientMixin, scope_to_list

from xca_common.i18n import Text
from xca_login.i18n import text

SCOPES: Final[dict[str, Text | None]] = {
    "openid": None,
    "profile": text("the name of the organisation"),
    "organisation": text("its OID, tax id and kind, and the rank of the card"),
}
"""The scopes, and what each hands over, as the person is told; openid hands over the subject alone."""

_DIGEST: Final = re.compile("sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Client(ClientMixin):  # type: ignore[misc]  # authlib has no types
    """A client.

    Attributes:
        id: its client_id.
        name: what people call it.
        secret_digest: SHA-256 of its secret, hexadecimal; None: it is a public client.
        redirect_uris: where a person is sent back to, compared exactly.
        post_logout_redirect_uris: likewise after a logout.
        scopes: what it may ask for.
        sector: its subjects are those of this sector alone (pairwise); None: they are the provider's.
        may_refresh: it is given refresh tokens.
    """

    id: str
    name: str
    secret_digest: str | None
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    scopes: tuple[str, ...]
    sector: str | None
    may_refresh: bool

    @property
    def client_metadata(self) -> dict[str, object]:
        """What authlib looks up (OpenID Connect RP-Initiated Logout, section 3.1)."""
        return {"post_logout_redirect_uris": self.post_logout_redirect_uris}

    def get_client_id(self) -> str:
        """Return the client_id."""
        return self.id

    def get_default_redirect_uri(self) -> None:
        """Return nothing: a request names its redirect_uri (OpenID Connect Core, section 3.1.2.1)."""

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """Return the scopes that are granted of those that are asked for; None: openid is not asked for."""
        asked = scope_to_list(scope) or []
        if "openid" not in asked:
            return None
        return " ".join(one for one in SCOPES if one in asked and one in self.scopes)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Tell whether a person may be sent there."""
        return redirect_uri in self.redirect_uris

    def is_recognised(self, redirect_uri: str) -> bool:
        """Tell whether only this client can take what is sent there (RFC 8252, section 8.6).

        Any program on a person's machine can take a scheme or a port of that machine.
        """
        return self.secret_digest is not None or redirect_uri.startswith("https://")

    def check_client_secret(self, client_secret: str) -> bool:
        """Tell whether a secret is this client's."""
        if self.secret_digest is None:
            return False
        return hmac.compare_digest(_digest(client_secret), self.secret_digest)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Tell whether the client may say in this way who it is."""
        methods = ("none",) if self.secret_digest is None else ("client_secret_basic", "client_secret_post")
        return method in methods

    def check_response_type(self, response_type: str) -> bool:
        """Tell whether the client may ask for this: for a code alone."""
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Tell whether the client may have tokens in this way."""
        return grant_type == "authorization_code" or (grant_type == "refresh_token" and self.may_refresh)


def new_secret() -> tuple[str, str]:
    """Return a secret for a client, and what stands for it in the settings.

    The secret has 256 random bits. So its digest can be public, and no slow digest is needed.
    """
    secret = secrets.token_urlsafe(32)
    return secret, f"sha256:{_digest(secret)}"


def secret_digest_of(setting: str) -> str | None:
    """Return the digest in what new_secret() gave for the settings; None: it is none."""
    found = _DIGEST.fullmatch(setting)
    return found[1] if found else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
