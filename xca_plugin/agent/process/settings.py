# SPDX-License-Identifier: Apache-2.0
"""The agent's settings: its port and its configuration files (docs/agent.md)."""

import configparser
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from pkcs11_shim import ConfigurationError
from pkcs11_shim.config import parse
from xca_common.base_directories import SYSTEM_CONFIGURATION, own_configuration
from xca_common.errors import os_reason
from xca_plugin import errors
from xca_plugin.agent_port import PORT
from xca_plugin.i18n import text

SYSTEM_FILE: Final = SYSTEM_CONFIGURATION / "agent.conf"
"""The administrator's configuration."""

_ORIGIN: Final = re.compile(r"https?://([a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?")
_SECTION: Final = "agent"
_NAMES: Final = {"page_pin", "allow"}


class PagePin(StrEnum):
    """What the agent does with a PIN that a web page sends."""

    ACCEPT = "accept"
    """Use it, as pages expect."""
    ASK = "ask"
    """Ignore it and ask for the PIN in the agent's own window."""


@dataclass(frozen=True)
class Settings:
    """What the command line and the configuration files say.

    Attributes:
        port: TCP port; web sites know only the standard one.
        page_pin: what to do with a PIN that a page sends.
        allowed: origins that may sign and decrypt without asking (the administrator's allow-list).
        trusted_sites: the file with the sites that the person trusts.
    """

    port: int
    page_pin: PagePin
    allowed: frozenset[str]
    trusted_sites: Path

    @classmethod
    def load(cls, port: int = PORT, system_file: Path = SYSTEM_FILE) -> Self:
        """Read the administrator's file, then the person's own, whose values win.

        Raises:
            BadAgentConfiguration: a file cannot be read, or has an unknown name or value.
        """
        folder = own_configuration()
        values: dict[str, str] = {}
        for file in (system_file, folder / "agent.conf"):
            values |= _read(file)
        return cls(
            port=port,
            page_pin=PagePin(values.get("page_pin", PagePin.ACCEPT)),
            allowed=frozenset(values.get("allow", "").split()),
            trusted_sites=folder / "trusted-sites",
        )

    def origins(self) -> tuple[str, ...]:
        """Return the agent's own origins. The first is the one that web sites know."""
        return tuple(f"http://{host}:{self.port}" for host in ("localhost", "127.0.0.1", "[::1]"))


def is_origin(value: str) -> bool:
    """Tell whether a text is a web site's origin (RFC 6454, section 6.2), such as https://example.gov.tw."""
    return _ORIGIN.fullmatch(value) is not None


def _read(file: Path) -> dict[str, str]:
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
    unknown = [name for name in parser.sections() if name != _SECTION] + sorted(values.keys() - _NAMES)
    if unknown:
        raise errors.BadAgentConfiguration(
            path=file, detail=text("unknown: {names}").format(names=", ".join(unknown))
        )
    if values.get("page_pin", PagePin.ACCEPT) not in list(PagePin):
        raise errors.BadAgentConfiguration(path=file, detail=text("page_pin is accept or ask"))
    for site in values.get("allow", "").split():
        if not is_origin(site):
            detail = text("{site} is no origin such as https://example.gov.tw").format(site=site)
            raise errors.BadAgentConfiguration(path=file, detail=detail)
    return values
