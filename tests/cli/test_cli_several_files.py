# SPDX-License-Identifier: Apache-2.0
"""Several files in one command: one PIN, one login, each result told."""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pexpect
import pytest
from asn1crypto import cms  # type: ignore[import-untyped]
from click.testing import CliRunner
from cryptography import x509

from softhsm import Environment
from support.cli.json_schemas import check
from support.cli.xcactl import PIN, Workspace, install
from xca_login.testing.parties import party
from xca_plugin.cli import several_files
from xca_plugin.cli.root import xcactl
from xca_plugin.cli.several_files import ReadAhead
from xca_plugin.terminal import output

_FOR_KEYS = x509.KeyUsage(False, False, True, False, False, False, False, False, False)


def with_files(active: Workspace, count: int) -> tuple[Workspace, list[str]]:
    names = [f"file-{number}.txt" for number in range(count)]
    for name in names:
        (active.home / name).write_text(f"content of {name}")
    return active.with_variables(PIN=PIN), names


def logins(workspace: Workspace) -> int:
    store = Environment(workspace.path).store
    events = Counter(event.event for event in store.events(workspace.number))
    return events["verify-pin"] + events["sign"] + events["decrypt"]


def assert_signed(workspace: Workspace, name: str) -> None:
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-noverify", "-out", "/dev/null"]
    command += ["-in", f"{name}.p7s", "-content", name]
    subprocess.run(command, cwd=workspace.home, check=True, capture_output=True)


def test_several_files_are_signed_with_one_login(active: Workspace) -> None:
    workspace, names = with_files(active, 5)
    before = logins(workspace)
    result = workspace.run("sign", *names, "--pin", "env:PIN")
    assert result.status == 0, result.err
    assert result.out.splitlines() == [f"Signed: {name}.p7s" for name in names]
    for name in names:
        assert_signed(workspace, name)
    assert logins(workspace) == before + 1


def test_several_files_of_which_one_fails_are_signed_but_for_that_one(active: Workspace) -> None:
    workspace, names = with_files(active, 3)
    there = workspace.home / f"{names[1]}.p7s"
    there.write_text("somebody else's")
    result = workspace.run("sign", *names, "--pin", "env:PIN")
    assert result.status == 45
    assert result.out.splitlines() == [f"Signed: {names[0]}.p7s", f"Signed: {names[2]}.p7s"]
    assert f"{names[1]}.p7s is there already" in result.err
    assert "1 of 3 files failed." in result.err
    assert there.read_text() == "somebody else's"
    assert workspace.run("sign", *names, "--pin", "env:PIN", "--force").status == 0
    assert_signed(workspace, names[1])


def test_file_that_is_not_there_among_several_keeps_no_other_from_being_handled(active: Workspace) -> None:
    workspace, (one, missing, folder, two) = with_files(active, 4)
    for name in (missing, folder):
        (workspace.home / name).unlink()
    (workspace.home / folder).mkdir()
    too_long = "a" * 300
    files, root = (one, missing, too_long, folder, two), str(active.path / "pki" / "root.pem")
    assert workspace.run("cert", "export", "cert2", "-o", "cert2.pem").status == 0
    for command, suffix, done in (
        (("sign", "--pin", "env:PIN"), "", "Signed: {}.p7s"),
        (("verify", "--ca-file", root), "", "{}:"),
        (("encrypt", "--to", "cert2.pem"), "", "Encrypted: {}.p7e"),
        (("decrypt", "--pin", "env:PIN", "--force"), ".p7e", "Decrypted: {}"),
    ):
        result = workspace.run(command[0], *(name + suffix for name in files), *command[1:])
        assert result.status == 63, result.err
        assert [line for line in result.out.splitlines() if line in (done.format(one), done.format(two))] == [
            done.format(one),
            done.format(two),
        ]
        assert f"The file {missing}{suffix} cannot be used: No such file or directory." in result.err
        assert f"The file {too_long}{suffix} cannot be used: File name too long.\nChoose a shor" in result.err
        assert "3 of 5 files failed." in result.err


@pytest.mark.parametrize(
    ("language", "step"), [("en", "Name a file in that folder."), ("zh_TW", "請改為指定該資料夾中的檔案。")]
)
def test_folder_that_is_named_for_a_file_is_told_with_what_to_name(
    active: Workspace, language: str, step: str
) -> None:
    workspace, (one, folder) = with_files(active, 2)
    (workspace.home / folder).unlink()
    (workspace.home / folder).mkdir()
    result = workspace.run("--lang", language, "sign", one, folder, "--pin", "env:PIN")
    assert result.status == 63
    assert step in result.err


def test_no_pin_is_asked_for_where_nothing_is_left_to_be_done(active: Workspace) -> None:
    workspace, names = with_files(active, 2)
    (workspace.home / f"{names[0]}.p7s").write_text("somebody else's")
    (workspace.home / names[1]).unlink()
    before = logins(workspace)
    result = workspace.run("sign", *names, "--pin", "stdin", stdin="")  # a PIN that is read would be missing
    assert result.status == 63, result.err
    assert "2 of 2 files failed." in result.err
    assert logins(workspace) == before


def test_several_files_that_are_left_as_they_are_cost_no_pin_and_no_event(active: Workspace) -> None:
    workspace, names = with_files(active, 2)
    for name in names:
        (workspace.home / f"{name}.p7s").write_text("somebody else's")
    before = logins(workspace)
    with workspace.terminal("sign", *names) as talk:
        for name in names:
            talk.expect_exact(f"The file {name}.p7s is there already. Replace it? [y/N]: ")
            talk.sendline("n")
        for name in names:
            talk.expect_exact(f"The file {name}.p7s is there already; it was left as it is.")
        talk.expect(pexpect.EOF)
        shown = str(talk.before)
    assert (talk.exitstatus, screen(shown)) == (45, ["2 files: 0 done, 2 not replaced, 0 failed."])
    assert logins(workspace) == before


@pytest.mark.parametrize(
    ("language", "beside", "status", "closing"),
    [
        ("en", "there", 45, "3 files: 2 done, 1 not replaced, 0 failed."),
        ("en", "missing", 63, "3 files: 1 done, 1 not replaced, 1 failed."),
        ("zh_TW", "there", 45, "3 個檔案：完成 2 個，未取代 1 個，失敗 0 個。"),
        ("zh_TW", "missing", 63, "3 個檔案：完成 1 個，未取代 1 個，失敗 1 個。"),
    ],
)
def test_several_files_of_which_one_is_kept_end_with_what_became_of_all(
    active: Workspace, language: str, beside: str, status: int, closing: str
) -> None:
    workspace, (kept, other, last) = with_files(active, 3)
    (workspace.home / f"{kept}.p7s").write_text("somebody else's")
    if beside == "missing":
        (workspace.home / other).unlink()
    with workspace.terminal("--lang", language, "sign", kept, other, last, "--pin", "env:PIN") as talk:
        talk.expect_exact("[y/N]: " if language == "en" else "[是 y／否 N]：")
        talk.sendline("n")
        talk.expect(pexpect.EOF)
        shown = str(talk.before)
    assert (talk.exitstatus, screen(shown)[-1]) == (status, closing)
    assert (workspace.home / f"{kept}.p7s").read_text() == "somebody else's"
    assert_signed(workspace, last)


def screen(shown: str) -> list[str]:
    """The lines of a terminal after what was shown; it is wide enough for each."""
    lines, row = [""], 0
    for piece in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", shown):
        if piece == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif piece == "\x1b[2K":
            lines[row] = ""
        elif piece == "\x1b[1A":
            row -= 1
        elif piece[0] not in "\x1b\r":
            lines[row] += piece
    return [line for line in lines if line]


def test_bar_leaves_nothing_between_the_results(active: Workspace) -> None:
    workspace, names = with_files(active, 3)
    (workspace.home / names[1]).unlink()
    with workspace.terminal("sign", *names, "--pin", "env:PIN") as talk:
        talk.expect(pexpect.EOF)
        shown = str(talk.before)
    assert "0/3" in shown
    assert screen(shown) == [
        f"Card {workspace.number}, PIN: 3 tries left",
        f"Signed: {names[0]}.p7s",
        f"{names[1]}:",
        f"Error: The file {names[1]} cannot be used: No such file or directory.",
        "Check the path and your rights to it. Then do it again.",
        f"Signed: {names[2]}.p7s",
        "1 of 3 files failed.",
    ]


def test_heading_of_a_file_stands_once_in_a_terminal(active: Workspace) -> None:
    workspace, names, root = signed(active, 2)
    (workspace.home / names[1]).write_text("altered")
    with workspace.terminal("verify", *names, *root) as talk:
        talk.expect(pexpect.EOF)
        lines = screen(str(talk.before))
    assert [lines.count(f"{name}:") for name in names] == [1, 1]


def test_several_files_are_told_only_when_they_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is synced, appears under its name, and its name is synced, before it is told."""
    monkeypatch.chdir(tmp_path)
    party("receiver", usage=_FOR_KEYS).write(tmp_path / "receiver.cer")
    names = ["one", "two", "three"]
    for name in names:
        (tmp_path / name).write_text("content")
    steps: list[str] = []
    fsync, say = os.fsync, output.say

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        found = Path(f"/proc/self/fd/{descriptor}").readlink()
        there = sorted(each.name for each in tmp_path.glob("*.p7e"))
        steps.append(f"folder {there}" if found == tmp_path else f"file {os.fstat(descriptor).st_ino}")

    def told(message: str = "", **how: Any) -> None:
        steps.append(message)
        say(message, **how)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(output, "say", told)
    for files in (names, names[:1]):
        steps.clear()
        done = CliRunner(env={"LANGUAGE": "en"}).invoke(
            xcactl, ["encrypt", *files, "--to", "receiver.cer", "--force"]
        )
        assert done.exit_code == 0, done.stderr
        for name in files:
            before = steps[: steps.index(f"Encrypted: {name}.p7e")]
            inode = (tmp_path / f"{name}.p7e").stat().st_ino
            content = before.index(f"file {inode}")
            assert any(f"'{name}.p7e'" in each for each in before[content:] if each.startswith("folder"))


def test_several_files_end_with_the_status_of_the_worst(active: Workspace) -> None:
    workspace, names = with_files(active, 3)
    (workspace.home / f"{names[0]}.p7s").write_text("somebody else's")
    (workspace.home / f"{names[1]}.p7s").symlink_to(workspace.home / "no-such-folder" / "signature")
    result = workspace.run("sign", *names, "--pin", "env:PIN")
    assert result.status == 63
    assert "2 of 3 files failed." in result.err
    assert result.out.splitlines() == [f"Signed: {names[2]}.p7s"]


def test_several_files_of_which_one_gets_a_wrong_signature_end_there(
    active: Workspace, tmp_path: Path
) -> None:
    source = """
        from xca_plugin import hicos

        sign, digests = hicos._HicosSession.sign, []

        def sign_wrongly(self, digest, **how):
            digests.append(digest)
            return sign(self, bytes(32) if len(digests) == 2 else digest, **how)

        hicos._HicosSession.sign = sign_wrongly
        """
    # More than may wait for a thread, however seldom that has its turn.
    workspace, names = with_files(install(active, tmp_path, "wrong_signature", source), 160)
    result = workspace.run("sign", *names, "--pin", "env:PIN")
    assert result.status == 20, result.err
    assert f"{names[1]}:\nError: " in result.err
    assert "its signature does not fit its certificate" in result.err
    assert "The files after this one were not tried." in result.err
    signed = {file.name.removesuffix(".p7s") for file in workspace.home.glob("*.p7s")}
    assert names[0] in signed
    assert names[1] not in signed
    assert result.out.splitlines() == [f"Signed: {name}.p7s" for name in names if name in signed]
    for name in (names[0], [name for name in names if name in signed][-1]):
        assert_signed(workspace, name)


def test_several_files_with_a_wrong_pin_cost_one_try(active: Workspace) -> None:
    workspace, names = with_files(active, 3)
    result = workspace.with_variables(PIN="9999999").run("sign", *names, "--pin", "env:PIN")
    assert result.status == 35
    assert workspace.card()["pin_tries_left"] == 2


def test_several_attached_and_bare_signatures_are_right(active: Workspace) -> None:
    workspace, names = with_files(active, 2)
    assert workspace.run("sign", *names, "--pin", "env:PIN", "--attached").status == 0
    assert workspace.run("sign", *names, "--pin", "env:PIN", "--raw").status == 0
    for name in names:
        command = ["openssl", "cms", "-verify", "-inform", "DER", "-noverify", "-in", f"{name}.p7m"]
        done = subprocess.run(command, cwd=workspace.home, check=True, capture_output=True, text=True)
        assert done.stdout == f"content of {name}"
        assert len((workspace.home / f"{name}.sig").read_bytes()) == 256


def test_signature_that_is_another_file_to_sign_is_refused(active: Workspace) -> None:
    workspace, (name,) = with_files(active, 1)
    (workspace.home / f"{name}.p7s").write_text("to be signed too")
    result = workspace.run("sign", name, f"{name}.p7s", "--pin", "env:PIN", "--force")
    assert result.status == 63
    assert (workspace.home / f"{name}.p7s").read_text() == "to be signed too"


def test_several_files_are_encrypted_and_decrypted_with_one_login(active: Workspace) -> None:
    workspace, names = with_files(active, 3)
    assert workspace.run("cert", "export", "cert2", "-o", "cert2.pem").status == 0
    result = workspace.run("encrypt", *names, "--to", "cert2.pem")
    assert result.status == 0, result.err
    told = result.out.splitlines()
    assert told[:3] == [f"Encrypted: {name}.p7e" for name in names]
    assert [line.startswith("Can be opened by: ") for line in told] == [False] * 3 + [True, False]
    encrypted = [f"{name}.p7e" for name in names]
    for name in names:
        (workspace.home / name).unlink()
    before = logins(workspace)
    result = workspace.run("decrypt", *encrypted, "--pin", "env:PIN")
    assert result.status == 0, result.err
    assert result.out.splitlines() == [f"Decrypted: {name}" for name in names]
    assert logins(workspace) == before + 1
    for name in names:
        assert (workspace.home / name).read_text() == f"content of {name}"
        assert (workspace.home / name).stat().st_mode & 0o777 == 0o600


def test_several_files_of_which_some_are_not_for_the_card_are_decrypted_but_for_those(
    active: Workspace,
) -> None:
    workspace, names = with_files(active, 3)
    assert workspace.run("cert", "export", "cert2", "-o", "cert2.pem").status == 0
    assert workspace.run("encrypt", names[0], names[2], "--to", "cert2.pem").status == 0
    encrypted = [f"{name}.p7e" for name in names]
    (workspace.home / encrypted[1]).write_text("no such thing")
    result = workspace.run("decrypt", *encrypted, "--pin", "env:PIN", "--force")
    assert result.status == 64
    assert result.out.splitlines() == [f"Decrypted: {names[0]}", f"Decrypted: {names[2]}"]
    assert "1 of 3 files failed." in result.err


def test_several_files_are_decrypted_after_one_look_at_the_certificates_of_the_card(
    active: Workspace, tmp_path: Path
) -> None:
    source = """
        from pathlib import Path
        from xca_plugin import hicos

        certificates = hicos._certificates

        def counted(library, token, matching=None):
            if matching is None:  # all of them
                with Path("looks").open("a") as looks:
                    looks.write("look\\n")
            return certificates(library, token, matching)

        hicos._certificates = counted
        """
    workspace, names = with_files(active, 3)
    assert workspace.run("cert", "export", "cert2", "-o", "cert2.pem").status == 0
    assert workspace.run("encrypt", *names, "--to", "cert2.pem").status == 0
    workspace = install(workspace, tmp_path, "counting", source)
    result = workspace.run("decrypt", *(f"{name}.p7e" for name in names), "--force", "--pin", "env:PIN")
    assert result.status == 0, result.err
    assert (workspace.home / "looks").read_text() == "look\n"


def test_several_files_that_no_card_decrypts_cost_no_login(active: Workspace) -> None:
    workspace, _ = with_files(active, 0)
    for name in ("one.p7e", "two.p7e"):
        (workspace.home / name).write_text("no such thing")
    before = logins(workspace)
    result = workspace.run("decrypt", "one.p7e", "two.p7e", "--pin", "env:PIN")
    assert result.status == 64
    assert "2 of 2 files failed." in result.err
    assert logins(workspace) == before


def test_several_files_with_a_wrong_pin_are_not_decrypted_and_cost_one_try(active: Workspace) -> None:
    workspace, names = with_files(active, 2)
    assert workspace.run("cert", "export", "cert2", "-o", "cert2.pem").status == 0
    assert workspace.run("encrypt", *names, "--to", "cert2.pem").status == 0
    encrypted = [f"{name}.p7e" for name in names]
    workspace = workspace.with_variables(PIN="9999999")
    assert workspace.run("decrypt", *encrypted, "--pin", "env:PIN", "--force").status == 35
    assert workspace.card()["pin_tries_left"] == 2


def test_file_to_decrypt_without_the_usual_name_needs_an_output(active: Workspace) -> None:
    (active.home / "letter").write_text("content")
    assert active.run("cert", "export", "cert2", "-o", "to.pem", "--force").status == 0
    assert active.run("encrypt", "letter", "--to", "to.pem", "-o", "letter.bin", "--force").status == 0
    result = active.run("decrypt", "letter.bin")
    assert result.status == 2
    assert "letter.bin does not end in .p7e" in result.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("sign", "-o", "result"),
        ("sign", "--timestamp-request", "result"),
        ("encrypt", "-o", "result", "--to", "file-0.txt"),
        ("decrypt", "-o", "result"),
        ("verify", "-o", "result", "--ca-file", "file-0.txt"),
        ("verify", "--report", "result.html", "--ca-file", "file-0.txt"),
    ],
    ids=" ".join,
)
def test_one_output_for_several_files_is_refused(active: Workspace, arguments: tuple[str, ...]) -> None:
    workspace, names = with_files(active, 3)
    command, *options = arguments
    result = workspace.run(command, *names, *options)
    assert result.status == 2
    assert "needs a single FILE" in result.err
    assert not [*workspace.home.glob("result*")]


def signed(active: Workspace, count: int) -> tuple[Workspace, list[str], tuple[str, str]]:
    workspace, names = with_files(active, count)
    assert workspace.run("sign", *names, "--pin", "env:PIN").status == 0
    return workspace, names, ("--ca-file", str(active.path / "pki" / "root.pem"))


def test_several_files_are_verified_with_the_signatures_beside_them(active: Workspace) -> None:
    workspace, names, root = signed(active, 3)
    for files in (names, [f"{name}.p7s" for name in names], [*names, *(f"{name}.p7s" for name in names)]):
        result = workspace.run("verify", *files, *root)
        assert result.status == 0, result.err
        assert [line for line in result.out.splitlines() if line.startswith("file-")] == [
            f"{name}:" for name in names
        ]
        assert result.out.count("valid") >= 3
    (workspace.home / names[1]).write_text("altered")
    result = workspace.run("verify", *names, *root)
    assert result.status == 62
    assert f"{names[1]}:\nError: " in result.err
    assert "1 of 3 files failed." in result.err


def test_signature_that_is_not_valid_is_worse_than_one_of_which_nothing_can_be_told(
    active: Workspace,
) -> None:
    workspace, names, root = signed(active, 3)
    (workspace.home / names[1]).write_text("altered")
    result = workspace.run("verify", *names, *root, "--fetch")  # no host is allowed
    assert result.status == 62, result.err
    assert "It cannot be told whether the signature is valid" in result.err
    assert workspace.run("verify", names[0], names[2], *root, "--fetch").status == 78


def test_several_verified_files_as_json_have_a_documented_shape(active: Workspace) -> None:
    workspace, names, root = signed(active, 3)
    (workspace.home / names[1]).write_text("altered")
    (workspace.home / f"{names[2]}.p7s").write_text("no signature")
    result = workspace.run("verify", *names, *root, "--json")
    assert result.status == 62
    check(result.json, "verify-several")
    first, second, third = result.json["files"]
    assert (first["file"], first["signature"]) == (names[0], f"{names[0]}.p7s")
    assert (first["verification"]["valid"], first["problem"]) == (True, None)
    assert (second["verification"]["valid"], second["problem"]["name"]) == (False, "SignatureNotValid")
    assert (third["verification"], third["problem"]["name"]) == (None, "NotASignature")


def test_two_files_to_verify_are_a_file_and_its_signature_unless_each_has_its_own(active: Workspace) -> None:
    workspace, (one, two), root = signed(active, 2)
    pair = workspace.run("verify", one, f"{one}.p7s", *root)
    assert (pair.status, f"{one}:" in pair.out) == (0, False)
    each = workspace.run("verify", one, two, *root)
    assert (each.status, f"{one}:" in each.out, f"{two}:" in each.out) == (0, True, True)
    (workspace.home / "other").write_bytes((workspace.home / f"{one}.p7s").read_bytes())
    assert workspace.run("verify", one, "other", *root).status == 0
    assert workspace.run("verify", two, "other", *root).status == 62


def test_results_of_several_files_go_where_the_output_goes_though_a_bar_is_shown(active: Workspace) -> None:
    workspace, names = with_files(active, 3)
    shell = f'"{sys.executable}" -m xca_plugin.cli sign {" ".join(names)} --pin env:PIN > told'
    child = pexpect.spawn(
        "/bin/sh", ["-c", shell], env=workspace.environment, cwd=str(workspace.home), timeout=60
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert (workspace.home / "told").read_text().splitlines() == [f"Signed: {name}.p7s" for name in names]


def signing_time(workspace: Workspace, name: str) -> datetime:
    signed = cms.ContentInfo.load((workspace.home / f"{name}.p7s").read_bytes())
    attributes = signed["content"]["signer_infos"][0]["signed_attrs"]
    (found,) = (item["values"][0].native for item in attributes if item["type"].native == "signing_time")
    assert isinstance(found, datetime)
    return found


def test_several_signatures_have_each_their_own_time_and_are_written_while_a_pipe_is_waited_for(
    active: Workspace,
) -> None:
    workspace, (first, second) = with_files(active, 2)
    content = (workspace.home / second).read_bytes()
    (workspace.home / second).unlink()
    os.mkfifo(workspace.home / second)
    written: list[Path] = []

    def later() -> None:
        with (workspace.home / second).open("wb") as pipe:  # opened when the first file is signed
            deadline = time.monotonic() + 20
            while not written and time.monotonic() < deadline:
                time.sleep(0.05)
                written.extend(workspace.home.glob(f"{first}.p7s"))
            time.sleep(1.1)
            pipe.write(content)

    writer = Thread(target=later)
    writer.start()
    result = workspace.run("sign", first, second, "--pin", "env:PIN")
    writer.join()
    assert result.status == 0, result.err
    assert written == [workspace.home / f"{first}.p7s"]
    (workspace.home / second).unlink()
    (workspace.home / second).write_bytes(content)
    for name in (first, second):
        assert_signed(workspace, name)
    assert signing_time(workspace, second) > signing_time(workspace, first)


def test_small_and_large_files_and_one_that_cannot_be_read_are_signed_in_their_order(
    active: Workspace,
) -> None:
    workspace, names = with_files(active, 40)
    for large in (names[3], names[17], names[18]):
        (workspace.home / large).write_bytes(bytes(100_000))
    statement, missing = names[5], names[20]
    (workspace.home / statement).write_text("xca-statement/1 login\n")
    (workspace.home / missing).unlink()
    result = workspace.run("sign", *names, "--pin", "env:PIN")
    assert result.status == 79, result.err
    signed = [name for name in names if name not in (statement, missing)]
    assert result.out.splitlines() == [f"Signed: {name}.p7s" for name in signed]
    assert "2 of 40 files failed." in result.err
    for name in (names[0], names[3], names[4], names[18], names[19], names[39]):
        assert_signed(workspace, name)


@pytest.mark.fast
def test_file_that_grows_while_others_are_read_ahead_is_not_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, grown = tmp_path / "first", tmp_path / "grown"
    first.write_bytes(b"one")
    grown.write_bytes(b"x" * 100_000)
    monkeypatch.setattr(several_files, "_is_small", lambda file: True)  # so it was when it was looked at
    ahead = ReadAhead([first, grown], lambda: None)
    with ahead.open(first) as opened:
        assert opened.read() == b"one"
    with ahead.open(grown) as opened:
        assert opened.fileno() >= 0  # what was read ahead has none
        assert len(opened.read()) == 100_000


@pytest.mark.fast
def test_result_that_was_written_is_told_after_ctrl_c(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / f"{number}" for number in range(8)]
    told: list[str] = []
    writer = several_files.Writer(())

    def work(file: Path) -> Future[Path]:
        if file == files[4]:
            writer.hurry()
            while not files[3].with_suffix(".out").exists():
                time.sleep(0.01)
            raise KeyboardInterrupt
        return writer.put(file.with_suffix(".out"), b"x", check=lambda: None)

    def tell(file: Path, written: Path) -> None:
        told.append(written.name)

    with pytest.raises(KeyboardInterrupt), writer:
        several_files.each_file(files, work, tell)
    assert told == sorted(one.name for one in tmp_path.iterdir()) == ["0.out", "1.out", "2.out", "3.out"]
    assert capsys.readouterr().err == ""


@pytest.mark.fast
def test_result_that_nobody_waits_for_any_more_is_not_written(tmp_path: Path) -> None:
    kept, dropped = tmp_path / "kept", tmp_path / "dropped"
    begun, go_on = Event(), Event()

    def hold() -> None:
        begun.set()
        go_on.wait(60)

    with several_files.Writer(()) as writer:
        first = writer.put(kept, b"x", check=hold)
        assert begun.wait(60)
        others = writer.write(dropped, lambda file: file.write(b"x")), writer.put(dropped, b"x", check=hold)
        cancelled = [one.cancel() for one in (first, *others)]
        go_on.set()
    assert cancelled == [False, True, True]
    assert (first.result(), [*tmp_path.iterdir()]) == (kept, [kept])
