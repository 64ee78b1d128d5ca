# SPDX-License-Identifier: Apache-2.0
"""The configuration, the log and the host process: on any fault the host lives and gets an error."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from pkcs11 import UserType

from pkcs11_shim import module_path
from support.module import compiling
from support.module.cards import PIN, USER_CODE, Card, card_session, user_session
from support.module.cryptoki import CKR
from support.module.host import Host

SYSTEM_CONFIGURATION = Path("/etc/xca/pkcs11.conf")


def refused(environment: dict[str, str], log: Path) -> str:
    """Start a process that cannot get the module's functions; returns the only line in the log."""
    host = Host(module_path(), {"XCA_LOG_FILE": str(log), **environment})
    host.stop()
    assert host.loaded.rv == CKR.GENERAL_ERROR
    (line,) = log.read_text().splitlines()
    return line


def make_directory(path: Path) -> None:
    path.mkdir()


BAD_CONFIGURATIONS: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "empty": Path.touch,
    "directory": make_directory,
    "binary junk": lambda path: path.write_bytes(bytes(range(256)) * 64),
    "zeros": lambda path: path.write_bytes(bytes(5000)),
    "ten megabytes": lambda path: path.write_bytes(b"[module]\npath=/x\n" + b"# nothing\n" * 1_000_000),
    "one endless line": lambda path: path.write_bytes(b"[module]\npath=/" + b"x" * 10_000_000),
    "no module": lambda path: path.write_text("[store]\npath=/nowhere/cards.db\n"),
    "unknown section": lambda path: path.write_text("[modul]\npath=/x\n"),
    "unknown key": lambda path: path.write_text("[module]\nfile=/x\n"),
    "key before any section": lambda path: path.write_text("path=/x\n"),
    "no value": lambda path: path.write_text("[module]\npath\n"),
    "empty value": lambda path: path.write_text("[module]\npath=\n"),
    "relative path": lambda path: path.write_text("[module]\npath=libsofthsm2.so\n"),
    "unknown level": lambda path: path.write_text("[module]\npath=/x\n[log]\nlevel=loud\n"),
    "environment without value": lambda path: path.write_text("[module]\npath=/x\nenvironment=NAME\n"),
    "fifo": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "link to itself": lambda path: path.symlink_to(path),
}


@pytest.mark.parametrize("write", BAD_CONFIGURATIONS.values(), ids=BAD_CONFIGURATIONS)
def test_bad_configuration_is_one_line_in_the_log(tmp_path: Path, write: Callable[[Path], object]) -> None:
    configuration = tmp_path / "pkcs11.conf"
    write(configuration)
    line = refused({"XCA_PKCS11_CONF": str(configuration)}, tmp_path / "log")
    assert "configuration" in line


def test_configuration_that_cannot_be_read_is_one_line_in_the_log(card: Card, tmp_path: Path) -> None:
    card.configuration.chmod(0o000)
    prefix = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
    log = tmp_path / "log"
    host = card.host(load=False, initialize=False, prefix=prefix, XCA_LOG_FILE=str(log))
    assert host.loaded.rv == CKR.GENERAL_ERROR
    assert str(card.configuration) in log.read_text()


BAD_MODULES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "empty": Path.touch,
    "no library": lambda path: path.write_text("#!/bin/sh\n"),
    "directory": make_directory,
    "another library": lambda path: path.symlink_to(_some_library()),
    "itself": lambda path: path.symlink_to(module_path()),
    "a copy of itself": lambda path: shutil.copy(module_path(), path),
}


def _some_library() -> str:
    maps = Path("/proc/self/maps").read_text()
    return next(line.split()[-1] for line in maps.splitlines() if "libc.so" in line)


@pytest.mark.parametrize("make", BAD_MODULES.values(), ids=BAD_MODULES)
def test_inner_module_that_is_none_is_refused(tmp_path: Path, make: Callable[[Path], object]) -> None:
    library, log = tmp_path / "inner.so", tmp_path / "log"
    make(library)
    (tmp_path / "conf").write_text(f"[module]\npath={library}\n")
    host = Host(module_path(), {"XCA_PKCS11_CONF": str(tmp_path / "conf"), "XCA_LOG_FILE": str(log)})
    host.stop()
    assert host.loaded.rv == CKR.GENERAL_ERROR
    lines = log.read_text().splitlines()
    # A copy of the module is a module of its own, and says its own line.
    assert len(lines) == (2 if make is BAD_MODULES["a copy of itself"] else 1)
    assert str(library) in lines[0]


@pytest.mark.skipif(SYSTEM_CONFIGURATION.exists(), reason="this machine has a configuration of its own")
def test_configuration_that_is_nowhere_is_one_line_in_the_log(tmp_path: Path) -> None:
    line = refused({"HOME": str(tmp_path)}, tmp_path / "log")
    assert "XCA_PKCS11_CONF" in line  # what to do next


@pytest.mark.parametrize(("variable", "below"), [("XDG_CONFIG_HOME", ""), ("HOME", ".config")])
def test_configuration_of_the_user_is_found(card: Card, tmp_path: Path, variable: str, below: str) -> None:
    folder = tmp_path / below / "xca"
    folder.mkdir(parents=True)
    shutil.copy(card.configuration, folder / "pkcs11.conf")
    host = Host(module_path(), {variable: str(tmp_path)})
    assert host.initialize() == CKR.OK
    user_session(host)
    host.stop()


def test_relative_folder_of_configurations_is_ignored(card: Card, tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "xca"
    folder.mkdir(parents=True)
    shutil.copy(card.configuration, folder / "pkcs11.conf")
    host = Host(module_path(), {"XDG_CONFIG_HOME": "relative", "HOME": str(tmp_path)})
    assert host.initialize() == CKR.OK
    host.stop()


def test_variable_beside_the_file_overrides_it(card: Card, closed: Card, tmp_path: Path) -> None:
    log = tmp_path / "log"
    store = str(closed.store.path)
    host = card.host(XCA_CARD_STORE=store, XCA_LOG_LEVEL="debug", XCA_LOG_FILE=str(log))
    assert host.login(card_session(host), UserType.USER, PIN) == CKR.USER_PIN_NOT_INITIALIZED
    assert log.read_text()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("XCA_PKCS11_MODULE", "libsofthsm2.so"), ("XCA_CARD_STORE", "cards.db"), ("XCA_LOG_LEVEL", "loud")],
)
def test_bad_variable_is_one_line_in_the_log(card: Card, tmp_path: Path, variable: str, value: str) -> None:
    refused(card.environment(**{variable: value}), tmp_path / "log")


def test_variables_for_the_inner_module_are_gone_after_c_initialize(card: Card) -> None:
    host = card.host()
    assert host.do("environment", "SOFTHSM2_CONF") is None
    user_session(host)
    assert host.do("environment", "SOFTHSM2_CONF") is None


def test_variable_set_by_the_host_stays(card: Card) -> None:
    host = card.host(SOFTHSM2_CONF="/the/hosts/own")
    user_session(host)
    assert host.do("environment", "SOFTHSM2_CONF") == "/the/hosts/own"


def test_log_without_a_terminal_stays_off_stderr(card: Card, tmp_path: Path) -> None:
    environment = {"XCA_PKCS11_CONF": str(tmp_path / "missing")}
    command = ["pkcs11-tool", "--module", str(module_path()), "--list-slots"]
    quiet = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert quiet.returncode != 0
    assert "xca-pkcs11" not in quiet.stderr
    ours, theirs = os.openpty()
    loud = subprocess.run(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=theirs, check=False
    )
    os.close(theirs)
    assert loud.returncode != 0
    assert str(tmp_path / "missing") in os.read(ours, 4096).decode()
    os.close(ours)


SECRETS = [
    PIN,
    USER_CODE,
    "typed-1",
    "typed-2",
    "typed-3",
    "short",
    "far-too-long-to-be-one",
    "newpin-1",
    "NewCode-99",
]


def test_log_at_every_level_holds_no_secret(card: Card, tmp_path: Path) -> None:
    log, errors = tmp_path / "log", tmp_path / "stderr"
    with errors.open("wb") as stderr:
        host = card.host(XCA_LOG_LEVEL="debug", XCA_LOG_FILE=str(log), stderr=stderr.fileno())
    session = card_session(host)
    for value in SECRETS[2:7]:
        host.login(session, UserType.USER, value)
        host.login(session, UserType.SO, value)
        host.set_pin(session, value, value)
    card.set_tries()
    assert host.login(session, UserType.SO, USER_CODE) == CKR.OK
    assert host.init_pin(session, "newpin-1") == CKR.OK
    assert host.set_pin(session, USER_CODE, "NewCode-99") == CKR.OK
    assert host.logout(session) == CKR.OK
    assert host.set_pin(session, "newpin-1", PIN) == CKR.OK
    assert host.login(session, UserType.USER, PIN) == CKR.OK
    assert host.finalize() == CKR.OK

    assert log.stat().st_mode & 0o777 == 0o600
    assert card.number in log.read_text()  # it does say what happened
    written = [log, errors, *card.path.glob("cards.db*")]
    for file in written:
        content = file.read_bytes()
        for secret in SECRETS:
            assert secret.encode() not in content, file.name


def test_log_at_each_level_keeps_to_it(card: Card, tmp_path: Path) -> None:
    log = tmp_path / "log"
    host = card.host(XCA_LOG_FILE=str(log))
    session = card_session(host)
    host.login(session, UserType.USER, "typed-1")
    host.login(session, UserType.USER, PIN)
    assert not log.exists()


def test_log_that_cannot_be_written_stops_nobody(card: Card, tmp_path: Path) -> None:
    for log in (tmp_path, tmp_path / "no" / "folder", Path("/dev/full")):
        host = card.host(XCA_LOG_LEVEL="debug", XCA_LOG_FILE=str(log))
        user_session(host)


def test_log_that_is_a_link_is_not_followed(card: Card, tmp_path: Path) -> None:
    precious, log = tmp_path / "precious", tmp_path / "log"
    precious.write_text("as it was")
    log.symlink_to(precious)
    host = card.host(XCA_LOG_LEVEL="debug", XCA_LOG_FILE=str(log))
    user_session(host)
    assert precious.read_text() == "as it was"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a program of another group")
@pytest.mark.skipif(SYSTEM_CONFIGURATION.exists(), reason="this machine has a configuration of its own")
def test_privileged_host_ignores_the_callers_environment(card: Card, tmp_path: Path) -> None:
    program = compiling.program(tmp_path / "host", [compiling.TESTS / "privileged_host.c"])
    log = tmp_path / "log"
    environment = card.environment(XCA_LOG_LEVEL="debug", XCA_LOG_FILE=str(log))

    def answer() -> int:
        run = [str(program), str(module_path())]
        return int(
            subprocess.run(run, env=environment, check=True, capture_output=True, text=True).stdout, 16
        )

    assert answer() == CKR.OK
    log.unlink()
    os.chown(program, -1, 65534)
    program.chmod(0o2755)
    assert answer() == CKR.GENERAL_ERROR
    assert not log.exists()
