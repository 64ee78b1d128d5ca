# SPDX-License-Identifier: Apache-2.0
"""Several files in one command: one PIN, one login, each result told."""

import subprocess
from collections import Counter

from softhsm import Environment
from support.cli.xcactl import PIN, Workspace


def with_files(active: Workspace, count: int) -> tuple[Workspace, list[str]]:
    names = [f"file-{number}.txt" for number in range(count)]
    for name in names:
        (active.home / name).write_text(f"content of {name}")
    return active.with_variables(PIN=PIN), names


def logins(workspace: Workspace) -> int:
    store = Environment(workspace.path).store
    return Counter(event.event for event in store.events(workspace.number))["verify-pin"]


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


def test_several_files_end_with_the_status_of_the_worst(active: Workspace) -> None:
    workspace, names = with_files(active, 3)
    (workspace.home / f"{names[0]}.p7s").write_text("somebody else's")
    (workspace.home / f"{names[1]}.p7s").symlink_to(workspace.home / "no-such-folder" / "signature")
    result = workspace.run("sign", *names, "--pin", "env:PIN")
    assert result.status == 63
    assert "2 of 3 files failed." in result.err
    assert result.out.splitlines() == [f"Signed: {names[2]}.p7s"]


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
