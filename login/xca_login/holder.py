# SPDX-License-Identifier: Apache-2.0
"""Whom a certificate is for, by its subjectDirectoryAttributes (RFC 5280, section 4.2.1.8), read strictly."""

import re
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.x509.oid import ExtensionOID, NameOID

from xca_common.pki import profile
from xca_login.der import Attribute, element
from xca_login.errors import HolderUnclear
from xca_login.i18n import text

_T = TypeVar("_T")

_TAX_ID: Final = re.compile("[0-9]{8}")


@asn1.sequence
class _Extension:
    attributes: list[Attribute]


@dataclass(frozen=True)
class Holder:
    """Whom a certificate is for.

    Attributes:
        kind: OID of the kind of holder, such as profile.SCHOOL.
        rank: primary (正卡) or secondary (附卡).
        organisation_oid: OID of the organisation; None: it does not tell.
        tax_id: 統一編號 of a company, 8 digits; None: it does not tell.
    """

    kind: str
    rank: str
    organisation_oid: str | None
    tax_id: str | None

    @classmethod
    def of(cls, certificate: x509.Certificate) -> Self:
        """Read whom a certificate is for.

        Raises:
            HolderUnclear: an attribute is missing, there twice, or of another form than it should be.
        """
        values = _values(certificate)
        kind = _parsed(values, profile.SUBJECT_TYPE, x509.ObjectIdentifier)
        rank = _parsed(values, profile.CARD_RANK, asn1.PrintableString)
        organisation = _parsed(values, profile.ORGANISATION_OID, x509.ObjectIdentifier)
        tax_id = _parsed(values, profile.TAX_ID, str)
        if kind is None or rank is None or rank.as_str() not in profile.CARD_RANKS:
            raise HolderUnclear(detail=text("its kind or the rank of the card is missing"))
        if organisation is None and tax_id is None:
            raise HolderUnclear(detail=text("no organisation is named"))
        if tax_id is not None and not _TAX_ID.fullmatch(tax_id):
            raise HolderUnclear(detail=text("its tax id does not have 8 digits"))
        named = {str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)}
        if tax_id is not None and named - {tax_id}:
            raise HolderUnclear(detail=text("it names two tax ids"))
        return cls(
            kind.dotted_string,
            rank.as_str(),
            organisation.dotted_string if organisation else None,
            tax_id,
        )


def _values(certificate: x509.Certificate) -> dict[str, asn1.TLV]:
    try:
        extension: Any = certificate.extensions.get_extension_for_oid(
            ExtensionOID.SUBJECT_DIRECTORY_ATTRIBUTES
        ).value
        # asn1 reads a list only inside of something else.
        found = asn1.decode_der(_Extension, element(b"\x30", extension.value)).attributes
    except x509.ExtensionNotFound:
        raise HolderUnclear(detail=text("it has no directory attributes")) from None
    except ValueError:
        raise HolderUnclear(detail=text("its directory attributes cannot be read")) from None
    values: dict[str, asn1.TLV] = {}
    for attribute in found:
        kind, several = attribute.kind.dotted_string, attribute.values.as_list()
        if kind in values or len(several) != 1:
            raise HolderUnclear(
                detail=text("an attribute is there twice, or does not have exactly one value")
            )
        values[kind] = several[0]
    return values


def _parsed(values: dict[str, asn1.TLV], name: str, kind: type[_T]) -> _T | None:
    if name not in values:
        return None
    try:
        found: _T = values[name].parse(kind)
    except ValueError:
        raise HolderUnclear(detail=text("an attribute has another form than it should")) from None
    return found
