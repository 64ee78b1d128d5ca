# SPDX-License-Identifier: Apache-2.0
"""Where a centre publishes: the paths that the certificates of XCA and its sister CAs name."""

from dataclasses import dataclass
from typing import ClassVar, Final

from xca_common.pki.authority import Addresses

PARTITION_SIZE: Final = 10_000
"""Certificates that one partition of the CRL may name."""


def partition_of(sequence: int) -> int:
    """Return the partition of a certificate.

    Args:
        sequence: how many certificates the generation issued before it.
    """
    return sequence // PARTITION_SIZE


@dataclass(frozen=True)
class Repository:
    """The addresses of a centre. Its generations differ in a digit.

    Attributes:
        base: scheme, host and port, without a slash at the end.
        name: of the centre in paths, such as `XCA`.
    """

    base: str
    name: str

    issuers_path: ClassVar[str] = "/repository/Certs/IssuedToThisCA.p7b"
    """The certificates of the issuing CAs, PKCS #7."""
    root_path: ClassVar[str] = "/repository/Certs/IssuedToRoot.p7b"
    """The certificate of the root, PKCS #7."""
    root_list_path: ClassVar[str] = "/repository/CRL/CA.crl"
    """The list of revoked CAs."""

    def responder_path(self, generation: int) -> str:
        """Return the path of a generation's OCSP responder."""
        return f"/cgi-bin/OCSP{generation}/ocsp_server.exe"

    def complete_path(self, generation: int) -> str:
        """Return the path of a generation's complete CRL."""
        return f"/repository/{self.name}/CRL{generation}/complete.crl"

    def partition_path(self, generation: int, partition: int) -> str:
        """Return the path of a partition of a generation's CRL."""
        return f"/repository/{self.name}/CRL{generation}/CRL_{partition:04}.crl"

    def address(self, path: str) -> str:
        """Return the address of a path."""
        return self.base + path

    def of_holders(self, generation: int, partition: int) -> Addresses:
        """Return what a holder's certificate says."""
        return Addresses(
            self.address(self.issuers_path),
            self.address(self.responder_path(generation)),
            (
                self.address(self.partition_path(generation, partition)),
                self.address(self.complete_path(generation)),
            ),
        )

    def of_issuers(self) -> Addresses:
        """Return what an issuing CA's certificate says."""
        return Addresses(self.address(self.root_path), None, (self.address(self.root_list_path),))
