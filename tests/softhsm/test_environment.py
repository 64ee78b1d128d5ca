# SPDX-License-Identifier: Apache-2.0
"""The environment: made once and whole, entered with one line, never in anybody's way."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from softhsm import Environment, IssuerError, NoEnvironmentError, issue
from support.softhsm.softhsm_card import PIN, USER_CODE, Issuer


def _contents(path: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_init_done_twice_changes_nothing(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path / "environment")
    assert issuer.run("init").returncode == 0
    before = _contents(issuer.path)
    again = issuer.run("init")
    assert again.returncode == 0
    assert "nothing was changed" in again.stdout.decode()
    assert _contents(issuer.path) == before
    assert list(tmp_path.iterdir()) == [issuer.path]


def test_environment_that_cannot_be_made_is_told_by_its_own_name() -> None:
    for folder in ("/proc/x", "/proc/x/y"):
        done = Issuer(Path(folder)).run("--lang", "en", "init")
        assert done.returncode == 1
        assert done.stderr.decode().startswith(f"Error: {folder}: "), done.stderr


def test_init_takes_an_empty_directory_and_no_other(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path / "mine")
    issuer.path.mkdir()
    (issuer.path / "thesis.odt").write_bytes(b"irreplaceable")
    refused = issuer.run("init")
    assert refused.returncode == 1
    assert "--dir" in refused.stderr.decode()
    assert [file.name for file in issuer.path.iterdir()] == ["thesis.odt"]
    (issuer.path / "thesis.odt").unlink()
    assert issuer.run("init").returncode == 0


@pytest.mark.parametrize("name", ["x" * 150, "a#b", "a ;b", "a\nb"])
def test_init_with_a_name_that_no_configuration_holds_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(IssuerError, match="--dir"):
        Environment.create(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_init_with_the_longest_name_works(tmp_path: Path) -> None:
    room = 198 - len("environment=SOFTHSM2_CONF=") - len("/softhsm2.conf") - len(os.fsencode(tmp_path)) - 1
    issuer = Issuer(Environment.create(tmp_path / ("n" * room)).path)
    number = issue(issuer.environment, USER_CODE).number
    assert number in issuer.guarded("--list-slots").stdout.decode()
    with pytest.raises(IssuerError, match="1 bytes too long"):
        Environment.create(tmp_path / ("n" * (room + 1)))


def test_environment_that_is_a_file_is_said_to_be_one(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path / "letter.txt")
    issuer.path.write_bytes(b"text")
    for command in ("list", "init"):
        refused = issuer.run(command)
        assert refused.returncode == 1
        assert "letter.txt is a file; name a folder with --dir" in refused.stderr.decode()
    assert issuer.path.read_bytes() == b"text"


def test_env_evaluated_in_a_shell_leads_to_the_card(tmp_path: Path) -> None:
    issuer = Issuer(Environment.create(tmp_path / "it's a 卡片 $HOME").path)
    number = issue(issuer.environment, USER_CODE).number
    entered = subprocess.run(
        [
            "sh",
            "-c",
            'eval "$("$@")"; pkcs11-tool --module "$PKCS11_MODULE" -L; echo --; '
            '"$1" -m softhsm.cli list; echo --; env',
            "sh",
            *issuer.command("env"),
        ],
        capture_output=True,
        check=True,
        env={
            name: value
            for name, value in os.environ.items()
            if not name.startswith("XCA_") and name != "SOFTHSM2_CONF"  # a centre in this process sets it
        },
    ).stdout.decode()
    tool, listed, variables = entered.split("--\n")
    assert number in tool
    assert number in listed
    assert "SOFTHSM2_CONF" not in variables
    exports = issuer.run("env").stdout.decode().splitlines()
    assert [line.split("=")[0] for line in exports] == [
        "export XCA_SOFTHSM_DIR",
        "export XCA_PKCS11_CONF",
        "export PKCS11_MODULE",
    ]


def test_environment_of_the_user_is_below_xdg_data_home(tmp_path: Path) -> None:
    without = {name: value for name, value in os.environ.items() if not name.startswith("XCA_")}
    subprocess.run(
        [sys.executable, "-m", "softhsm.cli", "init"],
        env=without | {"XDG_DATA_HOME": str(tmp_path)},
        check=True,
        capture_output=True,
    )
    assert Environment(tmp_path / "xca" / "softhsm").store.cards() == []


def test_command_without_an_environment_says_what_to_do(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path / "nothing")
    for command in (["list"], ["env"], ["issue", "--user-code", "stdin"], ["repair", "XC1"]):
        done = issuer.run(*command, stdin=USER_CODE)
        assert done.returncode == 1
        assert re.search(r"softhsm-card --dir \S+ init", done.stderr.decode())
    with pytest.raises(NoEnvironmentError):
        Environment(issuer.path)
    assert not issuer.path.exists()


def test_init_without_softhsm_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTHSM2_MODULE", str(tmp_path / "libsofthsm2.so"))
    done = Issuer(tmp_path / "environment").run("init")
    assert done.returncode == 1
    assert "apt install softhsm2" in done.stderr.decode()
    assert list(tmp_path.iterdir()) == []


def test_command_with_a_broken_library_says_one_line(issuer: Issuer) -> None:
    issuer.environment.inner_module.write_bytes(b"not a library")
    done = issuer.run("issue", "--user-code", "stdin", stdin=USER_CODE)
    assert done.returncode == 1
    assert "libsofthsm2.so" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert issuer.cards() == {}


def test_command_with_a_broken_store_says_one_line(issuer: Issuer) -> None:
    issuer.environment.store.path.write_bytes(b"not a store" * 100)
    for command in (["list"], ["issue", "--user-code", "stdin"]):
        done = issuer.run(*command, stdin=USER_CODE)
        assert done.returncode == 1
        assert "cards.db" in done.stderr.decode()
        assert "Traceback" not in done.stderr.decode()


def test_help_of_xcactl_names_every_exit_status(issuer: Issuer) -> None:
    for command in ([], ["issue"], ["list"], ["repair"], ["reset-user-code"], ["remove"]):
        said = issuer.run(*command, "--help").stdout.decode()
        assert all(f"  {status}  " in said for status in range(4))


def test_list_without_cards_says_what_to_do(issuer: Issuer) -> None:
    assert f"softhsm-card --dir {issuer.path} issue" in issuer.run("list").stdout.decode()
    assert issuer.run("list", "--json").stdout == b"[]\n"


def test_list_shows_each_card_and_its_state(issuer: Issuer, closed: str) -> None:
    said = issuer.run("list").stdout.decode()
    card = issuer.cards()[closed]
    assert all(word in said for word in (closed, card["reader"], card["activate_by"], "not activated"))


def test_copy_has_the_same_cards_and_goes_its_own_way(issuer: Issuer, active: str, tmp_path: Path) -> None:
    copy = Issuer(issuer.environment.copy(tmp_path / "copy").path)
    assert copy.guarded("--login", "--pin", "env:PIN", "-O", PIN=PIN).returncode == 0
    assert copy.guarded("--login", "--pin", "env:PIN", "-O", PIN="wrong-1").returncode == 1
    other = copy.issue()["number"]
    assert {row.number: row.pin_tries for row in copy.environment.store.cards()} == {active: 2, other: 3}
    assert {row.number: row.pin_tries for row in issuer.environment.store.cards()} == {active: 3}
    assert all(file.stat().st_mode & 0o077 == 0 for file in (copy.path, *copy.path.rglob("*")))
    inside = [file.read_bytes() for file in copy.path.iterdir() if file.suffix == ".conf"]
    assert len(inside) == 2
    assert not any(os.fsencode(issuer.path) in text for text in inside)


def test_copy_leaves_out_cards_in_the_making(issuer: Issuer, tmp_path: Path) -> None:
    (issuer.environment.staging / "XC00000000000001").mkdir()
    copy = issuer.environment.copy(tmp_path / "copy")
    assert list(copy.staging.iterdir()) == []


def test_copy_into_a_folder_in_use_is_refused(issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.odt").write_bytes(b"irreplaceable")
    for place in (tmp_path / "mine", issuer.path, issuer.path / "inside", tmp_path / ("x" * 150)):
        with pytest.raises(IssuerError, match="choose"):
            issuer.environment.copy(place)
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]
    assert not (issuer.path / "inside").exists()
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["thesis.odt"]


def test_environment_that_is_made_clears_what_a_killed_one_left(tmp_path: Path) -> None:
    left = tmp_path / "xca-scratch-abcd1234"
    (left / "environment").mkdir(parents=True)
    (left / "environment" / "pkcs11.conf").touch()
    Environment.create(tmp_path / "cards")
    assert [each.name for each in tmp_path.iterdir()] == ["cards"]
