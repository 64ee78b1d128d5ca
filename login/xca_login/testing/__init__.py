# SPDX-License-Identifier: Apache-2.0
"""A kit for tests of login verifiers, this one or another.

It has named cases: a token, the challenge that it should answer, what the issuer's addresses answer, and what
a right verifier says (case.Case). pytest finds the fixture login_case, which gives a test each of them::

    def test_verifier_of_my_site(login_case, login_addresses):
        for case in (*login_case.before, login_case):
            login_addresses.answers = case.answers
            assert my_site.log_in(case.token, case.challenge) == case.answer

All keys are in software. Certificates name addresses on 127.0.0.1; login_addresses serves there what the
issuer answers. A verifier whose fetching can be replaced asks Case.fetch() instead.
"""

from xca_login.testing.case import OK, ORIGIN, SESSION, Case, Recipe, Setting
from xca_login.testing.certificate_cases import CERTIFICATE_CASES
from xca_login.testing.issuer import Addresses, Answers, serving
from xca_login.testing.revocation_cases import REVOCATION_CASES
from xca_login.testing.token_cases import TOKEN_CASES

CASES: dict[str, Recipe] = {**TOKEN_CASES, **CERTIFICATE_CASES, **REVOCATION_CASES}
"""How all cases are made, by their names: Setting.case() makes one."""

__all__ = [
    "CASES",
    "OK",
    "ORIGIN",
    "SESSION",
    "Addresses",
    "Answers",
    "Case",
    "Recipe",
    "Setting",
    "serving",
]
