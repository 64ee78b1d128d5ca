# SPDX-License-Identifier: Apache-2.0
"""Keys of the centre in a PKCS#11 token."""

import copy
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.x509.oid import NameOID

from support.centre.key_token import PIN, SO_PIN, soft_module, soft_token
from xca_centre.authority.token_key import Token, TokenKey, Use
from xca_centre.errors import KeyStaysInToken, NoTokenKey, TokenPinRefused, TokenUnavailable
from xca_common.secret import Secret

DATA = b"what the centre signs"
PKCS1 = padding.PKCS1v15()
SHA256 = hashes.SHA256()


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with soft_module(tmp_path_factory.mktemp("tokens")) as module:
        yield module


@pytest.fixture(scope="module")
def token(module: Path) -> Token:
    return soft_token(module, "CENTRE")


@pytest.fixture(scope="module")
def key(token: Token) -> TokenKey:
    return token.make_key("issuer", 2048)


@pytest.fixture(scope="module")
def opener(token: Token) -> TokenKey:
    return token.make_key("sealed", 2048, Use.DECRYPT)


def check(key: TokenKey) -> None:
    key.public_key().verify(key.sign(DATA, PKCS1, SHA256), DATA, PKCS1, SHA256)


def test_key_signs_a_certificate_of_cryptography(key: TokenKey) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "測試")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256)
    )
    certificate.verify_directly_issued_by(certificate)


def test_key_that_is_there_is_not_made_again(token: Token, key: TokenKey) -> None:
    again = token.make_key("issuer", 2048)
    assert again.public_key() == token.key("issuer").public_key() == key.public_key()


def test_key_that_is_not_there_is_named(token: Token) -> None:
    with pytest.raises(NoTokenKey) as caught:
        token.key("another")
    assert (caught.value.label, caught.value.name) == ("CENTRE", "another")


@pytest.mark.parametrize(
    "leave",
    [
        TokenKey.private_numbers,
        copy.copy,
        copy.deepcopy,
        pickle.dumps,
        lambda key: key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    ],
    ids=["numbers", "copy", "deepcopy", "pickle", "bytes"],
)
def test_key_does_not_leave_its_token(key: TokenKey, leave: Callable[[TokenKey], object]) -> None:
    with pytest.raises(KeyStaysInToken):
        leave(key)


def test_key_signs_with_no_weak_digest(key: TokenKey) -> None:
    with pytest.raises(UnsupportedAlgorithm):
        key.sign(DATA, PKCS1, hashes.SHA1())


def test_key_for_opening_opens_and_does_not_sign(opener: TokenKey, key: TokenKey) -> None:
    assert opener.decrypt(opener.public_key().encrypt(DATA, PKCS1), PKCS1) == DATA
    with pytest.raises(UnsupportedAlgorithm):
        opener.sign(DATA, PKCS1, SHA256)
    with pytest.raises(UnsupportedAlgorithm):
        key.decrypt(key.public_key().encrypt(DATA, PKCS1), PKCS1)


def test_ciphertext_of_another_key_does_not_open(opener: TokenKey, key: TokenKey) -> None:
    # OpenSSL 3.2, below SoftHSM, makes random bytes of it, so that nobody learns why it does not open.
    opened = b""
    with suppress(ValueError):
        opened = opener.decrypt(key.public_key().encrypt(DATA, PKCS1), PKCS1)
    assert opened != DATA
    check(key)


@pytest.mark.parametrize("other", [bytes(255), b"\xff" * 256], ids=["short", "above the modulus"])
def test_ciphertext_of_no_key_is_refused(opener: TokenKey, key: TokenKey, other: bytes) -> None:
    with pytest.raises(ValueError, match=r"Decryption failed|as long as"):
        opener.decrypt(other, PKCS1)
    check(key)


def test_threads_sign_with_one_key_at_once(key: TokenKey) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: check(key), range(40)))


def test_children_of_a_process_that_signed_sign_at_once(key: TokenKey) -> None:
    check(key)
    context = multiprocessing.get_context("fork")
    for _ in range(5):  # while one logs in, SoftHSM's token is not there for the others
        children = [context.Process(target=check, args=(key,)) for _ in range(4)]
        for child in children:
            child.start()
        check(key)
        for child in children:
            child.join(30)
        assert [child.exitcode for child in children] == [0, 0, 0, 0]
    check(key)


def test_token_that_went_is_named_and_used_when_it_is_back(tmp_path: Path) -> None:
    with soft_module(tmp_path) as module:
        key = soft_token(module, "CENTRE").make_key("issuer", 2048)
        (tmp_path / "tokens").rename(tmp_path / "away")
        with pytest.raises(TokenUnavailable) as caught:
            key.sign(DATA, PKCS1, SHA256)
        assert caught.value.label == "CENTRE"
        (tmp_path / "away").rename(tmp_path / "tokens")
        check(key)


def test_token_that_was_closed_opens_at_the_next_use(token: Token, key: TokenKey) -> None:
    token.forget()
    check(key)


def test_wrong_pin_costs_one_try_and_is_in_no_message(module: Path, key: TokenKey) -> None:
    wrong = Token(module, "CENTRE", Secret("not-the-pin-9"))
    for _ in range(5):
        with pytest.raises(TokenPinRefused) as caught:
            wrong.key("issuer")
        assert "not-the-pin" not in f"{caught.value} {caught.value.facts()}"
    check(key)


def test_token_that_is_there_keeps_its_pin_and_its_keys(module: Path, key: TokenKey) -> None:
    again = Token.create(module, "CENTRE", Secret(SO_PIN), Secret("another-pin"))
    with pytest.raises(TokenPinRefused):
        again.key("issuer")
    check(key)


def test_tokens_of_one_module_are_used_side_by_side(module: Path, token: Token, key: TokenKey) -> None:
    root = soft_token(module, "ROOT").make_key("root", 2048)
    for one in (root, key, root, key):
        check(one)
    assert soft_token(module, "ROOT").key("root").public_key() == root.public_key()
    with pytest.raises(NoTokenKey):
        Token(module, "ROOT", Secret(PIN)).key("issuer")
