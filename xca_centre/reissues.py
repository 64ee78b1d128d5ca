# SPDX-License-Identifier: Apache-2.0
"""Certificates with a secure e-mail address (寫入憑證內安全電子郵件信箱): issued anew for the same keys.

The old ones are superseded in the same change. The holder's local component then writes the new ones to the
card (writecert); until it has, relying parties refuse what the card shows.
"""

from collections.abc import Mapping
from uuid import UUID

from cryptography import x509

from xca_centre import certificate_sets
from xca_centre.authority.certificates import Generation, certify_again
from xca_centre.certificate_sets import NewSet
from xca_centre.issuer_rules import IssuerRules
from xca_centre.life.certificate import REISSUED, CertificateEvent
from xca_centre.life.transitions import Actor
from xca_centre.store.database import Change


def reissue(
    change: Change,
    rules: IssuerRules,
    generations: Mapping[int, Generation],
    certificates: UUID,
    email: str,
    by: Actor,
) -> UUID:
    """Issue the certificates of a set anew, with an e-mail address; return the id of the new set.

    Args:
        change: the change.
        rules: of the issuer.
        generations: the issuing CA, by number; the highest issues.
        certificates: the id of the set that is superseded.
        email: the address.
        by: the holder.

    Raises:
        NoSuchCertificates: there is no such set.
        Refused: the certificates are not valid.
        BadHolder: the address is none.
        IssuerEnds: the generation ends before the certificates.
    """
    certificate_sets.change_state(change, certificates, CertificateEvent.REISSUE, by, rules)
    before = certificate_sets.find(change.connection, certificates)
    issued = certificate_sets.certificates_of(change.connection, certificates)
    generation = generations[max(generations)]
    sequence = certificate_sets.reserve(change, generation.number, len(issued))
    made = [
        (
            each.use,
            certify_again(
                generation, sequence + place, x509.load_der_x509_certificate(each.der), email, change.now
            ),
        )
        for place, each in enumerate(issued)
    ]
    new = NewSet(
        card=before.card,
        organisation=before.organisation,
        rank=before.rank,
        generation=generation.number,
        sequence=sequence,
        certificates=made,
        lapses_at=before.lapses_at,
        is_published=before.is_published,
        standing=REISSUED,
    )
    return certificate_sets.add(change, new, by)
