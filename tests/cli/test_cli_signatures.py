# SPDX-License-Identifier: Apache-2.0
"""Signatures, against OpenSSL in both directions."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from commands import PIN, Desk


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """More than one chunk, and not text."""
    path = tmp_path / "tender.bin"
    path.write_bytes(bytes(range(256)) * 2000)
    return path


@pytest.fixture
def root(active: Desk) -> Path:
    return active.path / "pki" / "root.pem"


@pytest.fixture
def signature(active: Desk, file: Path) -> Path:
    result = active.run("sign", str(file), "--pin", "stdin", stdin=f"{PIN}\n")
    assert result.status == 0, result.err
    return file.with_name("tender.bin.p7s")


def openssl(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True)


def verify(desk: Desk, file: Path, signature: Path, root: Path) -> tuple[int, str]:
    result = desk.run("verify", str(file), str(signature), "--ca-file", str(root))
    return result.status, result.out + result.err


def test_openssl_accepts_our_signature(file: Path, signature: Path, root: Path, tmp_path: Path) -> None:
    given: Sequence[str | Path] = ("-binary", "-inform", "DER", "-in", signature, "-content", file)
    trusting: Sequence[str | Path] = ("-CAfile", root, "-purpose", "any", "-out", tmp_path / "content")
    done = openssl("cms", "-verify", *given, *trusting)
    assert done.returncode == 0, done.stderr
    structure = openssl("cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", signature).stdout
    assert "signingTime" in structure
    assert "eContent: <ABSENT>" in structure
    assert structure.count("d.certificate:") == 2  # signer and issuing CA; the root is the verifier's to have
    assert "algorithm: sha256 (" in structure


def test_we_say_who_signed_and_when(active: Desk, file: Path, signature: Path, root: Path) -> None:
    status, said = verify(active, file, signature, root)
    assert status == 0
    assert "C=TW,L=臺北市,O=國立臺灣大學" in said
    assert "Signed at" in said
    assert "The signature is valid." in said
    assert "revocation was not looked up" in said


def test_a_changed_file_is_refused(active: Desk, file: Path, signature: Path, root: Path) -> None:
    file.write_bytes(file.read_bytes() + b"!")
    status, said = verify(active, file, signature, root)
    assert status == 62
    assert "not the one that was signed" in said
    assert "is valid" not in said


def test_a_changed_signature_is_refused(active: Desk, file: Path, signature: Path, root: Path) -> None:
    der = bytearray(signature.read_bytes())
    der[-20] ^= 1
    signature.write_bytes(der)
    status, said = verify(active, file, signature, root)
    assert status == 62
    assert "altered" in said


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA of somebody else, and three people whom it certified."""
    folder = tmp_path_factory.mktemp("stranger")
    made = openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9", "-subj", "/C=TW/O=stranger"),
        *("-keyout", folder / "root.key", "-out", folder / "root.pem"),
    )
    assert made.returncode == 0, made.stderr
    for name, usage, days in (
        ("signer", "digitalSignature", "9"),
        ("reader", "keyEncipherment", "9"),
        ("expired", "digitalSignature", "-1"),
    ):
        request = folder / f"{name}.csr"
        openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/C=TW/O={name}", "-out", request),
            *("-keyout", folder / f"{name}.key"),
        )
        extensions = folder / "extensions"
        extensions.write_text(f"keyUsage = critical, {usage}\nsubjectKeyIdentifier = hash\n")
        made = openssl(
            *("x509", "-req", "-in", request, "-CA", folder / "root.pem", "-CAkey", folder / "root.key"),
            *("-CAcreateserial", "-days", days, "-extfile", extensions, "-out", folder / f"{name}.pem"),
        )
        assert made.returncode == 0, made.stderr
    return folder


def signed_by(stranger: Path, name: str, file: Path, *options: str) -> Path:
    signature = file.with_name("signature")
    made = openssl(
        *("cms", "-sign", "-binary", "-in", file, "-out", signature, *options),
        *("-signer", stranger / f"{name}.pem", "-inkey", stranger / f"{name}.key"),
    )
    assert made.returncode == 0, made.stderr
    return signature


@pytest.mark.parametrize(
    "options",
    [
        ("-outform", "DER"),
        ("-outform", "PEM"),
        # As the signatures of the past are: SHA-1, no signed attributes.
        ("-outform", "DER", "-md", "sha1", "-noattr"),
    ],
)
def test_we_accept_what_openssl_signed(
    active: Desk, file: Path, stranger: Path, options: tuple[str, ...]
) -> None:
    signature = signed_by(stranger, "signer", file, *options)
    status, said = verify(active, file, signature, stranger / "root.pem")
    assert status == 0, said
    assert "O=signer" in said
    assert ("sha1" in said) is ("sha1" in options)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("reader", "not meant for signatures"), ("expired", "not within its validity")],
)
def test_a_certificate_that_does_not_fit_is_refused(
    active: Desk, file: Path, stranger: Path, name: str, reason: str
) -> None:
    signature = signed_by(stranger, name, file, "-outform", "DER")
    status, said = verify(active, file, signature, stranger / "root.pem")
    assert status == 62
    assert reason in said


def test_another_root_is_not_trusted(active: Desk, file: Path, signature: Path, stranger: Path) -> None:
    status, said = verify(active, file, signature, stranger / "root.pem")
    assert status == 62
    assert "not issued under the given CA" in said


def test_other_files_are_named_for_what_they_are_not(
    active: Desk, file: Path, signature: Path, root: Path, stranger: Path
) -> None:
    assert verify(active, file, file, root)[0] == 61
    assert verify(active, file, root, root)[0] == 61
    # Not detached: the content is inside.
    inside = signed_by(stranger, "signer", file, "-outform", "DER", "-nodetach")
    assert verify(active, file, inside, stranger / "root.pem")[0] == 61
    assert verify(active, file, signature, file)[0] == 60
    assert verify(active, file, signature, signature)[0] == 60


def test_a_wrong_pin_leaves_no_signature(active: Desk, file: Path) -> None:
    before = sorted(file.parent.iterdir())
    assert active.run("sign", str(file), "--pin", "stdin", stdin="wrong-00\n").status == 35
    assert sorted(file.parent.iterdir()) == before


def test_a_place_that_cannot_be_written_costs_no_try(active: Desk, file: Path) -> None:
    result = active.run("sign", str(file), "-o", "/nowhere/x.p7s", "--pin", "stdin", stdin="wrong-00\n")
    assert result.status == 63
    assert active.card()["pin_tries_left"] == 3


def test_the_file_itself_is_never_overwritten(active: Desk, file: Path) -> None:
    content = file.read_bytes()
    assert active.run("sign", str(file), "-o", str(file), "--pin", "stdin", stdin=f"{PIN}\n").status == 63
    assert file.read_bytes() == content


def test_a_closed_card_does_not_sign(closed: Desk, file: Path) -> None:
    result = closed.run("sign", str(file), "--pin", "stdin", stdin=f"{PIN}\n")
    assert result.status == 30
    assert "xcactl activate" in result.err
