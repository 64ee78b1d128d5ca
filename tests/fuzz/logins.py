# SPDX-License-Identifier: Apache-2.0
"""Fuzzes what a browser can post to a site, and what an issuer's addresses answer, with atheris (libFuzzer).

Usage: python tests/fuzz/logins.py TARGET [options of libFuzzer] [folders or files]

TARGET is one of support/fuzz_targets.py, or "all", which gives each input to all of them: a quick look at
whether they work. The first inputs are made at the start, by the kit for tests, with keys of their own: no
signature of another run is right.
A finding is an exception that is not one of ours, an answer with status 500, an input that takes more than
-timeout seconds, or more memory than -rss_limit_mb. libFuzzer writes it to a file (-artifact_prefix).
"""

import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Final

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))

if TYPE_CHECKING:
    from support.fuzz_targets import Target

_INSTRUMENTED: Final = ["asn1crypto", "authlib", "joserfc", "xca_common", "xca_login"]
_FEW: Final = 4
"""First inputs of each target, where all get them."""
_LIMITS: Final = ["-timeout=30", "-rss_limit_mb=2048", "-max_len=140000", "-print_final_stats=1"]


def main() -> None:
    """Fuzz, until an option of libFuzzer says that it is enough."""
    with atheris.instrument_imports(include=_INSTRUMENTED):
        from support.fuzz_targets import TARGETS
    warnings.simplefilter("ignore")  # cryptography's, of certificates that no CA should issue
    logging.disable(logging.WARNING)
    name, *options = sys.argv[1:]
    targets = [make() for make in TARGETS.values()] if name == "all" else [TARGETS[name]()]

    def take(data: bytes) -> None:
        for target in targets:
            target(data)

    if not any(Path(one).is_file() for one in options):
        options.append(str(_seeds(targets, _FEW if name == "all" else None)))
    atheris.Setup([sys.argv[0], *_LIMITS, *options], take)
    atheris.Fuzz()  # it ends the process


def _seeds(targets: "Sequence[Target]", most: int | None) -> Path:
    """Return a folder with what is tried first. It stays, for libFuzzer ends the process."""
    folder = Path(mkdtemp(prefix="xca-fuzz-"))
    for number, seed in enumerate(seed for target in targets for seed in target.seeds[:most]):
        (folder / f"{number:04}").write_bytes(seed)
    return folder


if __name__ == "__main__":
    main()
