# SPDX-License-Identifier: Apache-2.0
"""The C sources under every gcc and clang at hand, as C17 and as the C that came after it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from support.module import compiling

pytestmark = pytest.mark.slow

TESTS = compiling.TESTS.parent
SOURCES = [*compiling.SHIM_SOURCES, *sorted(TESTS.rglob("*.c"))]
FUZZING = [f'-DMINIMAL="{TESTS}"', f'-DSCHEMA_SQL="{TESTS}"']
"""What tests/fuzz/run.sh defines besides."""


def compilers() -> list[str]:
    """Return the commands gcc, gcc-12, clang-19 …, each compiler once."""
    found = {
        command.resolve(): command.name
        for folder in os.get_exec_path()
        for command in sorted(Path(folder).glob("*"))
        if re.fullmatch(r"(gcc|clang)(-\d+)?", command.name)
    }
    return sorted(found.values())


@pytest.mark.parametrize("standard", ["c17", "gnu2x"])
@pytest.mark.parametrize("compiler", compilers())
def test_sources_with_every_compiler_give_no_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiler: str, standard: str
) -> None:
    monkeypatch.chdir(tmp_path)  # where the object files go
    options = [*compiling.flags(), f"-std={standard}", "-Werror", *FUZZING, "-O2", "-c"]
    done = subprocess.run([compiler, *options, *SOURCES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
