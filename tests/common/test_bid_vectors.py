# SPDX-License-Identifier: Apache-2.0
"""The test vectors in docs/bid-vectors: opened by OpenSSL and by this project, or refused."""

import io
import subprocess
from pathlib import Path
from zipfile import ZipFile

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from xca_common.pki.bid_records import Notice, Receipt, SignedRecord
from xca_common.pki.certificate_file import certificates_in
from xca_common.pki.encrypted_data import NotDecryptable
from xca_common.pki.sealed_bid import OpenedBid, OtherKey, SealedBid, open_inner, open_outer, with_key
from xca_common.pki.signed_bid import SignedBid

pytestmark = pytest.mark.fast

VECTORS = Path(__file__).parents[2] / "docs" / "bid-vectors"
FILES = {"標價清單.txt": "總價：新臺幣 1,000,000 元\n".encode(), "b.txt": b"b"}


def open_whole(name: str) -> bytes:
    keys = {}
    for who in ("officer", "auditor"):
        key = load_pem_private_key((VECTORS / f"{who}.key").read_bytes(), None)
        assert isinstance(key, RSAPrivateKey)
        (certificate,) = certificates_in((VECTORS / f"{who}.pem").read_bytes())
        keys[who] = certificate, with_key(key)
    notice = SignedRecord.read(Notice, (VECTORS / "notice.p7m").read_bytes())
    file, within, plain = io.BytesIO((VECTORS / name).read_bytes()), io.BytesIO(), io.BytesIO()
    shown = SealedBid.read(file, notice.record.outer)
    open_outer(file, shown.outer_key, *keys["officer"], within)
    open_inner(within, shown.inner_key, *keys["auditor"], plain)
    return plain.getvalue()


def test_vector_is_opened_and_is_the_bid_of_its_receipt() -> None:
    plain = open_whole("a.bid")
    notice = SignedRecord.read(Notice, (VECTORS / "notice.p7m").read_bytes())
    receipt = SignedRecord.read(Receipt, (VECTORS / "a.bid.receipt").read_bytes()).record
    SignedBid.read(OpenedBid(io.BytesIO(plain)).manifest).check(notice, receipt)
    with ZipFile(io.BytesIO(plain)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()[1:]} == FILES


def test_vector_is_opened_by_openssl(tmp_path: Path) -> None:
    (tmp_path / "officer.der").write_bytes((VECTORS / "a.bid").read_bytes().partition(b"\n")[2])
    for who, result in (("officer", "auditor.der"), ("auditor", "zip")):
        command = [
            "openssl",
            "cms",
            "-decrypt",
            "-binary",
            "-inform",
            "DER",
            "-in",
            f"{who}.der",
            "-out",
            result,
        ]
        command += ["-inkey", str(VECTORS / f"{who}.key"), "-recip", str(VECTORS / f"{who}.pem")]
        subprocess.run(command, cwd=tmp_path, check=True)
    assert (tmp_path / "zip").read_bytes() == open_whole("a.bid")


def test_vectors_of_bad_bids_are_refused() -> None:
    with pytest.raises(OtherKey):
        open_whole("other-key.bid")
    with pytest.raises(NotDecryptable):
        open_whole("bad-tag.bid")
