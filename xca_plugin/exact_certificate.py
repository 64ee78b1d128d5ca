# SPDX-License-Identifier: Apache-2.0
"""Certificates for pyHanko whose names can always be compared.

asn1crypto prepares names before it compares them (RFC 5280, section 7.1) and fails for those with characters
younger than Unicode 3.2, which people's and organisations' names hold.
"""

from asn1crypto import x509  # type: ignore[import-untyped]


class _Name(x509.Name):  # type: ignore[misc]
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, x509.Name):
            return False
        if self.chosen.dump() == other.chosen.dump():
            return True
        try:
            return bool(self.chosen == other.chosen)
        except ValueError:  # they cannot be prepared
            return False

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]

    @property
    def hashable(self) -> str:
        # The same as of asn1crypto: pyHanko looks these names up among those of other certificates.
        try:
            return str(self.chosen.hashable)
        except ValueError:  # it cannot be prepared
            return str(self.chosen.dump().hex())


class _TbsCertificate(x509.TbsCertificate):  # type: ignore[misc]
    _fields = [  # noqa: RUF012
        (name, _Name if kind is x509.Name else kind, *options)
        for name, kind, *options in x509.TbsCertificate._fields
    ]


class ExactCertificate(x509.Certificate):  # type: ignore[misc]
    """A certificate whose names equal names with the same encoding, prepared (RFC 4518) or not."""

    _fields = [  # noqa: RUF012
        (name, _TbsCertificate if kind is x509.TbsCertificate else kind, *options)
        for name, kind, *options in x509.Certificate._fields
    ]
