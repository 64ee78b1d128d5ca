# SPDX-License-Identifier: Apache-2.0
"""The settings of the provider and its clients: one TOML file, which is read when the provider starts."""

import re
import stat
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from xca_common.database_address import holds_password
from xca_common.errors import os_reason
from xca_common.i18n import Text
from xca_login.errors import BadOrigin, Misconfigured
from xca_login.i18n import text
from xca_login.login import Account
from xca_login.oidc.client import SCOPES, Client, secret_digest_of
from xca_login.site import Site

_MOST_BYTES: Final = 1 << 20
_OWN: Final = frozenset(
    {
        "origin",
        "name",
        "folder",
        "ca",
        "test_cards",
        "database",
        "hosts",
        "verified_origin",
        "declared_accounts",
        "client",
    }
)
_OF_CLIENT: Final = frozenset(
    {
        "id",
        "name",
        "secret",
        "redirect_uris",
        "post_logout_redirect_uris",
        "scopes",
        "subject",
        "sector",
        "refresh",
    }
)
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_URI: Final = re.compile(r"[!#-\[\]-~]{1,512}")  # what an error may repeat (RFC 6749, section 4.1.2.1)
_ACCOUNT: Final = re.compile(r"[^/]+/[0-9.]+/[0-9a-f]{64}")
_SECTOR: Final = re.compile(r"[a-z0-9.-]{1,253}")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_MISSING: Final = object()


class BadSettings(Misconfigured):
    """The file with the provider's settings cannot be used."""

    path: Path
    detail: Text | str
    _message = text("The settings in {path} cannot be used: {detail}.")
    _next_step = text("Check its path and what it holds. Then start the provider again.")


@dataclass(frozen=True)
class Settings:
    """What the file says. A path in it begins at the file's own folder, unless it is absolute.

    Attributes:
        site: the provider itself: its origin is the issuer.
        folder: where it keeps the database, if that is SQLite, and the issuers' lists.
        ca: folder with the certificates of the trusted CAs.
        lets_test_cards_in: `ca` is the folder of the stand-in's test CA. Its cards are let in, and no others.
        database: the database.
        hosts: hosts of lists and responders beside those of the government's issuers.
        verified_origin: only logins whose origin the holder's program compared are let in.
        declared_accounts: as of Policy.
        clients: the clients by their ids.
    """

    site: Site
    folder: Path
    ca: Path
    lets_test_cards_in: bool
    database: URL
    hosts: tuple[str, ...]
    verified_origin: bool
    declared_accounts: frozenset[Account]
    clients: dict[str, Client]


class _Wrong(Exception):
    def __init__(self, detail: Text) -> None:
        super().__init__(detail("en"))
        self.detail = detail


def read(path: Path) -> Settings:
    """Read the settings.

    Raises:
        BadSettings: the file cannot be read, or something in it is wrong.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
            is_private = not stat.S_IMODE(path.stat().st_mode) & 0o077
        if len(data) > _MOST_BYTES:
            raise _Wrong(text("it has more than {size} MiB").format(size=_MOST_BYTES >> 20))
        settings = _settings(tomllib.loads(data.decode()), path.parent)
        if holds_password(settings.database) and not is_private:
            raise _Wrong(
                text("it holds a password of the database, and others may read it; its mode has to be 0600")
            )
        return settings
    except OSError as error:
        raise BadSettings(path=path, detail=os_reason(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadSettings(path=path, detail=text("it is no TOML ({detail})").format(detail=error)) from None
    except _Wrong as error:
        raise BadSettings(path=path, detail=error.detail) from None


def _settings(document: dict[str, Any], home: Path) -> Settings:
    _known(document, _OWN, "")
    folder = home / _text(document, "folder")
    try:
        site = Site(_text(document, "origin"), _text(document, "name"))
    except BadOrigin as error:
        raise _Wrong(
            text(
                "origin: {origin} is neither https://… nor on this machine, or not as a browser writes it"
            ).format(origin=error.origin)
        ) from None
    clients: dict[str, Client] = {}
    tables = _value(document, "client", list, "", [])
    for number, table in enumerate(tables, 1):
        if not isinstance(table, dict):
            raise _Wrong(text("client has to be a table, [[client]]"))
        client = _client(table, text("client {number}").format(number=number))
        if client.id in clients:
            raise _Wrong(text("there are two clients {name}").format(name=client.id))
        clients[client.id] = client
    if not clients:
        raise _Wrong(text("there is no client, [[client]]"))
    lets_test_cards_in = "test_cards" in document
    if lets_test_cards_in and "ca" in document:
        raise _Wrong(text("ca and test_cards exclude each other"))
    return Settings(
        site=site,
        folder=folder,
        ca=home / _text(document, "test_cards" if lets_test_cards_in else "ca"),
        lets_test_cards_in=lets_test_cards_in,
        database=_database(_value(document, "database", str, "", ""), home, folder),
        hosts=tuple(_texts(document, "hosts", "", ())),
        verified_origin=_value(document, "verified_origin", bool, "", False),
        declared_accounts=frozenset(map(_account, _texts(document, "declared_accounts", "", ()))),
        clients=clients,
    )


def _account(name: str) -> Account:
    """Return the account that the log names, such as gpki/2.16.886.111.100000/6f2c…."""
    if not _ACCOUNT.fullmatch(name):
        raise _Wrong(text("{name} in declared_accounts is no account as the log names it").format(name=name))
    return Account(*name.split("/"))


def _database(given: str, home: Path, folder: Path) -> URL:
    if not given:
        return URL.create("sqlite", database=str(folder / "oidc.db"))
    try:
        url = make_url(given)
    except ArgumentError:
        raise _Wrong(text("database is no URL such as postgresql://user@host/name")) from None
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database and url.database != ":memory:":
        return url.set(database=str(home / url.database))
    raise _Wrong(text("database has to be of PostgreSQL or SQLite, in a file"))


def _client(table: dict[str, Any], where: Text) -> Client:
    _known(table, _OF_CLIENT, where)
    name = _value(table, "id", str, where)
    if not _ID.fullmatch(name):
        raise _at(where, text("id may have letters, digits, dots, hyphens and underscores, at most 64"))
    where = text("client {name}").format(name=name)
    given = _value(table, "secret", str, where, None)
    secret = secret_digest_of(given) if given is not None else None
    if given is not None and secret is None:
        raise _at(where, text("secret has to be what xca-login oidc-secret shows for this file, sha256:…"))
    redirects = _texts(table, "redirect_uris", where)
    logouts = _texts(table, "post_logout_redirect_uris", where, ())
    for uri in (*redirects, *logouts):
        _check_uri(uri, secret is None, where)
    if not redirects:
        raise _at(where, text("redirect_uris is empty"))
    scopes = _texts(table, "scopes", where, tuple(SCOPES))
    if not set(scopes) <= set(SCOPES) or "openid" not in scopes:
        raise _at(
            where, text("scopes has to hold openid, and of others only {names}").format(names=list(SCOPES))
        )
    return Client(
        id=name,
        name=_value(table, "name", str, where),
        secret_digest=secret,
        redirect_uris=redirects,
        post_logout_redirect_uris=logouts,
        scopes=scopes,
        sector=_sector(table, redirects, where),
        may_refresh=_value(table, "refresh", bool, where, False),
    )


def _sector(table: dict[str, Any], redirects: tuple[str, ...], where: Text) -> str | None:
    """Return the sector of a client with pairwise subjects (OpenID Connect Core, section 8.1)."""
    kind = _value(table, "subject", str, where, "public")
    given: str | None = _value(table, "sector", str, where, None)
    if kind not in ("public", "pairwise"):
        raise _at(where, text("subject is public or pairwise"))
    if kind == "public":
        if given is not None:
            raise _at(where, text("sector is for pairwise subjects alone"))
        return None
    if given is not None:
        if not _SECTOR.fullmatch(given):
            raise _at(where, text("sector has to be the name of a host, in lower case"))
        return given
    hosts = {urlsplit(uri).hostname or "" for uri in redirects}
    if len(hosts) != 1 or "" in hosts:
        raise _at(where, text("redirect_uris have several hosts, or none, so that sector is needed"))
    return hosts.pop()


def _check_uri(uri: str, is_public: bool, where: Text) -> None:
    """See that an address can be redirected to (RFC 9700, section 2.1; RFC 8252, section 7)."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        raise _at(where, text("{uri} is no address").format(uri=uri)) from None
    is_web = parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
    is_web = is_web and bool(host) and parts.username is None and parts.password is None
    is_app = is_public and "." in parts.scheme
    if not _URI.fullmatch(uri) or "#" in uri or "*" in (host or "") or not (is_web or is_app):
        raise _at(
            where,
            text(
                "{uri} is neither https://…, nor on the person's own machine, nor a program's own, such as "
                "com.example.app:/…"
            ).format(uri=uri),
        )


def _known(table: dict[str, Any], names: frozenset[str], where: Text | str) -> None:
    for name in table:
        if name not in names:
            raise _at(where, text("there is no setting {name}").format(name=name))


def _text(table: dict[str, Any], name: str) -> str:
    found: str = _value(table, name, str, "")
    if not found:
        raise _at("", text("{name} is empty").format(name=name))
    return found


def _texts(
    table: dict[str, Any], name: str, where: Text | str, default: object = _MISSING
) -> tuple[str, ...]:
    found = _value(table, name, list, where, default)
    if not all(isinstance(one, str) and one for one in found):
        raise _at(where, text("{name} has to be a list of texts").format(name=name))
    return tuple(found)


_KINDS: Final[dict[type, Callable[[str], Text]]] = {
    str: lambda name: text("{name} has to be a text").format(name=name),
    bool: lambda name: text("{name} has to be true or false").format(name=name),
    list: lambda name: text("{name} has to be a list").format(name=name),
}


def _value(
    table: dict[str, Any], name: str, kind: type, where: Text | str, default: object = _MISSING
) -> Any:
    if name not in table:
        if default is _MISSING:
            raise _at(where, text("{name} is missing").format(name=name))
        return default
    found = table[name]
    if not isinstance(found, kind):
        raise _at(where, _KINDS[kind](name))
    return found


def _at(where: Text | str, detail: Text) -> _Wrong:
    return _Wrong(text("{name}: {detail}").format(name=where, detail=detail) if where else detail)
