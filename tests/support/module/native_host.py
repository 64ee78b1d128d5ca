# SPDX-License-Identifier: Apache-2.0
"""Hosts in C (tests/module/native) with the module over the minimal inner module."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from pkcs11_shim import EMPTY_STORE, Store, module_path
from support.module import compiling

CARDS = ("XC00000000000001", "XC00000000000002")
"""MINIMAL_CARD and MINIMAL_SECOND in inner/minimal.h."""
_EXACT_COUNT = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0"}
"""Without its caches glibc counts no freed memory as used."""

Run = Callable[..., str]
"""Runs a program of native/ with arguments; returns its output, and its exit status unless that is 0."""


@contextmanager
def minimal_host(folder: Path, *configuration: str) -> Iterator[Run]:
    """Activated cards of the minimal inner module, their store in memory.

    Args:
        folder: where programs are compiled to.
        configuration: more lines of the module's configuration.
    """
    minimal = compiling.library(folder / "minimal.so", compiling.TESTS / "inner" / "minimal.c", "-O2")
    tmpfs = "/dev/shm"
    with TemporaryDirectory(dir=tmpfs if os.access(tmpfs, os.W_OK) else None) as name:
        store = Path(name) / "cards.db"
        for file in (store, Path(f"{store}.lock")):
            file.touch(0o600)
        store.write_bytes(EMPTY_STORE)
        today = date.today()
        with Store(store).writing() as writer:
            for card in CARDS:
                writer.add(card, reader="reader", model="model", issued_on=today, activate_by=today)
                place, slot = writer._find(card)
                writer._write(place, slot._replace(activated_at=1))
        configured = Path(name) / "pkcs11.conf"
        lines = [
            *("[module]", f"path={minimal}", "[store]", f"path={store}"),
            *("[log]", "level=debug", f"file={Path(name) / 'log'}", *configuration),
        ]
        configured.write_text("".join(f"{line}\n" for line in lines))

        def run(program: str, *arguments: str) -> str:
            source = compiling.TESTS / "native" / f"{program}.c"
            host = compiling.program(folder / program, [source], "-O2", "-Wl,-z,now", "-rdynamic")
            done = subprocess.run(
                [host, module_path(), *arguments],
                env={
                    "XCA_PKCS11_CONF": str(configured),
                    "XCA_CARD_STORE": str(store),
                    "MINIMAL": str(minimal),
                    **_EXACT_COUNT,
                },
                stdout=subprocess.PIPE,
                check=False,
                text=True,
            )
            return done.stdout + (f"exit status {done.returncode}\n" if done.returncode else "")

        yield run
