# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  # Tool has the docstrings
"""OpenSSH: PKCS11Provider in the user's configuration (ssh_config(5))."""

import os
import pwd
import re
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Final

from xca_common.i18n import Text
from xca_plugin.errors import NotEditable
from xca_plugin.i18n import text
from xca_plugin.tools.host_environment import module, run, scratch, shell, which
from xca_plugin.tools.managed_file import ManagedFile
from xca_plugin.tools.tool import ProbeResult, Tool

_NO_HOST: Final = "xca.invalid"


class OpenSSH(Tool):
    """ssh takes the first value it finds: ours comes last, wherever nobody chose another one."""

    name = "openssh"
    title = text("OpenSSH")

    def missing(self) -> Text | None:
        return None if self.program() else text("install OpenSSH (Debian: openssh-client)")

    def program(self) -> Path | None:
        return which("ssh")

    def files(self) -> list[ManagedFile]:
        lines = ["Match all", f'    PKCS11Provider "{module()}"']
        return [_Configuration(_file(), self.name, lines, own=False)]

    def command(self) -> str:
        return shell("ssh", *_option(), "HOST")

    def remarks(self) -> list[Text]:
        add = f"ssh-add -s {shlex.quote(str(module()))} && exec $SHELL"
        agent = shell("ssh-agent", "-P", module().resolve(), "sh", "-c", add)
        return [*super().remarks(), text("With an agent: {command}").format(command=agent)]

    def check(self) -> ProbeResult:
        provider = _provider(_file())
        if provider != str(module()):
            return ProbeResult(False, text("ssh uses another PKCS11Provider: {path}").format(path=provider)())
        status, said = run("ssh-keygen", "-D", module())
        works = status == 0 and re.search(r"^(ssh|ecdsa)-", said, re.MULTILINE) is not None
        return ProbeResult(works, "" if works else said.strip().splitlines()[-1])


class _Configuration(ManagedFile):
    def prove(self, rest: bytes, content: bytes) -> None:
        with scratch() as folder:
            planned = folder / "config"
            planned.write_bytes(content)
            status, said = run("ssh", "-G", "-F", planned, _NO_HOST)
        if status != 0:
            detail = said.replace(f"{planned}: ", "").strip().splitlines()[0].rstrip(".")
            raise NotEditable(path=self.path, detail=detail)


def _provider(file: Path) -> str:
    """Return the PKCS11Provider that ssh takes from a configuration."""
    found = re.search(r"^pkcs11provider (.*)$", run("ssh", "-G", "-F", file, _NO_HOST)[1], re.MULTILINE)
    return found[1] if found else "none"


def _file() -> Path:
    return Path.home() / ".ssh" / "config"


def _option() -> tuple[str, ...]:
    """Return the option that names the file to ssh; none where ssh reads that file by itself.

    ssh takes the home from the user database and not from HOME.
    """
    with suppress(KeyError):  # without an entry in the user database, ssh needs the option
        if Path(pwd.getpwuid(os.getuid()).pw_dir).resolve() == Path.home().resolve():
            return ()
    return "-F", str(_file())
