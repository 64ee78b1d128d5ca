# SPDX-License-Identifier: Apache-2.0
"""The module over the minimal inner module in hosts of our own, which see its memory and environment and turn
its clocks."""

import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pkcs11_shim import EMPTY_STORE, Store, module_path
from support.module import compiling

pytestmark = pytest.mark.slow

CARD = "XC00000000000001"
"""MINIMAL_CARD in inner/minimal.h."""
LOGINS = 8_000
EXACT_COUNT = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0"}
"""Without its caches glibc counts no freed memory as used."""

Run = Callable[..., str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run a program of native/ on an activated card of the minimal inner module, its store in memory."""
    folder = tmp_path_factory.mktemp("memory")
    minimal = compiling.library(folder / "minimal.so", compiling.TESTS / "inner" / "minimal.c", "-O2")
    tmpfs = "/dev/shm"
    with TemporaryDirectory(dir=tmpfs if os.access(tmpfs, os.W_OK) else None) as name:
        store = Path(name) / "cards.db"
        for file in (store, Path(f"{store}.lock")):
            file.touch(0o600)
        store.write_bytes(EMPTY_STORE)
        today = date.today()
        with Store(store).writing() as writer:
            writer.add(CARD, reader="reader", model="model", issued_on=today, activate_by=today)
            place, slot = writer._find(CARD)
            writer._write(place, slot._replace(activated_at=1))
        configuration = Path(name) / "pkcs11.conf"
        configuration.write_text(
            f"[module]\npath={minimal}\nenvironment=MINIMAL_SETTING=wanted\n[store]\npath={store}\n"
            f"[log]\nlevel=debug\nfile={Path(name) / 'log'}\n"
        )

        def run(program: str, *arguments: str) -> str:
            source = compiling.TESTS / "native" / f"{program}.c"
            host = compiling.program(folder / program, [source], "-O2", "-Wl,-z,now")
            return subprocess.run(
                [host, module_path(), *arguments],
                env={
                    "XCA_PKCS11_CONF": str(configuration),
                    "XCA_CARD_STORE": str(store),
                    "MINIMAL": str(minimal),
                    **EXACT_COUNT,
                },
                stdout=subprocess.PIPE,
                check=True,
                text=True,
            ).stdout

        yield run


def test_only_the_callers_own_buffer_holds_a_secret(run: Run) -> None:
    assert run("memory", "secrets") == ""


def test_logins_do_not_let_memory_grow(run: Run) -> None:
    _, heap, _, resident = run("memory", "growth", str(LOGINS)).split()
    assert int(heap) <= 0
    assert int(resident) < 256 * 1024  # of which the kernel gives a little now and then


def test_what_is_remembered_ends_with_its_time(run: Run) -> None:
    assert run("clock") == ""


def test_the_environment_is_not_moved_while_other_threads_may_read_it(run: Run) -> None:
    run("environment")
