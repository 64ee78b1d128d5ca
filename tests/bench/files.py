# SPDX-License-Identifier: Apache-2.0
"""How fast xcactl signs many small files, beside bare C_Sign in a loop within the same login.

Usage: sh tests/bench/run.sh, which runs this and the others. It takes two processors: while the card signs,
a thread writes. Each round signs files of its own in a folder of its own: where many files were deleted a
moment ago, ext4 takes longer to make one than the card takes to sign.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import pkcs11
from pkcs11 import Mechanism, ObjectClass

from pkcs11_shim import library_path
from softhsm import Environment, IssuedCardState
from softhsm.card_fixture import CardFixture
from xca_common.secret import Secret
from xca_plugin.cards import Cards, CheckedSession
from xca_plugin.cli.root import xcactl
from xca_plugin.history_note import Purpose
from xca_plugin.model import Card
from xca_plugin.terminal import consent

FILES: Final = 1000
ROUNDS: Final = 5
DIGEST_INFO: Final = bytes(51)
"""As long as a DigestInfo of SHA-256."""


def bare(number: str, pin: str) -> float:
    """Return the seconds of as many signatures with nothing around them."""
    library = pkcs11.lib(str(library_path()))
    (token,) = (token for token in library.get_tokens() if token.serial == number.encode())
    with token.open(rw=True, user_pin=pin) as session:
        key: Any = session.get_key(object_class=ObjectClass.PRIVATE_KEY, id=b"SIGN")
        start = time.perf_counter()
        for _ in range(FILES):
            key.sign(DIGEST_INFO, mechanism=Mechanism.RSA_PKCS)
        return time.perf_counter() - start


class Timed(Cards):
    """Cards whose sessions are timed."""

    seconds = 0.0

    @contextmanager
    def session(self, card: Card, pin: Secret, purpose: Purpose | None = None) -> Iterator[CheckedSession]:
        start = time.perf_counter()
        with super().session(card, pin, purpose) as session:
            yield session
        Timed.seconds = time.perf_counter() - start


def signed(folder: Path) -> float:
    """Sign new files in a new folder; return the seconds from the login to the last file."""
    folder.mkdir()
    files = [folder / f"{number}.txt" for number in range(FILES)]
    for file in files:
        file.write_text(f"content of {file.name}\n")
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        xcactl.main(["sign", *map(str, files), "--pin", "env:PIN"], standalone_mode=False)
    return Timed.seconds


def main() -> None:
    """Measure and print."""
    vars(consent)["Cards"] = Timed  # what the command makes its sessions with
    ratios: list[float] = []
    with TemporaryDirectory(prefix="xca-bench-") as name:
        folder = Path(name)
        card = CardFixture.issue(Environment.create(folder / "card"), IssuedCardState.ACTIVE)
        assert card.pin
        os.environ |= card.variables | {"PIN": card.pin}
        for turn in range(ROUNDS + 1):
            alone, all_of_it = bare(card.number, card.pin), signed(folder / str(turn))
            if turn:  # the first round only warms up
                ratios.append(alone / all_of_it)
    print(
        f"{FILES} files signed, at {median(ratios):.0%} of the rate of bare C_Sign"
        f"   ({min(ratios):.0%} … {max(ratios):.0%})"
    )


if __name__ == "__main__":
    main()
