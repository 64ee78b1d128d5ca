# SPDX-License-Identifier: Apache-2.0
"""`-` as a file to be read: the standard input, wherever a file is read once."""

import subprocess
import sys

import pytest

from support.cli.xcactl import PIN, XCACTL, Workspace

CONTENT = "tender\n"


@pytest.fixture
def pin(active: Workspace) -> str:
    path = active.home / "pin"
    path.write_text(f"{PIN}\n")
    return f"file:{path}"


def test_signature_of_the_standard_input_is_written_and_verified_through_pipes(
    active: Workspace, pin: str
) -> None:
    signed = active.run("sign", "-", "--format", "pem", "--pin", pin, stdin=CONTENT)
    assert signed.status == 0, signed.err
    assert "Signed: (standard output)" in signed.err
    assert active.run("cert", "export", "ROOT CA Cert", "-o", "root.pem").status == 0
    (active.home / "file").write_text(CONTENT)
    (active.home / "file.p7s").write_text(signed.out)
    for arguments, stdin in ((("-", "file.p7s"), CONTENT), (("file", "-"), signed.out)):
        result = active.run("verify", *arguments, "--ca-file", "root.pem", stdin=stdin)
        assert result.status == 0, result.err
    root = (active.home / "root.pem").read_text()
    assert active.run("verify", "file", "file.p7s", "--ca-file", "-", stdin=root).status == 0


def test_standard_input_is_encrypted_and_decrypted(active: Workspace, pin: str) -> None:
    assert active.run("cert", "export", "cert2", "-o", "cert2.pem").status == 0
    sealed = active.run("encrypt", "-", "--to", "cert2.pem", "--format", "pem", stdin=CONTENT)
    assert sealed.status == 0, sealed.err
    opened = active.run("decrypt", "-", "-o", "-", "--pin", pin, stdin=sealed.out)
    assert (opened.status, opened.out) == (0, CONTENT)
    unnamed = active.run("decrypt", "-", "--pin", pin, stdin=sealed.out)
    assert unnamed.status == 2
    assert "The standard input has no name: say with -o where its content goes." in unnamed.err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("sign", "-", "--attached", "--pin", "PIN"), 63, "(standard input)"),
        (("verify", "-", "--ca-file", "root.pem"), 63, "would be read twice"),
        (("verify", "-", "-", "--ca-file", "root.pem"), 2, "can be read once only"),
        (("sign", "-", "pin", "--pin", "PIN"), 2, "needs to be the single FILE"),
        (("sign", "-", "--pin", "stdin"), 43, "is the file that is read"),
        (("sign", "-", "--pin", "fd:0"), 43, "is the file that is read"),
        (("sign", "/dev/stdin", "-o", "signed", "--pin", "stdin"), 43, "is the file that is read"),
        (("sign", "-", "--pin", "file:/dev/stdin"), 43, "is the file that is read"),
    ],
)
def test_standard_input_that_cannot_serve_is_refused_clearly(
    active: Workspace, pin: str, arguments: tuple[str, ...], status: int, words: str
) -> None:
    assert active.run("cert", "export", "ROOT CA Cert", "-o", "root.pem").status == 0
    given = [pin if argument == "PIN" else argument for argument in arguments]
    result = active.run(*given, stdin=CONTENT)
    assert (result.status, words in result.err) == (status, True), result.err
    assert active.card()["pin_tries_left"] == 3


def test_standard_input_that_is_a_file_is_read_twice(active: Workspace, pin: str) -> None:
    (active.home / "file").write_text(CONTENT)
    with (active.home / "file").open("rb") as file:
        done = subprocess.run(
            [sys.executable, *XCACTL, "sign", "-", "--attached", "--format", "pem", "--pin", pin],
            env=active.environment,
            stdin=file,
            capture_output=True,
            cwd=active.home,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"-----BEGIN CMS-----")
