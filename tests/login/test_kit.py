# SPDX-License-Identifier: Apache-2.0
"""The kit for other people's tests: ours answers every case rightly; what others accept is printed."""

import asyncio
import hashlib
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from asn1crypto import cms  # type: ignore[import-untyped]
from asn1crypto import x509 as asn1_x509
from pyhanko.sign.validation.generic_cms import async_validate_cms_signature
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko_certvalidator import ValidationContext

from xca_common.pki import strict_certificate
from xca_login import Challenges, MemoryAccounts, MemoryStore, Revocation, Site, Trust, Verifier, errors
from xca_login.testing import CASES, OK, ORIGIN, Addresses, Case, Setting
from xca_login.testing.certificate_cases import CERTIFICATE_CASES
from xca_login.testing.token_cases import TOKEN_CASES
from xca_login.token import Token

SITE = Site(ORIGIN, "投標網")
OF_A_VERIFIER = (
    errors.ChallengeProblem,
    errors.TokenProblem,
    errors.CertificateProblem,
    errors.RevocationProblem,
)
CODES = {
    one.code
    for one in vars(errors).values()
    if isinstance(one, type) and issubclass(one, OF_A_VERIFIER) and hasattr(one, "code")
}


class SiteUnderTest:
    """A site that logs people in: what an integrator would put in the place of his own."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._revocation = Revocation(None, ["127.0.0.1"])
        self._store = MemoryStore()
        self._accounts = MemoryAccounts()

    def log_in(self, case: Case) -> str:
        """Return what the site answers to a case: OK, or the code of its error."""
        self._addresses.answers = case.answers
        trust = Trust.of(map(strict_certificate.load, case.trusted))
        verifier = Verifier(SITE, trust, self._revocation, None, self._accounts, clock=lambda: case.at)
        challenges = Challenges(SITE, self._store, clock=lambda: case.at)
        try:
            token = Token.read(case.token)
            verifier.verify(token, challenges.take(case.posted_in, token))
        except errors.LoginRefused as error:
            english, chinese = ((error.message(one), error.next_step(one)) for one in ("en", "zh_TW"))
            return error.code if all((*english, *chinese)) and english[0] != chinese[0] else "no words"
        return OK

    def answers(self, *cases: Case) -> list[str]:
        """Return what the site answers to cases, one after the other; each asked for its challenge before.

        A challenge that several of them show was asked for once.
        """
        asked: set[str] = set()
        answers = []
        for case in cases:
            if case.challenge.nonce not in asked:
                asked.add(case.challenge.nonce)
                self._store.add(hashlib.sha256(case.asked_in.encode()).hexdigest(), case.challenge, case.at)
            answers.append(self.log_in(case))
        return answers


@pytest.mark.fast
def test_case_of_the_kit_is_answered_as_it_says(login_case: Case, login_addresses: Addresses) -> None:
    cases = (*login_case.before, login_case)
    assert SiteUnderTest(login_addresses).answers(*cases) == [one.answer for one in cases]


@pytest.mark.fast
def test_kit_has_a_case_for_each_error_of_a_verifier() -> None:
    answers = Counter(recipe.answer for recipe in CASES.values())
    by_the_sites_own_settings = {"holder_kind", "card_rank", "origin_not_verified"}
    by_the_store = {"store_unavailable", "too_many_challenges"}
    assert answers.keys() - {OK} == CODES - by_the_sites_own_settings - by_the_store
    assert len(CASES) - answers[OK] >= 80


@pytest.mark.fast
def test_words_of_a_case_are_a_sentence() -> None:
    assert [name for name, recipe in CASES.items() if not recipe.words.endswith(".")] == []
    assert len({recipe.words for recipe in CASES.values()}) == len(CASES)


@pytest.mark.fast
def test_case_can_be_fetched_for_without_a_server(login_setting: Setting) -> None:
    case = login_setting.case("right", CASES["right"])
    assert case.fetch(f"{login_setting.url}/1.crl") == login_setting.answers.lists["/1.crl"]
    assert case.fetch(f"{login_setting.url}/elsewhere") is None


def accepted_by_openssl(case: Case, folder: Path) -> bool:
    (folder / "token").write_bytes(case.token)
    arguments = "cms -verify -binary -inform DER -in token -CAfile ca.pem -purpose any -out out"
    found = subprocess.run(["openssl", *arguments.split()], cwd=folder, capture_output=True, timeout=60)
    return found.returncode == 0


def accepted_by_pyhanko(case: Case, folder: Path) -> bool:
    trusted = [asn1_x509.Certificate.load(one) for one in case.trusted]
    context = ValidationContext(trust_roots=trusted, moment=case.at)
    try:
        found = asyncio.run(
            async_validate_cms_signature(
                cms.ContentInfo.load(case.token)["content"],
                validation_context=context,
                key_usage_settings=KeyUsageConstraints(key_usage={"digital_signature"}),
            )
        )
    except Exception:  # it has no one class for what it refuses
        return False
    return bool(found.intact and found.valid and found.trusted)


@pytest.mark.integration
@pytest.mark.parametrize("is_accepted", [accepted_by_openssl, accepted_by_pyhanko])
def test_general_verifier_accepts_what_is_right_and_more(
    is_accepted: Callable[[Case, Path], bool],
    login_setting: Setting,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "ca.pem").write_bytes(login_setting.root.pem + login_setting.ca.pem)
    recipes = {**TOKEN_CASES, **CERTIFICATE_CASES}  # neither is asked about revocation here
    cases = [login_setting.case(name, recipe) for name, recipe in recipes.items()]
    let_in = [one for one in cases if is_accepted(one, tmp_path)]
    wrongly = [f"{one.name} ({one.answer})" for one in let_in if one.answer != OK]
    with capsys.disabled():
        print(f"\n{is_accepted.__name__}, of what a login refuses {len(wrongly)}: {'; '.join(wrongly)}")
    assert "right" in [one.name for one in let_in]
