# SPDX-License-Identifier: Apache-2.0
"""Lines of the log are harmless in a terminal, whatever a path or an error of the loader contains."""

import ctypes
import sys
from pathlib import Path

import pytest

from pkcs11_shim import module_path
from support.module import compiling
from support.module.cryptoki import CKR
from support.module.host import Host
from xca_common.harmless_text import harmless


def test_line_of_the_log_shows_no_character_that_python_would_not(tmp_path: Path) -> None:
    library = compiling.library(tmp_path / "log.so", compiling.SHIM / "src" / "log.c", "-fvisibility=default")
    log = ctypes.CDLL(str(library))
    file = tmp_path / "log"
    path = ctypes.create_string_buffer(str(file).encode())  # kept, not copied
    log.log_to(2, path)
    for first in range(1, sys.maxunicode + 1, 64):
        characters = "".join(map(chr, range(first, min(first + 64, sys.maxunicode + 1))))
        log.log_line(0, b"%s", ctypes.c_char_p(characters.encode("utf-8", "surrogatepass")))
    lines = file.read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(range(1, sys.maxunicode + 1, 64))
    assert [line for line in lines if harmless(line) != line] == []
    assert any("國" in line for line in lines)


def test_log_file_with_a_relative_path_is_refused_and_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    host = Host(module_path(), {"XCA_LOG_FILE": "log", "XCA_PKCS11_MODULE": "/nowhere.so", "HOME": "/"})
    host.stop()
    assert host.loaded.rv == CKR.GENERAL_ERROR
    assert list(tmp_path.iterdir()) == []


def test_hostile_path_is_one_harmless_line_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    named = (
        b"a\x1b[2J\x9b1m\n\rThe signature is valid.\xe2\x80\xae\xe5\x9c\x8b\xff\xc0\x80\xed\xa0\x80\xcc\x81"
    )
    host = Host(
        module_path(),
        {
            "XCA_LOG_FILE": str(log),
            "XCA_PKCS11_MODULE": named.decode("utf-8", "surrogateescape"),
            "HOME": "/",
        },
    )
    host.stop()
    assert host.loaded.rv == CKR.GENERAL_ERROR
    (line,) = log.read_bytes().decode("utf-8").splitlines()
    assert line.endswith(
        "a<U+001B>[2J<0x9B>1m<U+000A><U+000D>The signature is valid.<U+202E>國<0xFF><0xC0><0x80>"
        "<U+D800><U+0301> is not absolute"
    )
