# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  # Tool has the docstrings
"""OpenSSL: its engine and its provider for PKCS#11, each with a separate configuration.

OpenSSL reads no configuration of the user's. The file written here includes the system's and adds to the
sections that the system's file names. The command that is shown names the file in OPENSSL_CONF
(config(5ossl)).
"""

import re
from collections.abc import Sequence
from pathlib import Path

from xca_common.base_directories import own_configuration
from xca_common.i18n import Text
from xca_plugin.i18n import text
from xca_plugin.tools.file_change import is_there, read
from xca_plugin.tools.host_environment import module, run, shell, which
from xca_plugin.tools.managed_file import ManagedFile
from xca_plugin.tools.tool import ANY_CARD_URI, SIGN_KEY_URI, ProbeResult, Tool


class _OpenSSL(Tool):
    _library: str
    _folder: str
    _package: Text

    def missing(self) -> Text | None:
        if self.program() is None:
            return text("install OpenSSL (Debian: openssl)")
        return None if is_there(self._extension()) else self._package

    def program(self) -> Path | None:
        return which("openssl")

    def files(self) -> list[ManagedFile]:
        base = _base()
        return [
            ManagedFile(
                self._configuration(),
                self.name,
                [
                    *([f".include {base}"] if base else []),
                    "[default]",
                    f"openssl_conf = {_value(base, 'default', 'openssl_conf') or 'xca_init'}",
                    *self._sections(base, _value(base, "default", "openssl_conf") or "xca_init"),
                ],
            )
        ]

    def _sections(self, base: Path | None, init: str) -> Sequence[str]:
        raise NotImplementedError

    def _configuration(self) -> Path:
        return own_configuration() / f"{self.name}.cnf"

    def _extension(self) -> Path:
        return folders().get(self._folder, Path()) / "pkcs11.so"

    def _run(self, *arguments: str) -> tuple[int, str]:
        return run("env", f"OPENSSL_CONF={self._configuration()}", "openssl", *arguments)


class Engine(_OpenSSL):
    """The engine pkcs11 of libp11."""

    name = "openssl-engine"
    title = text("OpenSSL, engine pkcs11")
    _folder = "ENGINESDIR"
    _package = text("install the engine pkcs11 (Debian: libengine-pkcs11-openssl)")

    def _sections(self, base: Path | None, init: str) -> Sequence[str]:
        engines = _value(base, init, "engines") or "xca_engines"
        return [
            f"[{init}]",
            f"engines = {engines}",
            f"[{engines}]",
            "pkcs11 = xca_engine",
            "[xca_engine]",
            "engine_id = pkcs11",
            f"MODULE_PATH = {module()}",
            "init = 0",
        ]

    def command(self) -> str:
        return shell(
            *("openssl", "dgst", "-sha256", "-engine", "pkcs11", "-keyform", "engine"),
            *("-sign", SIGN_KEY_URI, "-out", "FILE.sig", "FILE"),
            OPENSSL_CONF=self._configuration(),
        )

    def check(self) -> ProbeResult:
        uri = f"{ANY_CARD_URI};id=%53%49%47%4E;type=public"
        # The status is ignored: with SoftHSM the engine may crash at the very end.
        _, said = self._run("pkey", "-engine", "pkcs11", "-inform", "engine", "-pubin", "-in", uri, "-pubout")
        return ProbeResult("BEGIN PUBLIC KEY" in said, "" if "BEGIN PUBLIC KEY" in said else _reason(said))


class Provider(_OpenSSL):
    """pkcs11-provider, for OpenSSL 3."""

    name = "openssl-provider"
    title = text("OpenSSL, pkcs11-provider")
    _folder = "MODULESDIR"
    _package = text("install pkcs11-provider (Debian: pkcs11-provider; in Debian 12 from backports)")

    def _sections(self, base: Path | None, init: str) -> Sequence[str]:
        providers = _value(base, init, "providers") or "xca_providers"
        default = _value(base, providers, "default") or "xca_default"
        return [
            f"[{init}]",
            f"providers = {providers}",
            f"[{providers}]",
            f"default = {default}",
            "pkcs11 = xca_provider",
            f"[{default}]",
            "activate = 1",  # with any provider named, OpenSSL no longer loads the default one by itself
            "[xca_provider]",
            f"module = {self._extension()}",
            f"pkcs11-module-path = {module()}",
            "pkcs11-module-quirks = no-deinit",
            "activate = 1",
        ]

    def command(self) -> str:
        words = ("openssl", "dgst", "-sha256", "-sign", SIGN_KEY_URI, "-out", "FILE.sig", "FILE")
        return shell(*words, OPENSSL_CONF=self._configuration())

    def check(self) -> ProbeResult:
        status, said = self._run("storeutl", "-noout", "-certs", f"{ANY_CARD_URI};object=cert1;type=cert")
        works = status == 0 and "Total found: 0" not in said
        return ProbeResult(works, "" if works else _reason(said))


def folders() -> dict[str, Path]:
    """Return the folders OPENSSLDIR, ENGINESDIR and MODULESDIR (`openssl version -a`)."""
    said = run("openssl", "version", "-a")[1]
    return {name: Path(path) for name, path in re.findall(r'^(\w+DIR): "(.*)"$', said, re.MULTILINE)}


def _base() -> Path | None:
    """Return the system's configuration; None: there is none."""
    file = folders().get("OPENSSLDIR", Path()) / "openssl.cnf"
    return file if file.is_absolute() and is_there(file) else None


def _value(file: Path | None, section: str, name: str) -> str | None:
    """Look up a value in a configuration (config(5ossl)). The last of several counts; None: there is none.

    Raises:
        FileProblem: the file cannot be read.
    """
    current, found = "default", None
    content = (read(file) if file else None) or b""
    for line in content.decode("utf-8", "replace").splitlines():
        if head := re.match(r"\s*\[\s*(.+?)\s*\]", line):
            current = head[1]
        elif (pair := re.match(r"\s*(\w+)\s*=\s*([^#\s]+)", line)) and (current, pair[1]) == (section, name):
            found = pair[2]
    return found


def _reason(said: str) -> str:
    """Return the last line that is not one of OpenSSL's error stack."""
    lines = [line for line in said.splitlines() if line and not re.match(r"[0-9A-F]{8,}:error:", line)]
    return lines[-1] if lines else text("it sees no card")()
