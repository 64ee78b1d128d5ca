# SPDX-License-Identifier: Apache-2.0
"""authlib's server, with this provider's clients, store and keys."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from authlib.oauth2 import OAuth2Request
from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    InvalidGrantError,
    InvalidRequestError,
    ResourceProtector,
    TokenMixin,
)
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, RefreshTokenGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator, BearerTokenValidator
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode, OpenIDToken
from authlib.oidc.rpinitiated import EndSessionEndpoint, EndSessionRequest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.responses import JSONResponse, Response

from xca_login.http import new_id
from xca_login.oidc.client import Client
from xca_login.oidc.holder import Person, claims, session_id
from xca_login.oidc.keys import ALGORITHM, ID_TOKEN_SECONDS, SigningKeys
from xca_login.oidc.store import Code, Kept, NewTokens, OidcStore
from xca_login.sql_store import decode_session, encode_session

# authlib has no types: what is built on it is not checked there.
# mypy: disable-error-code="misc,no-untyped-call"

NO_TOKEN: Final = (ValueError, TypeError, RecursionError)
"""What joserfc raises beside its own errors for what is no token at all."""
AUTHENTICATION_METHODS: Final = ["client_secret_basic", "client_secret_post", "none"]
_CODE_SECONDS: Final = 60
_ACCESS_SECONDS: Final = 3600


class AskedRequest(OAuth2Request):
    """A request as authlib reads it.

    Args:
        method: such as POST.
        uri: its address.
        headers: its headers; their names in any case.
        fields: the parameters of its query, or the fields of its form. Each has one value.
    """

    def __init__(self, method: str, uri: str, headers: Mapping[str, str], fields: dict[str, str]) -> None:
        super().__init__(method, uri, headers=headers)
        self.payload = BasicOAuth2Payload(fields)

    @property
    def args(self) -> dict[str, str]:
        """The parameters."""
        found: dict[str, str] = self.payload.data
        return found

    @property
    def form(self) -> dict[str, str]:
        """The fields."""
        return self.args


class Server(AuthorizationServer):
    """The provider behind its pages. Its methods ask the database, and wait.

    Args:
        issuer: the provider's origin.
        clients: the clients by their ids.
        store: keeps codes and tokens.
        keys: sign ID tokens.
        clock: tells the time, with a time zone.
    """

    def __init__(
        self,
        issuer: str,
        clients: Mapping[str, Client],
        store: OidcStore,
        keys: SigningKeys,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__()
        self.issuer: Final = issuer
        self.store: Final = store
        self.keys: Final = keys
        self._clients = clients
        self._clock = clock
        self._salt: bytes | None = None
        generator = BearerTokenGenerator(_new_token, _new_token, _ACCESS_SECONDS)
        self.register_token_generator("default", generator)
        self.register_grant(_CodeGrant, [_Challenge(), _OpenIDCode(self)])
        self.register_grant(_RefreshGrant, [_IdToken(self)])
        self.register_endpoint(_EndSession)
        self._protector = ResourceProtector()
        self._protector.register_token_validator(_AccessTokens(self))

    def now(self) -> int:
        """Return the time, in seconds since 1970."""
        return int(self._clock().timestamp())

    def query_client(self, client_id: str) -> Client | None:
        """Return a client."""
        return self._clients.get(client_id)

    def create_oauth2_request(self, request: AskedRequest) -> AskedRequest:
        """Return the request: it has authlib's form already."""
        return request

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Response:
        """Return authlib's answer as one of Starlette."""
        if isinstance(body, dict):
            return JSONResponse(body, status, dict(headers))
        return Response(body, status, dict(headers))

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Do nothing: nobody listens."""

    def save_token(self, token: dict[str, Any], request: AskedRequest) -> None:
        """Keep new tokens, and take the code or the token that they are given for out.

        No token outlives the session.

        Raises:
            InvalidGrantError: somebody else was faster.
        """
        at = self.now()
        person: Person = request.user
        until = int(person.session.until.timestamp())
        token["expires_in"] = min(_ACCESS_SECONDS, until - at)
        names = token["access_token"], token.get("refresh_token"), token["scope"]
        made = NewTokens(*names, at + token["expires_in"], until)
        client = person.client
        if isinstance(request.authorization_code, AskedCode):
            is_first = self.store.exchange(request.authorization_code.code.code, client.id, made, at)
        else:
            is_first = self.store.rotate(request.form["refresh_token"], client.id, made, at)
        if not is_first:
            raise InvalidGrantError

    def claims(self, person: Person, scope: str) -> dict[str, Any]:
        """Return what a client is told of a holder."""
        return claims(person, scope, self._subjects())

    def is_told(self, sid: object, person: Person) -> bool:
        """Tell whether a client is told this of a session (sid)."""
        return sid == session_id(person, self._subjects())

    def subject_of(self, hint: str, client_id: str) -> str:
        """Return whom an ID token that a client was given is about, also if it has ended; "": it is none."""
        try:
            found = jwt.decode(hint, self.keys.verifying(), [ALGORITHM]).claims
        except (JoseError, *NO_TOKEN):
            return ""
        is_its_own = [found.get("iss"), found.get("aud")] == [self.issuer, client_id]
        return str(found.get("sub", "")) if is_its_own else ""

    def userinfo(self, request: AskedRequest) -> dict[str, Any]:
        """Return what the client is told that shows an access token.

        Raises:
            OAuth2Error: the token does not count.
        """
        token: AskedToken = self._protector.validate_request(["openid"], request)
        return self.claims(token.person, token.kept.scope)

    def _subjects(self) -> bytes:
        """Return the salt of subjects."""
        if self._salt is None:
            self._salt = self.store.secret("subjects")
        return self._salt


@dataclass(frozen=True)
class AskedCode:
    """A code, as authlib asks for it.

    Attributes:
        code: the code.
    """

    code: Code

    @property
    def code_challenge(self) -> str:
        """code_challenge of the request."""
        return self.code.challenge

    @property
    def code_challenge_method(self) -> str:
        """code_challenge_method of the request."""
        return "S256"

    def get_redirect_uri(self) -> str:
        """Return where the code was sent."""
        return self.code.redirect_uri

    def get_scope(self) -> str:
        """Return its scopes."""
        return self.code.scope

    def get_nonce(self) -> str:
        """Return the nonce of the request."""
        return self.code.nonce

    def get_auth_time(self) -> None:
        """Return nothing: it is among the claims."""

    def get_acr(self) -> None:
        """Return nothing, likewise."""

    def get_amr(self) -> None:
        """Return nothing, likewise."""


class AskedToken(TokenMixin):
    """A token that counts, as authlib asks for it.

    Attributes:
        kept: what is kept of it.
        person: whose it is.
    """

    def __init__(self, kept: Kept, client: Client) -> None:
        self.kept = kept
        self.person = Person(decode_session(kept.session), kept.session_key, client)

    def check_client(self, client: Client) -> bool:
        """Tell whether it is a client's."""
        return client.id == self.person.client.id

    def get_scope(self) -> str:
        """Return its scopes."""
        return self.kept.scope

    def is_expired(self) -> bool:
        """Return False: one that has ended is not found."""
        return False

    def is_revoked(self) -> bool:
        """Return False, likewise."""
        return False


class _CodeGrant(AuthorizationCodeGrant):
    """Codes: given to who is logged in and agreed, exchanged once."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTHENTICATION_METHODS

    server: Server

    def generate_authorization_code(self) -> str:
        return new_id()

    def save_authorization_code(self, code: str, request: AskedRequest) -> None:
        person: Person = request.user
        fields, at = request.form, self.server.now()
        kept = Code(
            code=code,
            client=person.client.id,
            redirect_uri=request.payload.redirect_uri,
            scope=request.scope,
            nonce=fields.get("nonce", ""),
            challenge=fields.get("code_challenge", ""),
            session_key=person.key,
            session=encode_session(person.session),
            until=min(at + _CODE_SECONDS, int(person.session.until.timestamp())),
        )
        self.server.store.add_code(kept, at)

    def query_authorization_code(self, code: str, client: Client) -> AskedCode | None:
        found = self.server.store.code(code, client.id, self.server.now())
        return AskedCode(found) if found is not None else None

    def delete_authorization_code(self, authorization_code: AskedCode) -> None:
        """Do nothing: save_token() took it out."""

    def authenticate_user(self, authorization_code: AskedCode) -> Person:
        code = authorization_code.code
        return Person(decode_session(code.session), code.session_key, self.request.client)


class _Challenge(CodeChallenge):
    """PKCE with S256 alone (RFC 9700, section 2.1.1). A public client needs it from the beginning."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def validate_code_challenge(self, grant: _CodeGrant, redirect_uri: str) -> None:
        super().validate_code_challenge(grant, redirect_uri)
        fields = grant.request.form
        has_challenge = "code_challenge" in fields
        if has_challenge and fields.get("code_challenge_method") != "S256":
            raise InvalidRequestError("The code_challenge_method has to be S256.")
        if not has_challenge and grant.request.client.secret_digest is None:
            raise InvalidRequestError("A public client needs a code_challenge.")


class _IdToken(OpenIDToken):
    """The ID token beside the tokens of a grant.

    Args:
        server: signs it.
    """

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server

    def get_client_algorithm(self, client: Client) -> str:
        return ALGORITHM

    def get_encode_header(self, client: Client) -> dict[str, str]:
        return {"alg": ALGORITHM, "typ": "JWT", "kid": self._server.keys.signing().kid or ""}

    def resolve_client_private_key(self, client: Client) -> KeySet:
        return self._server.keys.verifying()  # the kid in the header chooses

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        at = self._server.now()
        return {"iss": self._server.issuer, "aud": client.id, "iat": at, "exp": at + ID_TOKEN_SECONDS}

    def generate_user_info(self, user: Person, scope: str) -> dict[str, Any]:
        return self._server.claims(user, scope)


class _OpenIDCode(_IdToken, OpenIDCode):
    """The same, for codes."""

    require_nonce = False

    def exists_nonce(self, nonce: str, request: AskedRequest) -> bool:
        return False  # whether it is new is for the client to say (OpenID Connect Core, section 15.5.2)


class _RefreshGrant(RefreshTokenGrant):
    """Refresh tokens: each is used once, and ends with the session at the latest."""

    TOKEN_ENDPOINT_AUTH_METHODS = AUTHENTICATION_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    server: Server

    def authenticate_refresh_token(self, refresh_token: str) -> AskedToken | None:
        client: Client = self.request.client
        found = self.server.store.refresh(refresh_token, client.id, self.server.now())
        return AskedToken(found, client) if found is not None else None

    def authenticate_user(self, refresh_token: AskedToken) -> Person:
        return refresh_token.person

    def revoke_old_credential(self, refresh_token: AskedToken) -> None:
        """Do nothing: save_token() spent it."""


class _AccessTokens(BearerTokenValidator):
    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server

    def authenticate_token(self, token_string: str) -> AskedToken | None:
        kept = self._server.store.access(token_string, self._server.now())
        client = self._server.query_client(kept.client) if kept is not None else None
        return AskedToken(kept, client) if kept is not None and client is not None else None


class _EndSession(EndSessionEndpoint):
    """A logout that a client asks for. Its page ends the session: this only judges the request."""

    server: Server

    def get_server_jwks(self) -> KeySet:
        return self.server.keys.verifying()

    def get_algorithms(self) -> list[str]:
        return [ALGORITHM]

    def end_session(self, end_session_request: EndSessionRequest) -> None:
        """Do nothing: the page did it."""


def _new_token(**_: object) -> str:
    return new_id()
