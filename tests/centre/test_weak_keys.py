# SPDX-License-Identifier: Apache-2.0
"""RSA keys of the right size that anybody can break."""

from math import prod

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from support.centre.authority import key
from xca_centre.authority.certificates import requested_key
from xca_centre.authority.weak_keys import is_weak
from xca_centre.errors import KeyWeak


def is_prime(number: int) -> bool:
    """Fermat's test is enough for numbers that nobody made up."""
    return all(pow(base, number - 1, number) == 1 for base in (2, 3, 5, 7))


def next_prime(number: int) -> int:
    number |= 1
    while not is_prime(number):
        number += 2
    return number


P = key("SIGN").private_numbers().p
"""A prime of 1024 bits."""


@pytest.mark.parametrize("name", ["SIGN", "KEYX", "elsewhere", "producer"])
def test_key_that_openssl_made_is_not_weak(name: str) -> None:
    assert not is_weak(key(name).public_key().public_numbers().n)


def test_modulus_with_a_small_factor_is_weak() -> None:
    assert is_weak(P * 16381)
    assert not is_weak(P * key("KEYX").private_numbers().q)


@pytest.mark.parametrize("distance", [2, 1 << 64, 1 << 500])
def test_modulus_of_close_primes_is_weak(distance: int) -> None:
    assert is_weak(P * next_prime(P + distance))


def test_modulus_of_the_form_of_cve_2017_15361_is_weak() -> None:
    small = [n for n in range(2, 702) if all(n % d for d in range(2, n))]
    product = prod(small[:71])

    def made(start: int, exponent: int) -> int:
        number = start * product + pow(65537, exponent, product)
        while not is_prime(number):
            number += product
        return number

    modulus = made(3 << 520, 12345) * made(7 << 521, 98765)
    assert is_weak(modulus)


def test_request_for_a_weak_key_is_refused() -> None:
    q = next_prime(P + (1 << 300))
    private = pow(65537, -1, (P - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        q, P, private, private % (q - 1), private % (P - 1), pow(P, -1, q), rsa.RSAPublicNumbers(65537, P * q)
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "weak")])
    builder = x509.CertificateSigningRequestBuilder(name)
    request = builder.sign(numbers.private_key(), hashes.SHA256())
    with pytest.raises(KeyWeak):
        requested_key(request.public_bytes(Encoding.DER))
