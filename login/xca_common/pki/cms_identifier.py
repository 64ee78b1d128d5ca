# SPDX-License-Identifier: Apache-2.0
"""How CMS names a certificate: by issuer and serial number, or by subjectKeyIdentifier (RFC 5652, 5.3)."""

from asn1crypto import x509 as asn1_x509  # type: ignore[import-untyped]

from xca_common.pki.cms_types import cms


def is_named(der: bytes, name: cms.SignerIdentifier | cms.RecipientIdentifier) -> bool | None:
    """Say whether a certificate is the one that is named; None: it cannot be read so far.

    Args:
        der: the certificate as it is encoded; it may be malformed.
        name: the name, all of which can be read.
    """
    try:
        certificate = asn1_x509.Certificate.load(der)
        if name.name == "subject_key_identifier":
            extensions = certificate["tbs_certificate"]["extensions"]
            own = [one["extn_value"] for one in extensions if one["extn_id"].native == "key_identifier"]
            return any(one.parsed.native == name.chosen.native for one in own)
        if certificate.serial_number != name.chosen["serial_number"].native:
            return False
        found, wanted = certificate.issuer, name.chosen["issuer"]
        # Written alike; or, for programs that write a name anew, alike but for case, blanks and kinds of
        # strings (RFC 5280, section 7.1), where that can be found out.
        return bool(found.dump() == wanted.dump() or found == wanted)
    except Exception:  # asn1crypto raises many kinds
        return None
