# SPDX-License-Identifier: Apache-2.0
"""How fast the centre signs: certificates, OCSP answers and revocation lists, with keys in SoftHSM.

Usage: sh tests/bench/run.sh, which runs this and the others.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cryptography import x509

from support.centre.authority import NOW, key, school
from support.centre.key_token import soft_module, soft_token
from xca_centre.authority.certificates import Generation, certify_other
from xca_centre.authority.hierarchy import Hierarchy, Plan, begin
from xca_centre.authority.lists import Revocation, entry, revocation_list
from xca_centre.authority.ocsp import Responder, read_posted
from xca_centre.authority.repository import Repository
from xca_common.pki.ocsp_response import question

CALLS: Final = 300
PLAN: Final = Plan(
    "C=TW,O=政府測試憑證總管理中心",
    "C=TW,O=行政院,OU=組織及團體測試憑證管理中心",
    Repository("http://xca.test", "XCA"),
)
HOLD: Final = x509.ReasonFlags.certificate_hold


def main() -> None:
    """Measure, and print a table."""
    with TemporaryDirectory(prefix="xca-bench-") as folder, soft_module(Path(folder)) as module:
        begun = time.perf_counter()
        begin(Path(folder) / "ca", PLAN, soft_token(module, "ROOT"), soft_token(module, "CENTRE"), NOW, ["-"])
        print(f"ceremony, two generations and a root of 4096 bits: {time.perf_counter() - begun:.1f} s")
        opened = Hierarchy(Path(folder) / "ca", soft_token(module, "CENTRE"))
        for number, generation in opened.generations.items():
            bits = generation.key.key_size
            print(f"certificates/s, RSA-{bits}: {per_second(partial(certify, generation)):.0f}")
            responder = opened.responder(number, NOW)
            asking = answering(generation, responder)
            print(f"OCSP answers/s, generation of RSA-{bits}: {per_second(asking):.0f}")
        for count in (1_000, 10_000, 100_000):
            begun = time.perf_counter()
            listed = [entry(Revocation(2**120 + at, NOW, HOLD)) for at in range(count)]
            encoded = time.perf_counter()
            made = revocation_list(
                opened.current, listed, 1, NOW, NOW + timedelta(days=1), "http://xca.test/"
            )
            print(
                f"list of {count:,}: entries {encoded - begun:.2f} s, joined and signed "
                f"{time.perf_counter() - encoded:.2f} s, {len(made) / 1e6:.2f} MB"
            )


def certify(generation: Generation) -> None:
    """Issue a certificate."""
    certify_other(generation, 0, key("SIGN").public_key(), school(), NOW, 6)


def answering(generation: Generation, responder: Responder) -> Callable[[], None]:
    """Return what reads and answers a request about a certificate."""
    certificate = certify_other(generation, 0, key("SIGN").public_key(), school(), NOW, 6)
    asked = question(certificate, generation.certificate, nonce=b"n" * 32)
    standings = {certificate.serial_number: None}

    def answer() -> None:
        responder.answer(read_posted(asked), standings, NOW, NOW + timedelta(hours=12))

    return answer


def per_second(call: Callable[[], None]) -> float:
    """Return how many calls a second takes."""
    begun = time.perf_counter()
    for _ in range(CALLS):
        call()
    return CALLS / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
