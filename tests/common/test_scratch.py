# SPDX-License-Identifier: Apache-2.0
"""What a killed program left behind is removed by the next one, and nothing else."""

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from xca_common import atomic_file, scratch

UNKNOWN = os.O_DIRECTORY | os.O_CREAT
"""What open(2) refuses, as it does O_TMPFILE where there are no files without a name."""
WRITE = """
import os, sys
from pathlib import Path
from xca_common import atomic_file, scratch
os.O_TMPFILE = {flag}
with atomic_file.replacement(Path("file"), 0o600) as file, scratch.scratch_folder() as folder:
    (folder / "content").write_bytes(b"new")
    print("here", flush=True)
    sys.stdin.readline()
"""


def holder(folder: Path, *, named: bool) -> "subprocess.Popen[str]":
    """Start a program that writes a file and has a scratch folder, until its input ends."""
    source = WRITE.format(flag=UNKNOWN if named else os.O_TMPFILE)
    process = subprocess.Popen(
        [sys.executable, "-c", source],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "here\n"
    return process


def next_run(folder: Path) -> None:
    source = (
        "from pathlib import Path\nfrom xca_common import atomic_file, scratch\n"
        "atomic_file.write(Path('other'), b'')\nwith scratch.scratch_folder(): pass\n"
    )
    environment = {**os.environ, "TMPDIR": str(folder)}
    subprocess.run([sys.executable, "-c", source], cwd=folder, env=environment, check=True)


@pytest.mark.parametrize("named", [False, True], ids=["nameless", "named"])
def test_scratch_of_a_killed_program_is_gone_after_the_next_run(tmp_path: Path, named: bool) -> None:
    with holder(tmp_path, named=named) as process:
        process.kill()
    assert len(list(tmp_path.iterdir())) == 1 + named
    next_run(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["other"]


def test_scratch_that_somebody_holds_is_left_alone(tmp_path: Path) -> None:
    with holder(tmp_path, named=True) as process:
        next_run(tmp_path)
        process.communicate("\n")
        assert process.returncode == 0
    assert {file.name for file in tmp_path.iterdir()} == {"file", "other"}


def test_files_with_other_names_are_left_alone(tmp_path: Path) -> None:
    names = {".xca-notes.tmp", ".xca-0123456789abcdef", "xca-scratch-mine", "xca-scratch"}
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "xca-demo").mkdir()
    next_run(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == names | {"xca-demo", "other"}


def test_file_of_a_file_system_without_nameless_files_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "O_TMPFILE", UNKNOWN)
    for _ in range(2):
        atomic_file.write(tmp_path / "file", b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_folder_that_another_program_is_about_to_clear_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one holds what was made before its maker does."""
    holders: list[int] = []
    make = tempfile.mkdtemp

    def made_while_others_clear(*given: object, **more: object) -> str:
        folder = make(*given, **more)  # type: ignore[call-overload]  # as it is called
        if not holders:
            holders.append(os.open(folder, os.O_RDONLY))
            fcntl.flock(holders[0], fcntl.LOCK_EX)
        return str(folder)

    monkeypatch.setattr(tempfile, "mkdtemp", made_while_others_clear)
    with scratch.scratch_folder(tmp_path) as folder:
        held = [each for each in tmp_path.iterdir() if each != folder]
        assert len(held) == 1
        held[0].rmdir()
        assert folder.is_dir()
    os.close(holders[0])
