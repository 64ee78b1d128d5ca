# SPDX-License-Identifier: Apache-2.0
"""A file is written whole or not at all."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest

from xca_common import atomic_file
from xca_common.errors import FileProblem

NOBODY = 65534


def test_replacement_that_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    with suppress(KeyboardInterrupt), atomic_file.replacement(file, 0o600) as target:
        target.write(b"new")
        raise KeyboardInterrupt
    assert (file.read_bytes(), list(tmp_path.iterdir())) == (b"old", [file])


def test_replacement_has_its_own_mode_and_not_that_of_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    file.chmod(0o666)
    atomic_file.write(file, b"new")
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"new", 0o600)


def test_replacement_of_a_device_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    link = tmp_path / "link"
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(FileProblem) as refused, atomic_file.whole_file(path, 0o600):
            pytest.fail("it was opened")
        assert refused.value.path == path
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert link.is_symlink()


def test_replacements_of_two_writers_are_each_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    failed: list[Exception] = []

    def write(letter: bytes) -> None:
        try:
            for _ in range(50):
                atomic_file.write(file, 10_000 * letter)
        except Exception as error:
            failed.append(error)

    writers = [Thread(target=write, args=(letter,)) for letter in (b"a", b"b")]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert not file.exists() or len(file.read_bytes()) == 10_000
    assert failed == []


def test_replacement_in_a_folder_that_may_not_be_read_is_written() -> None:
    with TemporaryDirectory() as name:  # pytest's own is for its user alone
        file = Path(name) / "file"
        file.parent.chmod(0o333)
        if (child := os.fork()) == 0:
            try:
                if os.geteuid() == 0:
                    os.setuid(NOBODY)  # root may read everything
                atomic_file.write(file, b"new")
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0) == (child, 0)
        assert file.read_bytes() == b"new"
        file.parent.chmod(0o700)
