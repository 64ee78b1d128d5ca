# SPDX-License-Identifier: Apache-2.0
"""A project beside this one uses the pytest plugin: built, installed and tested in a clean environment."""

import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SAMPLE = Path(__file__).parents[1] / "downstream"
OURS = [distribution(name) for name in ("xca-login", "xca-plugin")]
_OF_THE_INSTALLATION = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


def _pip(python: str | Path, *arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--python", python, "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, *arguments], check=True)


def _wheel(ours: Distribution, folder: Path) -> Path:
    """The wheel that a distribution was installed from: what pip unpacked, packed again."""
    files = [
        file
        for file in ours.files or ()
        if ".." not in file.parts
        and "__pycache__" not in file.parts
        and file.name not in _OF_THE_INSTALLATION
    ]
    (information,) = {file.parent for file in files if file.name == "WHEEL"}
    lines = (ours.read_text("WHEEL") or "").splitlines()
    (tag,) = [line.split(": ")[1] for line in lines if line.startswith("Tag")]
    wheel = folder / f"{ours.name.replace('-', '_')}-{ours.version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in files:
            archive.write(file.locate(), str(file))
        archive.writestr(f"{information}/RECORD", "".join(f"{file},,\n" for file in files))
    return wheel


def _clean_environment(folder: Path) -> Path:
    """An environment with what both projects need and neither of them; no index is asked for it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    (target,) = folder.glob("lib/python3*/site-packages")
    ours = {file.parts[0] for each in OURS for file in each.files or ()}
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if entry.name not in ours and entry.suffix != ".pth":
            (target / entry.name).symlink_to(entry)
    return python


def test_wheel_in_another_project_gives_it_working_fixtures(tmp_path: Path) -> None:
    sample = tmp_path / "sample"
    sample.mkdir()
    for name in ("pyproject.toml", "receipts.py"):
        (sample / name).write_bytes((SAMPLE / name).read_bytes())
    _pip(sys.executable, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", tmp_path, sample)
    python = _clean_environment(tmp_path / "environment")
    wheels = [_wheel(ours, tmp_path) for ours in OURS]
    _pip(python, "install", "--no-deps", "--no-index", *wheels, *tmp_path.glob("receipts-*.whl"))
    _pip(python, "check")

    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_receipts.py").write_bytes((SAMPLE / "test_receipts.py").read_bytes())
    # -P: only what is installed is found.
    done = subprocess.run(
        [python, "-P", "-m", "pytest", "-n", "2", tests], cwd=tests, capture_output=True, text=True
    )
    assert "6 passed" in done.stdout, done.stdout + done.stderr
    where = "import receipts, softhsm; print(receipts.__file__, softhsm.__file__)"
    found = subprocess.run([python, "-P", "-c", where], check=True, capture_output=True, text=True).stdout
    assert found.count(str(tmp_path / "environment")) == 2
