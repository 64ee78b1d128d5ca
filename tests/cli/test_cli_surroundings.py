# SPDX-License-Identifier: Apache-2.0
"""Accounts, encodings and configurations that a computer may have: no traceback, and a reason."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.cli.xcactl import XCACTL, Workspace
from xca_plugin import card_modules

HOMELESS = """
import pwd

def getpwuid(number):
    raise KeyError(number)

pwd.getpwuid = getpwuid
"""


@pytest.fixture
def homeless(closed: Workspace, tmp_path: Path) -> dict[str, str]:
    """The environment of a user without HOME and without an entry in the user database."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(HOMELESS)
    variables = {**closed.environment, "PYTHONPATH": str(site)}
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        variables.pop(name, None)
    return variables


def run(variables: dict[str, str], *arguments: str | bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, *arguments], env=variables, capture_output=True, timeout=60)


@pytest.mark.parametrize("command", ["info", "doctor", "detect"])
def test_user_without_a_home_gets_no_traceback(homeless: dict[str, str], command: str) -> None:
    done = run(homeless, *XCACTL, command)
    assert done.returncode in (0, 84), done.stderr
    assert b"Unexpected problem" not in done.stderr
    assert b"Traceback" not in done.stderr


def test_user_without_a_home_and_a_configuration_is_told_what_to_do(homeless: dict[str, str]) -> None:
    del homeless["XCA_PKCS11_CONF"]
    done = run(homeless, *XCACTL, "info")
    assert done.returncode == 23, done.stderr
    assert b"xcactl setup" in done.stderr
    assert b"xcactl doctor" in done.stderr
    assert b"GeneralError" not in done.stderr
    listed = run(homeless, "-m", "softhsm.cli", "list")
    assert listed.returncode == 1
    assert b"Traceback" not in listed.stderr


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[module]\npath = relative.so\n", "the path relative.so of the configuration is not absolute"),
        ("[module]\nname = x\n", "line 2 of"),
        ("[module]\npath = /nowhere/inner.so\n", "/nowhere/inner.so is not there"),
        ("[module]\npath = /usr/lib/os-release\n", "does not load"),
        ("[store]\npath = /tmp/x\n", "no configuration names the card's PKCS#11 module"),
        ("[module]\npath = /a.so\n[log]\nlevel = loud\n", "the log level of the configuration"),
    ],
)
def test_reason_of_a_refused_configuration_is_told_in_a_pipe(
    closed: Workspace, tmp_path: Path, content: str, reason: str
) -> None:
    configuration = tmp_path / "pkcs11.conf"
    configuration.write_text(content)
    result = closed.with_variables(XCA_PKCS11_CONF=str(configuration)).run("info")
    assert result.status in (11, 12, 23), result.err
    assert reason in result.err
    assert "GeneralError" not in result.err


BIG5 = "契約".encode("big5")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "big5"])
def test_argument_in_big5_is_shown_harmlessly_in_every_encoding(closed: Workspace, encoding: str) -> None:
    variables = {**closed.environment, "PYTHONIOENCODING": encoding}
    for program in (
        (*XCACTL, "info", "--card", BIG5),
        (*XCACTL, "sign", BIG5),
        ("-m", "softhsm.cli", "--dir", str(closed.path), "repair", BIG5),
        ("-m", "softhsm.cli", "--dir", str(closed.path), "issue", "--user-code", b"file:" + BIG5),
    ):
        done = run(variables, *program)
        assert done.returncode not in (0, 1), done.stderr
        assert b"Traceback" not in done.stderr
        done.stderr.decode(encoding)


def test_list_of_cards_in_a_narrow_encoding_is_shown(closed: Workspace) -> None:
    variables = {**closed.environment, "PYTHONIOENCODING": "latin-1"}
    for options in ((), ("--json",), ("--help",)):
        done = run(variables, "-m", "softhsm.cli", "--dir", str(closed.path), "list", *options)
        assert (done.returncode, done.stderr) == (0, b"")
        assert options == ("--help",) or closed.number.encode() in done.stdout


def test_setup_for_a_module_that_loads_writes_the_configuration(closed: Workspace, tmp_path: Path) -> None:
    module = closed.path / "libsofthsm2.so"
    workspace = closed.with_variables(XDG_CONFIG_HOME=str(tmp_path / "config"))
    assert workspace.run("setup", "--module", str(module)).status == 42
    result = workspace.run("setup", "--module", str(module), "--yes")
    assert "is not the module of the card's maker (libHicos_p11v1.so). Nobody has tried it" in result.err
    assert result.status == 0, result.err
    assert "Nobody who works on xcactl has tried one" in result.err
    written = tmp_path / "config" / "xca" / "pkcs11.conf"
    assert written.read_text() == f"[module]\npath = {module}\n[guard]\nkeep_last_try = yes\n"
    assert "unset XCA_PKCS11_CONF" in result.err
    variables = {**workspace.environment}
    del variables["XCA_PKCS11_CONF"]
    assert run(variables, *XCACTL, "detect").returncode in (15, 16, 81)


def test_setup_keeps_the_settings_of_an_earlier_configuration_and_a_copy(
    closed: Workspace, tmp_path: Path
) -> None:
    module = tmp_path / "libHicos_p11v1.so"
    module.write_bytes((closed.path / "libsofthsm2.so").read_bytes())
    file = closed.home / "dotfiles"
    file.write_text(
        "# by hand\n[module]\npath = /opt/old.so ; the old one\nlabel = My Card\n\n[log]\nlevel = info\n"
        "[quirks]\nhash = module\n"
    )
    link = closed.home / ".config" / "xca" / "pkcs11.conf"
    link.parent.mkdir(parents=True)
    link.symlink_to(file)
    before = file.read_text()
    result = closed.run("setup", "--module", str(module), "--yes")
    assert result.status == 0, result.err
    assert link.is_symlink()
    assert file.read_text() == (
        f"# by hand\n[module]\npath = {module}\nlabel = My Card\n\n[log]\nlevel = info\n"
        "[quirks]\nhash = module\nstrings = trim\n[guard]\nkeep_last_try = yes\n"
    )
    copy = link.with_name("pkcs11.conf.bak")
    assert copy.read_text() == before
    assert str(copy) in result.out
    after = file.read_text()
    again = closed.run("setup", "--module", str(module))
    assert (again.status, "already: nothing was changed." in again.out) == (0, True)
    assert "未做任何變更" in closed.run("--lang", "zh_TW", "setup", "--module", str(module)).out
    assert (file.read_text(), sorted(each.name for each in link.parent.iterdir())) == (
        after,
        ["pkcs11.conf", "pkcs11.conf.bak"],
    )


def test_setup_over_a_file_that_is_no_configuration_keeps_a_copy(closed: Workspace) -> None:
    file = closed.home / ".config" / "xca" / "pkcs11.conf"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"not \xff a configuration\n")
    result = closed.run("setup", "--module", str(closed.path / "libsofthsm2.so"), "--yes")
    assert result.status == 0, result.err
    assert file.read_text().startswith("[module]\npath = ")
    assert file.with_name("pkcs11.conf.bak").read_bytes() == b"not \xff a configuration\n"


def test_setup_for_a_file_that_is_no_module_writes_nothing(closed: Workspace, tmp_path: Path) -> None:
    workspace = closed.with_variables(XDG_CONFIG_HOME=str(tmp_path / "config"))
    for path, reason in (
        ("/nowhere.so", "is not there"),
        ("/etc/os-release", "os-release is no shared library"),
    ):
        result = workspace.run("setup", "--module", path, "--yes")
        assert result.status == 11
        assert (reason in result.err, result.err.count(path)) == (True, 1), result.err
    assert not (tmp_path / "config").exists()


def test_modules_for_a_card_are_found_with_the_vendors_first(closed: Workspace, tmp_path: Path) -> None:
    deep = tmp_path / "opt" / "vendor" / "lib"
    deep.mkdir(parents=True)
    os.link(closed.path / "libsofthsm2.so", tmp_path / "opt" / "opensc-pkcs11.so")
    (deep / "libHicos_p11v1.so").write_bytes(b"no module")
    first, second = card_modules.find([f"{tmp_path}/op*"])
    assert (first.path, first.of_the_vendor) == (deep / "libHicos_p11v1.so", True)
    assert first.problem is not None
    assert (second.path.name, second.problem) == ("opensc-pkcs11.so", None)


def test_card_of_the_variable_that_is_not_here_names_the_variable(closed: Workspace) -> None:
    absent = "XC00000000000000"
    for command in ("info", "events"):
        result = closed.with_variables(XCA_CARD=absent).run(command)
        assert (result.status, "The variable XCA_CARD names it." in result.err) == (17, True), result.err
    assert "XCA_CARD" not in closed.run("info", "--card", absent).err


def test_next_step_after_an_issue_names_the_card_where_another_is_chosen(closed: Workspace) -> None:
    variables = {**closed.environment, "XCA_CARD": "XC00000000000001", "CODE": "Abcd2345"}
    done = run(variables, "-m", "softhsm.cli", "--dir", str(closed.path), "issue", "--user-code", "env:CODE")
    said = done.stdout.decode()
    number = said.split()[1]
    assert f"then xcactl activate --card {number}" in said
