# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  # Tool has the docstrings
"""pyHanko: an entry of pkcs11-setups in pyhanko.yml.

pyHanko reads the pyhanko.yml of the current folder. Where there is none, the entry is in a file in this
project's configuration folder, and the command that is shown names that file.
"""

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from pkcs11_shim import rules
from xca_common.base_directories import own_configuration
from xca_common.extras import install_command
from xca_common.i18n import Text
from xca_plugin.errors import NotEditable
from xca_plugin.i18n import text
from xca_plugin.tools.file_change import is_there
from xca_plugin.tools.host_environment import module, run, scratch, shell, which
from xca_plugin.tools.managed_file import ManagedFile
from xca_plugin.tools.tool import ProbeResult, Tool

_KEY: Final = "pkcs11-setups"
_SETUP: Final = "xca"
# A line break in YAML 1.1 (section 4.2).
_LINE_END: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_WITH_SETUP: Final = ("pkcs11", "--p11-setup", _SETUP)


class PyHanko(Tool):
    """The entry for `--p11-setup xca`. The command `xca` of the extra `pdf` needs no registration."""

    name = "pyhanko"
    title = text("pyHanko, signatures in PDF files")

    def missing(self) -> Text | None:
        if self.program():
            return None
        command = install_command("xca-plugin", "pdf")
        return text("install what is missing: {command}").format(command=command)

    def program(self) -> Path | None:
        beside = Path(sys.executable).with_name("pyhanko")
        return which("pyhanko") or (beside if os.access(beside, os.X_OK) else None)

    def files(self) -> list[ManagedFile]:
        here = _file_here()
        return [_setups(here)] if here and is_there(here) else [_setups(_own_file())]

    def traces(self) -> list[ManagedFile]:
        here = _file_here()
        return [*([_setups(here)] if here else []), _setups(_own_file())]

    def command(self) -> str:
        here = _file_here()
        named = () if here and is_there(here) else ("--config", _own_file())
        sign = ("sign", "addsig", "--field", "Sig1", *_WITH_SETUP)
        return shell(self._typed(), *named, *sign, "IN.pdf", "OUT.pdf")

    def remarks(self) -> list[Callable[[], str]]:
        first = text("Among several cards it takes the first: leave one in, or name one: {command}")
        plugin = shell(
            *(self._typed(), "sign", "addsig", "--field", "Sig1"),
            *("xca", "--card", "NUMBER", "IN.pdf", "OUT.pdf"),
        )
        return [*super().remarks(), first.format(command=plugin)]

    def _typed(self) -> str | Path:
        """Return what a person types to start it: a path where the shell does not find it."""
        return "pyhanko" if which("pyhanko") else self.program() or "pyhanko"

    def check(self) -> ProbeResult:
        program = self.program() or "pyhanko"
        with scratch() as folder:
            # pyHanko then does not log in. It finds the certificate, but no key to sign with.
            setup = "\n".join((f"{_KEY}:", *_entry("  "), "    prompt-pin: skip"))
            (folder / "pyhanko.yml").write_text(setup, encoding="utf-8")
            (folder / "in").write_bytes(b"")
            sign = ("--verbose", "sign", "addsig", "--detach", *_WITH_SETUP, "in", "out")
            _, said = run(program, *sign, cwd=folder)
        works = "Could not find private key" in said
        reasons = re.findall(r"^[\w.]*(?:Error|Exception|Removed|Invalid)\b.*", said, re.MULTILINE)
        return ProbeResult(works, "" if works else (reasons or [said])[0].strip())


class _Setups(ManagedFile):
    """A pyhanko.yml. The lines go into the others' pkcs11-setups, whose bytes stay as they were."""

    def body(self, rest: bytes) -> Sequence[str]:
        key, value = self._setups(rest)
        if key is None:
            return [f"{_KEY}:", *_entry("  ")]
        column = value.value[0][0].start_mark.column if value.value else key.start_mark.column + 2
        return _entry(" " * column)

    def position(self, rest: bytes) -> int:
        key, value = self._setups(rest)
        if key is None:
            return len(rest)
        mark = value.value[0][0].start_mark if value.value else key.end_mark
        text = rest.decode("utf-8")
        if value.value:
            return len(text[: mark.index - mark.column].encode())
        line_end = _LINE_END.search(text, mark.index)
        return len((text[: line_end.end()] if line_end else text).encode())

    def prove(self, rest: bytes, content: bytes) -> None:
        import yaml

        try:
            before, after = yaml.safe_load(rest) or {}, yaml.safe_load(content)
        except (yaml.YAMLError, ValueError) as error:
            raise self._not_editable() from error
        setups = before.get(_KEY) or {}
        ours = yaml.safe_load("\n".join(_entry("")))
        if _SETUP in setups or after != {**before, _KEY: {**setups, **ours}}:
            raise self._not_editable()

    def _setups(self, rest: bytes) -> tuple[Any, Any]:
        """Return the nodes of the key pkcs11-setups and of its value; (None, None): there is no such key."""
        import yaml

        try:
            root = yaml.compose(rest.decode("utf-8"), yaml.SafeLoader)
        except UnicodeDecodeError as error:
            raise NotEditable(path=self.path, detail=text("it is not in UTF-8")) from error
        except yaml.YAMLError as error:
            # PyYAML's own message quotes the line, which may hold a PIN.
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            detail = text("it is no YAML, line {line}").format(line=line)
            raise NotEditable(path=self.path, detail=detail) from None
        if root is None:
            return None, None
        if not isinstance(root, yaml.MappingNode):
            raise self._not_editable()
        for key, value in root.value:
            if key.value == _KEY:
                empty = isinstance(value, yaml.ScalarNode) and not value.value
                if not empty and (not isinstance(value, yaml.MappingNode) or value.flow_style):
                    raise self._not_editable()
                return key, value
        return None, None

    def _not_editable(self) -> NotEditable:
        detail = text("it is not written as a block of lines that another entry of pkcs11-setups fits into")
        return NotEditable(path=self.path, detail=detail)


def _setups(path: Path) -> ManagedFile:
    return _Setups(path, PyHanko.name, (), own=path == _own_file())


def _file_here() -> Path | None:
    """Return the file that pyHanko reads in the current folder; None: the folder was deleted."""
    try:
        return Path.cwd() / "pyhanko.yml"
    except OSError:
        return None


def _own_file() -> Path:
    return own_configuration() / "pyhanko.yml"


def _entry(indent: str) -> list[str]:
    """Return the lines of the setup. CKA_ID names certificate and key: a card's two keys have one label."""
    return [
        f"{indent}{_SETUP}:",
        f'{indent}  module-path: "{module()}"',
        f"{indent}  token-criteria:",
        f'{indent}    label: "{rules.CARD_LABEL}"',
        f'{indent}  cert-id: "{b"SIGN".hex()}"',
        f'{indent}  key-id: "{b"SIGN".hex()}"',
        f"{indent}  other-certs-to-pull: null",  # null means all of them, which is the chain
    ]
