# SPDX-License-Identifier: Apache-2.0
"""Signatures and certificates in the file formats of other programs."""

import base64
import codecs
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs7

from xca_login.testing.parties import Party, party
from xca_login.testing.tokens import signed
from xca_plugin.cli.root import xcactl

CONTENT = "投標金額：1,000,000 元。\nThe bid is 1,000,000 dollars.\n".encode()
AS_SIGNED = CONTENT.replace(b"\n", b"\r\n")


@pytest.fixture(scope="module")
def root() -> Party:
    return party("root", ca=True)


@pytest.fixture(scope="module")
def signer(root: Party) -> Party:
    return party("signer", root)


@pytest.fixture
def folder(root: Party, signer: Party, tmp_path: Path) -> Path:
    root.write(tmp_path / "root.cer")
    (tmp_path / "signer.pem").write_bytes(signer.pem)
    key = signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "signer.key").write_bytes(key)
    (tmp_path / "file").write_bytes(CONTENT)
    return tmp_path


def verify(folder: Path, *arguments: str, ca_file: str = "root.cer") -> Result:
    paths = [argument if argument.startswith("-") else str(folder / argument) for argument in arguments]
    return CliRunner().invoke(xcactl, ["verify", *paths, "--ca-file", str(folder / ca_file)])


def signed_by_openssl(folder: Path, *arguments: str) -> bytes:
    done = subprocess.run(
        ["openssl", *arguments, "-in", "file", "-signer", "signer.pem", "-inkey", "signer.key"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return done.stdout


@pytest.mark.parametrize("command", ["cms", "smime"])
@pytest.mark.parametrize("options", [(), ("-crlfeol",), ("-nodetach",), ("-text",)], ids="".join)
def test_message_signed_by_openssl_is_valid(folder: Path, command: str, options: tuple[str, ...]) -> None:
    (folder / "message.eml").write_bytes(signed_by_openssl(folder, command, "-sign", *options))
    result = verify(folder, "message.eml", "-o", "content")
    assert result.exit_code == 0, result.output
    content = (folder / "content").read_bytes()
    if "-text" in options:
        assert content == b"Content-Type: text/plain\r\n\r\n" + AS_SIGNED
    else:
        assert content == AS_SIGNED


def test_message_altered_after_openssl_signed_it_is_not_valid(folder: Path) -> None:
    message = signed_by_openssl(folder, "cms", "-sign")
    for before, after in ((b"1,000,000 dollars", b"9,000,000 dollars"), (b"dollars.", b"dollars. ")):
        (folder / "message.eml").write_bytes(message.replace(before, after))
        result = verify(folder, "message.eml", "-o", "content")
        assert result.exit_code == 62, result.output
        assert not (folder / "content").exists()


def test_message_with_its_file_given_as_well_is_compared_with_the_file(folder: Path) -> None:
    (folder / "message.eml").write_bytes(signed_by_openssl(folder, "cms", "-sign"))
    (folder / "file").write_bytes(AS_SIGNED)
    assert verify(folder, "file", "message.eml").exit_code == 0
    (folder / "file").write_bytes(AS_SIGNED + b"more")
    assert verify(folder, "file", "message.eml").exit_code == 62


def signature_forms(der: bytes, root: Party) -> Iterator[bytes]:
    armored = b"-----BEGIN PKCS7-----\n" + base64.encodebytes(der) + b"-----END PKCS7-----\n"
    yield base64.b64encode(der)  # as the agent answers
    yield base64.encodebytes(der).replace(b"\n", b"\r\n")
    yield codecs.BOM_UTF8 + b"\r\n\r\n" + armored.replace(b"\n", b"\r\n")
    yield root.pem + b"\nThe signature:\n\n" + armored


@pytest.mark.parametrize("number", range(4))
def test_signature_in_another_form_is_valid(folder: Path, root: Party, signer: Party, number: int) -> None:
    form = list(signature_forms(signed(signer, CONTENT), root))[number]
    (folder / "file.p7s").write_bytes(form)
    result = verify(folder, "file", "file.p7s")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("form", ["BOM", "others before", "p7b in DER", "p7b in PEM"])
def test_ca_file_in_another_form_is_read(folder: Path, root: Party, signer: Party, form: str) -> None:
    both = [signer.certificate, root.certificate]
    (folder / "ca").write_bytes(
        {
            "BOM": codecs.BOM_UTF8 + b"\n\n" + root.pem.replace(b"\n", b"\r\n"),
            "others before": (folder / "signer.key").read_bytes() + b"root:\n" + root.pem,
            "p7b in DER": pkcs7.serialize_certificates(both, Encoding.DER),
            "p7b in PEM": pkcs7.serialize_certificates(both, Encoding.PEM),
        }[form]
    )
    (folder / "file.p7s").write_bytes(signed(signer, CONTENT))
    result = verify(folder, "file", "file.p7s", ca_file="ca")
    assert result.exit_code == 0, result.output
