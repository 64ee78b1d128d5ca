# SPDX-License-Identifier: Apache-2.0
"""The card's keys as keys of cryptography, in a program of the user's own; OpenSSL judges what they make."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from softhsm.card_fixture import CardFixture

DOCUMENT = Path(__file__).parents[2] / "docs" / "keys.md"
HEAD = """
import copy, os, pickle
from pathlib import Path
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from xca_plugin import Cards, Key, Secret
from xca_plugin.keys import CardPrivateKey
cards = Cards()
(card,) = cards.detect()
signing, decrypting = (CardPrivateKey(cards, card, Secret(os.environ["PIN"]), key) for key in Key)
def pss(algorithm, salt=padding.PSS.DIGEST_LENGTH):
    return padding.PSS(padding.MGF1(algorithm), salt)
def oaep(algorithm, label=None):
    return padding.OAEP(padding.MGF1(algorithm), algorithm, label)
def failure(what):
    try:
        what()
    except Exception as error:
        print(type(error).__name__, "-", error)
    else:
        print("no failure")
"""
WRONG_PIN = "wrong-00"


class Program:
    """A program that uses a card's keys, and the folder that it works in."""

    def __init__(self, card: CardFixture, folder: Path) -> None:
        self.card, self.folder = card, folder

    def run(self, source: str, *, head: str = HEAD, pin: str | None = None) -> list[str]:
        """Run it; return the lines that it prints, none of which tells the PIN."""
        variables = {"PIN": pin or self.card.pin or WRONG_PIN, "LANGUAGE": "en"}
        done = subprocess.run(
            [sys.executable, "-c", head + source],
            env=os.environ | self.card.variables | variables,
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert variables["PIN"] not in done.stdout + done.stderr
        return done.stdout.splitlines()

    def openssl(self, *arguments: str) -> str:
        """Run OpenSSL, which must be content."""
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    @property
    def tries(self) -> int:
        row = self.card.environment.store.card(self.card.number)
        assert row is not None
        return row.pin_tries

    def public_key(self, key: str) -> rsa.RSAPublicKey:
        """Return a public key, and leave it in the folder for OpenSSL."""
        self.run(
            f"Path('{key}.pem').write_bytes({key}.public_key().public_bytes("
            "serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))\n"
            f"Path('{key}.crt').write_bytes({key}.certificate.public_bytes(serialization.Encoding.PEM))"
        )
        certificate = x509.load_pem_x509_certificate((self.folder / f"{key}.crt").read_bytes())
        public = certificate.public_key()
        assert isinstance(public, rsa.RSAPublicKey)
        return public


@pytest.fixture
def program(xca_active_card: CardFixture, tmp_path: Path) -> Program:
    return Program(xca_active_card, tmp_path)


def test_signatures_of_every_kind_are_what_openssl_expects(program: Program) -> None:
    program.public_key("signing")
    (program.folder / "text").write_bytes(b"tender")
    program.run("""
for algorithm in (hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
    hashing = hashes.Hash(algorithm)
    hashing.update(b"tender")
    digest = hashing.finalize()
    for name, scheme in ("pkcs1", padding.PKCS1v15()), ("pss", pss(algorithm)):
        for kind, data, given in (
            ("data", b"tender", algorithm), ("digest", digest, utils.Prehashed(algorithm))
        ):
            Path(f"{name}-{algorithm.name}-{kind}").write_bytes(signing.sign(data, scheme, given))
Path("pss-sha256-number").write_bytes(signing.sign(b"tender", pss(hashes.SHA256(), 32), hashes.SHA256()))
""")
    signatures = sorted(program.folder.glob("p*-sha*"))
    assert len(signatures) == 17
    for signature in signatures:
        scheme, algorithm, _ = signature.name.split("-")
        options = ("rsa_padding_mode:pss", "rsa_pss_saltlen:digest") if scheme == "pss" else ()
        said = program.openssl(
            *("dgst", f"-{algorithm}", "-verify", "signing.pem", "-signature", signature.name),
            *(word for option in options for word in ("-sigopt", option)),
            "text",
        )
        assert "Verified OK" in said


def test_keys_of_the_card_sign_requests_and_certificates(program: Program) -> None:
    program.run("""
name = signing.certificate.subject
for padded, scheme in ("pkcs1", None), ("pss", pss(hashes.SHA256())):
    request = x509.CertificateSigningRequestBuilder().subject_name(name)
    request = request.sign(signing, hashes.SHA256(), rsa_padding=scheme)
    Path(f"{padded}.csr").write_bytes(request.public_bytes(serialization.Encoding.PEM))
now = signing.certificate.not_valid_before_utc
certificate = (
    x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(signing.public_key())
    .serial_number(1).not_valid_before(now).not_valid_after(signing.certificate.not_valid_after_utc)
    .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    .sign(signing, hashes.SHA256())
)
Path("self.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
""")
    for name in ("pkcs1.csr", "pss.csr"):
        assert "verify OK" in program.openssl("req", "-verify", "-noout", "-in", name)
    program.openssl("verify", "-check_ss_sig", "-CAfile", "self.pem", "self.pem")


def test_documentation_examples_run_sign_and_verify(program: Program) -> None:
    (program.folder / "contract.txt").write_bytes(b"agreed\r\n")
    example, session = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    authorities = (program.card.environment.pki / name for name in ("root.pem", "ca.pem"))
    (program.folder / "trusted.pem").write_text("".join(file.read_text() for file in authorities))
    program.run(example, head="import getpass, os\ngetpass.getpass = lambda prompt: os.environ['PIN']\n")
    said = program.openssl(
        *("cms", "-verify", "-binary", "-inform", "DER", "-in", "contract.p7s", "-out", "content"),
        *("-CAfile", "trusted.pem", "-purpose", "any"),
    )
    assert "successful" in said
    assert (program.folder / "content").read_bytes() == b"agreed\r\n"
    prepared = 'pin, many = Secret(os.environ["PIN"]), [b"one", b"two"]\n'
    assert program.run(f"{prepared}{session}print([len(each) for each in signatures])") == ["[256, 256]"]


def test_key_for_encryption_decrypts_what_was_encrypted_to_it(program: Program) -> None:
    public = program.public_key("decrypting")
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    (program.folder / "oaep").write_bytes(public.encrypt(b"session key", oaep))
    (program.folder / "plain").write_bytes(b"by openssl")
    program.openssl(
        *("pkeyutl", "-encrypt", "-certin", "-inkey", "decrypting.crt", "-in", "plain", "-out", "pkcs1")
    )
    assert program.run("""
print(decrypting.decrypt(Path("oaep").read_bytes(), oaep(hashes.SHA1())))
print(decrypting.decrypt(Path("pkcs1").read_bytes(), padding.PKCS1v15()))
""") == ["b'session key'", "b'by openssl'"]


def test_key_for_encryption_answers_alike_to_what_was_not_encrypted_to_it(program: Program) -> None:
    # Of the right length and padded in the older way it may be answered with bytes that mean nothing.
    answers = program.run("""
failure(lambda: decrypting.decrypt(bytes(255), padding.PKCS1v15()))
failure(lambda: decrypting.decrypt(bytes(255), oaep(hashes.SHA1())))
failure(lambda: decrypting.decrypt(b"1" * 256, oaep(hashes.SHA1())))
""")
    assert len(set(answers)) == 1
    assert answers[0].startswith("NotDecryptable - ")


def test_key_asked_for_its_private_part_gives_none(program: Program) -> None:
    answers = program.run("""
print(isinstance(signing, rsa.RSAPrivateKey), signing.key_size)
failure(signing.private_numbers)
failure(lambda: signing.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
failure(lambda: copy.copy(signing))
failure(lambda: copy.deepcopy(signing))
failure(lambda: pickle.dumps(signing))
""")
    assert answers.pop(0) == "True 2048"
    assert len(answers) == 5
    assert all(answer.startswith("KeyStaysOnCard - ") for answer in answers)


def test_operation_that_is_not_possible_says_what_is_and_costs_no_try(program: Program) -> None:
    answers = program.run(
        """
failure(lambda: signing.sign(b"", pss(hashes.SHA256(), 20), hashes.SHA256()))
failure(lambda: signing.sign(b"", pss(hashes.SHA256(), padding.PSS.MAX_LENGTH), hashes.SHA256()))
failure(lambda: signing.sign(b"", pss(hashes.SHA1(), 32), hashes.SHA256()))
failure(lambda: signing.sign(b"", oaep(hashes.SHA256()), hashes.SHA256()))
failure(lambda: signing.sign(b"", padding.PKCS1v15(), hashes.SHA3_256()))
failure(lambda: signing.sign(b"", padding.PKCS1v15(), utils.NoDigestInfo()))
failure(lambda: decrypting.sign(b"", padding.PKCS1v15(), hashes.SHA256()))
failure(lambda: decrypting.decrypt(bytes(256), oaep(hashes.SHA1(), b"label")))
failure(lambda: decrypting.decrypt(bytes(256), pss(hashes.SHA1())))
failure(lambda: signing.decrypt(bytes(256), padding.PKCS1v15()))
failure(lambda: signing.sign(b"short", padding.PKCS1v15(), utils.Prehashed(hashes.SHA256())))
""",
        pin=WRONG_PIN,
    )
    assert answers.pop().startswith("ValueError - ")
    assert len(answers) == 10
    assert all(answer.startswith("UnsupportedAlgorithm - ") for answer in answers)
    for answer, possible in zip(
        answers,
        (*["DIGEST_LENGTH"] * 4, *["SHA256"] * 2, "SIGN", *["no label"] * 2, "KEYX"),
        strict=True,
    ):
        assert possible in answer
    assert program.tries == 3


def test_operation_that_only_the_card_cannot_do_says_what_is(program: Program) -> None:
    (answer,) = program.run("failure(lambda: decrypting.decrypt(bytes(256), oaep(hashes.SHA256())))")
    assert answer.startswith("UnsupportedAlgorithm - ")
    assert "SHA1" in answer


def test_data_that_only_the_agent_signs_is_refused(program: Program) -> None:
    """A statement, and signed attributes with the attribute that names the web site that asked."""
    lines = program.run("""
from asn1crypto import cms, core
from xca_common.statement import ORIGIN_ATTRIBUTE
from xca_plugin.signer import CardSigner
import asyncio
digest = {"type": "message_digest", "values": [bytes(32)]}
origin = {"type": ORIGIN_ATTRIBUTE, "values": [core.UTF8String("https://site.example")]}
signer = CardSigner(cards, card, cards.certificates(card), lambda: Secret(os.environ["PIN"]))
for data in (b" xca-statement/1 login", cms.CMSAttributes([digest, origin]).dump()):
    failure(lambda: signing.sign(data, padding.PKCS1v15(), hashes.SHA256()))
    failure(lambda: asyncio.run(signer.async_sign_raw(data, "sha256")))
print(len(signing.sign(cms.CMSAttributes([digest]).dump(), padding.PKCS1v15(), hashes.SHA256())))
""")
    assert [line.partition(" ")[0] for line in lines] == ["NotToBeSigned"] * 4 + ["256"]


def test_data_in_any_buffer_of_bytes_is_signed_and_decrypted(program: Program) -> None:
    said = program.run("""
public = decrypting.public_key()
sealed = public.encrypt(b"tender", padding.PKCS1v15())
for kind in (bytes, bytearray, memoryview):
    signature = signing.sign(kind(b"tender"), padding.PKCS1v15(), hashes.SHA256())
    signing.public_key().verify(signature, b"tender", padding.PKCS1v15(), hashes.SHA256())
    digest = kind(bytes(32))
    signature = signing.sign(digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))
    signing.public_key().verify(
        signature, bytes(32), padding.PKCS1v15(), utils.Prehashed(hashes.SHA256())
    )
    print(decrypting.decrypt(kind(sealed), padding.PKCS1v15()))
""")
    assert said == ["b'tender'"] * 3


def test_key_whose_pin_was_wiped_says_so_and_costs_no_try(program: Program) -> None:
    said = program.run("""
with Secret(os.environ["PIN"]) as pin:
    signing, decrypting = (CardPrivateKey(cards, card, pin, key) for key in Key)
failure(lambda: signing.sign(b"tender", padding.PKCS1v15(), hashes.SHA256()))
failure(lambda: decrypting.decrypt(bytes(256), padding.PKCS1v15()))
print(cards.read(card).pin_tries)
""")
    assert [line.partition(".")[0] for line in said] == [
        "SecretWiped - The PIN was wiped from memory already",
        "SecretWiped - The PIN was wiped from memory already",
        "3",
    ]


def test_wrong_pin_costs_one_try_and_says_how_many_are_left(program: Program) -> None:
    (answer,) = program.run(
        """
request = x509.CertificateSigningRequestBuilder().subject_name(signing.certificate.subject)
failure(lambda: request.sign(signing, hashes.SHA256()))
""",
        pin=WRONG_PIN,
    )
    assert answer.startswith("WrongPin - The PIN is wrong. 2 tries are left.")
    assert program.tries == 2


def test_card_before_activation_says_so(xca_issued_card: CardFixture, tmp_path: Path) -> None:
    program = Program(xca_issued_card, tmp_path)
    (answer,) = program.run("failure(lambda: signing.sign(b'', padding.PKCS1v15(), hashes.SHA256()))")
    assert answer.startswith("NotActivated - ")


@pytest.mark.parametrize(
    "wrong_use",
    ["cards.sign(card, pin, bytes(32), key=Key.KEYX)", "cards.decrypt(card, pin, bytes(256), key=Key.SIGN)"],
)
def test_key_used_for_anything_else_is_refused(
    xca_active_card: CardFixture, tmp_path: Path, wrong_use: str
) -> None:
    program = Program(xca_active_card, tmp_path)
    (line,) = program.run(f'pin = Secret(os.environ["PIN"])\nfailure(lambda: {wrong_use})')
    assert line.startswith("Unsupported")
