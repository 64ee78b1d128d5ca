# SPDX-License-Identifier: Apache-2.0
"""The hardening of the built module: RELRO, no executable stack, and the like."""

import subprocess
from collections.abc import Callable

import pytest

from pkcs11_shim import module_path


def readelf(*options: str) -> str:
    command = ["readelf", "--wide", *options, str(module_path())]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def relocations_are_read_only() -> bool:
    return "GNU_RELRO" in readelf("--program-headers")


def everything_is_bound_at_load_time() -> bool:
    return "BIND_NOW" in readelf("--dynamic")


def stack_is_not_executable() -> bool:
    (stack,) = (line for line in readelf("--program-headers").splitlines() if "GNU_STACK" in line)
    return " RW " in stack


def stack_is_protected() -> bool:
    return "__stack_chk_fail" in readelf("--dyn-syms")


def calls_are_fortified() -> bool:
    return "__memcpy_chk" in readelf("--dyn-syms")


def nothing_is_relocated_in_code() -> bool:
    return "TEXTREL" not in readelf("--dynamic")


@pytest.mark.parametrize(
    "holds",
    [
        relocations_are_read_only,
        everything_is_bound_at_load_time,
        stack_is_not_executable,
        stack_is_protected,
        calls_are_fortified,
        nothing_is_relocated_in_code,
    ],
)
def test_module_as_built_is_hardened(holds: Callable[[], bool]) -> None:
    assert holds()
