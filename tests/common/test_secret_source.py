# SPDX-License-Identifier: Apache-2.0
"""Where secrets come from: OpenSSL's sources, without the one that puts a secret in argv."""

import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from xca_common.secret_source import SecretReader, SecretSourceError, read_secret

SECRET = "s3cret-one"


@pytest.fixture
def reader() -> Iterator[SecretReader]:
    with SecretReader() as opened:
        yield opened


def test_secret_source_env_is_the_variable(monkeypatch: pytest.MonkeyPatch, reader: SecretReader) -> None:
    monkeypatch.setenv("CODE", SECRET)
    assert [reader.read("env:CODE"), reader.read("env:CODE")] == [SECRET, SECRET]


def test_secret_source_file_gives_its_next_line_each_time(tmp_path: Path, reader: SecretReader) -> None:
    file = tmp_path / "codes"
    file.write_bytes(f"{SECRET}\r\nsecond\nthird".encode())
    assert [reader.read(f"file:{file}") for _ in range(3)] == [SECRET, "second", "third"]
    with pytest.raises(SecretSourceError, match="empty"):
        reader.read(f"file:{file}")


def test_secret_source_fd_is_read_to_the_end_of_the_line_only() -> None:
    end, start = os.pipe()
    os.write(start, f"{SECRET}\nsecond\nrest".encode())
    assert [read_secret(f"fd:{end}"), read_secret(f"fd:{end}")] == [SECRET, "second"]
    assert os.read(end, 10) == b"rest"
    os.close(end)
    os.close(start)


def test_secret_source_stdin_carries_several_secrets() -> None:
    program = (
        "from xca_common.secret_source import SecretReader\n"
        "with SecretReader() as reader:\n"
        "    print([reader.read('stdin'), reader.read('stdin')], input())"
    )
    done = subprocess.run([sys.executable, "-c", program], input=b"one\ntwo\nthree\n", capture_output=True)
    assert done.stdout == b"['one', 'two'] three\n"


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n", b"\nsecond"])
def test_secret_source_that_is_empty_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "code"
    file.write_bytes(content)
    with pytest.raises(SecretSourceError, match=f"file:{file}: empty"):
        read_secret(f"file:{file}")


def test_secret_source_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CODE", raising=False)
    monkeypatch.setenv("EMPTY", "")
    for source in (
        "env:CODE",
        "env:EMPTY",
        f"file:{tmp_path / 'none'}",
        f"file:{tmp_path}",
        "fd:987",
        "fd:9999999999",
    ):
        with pytest.raises(SecretSourceError) as caught:
            read_secret(source)
        assert str(caught.value).startswith(f"{source}: ")


def test_secret_source_that_cannot_be_looked_at_is_named_when_checked(reader: SecretReader) -> None:
    with pytest.raises(SecretSourceError, match="file:aaa"):
        reader.check(f"file:{'a' * 300}")


@pytest.mark.parametrize("source", [SECRET, f"pass:{SECRET}", f"fd:{SECRET}", "env:", "file:", "fd:-1", ""])
def test_secret_source_of_no_form_is_not_repeated(source: str) -> None:
    with pytest.raises(SecretSourceError, match="not a source of a secret") as caught:
        read_secret(source)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("content", [SECRET.encode() * 200, SECRET.encode() + b"\xff\n"])
def test_secret_source_that_is_no_text_is_not_repeated(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "code"
    file.write_bytes(content)
    with pytest.raises(SecretSourceError) as caught:
        read_secret(f"file:{file}")
    seen = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert not any(SECRET in repr(error) for error in seen)
    # Nor by what shows the variables of a traceback.
    for frame, _ in traceback.walk_tb(caught.value.__traceback__):
        if frame.f_code.co_filename != __file__:
            assert SECRET not in repr(frame.f_locals)
