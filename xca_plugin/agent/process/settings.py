# SPDX-License-Identifier: Apache-2.0
"""The agent's settings: its port and its configuration files (docs/agent.md)."""

import configparser
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from pkcs11_shim import ConfigurationError
from pkcs11_shim.config import parse
from xca_common.base_directories import SYSTEM_CONFIGURATION, home, own_configuration
from xca_common.errors import os_reason
from xca_common.i18n import Text
from xca_plugin import errors
from xca_plugin.agent.process.origin import fault_of
from xca_plugin.agent_port import PORT
from xca_plugin.i18n import text

SYSTEM_FILE: Final = SYSTEM_CONFIGURATION / "agent.conf"
"""The administrator's configuration."""

_SECTION: Final = "agent"
_ENFORCE: Final = "enforce"
_SETTINGS: Final = ("page_pin", "allow", "allow_unencrypted", "blind", "log", "log_level")
_UNENCRYPTED: Final = "http://"


class PagePin(StrEnum):
    """What the agent does with a PIN that a web page sends."""

    ACCEPT = "accept"
    """Use it, as pages expect."""
    ASK = "ask"
    """Ignore it and ask for the PIN in the agent's own window."""


class LogLevel(StrEnum):
    """What the agent's log holds; each level holds those before it."""

    ERROR = "error"
    """What failed in the agent."""
    WARNING = "warning"
    """What somebody should look at."""
    INFO = "info"
    """Each request of a site and each action on the agent's pages: who asked, for what, the result."""


class LogPlace(StrEnum):
    """Where the log is, unless it is a file."""

    STDERR = "stderr"
    """Standard error; a systemd service has it in the journal."""
    SYSLOG = "syslog"
    """The system's log (/dev/log)."""


@dataclass(frozen=True)
class Settings:
    """What the command line and the configuration files say.

    Attributes:
        port: TCP port; web sites know only the standard one.
        page_pin: what to do with a PIN that a page sends.
        allowed: origins that may sign and decrypt without asking (the administrator's allow-list).
        trusted_sites: the file with the sites that the person trusts.
        log: where the log is: a place or a file.
        log_level: what the log holds.
        blind: origins that may make blind requests (blind_sites.py), for which the person is asked each time.
        is_blind_enforced: no other origin may, and the person cannot change that.
    """

    port: int
    page_pin: PagePin
    allowed: frozenset[str]
    trusted_sites: Path
    log: LogPlace | Path = LogPlace.STDERR
    log_level: LogLevel = LogLevel.WARNING
    blind: frozenset[str] = frozenset()
    is_blind_enforced: bool = False

    @classmethod
    def load(cls, port: int = PORT, system_file: Path = SYSTEM_FILE) -> Self:
        """Read the administrator's file, then the person's own.

        The person's values win, except for the settings that the administrator's file enforces.

        Raises:
            BadAgentConfiguration: a file cannot be read, or has an unknown name or value.
        """
        folder = own_configuration()
        values = _read(system_file, enforces=True)
        enforced = values.pop(_ENFORCE, "").split()
        if "allow" in enforced:
            enforced.append("allow_unencrypted")  # it says something of the sites that allow names
        own = _read(folder / "agent.conf", enforces=False)
        values |= {name: value for name, value in own.items() if name not in enforced}
        if fault := _unencrypted_fault(values):
            raise errors.BadAgentConfiguration(path=folder / "agent.conf", detail=fault)
        return cls(
            port=port,
            page_pin=PagePin(values.get("page_pin", PagePin.ACCEPT)),
            allowed=frozenset(values.get("allow", "").split()),
            trusted_sites=folder / "trusted-sites",
            log=_place(values.get("log", LogPlace.STDERR)),
            log_level=LogLevel(values.get("log_level", LogLevel.WARNING)),
            blind=frozenset(values.get("blind", "").split()),
            is_blind_enforced="blind" in enforced,
        )

    @property
    def own_word(self) -> Path:
        """The file with the word by which the person knows this agent."""
        return self.trusted_sites.with_name("agent-word")

    @property
    def blind_sites(self) -> Path:
        """The file with the sites for which the person switched blind requests on."""
        return self.trusted_sites.with_name("blind-sites")

    def origins(self) -> tuple[str, ...]:
        """Return the agent's own origins. The first is the one that web sites know."""
        return tuple(f"http://{host}:{self.port}" for host in ("localhost", "127.0.0.1", "[::1]"))


def _read(file: Path, *, enforces: bool) -> dict[str, str]:
    """Return the settings in a file; with enforces, it may also name those that no other file changes."""
    parser = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        parse(file, parser)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise errors.BadAgentConfiguration(path=file, detail=os_reason(error)) from error
    except ConfigurationError as error:
        raise errors.BadAgentConfiguration(path=file, detail=errors.where(error)) from error
    values = dict(parser[_SECTION]) if parser.has_section(_SECTION) else {}
    known = {*_SETTINGS, _ENFORCE} if enforces else {*_SETTINGS}
    unknown = [name for name in parser.sections() if name != _SECTION] + sorted(values.keys() - known)
    unknown += [name for name in values.get(_ENFORCE, "").split() if name not in _SETTINGS]
    if unknown:
        fault: Text | None = text("unknown: {names}").format(names=list(unknown))
        if unknown == [_ENFORCE]:
            fault = text("only the administrator's file {path} enforces").format(path=SYSTEM_FILE)
    else:
        fault = _fault_in(values)
    if fault is not None:
        raise errors.BadAgentConfiguration(path=file, detail=fault)
    return values


def _fault_in(values: dict[str, str]) -> Text | None:
    """Return what is wrong with the values of a file, None if nothing is."""
    choices: dict[str, list[str]] = {"page_pin": [*PagePin], "log_level": [*LogLevel]}
    for name, allowed in choices.items():
        if name in values and values[name] not in allowed:
            return text("{name} is one of: {choices}").format(name=name, choices=list(allowed))
    place = values.get("log", LogPlace.STDERR)
    if place not in list(LogPlace) and not place.startswith(("/", "~/")):
        return text("log is stderr, syslog, or a file whose name begins with / or ~/")
    sites = {name: values.get(name, "").split() for name in ("allow", "allow_unencrypted", "blind")}
    for site in [site for named in sites.values() for site in named]:
        if fault := fault_of(site):
            return text("{site} is no origin such as https://example.gov.tw: {fault}").format(
                site=site, fault=fault
            )
    for site in sites["allow"]:
        if site.startswith(_UNENCRYPTED) and site not in sites["allow_unencrypted"]:
            return text(
                "the connection to {site} is not encrypted: whoever is on its way could sign in the "
                "person's name; if you want that, name the site in allow_unencrypted as well"
            ).format(site=site)
    for site in sites["allow_unencrypted"]:
        if not site.startswith(_UNENCRYPTED) or site not in sites["allow"]:
            return text(
                "allow_unencrypted is for sites with http:// that are also in allow; {site} is not"
            ).format(site=site)
    return None


def _unencrypted_fault(values: dict[str, str]) -> Text | None:
    """Return what is wrong with the unencrypted sites of both files together, None if nothing is.

    What one file enforces can take from the other the second name of a site.
    """
    twice = values.get("allow_unencrypted", "").split()
    for site in values.get("allow", "").split():
        if site.startswith(_UNENCRYPTED) and site not in twice:
            return text("the connection to {site} is not encrypted, and {path} does not permit that").format(
                site=site, path=SYSTEM_FILE
            )
    return None


def _place(value: str) -> LogPlace | Path:
    if value in list(LogPlace):
        return LogPlace(value)
    return home() / value[2:] if value.startswith("~/") else Path(value)
