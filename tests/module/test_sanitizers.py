# SPDX-License-Identifier: Apache-2.0
"""The module's sources under sanitizers, valgrind and static analysers, with no finding of ours put aside."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from support.module import compiling
from support.module.cards import Card

pytestmark = pytest.mark.slow

BARE = ["-g", "-O1", "-fno-omit-frame-pointer"]
FOREIGN = ("libsofthsm2.so", "libcrypto.so.3")
"""Libraries behind the module: not compiled here, their findings do not count."""


def live(card: Card, folder: Path, options: Sequence[str], prefix: Sequence[str], **environment: str) -> None:
    """Compile the module into native/life.c and let it live a card's life.

    Args:
        card: a card that is not activated.
        folder: where the program is made.
        options: what the compiler is to add to it.
        prefix: a program, and its arguments, that runs it.
        environment: more environment variables.
    """
    life, vendor = compiling.TESTS / "native" / "life.c", compiling.TESTS / "inner" / "vendor.c"
    program = compiling.program(folder / "life", [life, *compiling.SHIM_SOURCES], *BARE, *options)
    inner = compiling.library(folder / "vendor.so", vendor, *BARE, *options)
    flags = folder / "flags"
    flags.write_text("0")
    with card.configuration.open("a") as configuration:
        configuration.write("[quirks]\nhash = module\nstrings = trim\n[guard]\nkeep_last_try = yes\n")
        configuration.write(f"[log]\nlevel = debug\nfile = {folder / 'log'}\n")
    run(
        [*prefix, str(program)],
        card.environment(
            XCA_PKCS11_MODULE=str(inner),
            VENDOR_REAL=str(card.library),
            VENDOR_FLAGS=str(flags),
            **environment,
        ),
    )


def run(command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        command, env=environment, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    assert done.returncode == 0, done.stderr[-20_000:]


def test_module_under_asan_and_ubsan_has_no_finding(closed: Card, tmp_path: Path) -> None:
    suppressions = tmp_path / "suppressions"
    suppressions.write_text("".join(f"leak:{library}\n" for library in FOREIGN))
    live(
        closed,
        tmp_path,
        ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
        [],
        ASAN_OPTIONS="detect_stack_use_after_return=1",
        LSAN_OPTIONS=f"suppressions={suppressions}:print_suppressions=0",
    )


def fixed_addresses() -> list[str]:
    """Return what starts a program without address randomisation, where that is allowed.

    Some kernels randomise more bits than ThreadSanitizer can place its shadow memory around.
    """
    prefix = ["setarch", os.uname().machine, "--addr-no-randomize"]
    allowed = subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    return prefix if allowed else []


def test_module_under_tsan_has_no_finding(closed: Card, tmp_path: Path) -> None:
    suppressions = tmp_path / "suppressions"
    suppressions.write_text("".join(f"called_from_lib:{library}\n" for library in FOREIGN))
    live(
        closed,
        tmp_path,
        ["-fsanitize=thread"],
        fixed_addresses(),
        TSAN_OPTIONS=f"suppressions={suppressions}:second_deadlock_stack=1:die_after_fork=0",
    )


def test_module_under_valgrind_has_no_finding(closed: Card, tmp_path: Path) -> None:
    suppressions = tmp_path / "suppressions"
    kinds = ("Leak", "Cond", "Value8", "Addr8")
    suppressions.write_text(
        "".join(
            f"{{\n{library} {kind}\nMemcheck:{kind}\n...\nobj:*/{library}\n...\n}}\n"
            for library in FOREIGN
            for kind in kinds
        )
    )
    live(
        closed,
        tmp_path,
        [],
        [
            *("valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full"),
            *("--errors-for-leak-kinds=definite,indirect,possible", f"--suppressions={suppressions}"),
        ],
    )


@pytest.mark.parametrize(
    "analyser",
    [
        ["gcc", "-fanalyzer", "-Werror"],
        ["scan-build", "--status-bugs", "-o", "{folder}", "--use-cc=clang", "clang", "-Werror"],
    ],
    ids=["gcc", "clang"],
)
def test_module_under_static_analysis_has_no_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, analyser: Sequence[str]
) -> None:
    command = [word.format(folder=tmp_path) for word in analyser]
    monkeypatch.chdir(tmp_path)  # where the object files go
    run([*command, *compiling.flags(), "-O2", "-c", *compiling.SHIM_SOURCES], os.environ)
