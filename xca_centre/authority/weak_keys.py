# SPDX-License-Identifier: Apache-2.0
"""RSA keys that anybody can break, although their size is right: no certificate is issued for them.

What is found costs a fraction of a millisecond, also for what strangers made up.
"""

from math import gcd, isqrt, prod
from typing import Final

_SMALL: Final = 1 << 14
"""No factor of a modulus is below it."""
_FERMAT_STEPS: Final = 100
"""CA/Browser Forum, Baseline Requirements, 6.1.1.3: at least 100 rounds."""
_ROCA_LAST: Final = 167
"""The last of the primes by which keys of the library of CVE-2017-15361 are told: the 38 from 5 to it."""
_ROCA_GENERATOR: Final = 65537


def is_weak(modulus: int) -> bool:
    """Tell whether the modulus of an RSA key is known to be broken.

    It has a small factor; or its two primes are close, so that Fermat finds them; or it was made by the
    library of CVE-2017-15361 (ROCA), whose primes are a power of 65537 modulo each small prime. One good key
    in some hundred million is taken for one of those.
    """
    return gcd(modulus, _PRODUCT) != 1 or _has_close_primes(modulus) or _is_roca(modulus)


def _has_close_primes(modulus: int) -> bool:
    middle = isqrt(modulus - 1) + 1
    for each in range(middle, middle + _FERMAT_STEPS):
        square = each * each - modulus
        if isqrt(square) ** 2 == square:
            return True
    return False


def _is_roca(modulus: int) -> bool:
    return all(modulus % prime in powers for prime, powers in _ROCA.items())


def _primes(end: int) -> list[int]:
    is_prime = bytearray([1]) * end
    for number in range(2, isqrt(end) + 1):
        if is_prime[number]:
            is_prime[number * number :: number] = bytes(len(range(number * number, end, number)))
    return [number for number in range(2, end) if is_prime[number]]


def _powers(prime: int) -> frozenset[int]:
    """Return what powers of 65537 are modulo a prime."""
    return frozenset(pow(_ROCA_GENERATOR, exponent, prime) for exponent in range(prime - 1))


_PRODUCT: Final = prod(_primes(_SMALL))
_ROCA: Final = {prime: _powers(prime) for prime in _primes(_ROCA_LAST + 1) if prime > 3}
