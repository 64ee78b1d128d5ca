# SPDX-License-Identifier: Apache-2.0
"""A user code that only one party can read, sealed to its RSA key (RSAES-OAEP, SHA-256; RFC 8017, 7.1)."""

from typing import Final

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from xca_common.secret import Secret

_PADDING: Final = OAEP(MGF1(SHA256()), SHA256(), b"xca-sealed-secret/1")


class NotOpened(ValueError):  # a situation
    """It was sealed for another key, or is no sealed secret."""


def seal(secret: Secret, key: RSAPublicKey) -> bytes:
    """Seal a secret of at most 128 bytes.

    Args:
        secret: what is sealed.
        key: whose owner reads it, 2048 bits at least.

    Raises:
        ValueError: the secret is too long for the key.
    """
    return key.encrypt(secret.reveal().encode(), _PADDING)


def unseal(sealed: bytes, key: RSAPrivateKey) -> Secret:
    """Open what seal() returned.

    Raises:
        NotOpened: it is none for this key.
    """
    try:
        return Secret(key.decrypt(sealed, _PADDING).decode())
    except ValueError:  # it may quote what it cannot read
        raise NotOpened from None
