# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  # Tool has the docstrings
"""OpenSSH: PKCS11Provider in the user's configuration (ssh_config(5))."""

import os
import pwd
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from xca_common.base_directories import home
from xca_common.i18n import Text
from xca_plugin.errors import NotEditable
from xca_plugin.i18n import text
from xca_plugin.tools.host_environment import last_line, module, run, scratch, shell, which
from xca_plugin.tools.managed_file import ManagedFile
from xca_plugin.tools.tool import ProbeResult, Tool

_NO_HOST: Final = "xca.invalid"
_HOSTS: Final = 32
"""Most hosts of a configuration that are compared before and after."""


class OpenSSH(Tool):
    """ssh. It takes the first value that it finds; `Match final` is read after everything else.

    So the value for a host comes first wherever it stands, also one that is added later.
    """

    name = "openssh"
    title = text("OpenSSH")

    def missing(self) -> Text | None:
        return None if self.program() else text("install OpenSSH (Debian: openssh-client)")

    def program(self) -> Path | None:
        return which("ssh")

    def files(self) -> list[ManagedFile]:
        lines = ["Match final all", f'    PKCS11Provider "{module()}"']
        return [_Configuration(_file(), self.name, lines, own=False)]

    def command(self) -> str:
        return shell("ssh", *_option(), "HOST")

    def remarks(self) -> list[Callable[[], str]]:
        add = f"ssh-add -s {shlex.quote(str(module()))} && exec $SHELL"
        agent = shell("ssh-agent", "-P", os.path.realpath(module()), "sh", "-c", add)
        return [*super().remarks(), text("With an agent: {command}").format(command=agent)]

    def check(self) -> ProbeResult:
        provider = _provider(_file())
        if provider != str(module()):
            return ProbeResult(False, text("ssh uses another PKCS11Provider: {path}").format(path=provider)())
        status, said = run("ssh-keygen", "-D", module())
        works = status == 0 and re.search(r"^(ssh|ecdsa)-", said, re.MULTILINE) is not None
        return ProbeResult(works, "" if works else last_line(said))


class _Configuration(ManagedFile):
    def prove(self, rest: bytes, content: bytes) -> None:
        with scratch() as folder:
            before, planned = folder / "before", folder / "config"
            before.write_bytes(rest)
            planned.write_bytes(content)
            status, said = run("ssh", "-G", "-F", planned, _NO_HOST)
            if status != 0:
                detail = next(iter(said.replace(f"{planned}: ", "").strip().splitlines()), "ssh").rstrip(".")
                raise NotEditable(path=self.path, detail=detail)
            for host in _renamed_hosts(rest):
                if _settings(before, host) != _settings(planned, host):
                    changes = text(
                        "its lines for {host} also apply to another name of that host: with Match final, "
                        "ssh reads them once more for the name after HostName"
                    )
                    raise NotEditable(path=self.path, detail=changes.format(host=host))


def _renamed_hosts(configuration: bytes) -> Iterator[str]:
    """Yield the hosts for which a second reading, as Match final causes it, may find more lines.

    ssh then matches the name that HostName gives, not the one that was typed.
    """
    if not re.search(rb"^\s*HostName\b", configuration, re.IGNORECASE | re.MULTILINE):
        return
    lines = re.findall(rb"^\s*Host[ \t=]+(.*)$", configuration, re.IGNORECASE | re.MULTILINE)
    names = b" ".join(lines).decode("utf-8", "replace").replace('"', " ").split()
    yield from [name for name in names if not re.search(r"[*?!]|^-", name)][:_HOSTS]


def _settings(configuration: Path, host: str) -> set[str]:
    """Return what ssh takes from a configuration for a host, but for the module."""
    said = run("ssh", "-G", "-F", configuration, host)[1]
    return {line for line in said.splitlines() if not line.startswith("pkcs11provider ")}


def _provider(file: Path) -> str:
    """Return the PKCS11Provider that ssh takes from a configuration."""
    found = re.search(r"^pkcs11provider (.*)$", run("ssh", "-G", "-F", file, _NO_HOST)[1], re.MULTILINE)
    return found[1] if found else "none"


def _file() -> Path:
    return home() / ".ssh" / "config"


def _option() -> tuple[str, ...]:
    """Return the option that names the file to ssh; none where ssh reads that file by itself.

    ssh takes the home from the user database and not from HOME.
    """
    with suppress(KeyError):  # without an entry in the user database, ssh needs the option
        if os.path.realpath(pwd.getpwuid(os.getuid()).pw_dir) == os.path.realpath(home()):
            return ()
    return "-F", str(_file())
