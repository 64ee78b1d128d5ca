# SPDX-License-Identifier: Apache-2.0
"""Files encrypted to certificates, built and opened without a card."""

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from asn1crypto import cms, core  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from support.hostile_pki import elliptic, short_key
from xca_common.errors import FileProblem
from xca_common.pki.authority import ENCRYPTION
from xca_common.pki.certificate import serial_text
from xca_common.pki.encrypted_data import (
    EncryptedData,
    NotDecryptable,
    NotForEncryption,
    RecipientCertificate,
    encrypt,
)
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_common.pki.text_forms import Chunks
from xca_login.testing.parties import DAY, NOW, Party, party

CONTENT = bytes(range(256)) * 5000
COMMITMENT = x509.KeyUsage(False, True, False, False, False, False, False, False, False)


@pytest.fixture(scope="module")
def reader() -> Party:
    # A name that asn1crypto cannot compare with another.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "\U0002a700")])
    return party("reader", usage=ENCRYPTION, subject=name)


@pytest.fixture(params=["gcm", "cbc"])
def encrypted(reader: Party, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return written(reader, tmp_path, cbc=request.param == "cbc")


@pytest.fixture
def authenticated(reader: Party, tmp_path: Path) -> Path:
    return written(reader, tmp_path)


def written(reader: Party, folder: Path, *, cbc: bool = False) -> Path:
    (folder / "content").write_bytes(CONTENT)
    with (folder / "content").open("rb") as content, (folder / "encrypted").open("wb") as output:
        encrypt(content, output, [RecipientCertificate.read(reader.der)], cbc=cbc)
    return folder / "encrypted"


def with_attributes(path: Path, key: bytes, *, tag_bytes: int = 16, nonce: bytes = bytes(12)) -> bytes:
    """Encrypt the content of an AuthEnvelopedData anew, with attributes that its tag covers."""
    whole = cms.ContentInfo.load(path.read_bytes())
    attributes = cms.CMSAttributes([{"type": "1.2.3.4", "values": [core.OctetString(b"whatever it is")]}])
    encryptor = Cipher(AES(key), GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(attributes.dump())
    sealed = encryptor.update(CONTENT) + encryptor.finalize()
    parameters = core.Sequence(
        contents=core.OctetString(nonce).dump() + (core.Integer(tag_bytes).dump() if tag_bytes != 12 else b"")
    )
    data = whole["content"]
    data["auth_encrypted_content_info"] = {
        "content_type": "data",
        "content_encryption_algorithm": {"algorithm": "aes256_gcm", "parameters": parameters},
        "encrypted_content": sealed,
    }
    data["auth_attrs"] = attributes
    data["mac"] = encryptor.tag[:tag_bytes]
    return bytes(whole.dump(force=True))


def content_key(path: Path, reader: Party) -> bytes:
    with path.open("rb") as file:
        recipient = EncryptedData(file).recipient(reader.der)
    assert recipient is not None
    assert recipient.transport is not None
    return reader.key.decrypt(recipient.encrypted_key, recipient.transport.padding)


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
    key = content_key(encrypted, reader)
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
        data = EncryptedData(file)
        recipient = data.recipient(reader.der)
        assert recipient is not None
        assert recipient.transport is None
        with pytest.raises(ValueError, match="no transport"):
            data.open(recipient, reader.key, io.BytesIO())


def test_key_in_oaep_of_another_is_the_error_of_a_damaged_content(encrypted: Path, reader: Party) -> None:
    whole = cms.ContentInfo.load(encrypted.read_bytes())
    (info,) = whole["content"]["recipient_infos"]
    sha1 = {"algorithm": "sha1"}
    info.chosen["key_encryption_algorithm"] = {
        "algorithm": "rsaes_oaep",
        "parameters": {
            "hash_algorithm": sha1,
            "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": sha1},
        },
    }
    encrypted.write_bytes(whole.dump(force=True))
    with pytest.raises(NotDecryptable):
        opened(encrypted, reader)


def test_wrong_key_and_damaged_content_are_one_error(encrypted: Path, reader: Party) -> None:
    other = Party(reader.certificate, party("somebody else").key)
    with pytest.raises(NotDecryptable):
        opened(encrypted, other)
    whole = bytearray(encrypted.read_bytes())
    whole[-19] ^= 0xFF
    encrypted.write_bytes(whole)
    with pytest.raises(NotDecryptable):
        opened(encrypted, reader)


@pytest.mark.parametrize("tag_bytes", [12, 16])
def test_authenticated_attributes_are_covered_by_the_tag(
    authenticated: Path, reader: Party, tag_bytes: int
) -> None:
    whole = with_attributes(authenticated, content_key(authenticated, reader), tag_bytes=tag_bytes)
    authenticated.write_bytes(whole)
    assert opened(authenticated, reader) == CONTENT
    authenticated.write_bytes(whole.replace(b"whatever it is", b"something else"))
    with pytest.raises(NotDecryptable):
        opened(authenticated, reader)


def test_authenticated_attributes_through_a_pipe_are_refused(authenticated: Path, reader: Party) -> None:
    key = content_key(authenticated, reader)
    whole = with_attributes(authenticated, key)
    pipe = io.BufferedReader(Chunks(iter([whole])))
    with pytest.raises(Malformed, match="a pipe is read only once"):
        EncryptedData(pipe).write(key, io.BytesIO())


@pytest.mark.parametrize("at", [-1, -16, -19, -1000], ids=["tag", "tag", "content", "content"])
def test_altered_authenticated_content_is_not_opened(authenticated: Path, reader: Party, at: int) -> None:
    whole = bytearray(authenticated.read_bytes())
    whole[at] ^= 1
    authenticated.write_bytes(whole)
    with pytest.raises(NotDecryptable):
        opened(authenticated, reader)


def test_tag_of_another_length_is_malformed(authenticated: Path) -> None:
    whole = authenticated.read_bytes()
    info = cms.ContentInfo.load(whole)["content"]["auth_encrypted_content_info"]
    parameters = info["content_encryption_algorithm"]["parameters"].dump()
    for tag_bytes in (0, 4, 11, 13, 17):
        authenticated.write_bytes(whole.replace(parameters, parameters[:-1] + bytes([tag_bytes])))
        with authenticated.open("rb") as file, pytest.raises(Malformed):
            EncryptedData(file).write(bytes(32), io.BytesIO())


@pytest.mark.parametrize("cbc", [False, True])
@pytest.mark.parametrize("size", [0, 1, 3 << 20])
def test_content_of_a_pipe_is_encrypted_with_indefinite_lengths(
    reader: Party, tmp_path: Path, cbc: bool, size: int
) -> None:
    content = bytes(size)
    with subprocess.Popen(["head", "-c", str(size), "/dev/zero"], stdout=subprocess.PIPE) as source:
        assert source.stdout is not None
        with (tmp_path / "encrypted").open("wb") as output:
            encrypt(source.stdout, output, [RecipientCertificate.read(reader.der)], cbc=cbc)  # type: ignore[arg-type]
    assert opened(tmp_path / "encrypted", reader) == content


def test_encrypted_file_in_pem_is_opened(reader: Party, tmp_path: Path) -> None:
    (tmp_path / "content").write_bytes(CONTENT)
    with (tmp_path / "content").open("rb") as content, (tmp_path / "encrypted").open("wb") as output:
        encrypt(content, output, [RecipientCertificate.read(reader.der)], armored=True)
    lines = (tmp_path / "encrypted").read_bytes().splitlines()
    assert (lines[0], lines[-1]) == (b"-----BEGIN CMS-----", b"-----END CMS-----")
    assert {len(line) for line in lines[1:-2]} == {64}
    assert opened(tmp_path / "encrypted", reader) == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_file_that_changes_while_it_is_encrypted_is_told(
    reader: Party, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    (tmp_path / "content").write_bytes(CONTENT)
    (tmp_path / "another").write_bytes(bytes(size))
    before = (tmp_path / "another").stat()
    with (tmp_path / "content").open("rb") as content, monkeypatch.context() as patched:
        patched.setattr("xca_common.pki.encrypted_data.os.fstat", lambda file: before)
        with pytest.raises(FileProblem) as refused:
            encrypt(content, io.BytesIO(), [RecipientCertificate.read(reader.der)])
    assert "it changed while it was read" in refused.value.message("en")


def test_recipients_are_told_as_the_file_names_them(tmp_path: Path) -> None:
    one, other = (party(name, usage=ENCRYPTION) for name in ("one", "another"))
    (tmp_path / "content").write_bytes(CONTENT)
    output = io.BytesIO()
    with (tmp_path / "content").open("rb") as content:
        encrypt(content, output, [RecipientCertificate.read(each.der) for each in (one, other)])
    whole = cms.ContentInfo.load(output.getvalue())
    identifier = x509.SubjectKeyIdentifier.from_public_key(other.key.public_key()).digest
    for info in whole["content"]["recipient_infos"]:
        if info.chosen["rid"].chosen["serial_number"].native == other.certificate.serial_number:
            info.chosen["rid"] = cms.RecipientIdentifier("subject_key_identifier", identifier)
    data = EncryptedData(io.BytesIO(whole.dump(force=True)))
    names = [
        f"the certificate {serial_text(one.certificate.serial_number)} of the issuer O=one",
        f"the certificate with the key identifier {identifier.hex()}",
    ]
    assert sorted(name("en") for name in data.recipients()) == names
    assert [name("en") for name in data.recipients(besides=other.der)] == names[:1]
    assert data.recipient(other.der) is not None


def test_certificates_of_who_encrypted_are_passed_over(encrypted: Path, reader: Party) -> None:
    whole = cms.ContentInfo.load(encrypted.read_bytes())
    whole["content"]["originator_info"] = {
        "certs": [cms.CertificateChoices("certificate", cms.Certificate.load(reader.der))]
    }
    encrypted.write_bytes(whole.dump(force=True))
    assert opened(encrypted, reader) == CONTENT


def test_encrypted_file_without_its_content_says_so(encrypted: Path) -> None:
    whole = cms.ContentInfo.load(encrypted.read_bytes())
    data = whole["content"]
    name = next(
        one for one in ("encrypted_content_info", "auth_encrypted_content_info") if one in data._field_map
    )
    del data[name]["encrypted_content"]
    with pytest.raises(Malformed, match="it does not hold its content"):
        EncryptedData(io.BytesIO(whole.dump(force=True)))


def test_more_recipients_than_are_read_are_refused(reader: Party, tmp_path: Path) -> None:
    recipient = RecipientCertificate.read(reader.der)
    (tmp_path / "content").write_bytes(b"content")
    with (tmp_path / "content").open("rb") as content, pytest.raises(TooMuchError):
        encrypt(content, io.BytesIO(), [recipient] * 1001)


def test_file_encrypted_to_nobody_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "content").write_bytes(b"content")
    output = io.BytesIO()
    with (tmp_path / "content").open("rb") as content, pytest.raises(ValueError, match="no recipients"):
        encrypt(content, output, [])
    assert output.getvalue() == b""


def test_malformed_part_of_an_encrypted_file_is_named(reader: Party, tmp_path: Path) -> None:
    encrypted = written(reader, tmp_path, cbc=True)
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
    (read,) = RecipientCertificate.read_all(reader.certificate.public_bytes(Encoding.PEM))
    assert read.key.key_size == 2048
    for odd in (party("signer"), party("expired", usage=ENCRYPTION, start=NOW - 9 * DAY, end=NOW - DAY)):
        with pytest.raises(NotForEncryption):
            RecipientCertificate.read(odd.der)
    with pytest.raises(Malformed):
        RecipientCertificate.read(b"\x30\x00")


@pytest.mark.parametrize(
    ("odd", "reasons"),
    [
        (lambda: party("odd"), "is for signatures, not for encryption"),
        (lambda: party("odd", end=NOW - DAY), "is for signatures, not for encryption, expired on "),
        (lambda: party("odd", usage=ENCRYPTION, start=NOW - 9 * DAY, end=NOW - DAY), "expired on "),
        (lambda: party("odd", usage=ENCRYPTION, start=NOW + DAY, end=NOW + 9 * DAY), "is not valid before "),
        (lambda: party("odd", ca=True), "is a CA's, not for encryption"),
        (
            lambda: short_key("odd", party("issuer"), (ENCRYPTION, True)),
            "has an RSA key of fewer than 2048 bits",
        ),
        (lambda: elliptic("odd", party("issuer")), "has a key that is no RSA key"),
        (lambda: party("odd", usage=COMMITMENT), "is not meant for encryption"),
    ],
)
def test_certificate_that_is_refused_is_named_with_every_reason(
    reader: Party, odd: Callable[[], Party], reasons: str
) -> None:
    refused = odd()
    with pytest.raises(NotForEncryption, match=f"^the certificate of odd {reasons}"):
        RecipientCertificate.read_all(refused.pem)
    if "CA's" not in reasons:  # one beside others is passed over
        with pytest.raises(NotForEncryption, match=f"^certificate 2 of 2 in it, that of odd, {reasons}"):
            RecipientCertificate.read_all(reader.pem + refused.pem)


def test_certificates_of_one_file_are_all_encrypted_to(reader: Party) -> None:
    other = party("other", usage=ENCRYPTION)
    found = RecipientCertificate.read_all(reader.pem + other.pem + reader.pem)
    assert [one.told.der for one in found] == [reader.der, other.der]


def test_certificates_beside_the_recipients_are_passed_over() -> None:
    issuer = party("issuer", ca=True)
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "holder")])
    signer, holder = (
        party(name, issuer, subject=subject, usage=usage)
        for name, usage in (("holder's signing", None), ("holder's", ENCRYPTION))
    )
    found = RecipientCertificate.read_all(issuer.pem + signer.pem + holder.pem)
    assert [one.told.der for one in found] == [holder.der]
    for left_out in (party("only a signer", issuer).pem, issuer.pem):
        with pytest.raises(NotForEncryption):
            RecipientCertificate.read_all(left_out)
    with pytest.raises(NotForEncryption):
        RecipientCertificate.read_all(holder.pem + party("only a signer", issuer).pem)


@pytest.mark.parametrize(
    ("number", "shown"), [(0xA1B2, "a1b2"), (0x1B2, "01b2"), (7, "07"), (0, "00"), (-5, "-05")]
)
def test_serial_number_is_shown_in_whole_bytes(number: int, shown: str) -> None:
    assert serial_text(number) == shown


def test_showing_a_certificate_loads_no_library_for_making_them() -> None:
    program = (
        "import sys, xca_common.pki.certificate; print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "asn1crypto" in done.stdout
    assert "cryptography" not in done.stdout
