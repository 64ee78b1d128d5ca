# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D102  # Tool has the docstrings
"""curl: a separate configuration (curl --config) that takes key and certificate from OpenSSL's engine."""

import socket
from pathlib import Path

from xca_common.base_directories import own_configuration
from xca_common.i18n import Text
from xca_plugin.i18n import text
from xca_plugin.tools.file_change import is_there
from xca_plugin.tools.host_environment import last_line, module, run, shell, which
from xca_plugin.tools.managed_file import ManagedFile
from xca_plugin.tools.openssl import folders
from xca_plugin.tools.tool import ANY_CARD_URI, CARD_URI, SIGN_KEY_URI, ProbeResult, Tool


class Curl(Tool):
    """curl. ~/.curlrc is left alone: lines there would put a card into every transfer."""

    name = "curl"
    title = text("curl, client authentication in TLS")

    def missing(self) -> Text | None:
        if self.program() is None:
            return text("install curl (Debian: curl)")
        if "OpenSSL/" not in run("curl", "--version")[1]:
            return text("install a curl that is built with OpenSSL (Debian: curl)")
        if not is_there(folders().get("ENGINESDIR", Path()) / "pkcs11.so"):
            return text("install the engine pkcs11 (Debian: libengine-pkcs11-openssl)")
        return None

    def program(self) -> Path | None:
        return which("curl")

    def files(self) -> list[ManagedFile]:
        return [
            ManagedFile(_file(), self.name, ['engine = "pkcs11"', 'cert-type = "ENG"', 'key-type = "ENG"']),
        ]

    def command(self) -> str:
        words = ("--cert", f"{CARD_URI};object=cert1;type=cert", "--key", SIGN_KEY_URI, "URL")
        return shell("curl", "--config", _file(), *words, PKCS11_MODULE_PATH=module())

    def check(self) -> ProbeResult:
        # The server only listens. curl reads the certificate before it sends anything, then reads the key.
        # The key here is an empty file, which ends the run: the card's own key would need a login.
        key = ("--key", "/dev/null", "--key-type", "PEM")
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"https://127.0.0.1:{server.getsockname()[1]}/"
            _, said = run(
                "env",
                f"PKCS11_MODULE_PATH={module()}",
                *("curl", "--disable", "--config", _file(), "--silent", "--show-error", "--max-time", "20"),
                *("--noproxy", "*", "--cert", f"{ANY_CARD_URI};object=cert1;type=cert", *key, address),
            )
        works = "private key" in said and "client cert" not in said
        return ProbeResult(works, "" if works else last_line(said))


def _file() -> Path:
    return own_configuration() / "curl.cfg"
