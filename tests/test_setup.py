# SPDX-License-Identifier: Apache-2.0
"""setup.sh installs, or names, what the README's commands need from the system."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

pytestmark = pytest.mark.integration  # starts many programs

ROOT = Path(__file__).parents[1]
SETUP = (ROOT / "setup.sh").read_text(encoding="utf-8")
NOBODY = 65534
MANAGERS = ["dnf install", "zypper install", "pacman -S", "apk add"]


def _install(
    *commands: str, path: Path, setup: str = SETUP, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run install_packages as somebody who is not root, with nothing in PATH but that folder."""
    return subprocess.run(
        ["sh", "-c", f"{setup}\ninstall_packages {' '.join(commands)}\necho went on"],
        cwd="/",
        env={"PATH": str(path), **variables},
        capture_output=True,
        text=True,
        user=NOBODY if os.geteuid() == 0 else None,
        extra_groups=[] if os.geteuid() == 0 else None,
    )


@pytest.fixture
def programs() -> Iterator[Path]:
    """A folder with all programs of the system but apt's, dpkg's and sudo, for anybody."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for program in (*Path("/usr/sbin").iterdir(), *Path("/usr/bin").iterdir()):
            link = folder / program.name
            if not (program.name.startswith(("apt", "dpkg", "sudo")) or link.is_symlink()):
                link.symlink_to(program)
        yield folder


def test_setup_without_apt_names_the_packages_elsewhere_and_what_is_missing(programs: Path) -> None:
    for name in ("ninja", "softhsm2-util"):
        (programs / name).unlink()
    done = _install("demo", path=programs)
    assert (done.returncode, done.stdout) == (1, "")
    lines = [line.strip() for line in done.stderr.splitlines()]
    for manager in MANAGERS:
        demo, tests = (line for line in lines if line.startswith(manager))
        assert {"cmake", "softhsm", "opensc"} <= set(demo.split())
        assert {"strace", "valgrind", "chromium"} <= set(tests.split())
    assert lines[-1] == "Not here: command:ninja command:softhsm2-util"


def test_setup_without_apt_goes_on_when_all_is_there(programs: Path) -> None:
    done = _install("demo", path=programs)
    assert (done.returncode, done.stdout) == (0, "went on\n"), done.stderr
    assert [line for line in MANAGERS if line not in done.stderr] == []


def test_setup_without_apt_goes_on_without_what_no_package_holds(programs: Path) -> None:
    (programs / "pacman").symlink_to("/bin/true")
    (row,) = [line for line in SETUP.splitlines() if "file:libifdvpcd.so" in line]
    also_for_demo = SETUP.replace(row, row.replace("tests", "demo").replace("libifdvpcd", "nowhere"))
    done = _install("demo", setup=also_for_demo, path=programs)
    assert (done.returncode, done.stdout) == (0, "went on\n"), done.stderr
    assert "in no package of pacman; their tests are skipped: file:nowhere.so" in done.stderr


def test_setup_without_root_and_sudo_names_the_packages_of_both_commands(programs: Path) -> None:
    for program in ("apt-get", "dpkg-query"):
        (programs / program).symlink_to(f"/usr/bin/{program}")
    nothing = programs / "dpkg"
    nothing.mkdir()
    done = _install("demo", path=programs, DPKG_ADMINDIR=str(nothing))
    assert (done.returncode, done.stdout) == (1, "")
    packages = done.stderr.splitlines()[-1].split()
    assert packages[:2] == ["apt-get", "install"]
    assert {"python3", "python3-venv", "cmake", "git", "gcc", "softhsm2", "chromium", "strace"} <= {*packages}
    assert len(packages) == len({*packages})


def test_setup_makes_an_environment_anew_whose_python_is_gone(tmp_path: Path) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(tmp_path / "gone")
    (tmp_path / ".venv" / "project").write_text("what was built")
    subprocess.run(["sh", "-c", f"{SETUP}\nmake_environment"], cwd=tmp_path, check=True)
    subprocess.run([tmp_path / ".venv" / "bin" / "pip", "--version"], check=True, capture_output=True)
    assert not (tmp_path / ".venv" / "project").exists()


def test_setup_takes_both_distributions_away_before_it_installs_them(tmp_path: Path) -> None:
    pip = tmp_path / ".venv" / "bin" / "pip"
    pip.parent.mkdir(parents=True)
    pip.write_text('#!/bin/sh\necho "$*" >>asked\n')
    pip.chmod(0o755)
    subprocess.run(["sh", "-c", f"{SETUP}\nbuild_project"], cwd=tmp_path, check=True, capture_output=True)
    removed, installed = (line.split() for line in (tmp_path / "asked").read_text().splitlines())
    assert (removed[0], installed[0]) == ("uninstall", "install")
    assert {*removed[-2:]} == {"xca-login", "xca-plugin"}
    assert installed[-2:] == ["./login[oidc]", ".[agent,centre,pdf,testing,pcsc]"]


def test_setup_installs_every_extra_that_the_readme_names(tmp_path: Path) -> None:
    pip = tmp_path / ".venv" / "bin" / "pip"
    pip.parent.mkdir(parents=True)
    pip.write_text('#!/bin/sh\necho "$@" >>told\n')
    pip.chmod(0o755)
    subprocess.run(["sh", "-euc", f"{SETUP}\nbuild_project"], cwd=tmp_path, check=True, capture_output=True)
    (install,) = re.findall(r"^install .*$", (tmp_path / "told").read_text(), re.MULTILINE)
    of_login, of_plugin = (set(each.split(",")) for each in re.findall(r"\[(.*?)\]", install))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| extra \|.*\n(?:\|.*\n)+", readme, re.MULTILINE)
    named = set(re.findall(r"^\| `(.*?)` \|", table, re.MULTILINE))
    assert len(named) > 4
    assert named == of_plugin | {f"xca-login[{extra}]" for extra in of_login}
