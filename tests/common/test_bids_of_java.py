# SPDX-License-Identifier: Apache-2.0
"""Sealed bids between this program and BouncyCastle, which sites in Java use."""

import io
import shutil
import subprocess
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from xca_common.bid import BidFile
from xca_common.pki.authority import ENCRYPTION
from xca_common.pki.encrypted_data import RecipientCertificate
from xca_common.pki.sealed_bid import OpenedBid, SealedBid, open_inner, open_outer, seal, with_key
from xca_login.testing.parties import Party, party

JARS = [Path("/usr/share/java") / f"{name}.jar" for name in ("bcprov", "bcpkix", "bcutil")]
SOURCE = Path(__file__).parents[1] / "support/bids/Bids.java"
CONTENT = bytes(range(256)) * 1000

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        shutil.which("javac") is None or not all(jar.exists() for jar in JARS),
        reason="there is no BouncyCastle for Java here",
    ),
]


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Party]]:
    folder, cards = tmp_path_factory.mktemp("bids"), []
    for name in ("officer1", "officer2", "auditor1", "auditor2"):
        card = party(name, usage=ENCRYPTION)
        (folder / f"{name}.cer").write_bytes(card.der)
        key = card.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}.key").write_bytes(key)
        cards.append(card)
    return folder, cards


def java(folder: Path, *arguments: str) -> bytes:
    command = ["java", "-cp", ":".join(map(str, JARS)), str(SOURCE), *arguments]
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE).stdout


def test_bid_is_opened_by_bouncycastle(cards: tuple[Path, list[Party]]) -> None:
    folder, parties = cards
    recipients = [RecipientCertificate.read(one.der) for one in parties]
    told = BidFile.of("a.bin", io.BytesIO(CONTENT))
    with (folder / "sealed").open("wb") as output:
        seal(b"signed", [(told, io.BytesIO(CONTENT))], recipients[:2], recipients[2:], output)
    with ZipFile(io.BytesIO(java(folder, "open", "sealed", "officer2", "auditor1"))) as archive:
        assert (archive.read("manifest.p7m"), archive.read("a.bin")) == (b"signed", CONTENT)


def test_bid_that_bouncycastle_sealed_is_opened(cards: tuple[Path, list[Party]]) -> None:
    folder, parties = cards
    with ZipFile(folder / "archive", "w", ZIP_STORED) as archive:
        archive.writestr("manifest.p7m", b"signed")
        archive.writestr("a.bin", CONTENT)
    file = io.BytesIO(java(folder, "seal", "archive", "officer1", "officer2", "auditor1", "auditor2"))
    sealed = SealedBid.read(file, [one.der for one in parties[:2]])
    within, plain = io.BytesIO(), io.BytesIO()
    open_outer(file, sealed.outer_key, parties[0].der, with_key(parties[0].key), within)
    open_inner(within, sealed.inner_key, parties[3].der, with_key(parties[3].key), plain)
    assert OpenedBid(plain).manifest == b"signed"
