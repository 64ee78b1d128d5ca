# SPDX-License-Identifier: Apache-2.0
"""The site's side: let the holder of an organisation IC card log in.

A site makes a challenge (challenges), the holder's card signs it, and the site verifies what comes back
(verifier). It needs no card, no C library and no web framework.
"""

from xca_login.accounts import AccountStore, MemoryAccounts
from xca_login.challenges import Challenge, Challenges, ChallengeStore, MemoryStore
from xca_login.errors import LoginRefused
from xca_login.login import Account, Binding, Login
from xca_login.policy import Policy
from xca_login.registered_keys import RegisteredKey, RegisteredKeys
from xca_login.revocation import Revocation
from xca_login.site import Site
from xca_login.trust import Trust, TrustFolder
from xca_login.verifier import Verifier

__all__ = [
    "Account",
    "AccountStore",
    "Binding",
    "Challenge",
    "ChallengeStore",
    "Challenges",
    "Login",
    "LoginRefused",
    "MemoryAccounts",
    "MemoryStore",
    "Policy",
    "RegisteredKey",
    "RegisteredKeys",
    "Revocation",
    "Site",
    "Trust",
    "TrustFolder",
    "Verifier",
]
