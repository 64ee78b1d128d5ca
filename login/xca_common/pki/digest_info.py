# SPDX-License-Identifier: Apache-2.0
"""DigestInfo (RFC 8017, appendix A.2.4): what a key signs with PKCS #1 v1.5 that gets a digest."""

from functools import cache

from asn1crypto.algos import DigestInfo  # type: ignore[import-untyped]


def digest_info(algorithm: str, digest: bytes) -> bytes:
    """Return a DigestInfo in DER; it ends with the digest.

    Args:
        algorithm: of the digest, such as `sha256`.
        digest: the digest.
    """
    return _start(algorithm, len(digest)) + digest


@cache
def _start(algorithm: str, size: int) -> bytes:
    info: bytes = DigestInfo({"digest_algorithm": {"algorithm": algorithm}, "digest": bytes(size)}).dump()
    return info[:-size]
