# SPDX-License-Identifier: Apache-2.0
"""Files encrypted to certificates, built and opened without a card."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from asn1crypto import cms  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from support.hostile_pki import DAY, NOW, Party, party
from xca_common.pki.authority import ENCRYPTION
from xca_common.pki.encrypted_data import (
    EncryptedData,
    NotDecryptable,
    NotForEncryption,
    RecipientCertificate,
    encrypt,
)
from xca_common.pki.malformed import Malformed

CONTENT = bytes(range(256)) * 5000


@pytest.fixture(scope="module")
def reader() -> Party:
    # A name that asn1crypto cannot compare with another.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "\U0002a700")])
    return party("reader", usage=ENCRYPTION, subject=name)


@pytest.fixture
def encrypted(reader: Party, tmp_path: Path) -> Path:
    (tmp_path / "content").write_bytes(CONTENT)
    with (tmp_path / "content").open("rb") as content, (tmp_path / "encrypted").open("wb") as output:
        encrypt(content, output, [RecipientCertificate.read(reader.der)])
    return tmp_path / "encrypted"


def opened(path: Path, reader: Party) -> bytes:
    with path.open("rb") as file:
        data = EncryptedData(file)
        recipient = data.recipient(reader.der)
        assert recipient is not None
        output = io.BytesIO()
        data.open(recipient, reader.key, output)
        return output.getvalue()


def test_encrypted_file_is_opened_with_the_key_of_its_recipient(encrypted: Path, reader: Party) -> None:
    assert opened(encrypted, reader) == CONTENT
    with encrypted.open("rb") as file:
        assert EncryptedData(file).recipient(party("somebody else").der) is None


def test_key_in_oaep_is_opened_with_any_hash(encrypted: Path, reader: Party) -> None:
    whole = cms.ContentInfo.load(encrypted.read_bytes())
    (info,) = whole["content"]["recipient_infos"]
    data = EncryptedData(encrypted.open("rb"))
    recipient = data.recipient(reader.der)
    assert recipient is not None
    assert recipient.transport is not None
    key = reader.key.decrypt(recipient.encrypted_key, recipient.transport.padding)
    for name, digest in (("sha1", hashes.SHA1()), ("sha256", hashes.SHA256()), ("sha512", hashes.SHA512())):
        padding = OAEP(MGF1(digest), digest, None)
        info.chosen["key_encryption_algorithm"] = {
            "algorithm": "rsaes_oaep",
            "parameters": {
                "hash_algorithm": {"algorithm": name},
                "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": {"algorithm": name}},
            },
        }
        info.chosen["encrypted_key"] = reader.certificate.public_key().encrypt(key, padding)  # type: ignore[union-attr]
        encrypted.write_bytes(whole.dump(force=True))
        assert opened(encrypted, reader) == CONTENT


@pytest.mark.parametrize(
    "algorithm",
    [
        {"algorithm": "rsaes_oaep"},
        {"algorithm": "rsaes_oaep", "parameters": {"hash_algorithm": {"algorithm": "sha256"}}},
        {"algorithm": "1.2.3.4"},
    ],
    ids=["without parameters", "two hashes", "unknown"],
)
def test_key_in_another_way_is_not_opened(
    encrypted: Path, reader: Party, algorithm: dict[str, object]
) -> None:
    whole = cms.ContentInfo.load(encrypted.read_bytes())
    (info,) = whole["content"]["recipient_infos"]
    info.chosen["key_encryption_algorithm"] = algorithm
    encrypted.write_bytes(whole.dump(force=True))
    with encrypted.open("rb") as file:
        recipient = EncryptedData(file).recipient(reader.der)
    assert recipient is not None
    assert recipient.transport is None


def test_wrong_key_and_damaged_content_are_one_error(encrypted: Path, reader: Party) -> None:
    other = Party(reader.certificate, party("somebody else").key)
    with pytest.raises(NotDecryptable):
        opened(encrypted, other)
    whole = bytearray(encrypted.read_bytes())
    whole[-17] ^= 0xFF
    encrypted.write_bytes(whole)
    with pytest.raises(NotDecryptable):
        opened(encrypted, reader)


def test_malformed_part_of_an_encrypted_file_is_named(encrypted: Path) -> None:
    whole = encrypted.read_bytes()
    aes = bytes.fromhex("060960864801650304012a")
    for words, odd in {
        "it is no CMS encrypted data": b"whatever it is",
        "its content is encrypted with aes256_gcm": whole.replace(aes, aes[:-1] + b"\x2e", 1),
        "the algorithm of its content cannot be read": whole.replace(aes + b"\x04\x10", aes + b"\x05\x10", 1),
        "its recipients cannot be read": whole.replace(b"\x02\x01\x00\x30", b"\x0c\x01\x00\x30", 1),
        "something stands behind it": whole + b"more",
    }.items():
        assert odd != whole
        encrypted.write_bytes(odd)
        with pytest.raises(Malformed, match=words), encrypted.open("rb") as file:
            EncryptedData(file).write(bytes(32), io.BytesIO())


def test_certificate_that_is_not_for_encryption_is_refused(reader: Party) -> None:
    assert RecipientCertificate.read(reader.certificate.public_bytes(Encoding.PEM)).key.key_size == 2048
    for odd in (party("signer"), party("expired", usage=ENCRYPTION, start=NOW - 9 * DAY, end=NOW - DAY)):
        with pytest.raises(NotForEncryption):
            RecipientCertificate.read(odd.der)
    with pytest.raises(Malformed):
        RecipientCertificate.read(b"\x30\x00")


def test_showing_a_certificate_loads_no_library_for_making_them() -> None:
    program = (
        "import sys, xca_common.pki.certificate; print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "asn1crypto" in done.stdout
    assert "cryptography" not in done.stdout
