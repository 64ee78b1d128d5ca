# SPDX-License-Identifier: Apache-2.0
"""How fast a large bid is sealed and opened, beside OpenSSL signing and encrypting, and back.

Usage: sh tests/bench/run.sh, which runs this and the others. A number sets how many MB the bid has:
python tests/bench/bids.py 1024. It needs seven times as much on the disk of the temporary files.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench.measuring import ratio, rounds
from xca_common.bid import Bid, BidFile
from xca_common.pki.authority import ENCRYPTION
from xca_common.pki.encrypted_data import RecipientCertificate
from xca_common.pki.sealed_bid import OpenedBid, open_inner, open_outer, seal, with_key
from xca_login.testing.parties import Party, party

MB: Final = 1024
ROUNDS: Final = 3
NAME: Final = "bid.bin"


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


class Own:
    """Seals and opens a file of a folder.

    Args:
        folder: the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        names = ("officer 1", "officer 2"), ("auditor 1", "auditor 2")
        self._groups = [[party(name, usage=ENCRYPTION) for name in group] for group in names]

    def seal(self) -> None:
        """List the file, and seal it."""
        outer, inner = ([RecipientCertificate.read(one.der) for one in group] for group in self._groups)
        with (self._folder / NAME).open("rb") as file, (self._folder / "sealed").open("wb") as output:
            self._told = BidFile.of(NAME, file)
            file.seek(0)
            self._sealed = seal(b"signed", [(self._told, file)], outer, inner, output)

    def open(self) -> None:
        """Open both envelopes, and take the file out."""
        (first, _), (second, _) = self._groups
        folder, sealed = self._folder, self._sealed
        said = Bid("t", "0" * 64, "o", "i", "b", "0" * 64, 1, None, frozenset(), (self._told,))
        with (folder / "sealed").open("rb") as file, (folder / "within").open("w+b") as within:
            open_outer(file, sealed.outer_key, first.der, with_key(first.key), within)
            with (folder / "plain").open("w+b") as plain, (folder / "opened").open("wb") as output:
                open_inner(within, sealed.inner_key, second.der, with_key(second.key), plain)
                OpenedBid(plain).write(said, output)


class OpenSsl:
    """Signs and encrypts the same file, and goes back.

    Args:
        folder: the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._write(party("a bidder"), "bidder")
        self._write(party("officer 1", usage=ENCRYPTION), "officer")

    def _write(self, one: Party, name: str) -> None:
        (self._folder / f"{name}.pem").write_bytes(one.pem)
        key = one.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self._folder / f"{name}.key").write_bytes(key)

    def _run(self, arguments: str) -> None:
        command = ["openssl", "cms", "-binary", *arguments.split()]
        subprocess.run(command, cwd=self._folder, check=True, stderr=subprocess.DEVNULL)

    def seal(self) -> None:
        """Sign and encrypt."""
        signer = "-sign -nodetach -stream -outform DER -signer bidder.pem -inkey bidder.key"
        self._run(f"{signer} -in {NAME} -out signed")
        self._run("-encrypt -stream -aes-256-gcm -outform DER -in signed -out encrypted officer.pem")

    def open(self) -> None:
        """Decrypt and verify."""
        keys = "-recip officer.pem -inkey officer.key"
        self._run(f"-decrypt -inform DER -in encrypted -out signed {keys}")
        self._run("-verify -noverify -inform DER -in signed -out opened")


def peak() -> int:
    """Return the most memory that this process had, in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (one for one in status.splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) >> 10


def main() -> None:
    """Measure and print."""
    size = int(sys.argv[1]) if sys.argv[1:] else MB
    with TemporaryDirectory(prefix="xca-bench-") as name:
        folder = Path(name)
        with (folder / NAME).open("wb") as file:
            for number in range(size):
                file.write(number.to_bytes(4) * (1 << 18))
        own, openssl = Own(folder), OpenSsl(folder)
        for act in ("seal", "open"):
            calls: dict[str, Callable[[], None]] = {
                "own": getattr(own, act),
                "openssl": getattr(openssl, act),
            }
            found = rounds({key: partial(seconds, call) for key, call in calls.items()}, ROUNDS)
            print(
                f"{act} {size} MB: {min(found['own']):.2f} s; OpenSSL {min(found['openssl']):.2f} s; "
                f"{ratio(found['openssl'], found['own']):.0%} of its rate"
            )
    print(f"memory of this process: {peak()} MB")


if __name__ == "__main__":
    main()
