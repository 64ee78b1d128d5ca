# SPDX-License-Identifier: Apache-2.0
"""A login is verified again, by its evidence alone: years later, and without a network."""

from datetime import timedelta

from xca_common.pki.malformed import Malformed
from xca_common.statement import MalformedStatement, Statement, StatementKind
from xca_login.challenges import LIFETIME, Challenge
from xca_login.errors import BadOrigin, ContentWrong, RevocationUnknown
from xca_login.evidence import Evidence
from xca_login.login import Login
from xca_login.policy import Policy
from xca_login.revocation import GivenRevocation
from xca_login.site import Site
from xca_login.trust import Trust
from xca_login.verifier import Verifier


def verify_evidence(evidence: Evidence, trust: Trust, policy: Policy | None = None) -> Login:
    """Verify a login again, as of the time when the site says that it was.

    That time is what the site claims; the evidence bounds it only from below, by the lists and responses.

    Args:
        evidence: what the site kept.
        trust: the CAs whose cards could log in.
        policy: whom the site let in.

    Raises:
        LoginRefused: the evidence does not prove the login (Verifier.verify).
    """
    try:
        return _verified(evidence, trust, policy)
    except OverflowError:  # a time at the end of what a time can be
        raise ContentWrong from None


def _verified(evidence: Evidence, trust: Trust, policy: Policy | None) -> Login:
    try:
        statement = Statement.parse(evidence.challenge)
        site = Site(statement.origin, "")
    except (MalformedStatement, BadOrigin):
        raise ContentWrong from None
    if statement.kind is not StatementKind.LOGIN or evidence.at < statement.time:
        raise ContentWrong
    # The statement has its time in whole seconds.
    until = statement.time + LIFETIME + timedelta(seconds=1)
    try:
        revocation = GivenRevocation(evidence.lists, evidence.responses)
    except Malformed as error:
        raise RevocationUnknown(detail=error.detail) from error
    verifier = Verifier(site, trust, revocation, policy, clock=lambda: evidence.at)
    return verifier.verify(evidence.token, Challenge(evidence.challenge, statement.nonce, until))
