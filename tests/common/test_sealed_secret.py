# SPDX-License-Identifier: Apache-2.0
"""User codes sealed to a key."""

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from xca_common.pki.sealed_secret import NotOpened, seal, unseal
from xca_common.secret import Secret


@pytest.fixture(scope="module")
def keys() -> tuple[RSAPrivateKey, RSAPrivateKey]:
    first, second = (generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    return first, second


def test_sealed_secret_opens_with_its_key(keys: tuple[RSAPrivateKey, RSAPrivateKey]) -> None:
    sealed = seal(Secret("Tw-7iJk#q"), keys[0].public_key())
    assert unseal(sealed, keys[0]) == Secret("Tw-7iJk#q")
    assert seal(Secret("Tw-7iJk#q"), keys[0].public_key()) != sealed


def test_sealed_secret_for_another_key_is_not_opened(
    keys: tuple[RSAPrivateKey, RSAPrivateKey],
) -> None:
    sealed = seal(Secret("Tw-7iJk#q"), keys[0].public_key())
    with pytest.raises(NotOpened):
        unseal(sealed, keys[1])


@pytest.mark.parametrize("sealed", [b"", b"\0" * 256, b"\xff" * 256, b"x" * 255, b"x" * 5000])
def test_bytes_that_seal_nothing_are_not_opened(
    keys: tuple[RSAPrivateKey, RSAPrivateKey], sealed: bytes
) -> None:
    with pytest.raises(NotOpened):
        unseal(sealed, keys[0])
