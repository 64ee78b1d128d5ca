# SPDX-License-Identifier: Apache-2.0
"""Results go where a person said, and take nothing away."""

import errno
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread, Timer

import pytest

from xca_common.errors import FileProblem
from xca_plugin.errors import OutputExists
from xca_plugin.named_file import STANDARD_INPUT, STANDARD_OUTPUT, input_file, output_file, stage

NOBODY = 65534
OF_NONE = 0xFFFFFFFF
LONGEST_NAME = 80 * "檔" + ".pdf"


def agreed(path: Path) -> bool:
    return True


def refused(path: Path) -> bool:
    return False


def write(path: Path, content: bytes = b"new", *, private: bool = False) -> None:
    with output_file(path, private=private, may_replace=agreed) as file:
        file.write(content)


def write_while(path: Path, somebody: Callable[[], object]) -> None:
    """Write, while somebody else does something."""
    with output_file(path, may_replace=agreed) as file:
        file.write(b"new")
        somebody()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def child(source: str, stdout: Path) -> int:
    """Run a program whose standard output is a file; it finds output_file and Path."""
    head = "from pathlib import Path\nfrom xca_plugin.named_file import output_file\n"
    with stdout.open("wb") as target:
        return subprocess.run([sys.executable, "-c", head + source], stdout=target, check=False).returncode


def test_output_in_a_pipe_that_does_not_block_is_written_whole() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    content = bytes(300_000)
    read: list[bytes] = []

    def read_all() -> None:
        with os.fdopen(reading, "rb") as file:
            read.append(file.read())

    reader = Timer(0.1, read_all)
    reader.start()
    try:
        write(Path(f"/dev/fd/{writing}"), content)
    finally:
        os.close(writing)
        reader.join()
    assert read == [content]


def test_output_in_a_fifo_reaches_its_reader_and_the_fifo_stays(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read: list[bytes] = []
    reader = Thread(target=lambda: read.append(fifo.read_bytes()))
    reader.start()
    write(fifo, 300_000 * b"x")
    reader.join()
    assert read == [300_000 * b"x"]
    assert fifo.is_fifo()


def test_output_in_a_device_leaves_it_a_device() -> None:
    write(Path("/dev/null"))
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", str(STANDARD_OUTPUT)])
def test_output_in_the_standard_output_continues_the_file_behind_it(tmp_path: Path, name: str) -> None:
    file = tmp_path / "file"
    source = f"""
print("before", flush=True)
with output_file(Path({name!r})) as file:
    file.write(b"result\\n")
print("after")
"""
    assert child(source, file) == 0
    assert file.read_text() == "before\nresult\nafter\n"


def test_output_in_a_descriptor_through_a_link_continues_the_file_behind_it(tmp_path: Path) -> None:
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to("/dev/stdout")
    assert child(f"with output_file(Path({str(link)!r})) as file: file.write(b'result')", file) == 0
    assert file.read_bytes() == b"result"
    assert link.is_symlink()


def test_output_that_fails_gives_a_pipe_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    source = "with output_file(Path('-')) as file:\n    file.write(b'result')\n    raise SystemExit(7)"
    assert child(source, file) == 7
    assert file.read_bytes() == b""


def test_output_through_a_link_writes_its_target(tmp_path: Path) -> None:
    for name in ("there", "not-there"):
        target, link = tmp_path / name, tmp_path / f"link-to-{name}"
        link.symlink_to(target)
    (tmp_path / "there").write_bytes(b"old")
    for name in ("there", "not-there"):
        write(tmp_path / f"link-to-{name}")
        assert (tmp_path / f"link-to-{name}").is_symlink()
        assert (tmp_path / name).read_bytes() == b"new"


@pytest.mark.parametrize("may_replace", [None, refused])
def test_output_that_is_there_is_left_alone_unless_somebody_agrees(tmp_path: Path, may_replace: None) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    with pytest.raises(OutputExists), output_file(file, may_replace=may_replace):
        pytest.fail("it was opened")
    assert (file.read_bytes(), list(tmp_path.iterdir())) == (b"old", [file])


def test_output_that_appears_meanwhile_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with pytest.raises(OutputExists):
        write_while(file, lambda: file.write_bytes(b"somebody else's"))
    assert (file.read_bytes(), list(tmp_path.iterdir())) == (b"somebody else's", [file])


def test_output_that_changes_meanwhile_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    other = tmp_path / "other"
    other.write_bytes(b"somebody else's")
    with pytest.raises(OutputExists):
        write_while(file, lambda: other.replace(file))
    assert (file.read_bytes(), list(tmp_path.iterdir())) == (b"somebody else's", [file])


def test_output_where_the_system_takes_no_advice_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fadvise")  # macOS has none
    staged = stage(tmp_path / "file")
    with staged.content() as content:
        content.write(b"one")
    staged.begin_sync()
    staged.sync()
    staged.appear()
    assert (tmp_path / "file").read_bytes() == b"one"


def test_output_that_is_replaced_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    file.chmod(0o640)
    write(file)
    assert (file.read_bytes(), mode(file)) == (b"new", 0o640)


def test_output_that_is_replaced_keeps_its_attributes(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    try:
        os.setxattr(file, "user.xca", b"kept")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    write(file)
    assert os.getxattr(file, "user.xca") == b"kept"


def test_output_that_is_replaced_gives_nobody_the_rights_of_its_folders_default_list(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    file.chmod(0o640)
    nobody_reads = ((0x01, 6, OF_NONE), (0x02, 4, NOBODY), (0x04, 0, OF_NONE), (0x10, 4, OF_NONE))
    entries = (*nobody_reads, (0x20, 0, OF_NONE))  # as in acl(5)
    try:
        packed = b"".join(struct.pack("<HHI", *entry) for entry in entries)
        os.setxattr(tmp_path, "system.posix_acl_default", struct.pack("<I", 2) + packed)
    except OSError:
        pytest.skip("this file system has no access lists")
    write(file)
    assert "system.posix_acl_access" not in os.listxattr(file)
    assert (file.read_bytes(), mode(file)) == (b"new", 0o640)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_output_that_root_replaces_keeps_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    os.chown(file, NOBODY, NOBODY)
    write(file)
    assert (file.stat().st_uid, file.stat().st_gid) == (NOBODY, NOBODY)


def test_private_output_has_mode_0600_whatever_was_there(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    file.chmod(0o666)
    write(file, private=True)
    assert (file.read_bytes(), mode(file)) == (b"new", 0o600)


def test_output_takes_any_name_that_the_file_system_takes(tmp_path: Path) -> None:
    for _ in range(2):
        write(tmp_path / LONGEST_NAME)
    assert [file.name for file in tmp_path.iterdir()] == [LONGEST_NAME]


def test_output_where_there_are_no_hard_links_is_written_and_takes_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_CREAT)
    monkeypatch.setattr(os, "link", no_links)
    file = tmp_path / "file"
    write(file)
    assert (file.read_bytes(), list(tmp_path.iterdir())) == (b"new", [file])
    file.unlink()
    with pytest.raises(OutputExists):
        write_while(file, lambda: file.write_bytes(b"somebody else's"))
    assert (file.read_bytes(), list(tmp_path.iterdir())) == (b"somebody else's", [file])


def test_output_in_a_folder_that_is_not_there_names_the_output(tmp_path: Path) -> None:
    file = tmp_path / "none" / "file"
    with pytest.raises(FileProblem) as problem, output_file(file):
        pytest.fail("it was opened")
    assert problem.value.path == file


def test_output_on_a_full_device_names_the_output() -> None:
    with pytest.raises(FileProblem) as problem:
        write(Path("/dev/full"))
    assert problem.value.path == Path("/dev/full")


def test_output_does_not_take_the_blame_for_another_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with pytest.raises(FileNotFoundError), output_file(file):
        (tmp_path / "other").read_bytes()
    assert not file.exists()


def test_input_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileProblem) as problem, input_file(tmp_path) as file:
        file.read()
    assert problem.value.path == tmp_path


@pytest.mark.parametrize("size", [-1, 100])
def test_input_from_a_pipe_that_does_not_block_is_read_to_its_end(size: int) -> None:
    def write_the_rest() -> None:
        os.write(writing, b"tent")
        os.close(writing)

    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    before = os.dup(0)
    os.dup2(reading, 0)
    os.write(writing, b"con")
    rest = Timer(0.1, write_the_rest)
    rest.start()
    try:
        with input_file(STANDARD_INPUT) as file:
            assert file.read(size) == b"content"
    finally:
        os.dup2(before, 0)
        for each in (before, reading):
            os.close(each)
        rest.join()


def test_input_from_a_pipe_is_read_once_and_refused_if_read_twice() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"content")
    os.close(writing)
    path = Path(f"/dev/fd/{reading}")
    with pytest.raises(FileProblem, match="pipe"), input_file(path, twice=True):
        pytest.fail("it was opened")
    with input_file(path) as file:
        assert file.read() == b"content"
    os.close(reading)
