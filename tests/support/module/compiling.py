# SPDX-License-Identifier: Apache-2.0
"""The tests' own C programs and modules, and the module's sources, compiled with what a test asks for."""

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).parents[3]
TESTS = _ROOT / "tests" / "module"
"""Where the tests' own C sources are."""
SHIM = _ROOT / "pkcs11_shim"
SHIM_SOURCES = sorted((SHIM / "src").glob("*.c"))

_DEFINITIONS = ["-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra"]


def _pkg_config(*arguments: str) -> list[str]:
    query = ["pkg-config", *arguments]
    return shlex.split(subprocess.run(query, check=True, capture_output=True, text=True).stdout)


def flags() -> list[str]:
    """Return what the module's sources are compiled with."""
    folders = [f"-I{SHIM}", f"-I{SHIM / 'src'}"]
    return [*_DEFINITIONS, *folders, *_pkg_config("--cflags", "inih", "zlib")]


def libraries() -> list[str]:
    """Return what the module is linked with."""
    return [*_pkg_config("--libs", "inih", "zlib"), "-lcrypt", "-ldl", "-lpthread"]


def program(to: Path, sources: Sequence[Path], *options: str, compiler: str = "cc") -> Path:
    """Compile a program. The sources may include the module's own."""
    command = [compiler, *flags(), "-Werror", *options, "-o", str(to), *map(str, sources), *libraries()]
    subprocess.run(command, check=True)
    return to


def library(to: Path, source: Path, *options: str, compiler: str = "cc") -> Path:
    """Compile a module."""
    shared = ["-fPIC", "-shared", "-fvisibility=hidden"]
    return program(to, [source], *shared, *options, compiler=compiler)
