# SPDX-License-Identifier: Apache-2.0
"""The settings of a centre: the file centre.toml in its folder, read when a program of the centre starts.

Paths in it begin in that folder. Of a PIN or password it names the file, which its user alone may read. So it
is for the settings themselves if the address of the database holds a password.
"""

import re
import stat
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from xca_centre.errors import BadSettings, SecretExposed
from xca_centre.i18n import text
from xca_centre.issuer_rules import Issuer
from xca_centre.mail import Security
from xca_centre.plain_text import is_email
from xca_common.database_address import holds_password
from xca_common.errors import os_reason
from xca_common.i18n import Text
from xca_common.secret import Secret
from xca_common.secret_source import SecretSourceError, read_secret

FOLDER: Final = Path("/etc/xca-centre")
"""Where a centre is, if nobody says otherwise."""
SOFTHSM: Final = "softhsm"
"""As a module: SoftHSM, with its tokens in the centre's folder."""
TRIAL_PAYMENTS: Final = "test"
"""As a payment provider: the one where nobody pays."""
_NAME: Final = "centre.toml"
_MOST_BYTES: Final = 1 << 20
_ORIGIN: Final = r"https?://[a-z0-9.-]+(:[0-9]{1,5})?"
_OID: Final = r"[0-2](\.(0|[1-9][0-9]*))+"
_LINE: Final = r"\S(.*\S)?"
_VARIABLE: Final = r"[A-Za-z_][A-Za-z0-9_]*"


@dataclass(frozen=True)
class TokenSettings:
    """A token with keys.

    Attributes:
        module: path of the PKCS#11 module, or SOFTHSM.
        label: the token's label.
    """

    module: str
    label: str


@dataclass(frozen=True)
class MailSettings:
    """Where mails go.

    Attributes:
        sender: the address that they come from.
        folder: they are put there; None: they are sent to the server.
        host, port, security, user: of the server, as of mail.SmtpServer.
        password: the file with its password; None: it needs none.
    """

    sender: str
    folder: Path | None
    host: str
    port: int
    security: Security
    user: str
    password: Path | None


@dataclass(frozen=True)
class Settings:
    """The settings of a centre.

    Attributes:
        folder: of the centre.
        issuer: whose rules hold.
        rules: a file with what is different here; None: nothing is.
        origin: under which people reach the pages.
        component: the address of the holders' local component.
        database: its address.
        journal: the folder of the journal; None: there is none, and a backup loses what came after it.
        authority_oid, authority_name: the organisation that runs the centre; the first cards are its.
        producer, producer_folder: who makes the cards, and where.
        payment_provider, payment_folder: who collects the fees, and the folder with its settings.
        token: the token with the centre's keys.
        pin: the file with its PIN.
        root: the token with the root's key.
        root_name: the DN of the root.
        variables: the environment that the PKCS#11 modules need.
        mail: where mails go.
        clock: a file with the seconds by which the clock is ahead; None: it is right.
    """

    folder: Path
    issuer: Issuer
    rules: Path | None
    origin: str
    component: str
    database: str
    journal: Path | None
    authority_oid: str
    authority_name: str
    producer: str
    producer_folder: Path
    payment_provider: str
    payment_folder: Path
    token: TokenSettings
    pin: Path
    root: TokenSettings
    root_name: str
    variables: Mapping[str, str]
    mail: MailSettings
    clock: Path | None


def example() -> str:
    """Return settings to begin with, each explained."""
    return Path(__file__).with_name("data").joinpath(_NAME).read_text(encoding="utf-8")


def read(folder: Path) -> Settings:
    """Read the settings of the centre in a folder.

    Raises:
        BadSettings: they cannot be read, or something in them is wrong.
        SecretExposed: they hold a password, and others may read them.
    """
    path = folder.absolute() / _NAME
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise BadSettings(path=path, key="-", detail=text("it is too big"))
        document = tomllib.loads(data.decode())
    except OSError as error:
        raise BadSettings(path=path, key="-", detail=os_reason(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = text("it is no TOML ({detail})").format(detail=error)
        raise BadSettings(path=path, key="-", detail=detail) from None
    found = _settings(_Section(path, "", document))
    with suppress(ArgumentError):  # it is refused where the database is opened
        if holds_password(make_url(found.database)):
            _require_private(path)
    return found


def secret(path: Path) -> Secret:
    """Return a PIN or a password: the first line of a file that its user alone may read.

    Raises:
        SecretExposed: others may read the file.
        BadSettings: it cannot be read, or is empty.
    """
    _require_private(path)
    try:
        return Secret(read_secret(f"file:{path}"))
    except SecretSourceError as error:
        raise BadSettings(path=path, key="-", detail=error.reason) from None


def _require_private(path: Path) -> None:
    """See that a file's user alone may read it.

    Raises:
        SecretExposed: others may read it.
        BadSettings: that cannot be told.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise BadSettings(path=path, key="-", detail=os_reason(error)) from error
    if mode & 0o077:
        raise SecretExposed(path=path)


class _Section:
    """A table of the file. Whoever reads it takes every key out; end() refuses what is left."""

    def __init__(self, path: Path, name: str, table: Mapping[str, Any]) -> None:
        self._path, self._name, self._left = path, name, dict(table)
        self.folder = path.parent

    def refuse(self, key: str, detail: Text) -> NoReturn:
        raise BadSettings(path=self._path, key=f"{self._name}{key}", detail=detail)

    def section(self, key: str) -> "_Section":
        table = self._left.pop(key, {})
        if not isinstance(table, dict):
            self.refuse(key, text("it has to be a table"))
        return _Section(self._path, f"{self._name}{key}.", table)

    def line(self, key: str, form: str = _LINE, default: str | None = None) -> str:
        value = self._left.pop(key, default)
        if value is None:
            self.refuse(key, text("it is missing"))
        if not isinstance(value, str) or not (value == default or re.fullmatch(form, value)):
            self.refuse(key, text("it has not the form that is needed"))
        return value

    def number(self, key: str, least: int, most: int, default: int) -> int:
        value = self._left.pop(key, default)
        if type(value) is not int or not least <= value <= most:
            self.refuse(
                key, text("it has to be a number from {least} to {most}").format(least=least, most=most)
            )
        return value

    def path(self, key: str, default: str) -> Path:
        return self.folder / self.line(key, default=default)

    def other_path(self, key: str) -> Path | None:
        return self.path(key, "") if key in self._left else None

    def lines(self) -> dict[str, str]:
        return {key: self.line(key) for key in list(self._left) if re.fullmatch(_VARIABLE, key)}

    def end(self) -> None:
        for key in self._left:
            self.refuse(key, text("there is no such key"))


def _settings(top: _Section) -> Settings:
    issuer = Issuer(top.line("issuer", "|".join(Issuer)))
    authority, token, root, mail = map(top.section, ("authority", "token", "root", "mail"))
    producer, payments = top.section("producer"), top.section("payments")
    variables = token.section("environment")
    found = Settings(
        folder=top.folder,
        issuer=issuer,
        rules=top.other_path("rules"),
        origin=top.line("origin", _ORIGIN),
        component=top.line("component", _ORIGIN, "http://localhost:61161"),
        database=_database(top),
        journal=top.other_path("journal"),
        authority_oid=authority.line("oid", _OID),
        authority_name=authority.line("name"),
        producer=producer.line("name"),
        producer_folder=producer.path("folder", "cards"),
        payment_provider=payments.line("provider"),
        payment_folder=payments.path("folder", "payments"),
        token=TokenSettings(token.line("module", default=SOFTHSM), token.line("label", default="CENTRE")),
        pin=token.path("pin", "token.pin"),
        root=TokenSettings(root.line("module", default=SOFTHSM), root.line("label", default="ROOT")),
        root_name=root.line("name"),
        variables=variables.lines(),
        mail=_mail(mail),
        clock=top.other_path("clock"),
    )
    if found.clock is not None and issuer is not Issuer.TEST:
        top.refuse("clock", text("only the issuer for tests has a clock that can be moved"))
    if found.payment_provider == TRIAL_PAYMENTS and issuer is not Issuer.TEST:
        payments.refuse("provider", text("only the issuer for tests has the provider where nobody pays"))
    for each in (variables, authority, token, root, mail, producer, payments, top):
        each.end()
    return found


def _database(top: _Section) -> str:
    """Return the address of the database; a file of SQLite begins in the centre's folder."""
    address = top.line("database", default="sqlite:///centre.db")
    prefix, separator, path = address.partition(":///")
    return f"sqlite:///{top.folder / path}" if separator and prefix == "sqlite" else address


def _mail(mail: _Section) -> MailSettings:
    sender = mail.line("sender")
    if not is_email(sender):
        mail.refuse("sender", text("it is no e-mail address"))
    folder = mail.other_path("folder")
    return MailSettings(
        sender=sender,
        folder=folder,
        host="" if folder else mail.line("host"),
        port=mail.number("port", 1, 65535, 587),
        security=Security(mail.line("security", "|".join(Security), Security.STARTTLS.value)),
        user=mail.line("user", default=""),
        password=mail.other_path("password"),
    )
