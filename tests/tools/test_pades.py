# SPDX-License-Identifier: Apache-2.0
"""PAdES signatures with what outlives their certificate: time-stamps and revocation information."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding

from softhsm import revocation
from softhsm.card_fixture import CardFixture
from support.cli.web_proxy import proxy
from support.cli.xcactl import Result
from support.signed_pdf import page
from support.time_stamping import answering, authority, serving
from xca_login.testing.parties import Party, party
from xca_plugin.cli.root import xcactl

PYHANKO = str(Path(sys.executable).with_name("pyhanko"))


@pytest.fixture(scope="session")
def stampers_root() -> Party:
    return party("root of time", ca=True)


class Workspace:
    """A card, a PDF, and the roots of signers and of time-stamps."""

    def __init__(self, card: CardFixture, folder: Path, stampers_root: Party) -> None:
        self.card, self.folder = card, folder
        (folder / "in.pdf").write_bytes(page())
        self.root = card.environment.pki / "root.pem"
        self.stampers_root = folder / "stampers.pem"
        self.stampers_root.write_bytes(stampers_root.certificate.public_bytes(Encoding.PEM))
        context = {
            "trust": [str(self.root), str(self.stampers_root)],
            "trust-replace": True,
            "signer-key-usage": ["digital_signature"],
        }
        (folder / "pyhanko.yml").write_text(yaml.safe_dump({"validation-contexts": {"xca": context}}))

    def sign(self, *options: str, **variables: str) -> None:
        """Sign in.pdf as docs/pdf.md says."""
        arguments = (
            "--field",
            "Sig1",
            "--use-pades",
            *options,
            "xca",
            "--pin",
            "env:PIN",
            "in.pdf",
            "out.pdf",
        )
        names = ("PATH", "HOME")
        done = subprocess.run(
            [PYHANKO, "--verbose", "sign", "addsig", *arguments],
            env={
                **{name: os.environ[name] for name in names},
                **self.card.variables,
                "PIN": str(self.card.pin),
                "LANGUAGE": "en",
                **variables,
            },
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]

    def verify(self, *options: str) -> Result:
        roots: Sequence[Path | str] = ("--ca-file", self.root, "--tsa-ca-file", self.stampers_root)
        arguments = ["verify", str(self.folder / "out.pdf"), *map(str, roots), *options]
        done = CliRunner(env={"LANGUAGE": "en"}).invoke(xcactl, arguments)
        return Result(done.exit_code, done.stdout, done.stderr)

    @contextmanager
    def issuers_addresses(self) -> Iterator[dict[str, str]]:
        """Answer at the addresses in the card's certificates; yield the variables that lead pyHanko there."""
        published = revocation.publish(self.card.environment, self.card.number)
        crl = published.crl.read_bytes()
        answers = {"/crl/partition-1.crl": crl, "/crl/complete.crl": crl}
        with proxy(answers) as (address, _):
            port = address.rpartition(":")[2]
            (self.folder / "sitecustomize.py").write_text(
                "import socket\n"
                "resolve = socket.getaddrinfo\n"
                "def resolved(host, port, *more, **named):\n"
                "    there = ('127.0.0.1', PORT) if host in ('xca.test', b'xca.test') else (host, port)\n"
                "    return resolve(*there, *more, **named)\n"
                "socket.getaddrinfo = resolved\n".replace("PORT", port)
            )
            yield {"PYTHONPATH": str(self.folder)}


@pytest.fixture
def workspace(xca_active_card: CardFixture, tmp_path: Path, stampers_root: Party) -> Workspace:
    return Workspace(xca_active_card, tmp_path, stampers_root)


def test_pdf_with_a_time_stamp_is_verified(workspace: Workspace, stampers_root: Party) -> None:
    with serving(answering(authority(stampers_root))) as address:
        workspace.sign("--timestamp-url", address)
    result = workspace.verify()
    assert result.status == 0, result.err
    assert "by O=stamper" in result.out


@pytest.mark.parametrize("option", ["--with-validation-info", "--use-pades-lta"])
def test_pdf_with_time_stamp_and_revocation_information_is_verified_by_itself(
    workspace: Workspace, stampers_root: Party, option: str
) -> None:
    with serving(answering(authority(stampers_root))) as address, workspace.issuers_addresses() as variables:
        workspace.sign("--timestamp-url", address, option, "--validation-context", "xca", **variables)
    result = workspace.verify()
    assert result.status == 0, result.err
    assert "by O=stamper" in result.out
    assert "Its certificate is not revoked." in result.out
    assert ("Time-stamp of the document" in result.out) is (option == "--use-pades-lta")
