# SPDX-License-Identifier: Apache-2.0
"""Chains of certificates: how much is looked at."""

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from xca_common.pki.chain import LONGEST, ChainLimitError, chains
from xca_login.testing.parties import NOW, authority_key, party


def test_possible_issuers_beyond_the_limit_are_refused() -> None:
    root = party("root", ca=True)
    twins = [party("twin", root, ca=True).certificate for _ in range(257)]
    signer = party("signer", party("twin", root, ca=True)).certificate
    assert next(chains(signer, twins[:100], [root.certificate], NOW))
    with pytest.raises(ChainLimitError):
        next(chains(signer, twins, [root.certificate], NOW))


def test_chains_beyond_the_limit_are_left_out() -> None:
    root = party("root", ca=True)
    above, others = root, []
    for level in range(3):
        twins = [party(f"level {level}", above, ca=True) for _ in range(4)]
        others += [twin.certificate for twin in twins]
        above = twins[0]
    signer = party("signer", above).certificate
    found = list(chains(signer, others, [root.certificate], NOW))
    assert len(set(found)) == 16


def test_chain_search_among_dead_ends_gives_up() -> None:
    """Six twins on each of four levels lead to the root only through somebody who was passed already."""
    root = party("root", ca=True)
    known = party("known", root, ca=True)
    above, others = known, []
    for level in range(4):
        twins = [party(f"level {level}", above, ca=True) for _ in range(6)]
        others += twins
        above = twins[0]
    others += [party("known", above, ca=True) for _ in range(6)]
    signer = party("signer", known).certificate
    twins_first = [one.certificate for one in (*others, known)]
    with pytest.raises(ChainLimitError):
        next(chains(signer, twins_first, [root.certificate], NOW))
    assert len(next(chains(signer, twins_first[::-1], [root.certificate], NOW))) == 3


def test_chain_that_is_longer_than_is_looked_at_is_refused() -> None:
    root = above = party("root", ca=True)
    others = []
    for level in range(LONGEST - 1):
        above = party(f"level {level}", above, ca=True)
        others.append(above.certificate)
    signer = party("signer", above).certificate
    with pytest.raises(ChainLimitError):
        next(chains(signer, others, [root.certificate], NOW))
    assert len(next(chains(others[-1], others[:-1], [root.certificate], NOW))) == LONGEST


def test_chain_of_a_trusted_certificate_is_itself() -> None:
    root = party("root", ca=True)
    assert list(chains(root.certificate, [], [root.certificate], NOW)) == [(root.certificate,)]


def test_chain_leads_through_no_certificate_that_may_not_issue() -> None:
    root = party("root", ca=True)
    holder = party("holder", root)
    signer = party("signer", holder)
    assert list(chains(signer.certificate, [holder.certificate], [root.certificate], NOW)) == []


def test_chain_leads_through_the_generation_of_a_ca_that_is_named() -> None:
    root = party("root", ca=True)
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ca")])
    old, new = (party(f"ca {which}", root, ca=True, subject=subject) for which in ("old", "new"))
    signer = party("signer", new, extensions=[authority_key(new)])
    both = [old.certificate, new.certificate]
    assert list(chains(signer.certificate, both, [root.certificate], NOW)) == [
        (signer.certificate, new.certificate, root.certificate)
    ]
    wrong = party("signer", new, extensions=[authority_key(old)])
    assert list(chains(wrong.certificate, both, [root.certificate], NOW)) == []
