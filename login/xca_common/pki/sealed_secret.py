# SPDX-License-Identifier: Apache-2.0
"""A user code that only one party can read, sealed to its RSA key (RSAES-OAEP with SHA-256; RFC 8017, 7.1).

The context is the label of OAEP: a secret that was sealed for one purpose does not open for another.
"""

from typing import Final

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from xca_common.secret import Secret

_CONTEXT: Final = "xca-sealed-secret/1 "


class NotOpened(ValueError):  # a situation
    """It was sealed for another key or another context, or was changed; which of them is not told."""


def seal(secret: Secret, key: RSAPublicKey, context: str) -> bytes:
    """Seal a secret of at most 128 bytes.

    Args:
        secret: what is sealed.
        key: whose owner reads it, 2048 bits at least.
        context: what it is for, such as the order of a card; who opens it names the same.

    Raises:
        ValueError: the secret is too long for the key.
    """
    return key.encrypt(secret.reveal().encode(), _padding(context))


def unseal(sealed: bytes, key: RSAPrivateKey, context: str) -> Secret:
    """Open what seal() returned.

    Raises:
        NotOpened: it is none for this key and context.
    """
    try:
        return Secret(key.decrypt(sealed, _padding(context)).decode())
    except ValueError:  # it may quote what it cannot read
        raise NotOpened from None


def _padding(context: str) -> OAEP:
    return OAEP(MGF1(SHA256()), SHA256(), (_CONTEXT + context).encode())
