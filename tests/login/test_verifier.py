# SPDX-License-Identifier: Apache-2.0
"""A login is verified: what is right gives a Login, each thing that is wrong an error of its own."""

import gc
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from support.hostile_pki import plain, pss_algorithm, short_key
from support.login_site import SITE, Desk, Saying
from xca_common.pki import profile, strict_certificate
from xca_common.pki.authority import directory_attributes
from xca_common.pki.standing import Judgement, Standing
from xca_login import Binding, Challenge, Login, Policy, Trust, TrustFolder, Verifier, errors
from xca_login.revocation import Known
from xca_login.testing.parties import DAY, NOW, Party, altered, certified_with, holder, key, party, policies
from xca_login.testing.tokens import origin, sign

pytestmark = pytest.mark.fast


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


def test_login_of_a_card_tells_whose_it_is(desk: Desk) -> None:
    login = desk.log_in()
    assert (login.organisation_oid, login.tax_id, login.rank) == ("2.16.886.111.100000", None, "secondary")
    assert (login.holder_name, login.holder_kind) == ("a school", profile.SCHOOL)
    assert login.account[:2] == ("gpki", "2.16.886.111.100000")
    assert (login.binding, login.at, login.is_revocation_known) == (Binding.DECLARED, desk.at, True)
    assert login.evidence.issuers == (desk.ca.der, desk.root.der)


def test_login_whose_origin_was_signed_is_verified(desk: Desk) -> None:
    login = desk.log_in(lambda asked: sign(desk.school, asked.text, more=[origin(SITE.origin)]))
    assert login.binding is Binding.VERIFIED


def test_login_of_a_new_card_of_an_organisation_is_another_account(desk: Desk) -> None:
    other = desk.log_in(holder(desk.ca, "a school", key_name="another card")).account
    assert other.organisation == desk.log_in().account.organisation
    assert other.key != desk.log_in().account.key


def test_certificates_beside_the_signers_are_passed_over(desk: Desk) -> None:
    stranger = party("a stranger")
    assert desk.log_in(lambda asked: sign(desk.school, asked.text, [stranger, desk.ca])).rank == "secondary"


def test_codes_of_the_refusals_are_different() -> None:
    codes = [one.code for one in vars(errors).values() if isinstance(one, type) and hasattr(one, "code")]
    assert len(set(codes)) == len(codes) > 25


def test_challenge_that_ended_is_refused(desk: Desk) -> None:
    asked = desk.challenge()
    token = sign(desk.school, asked.text)
    try:
        desk.at = NOW + timedelta(seconds=301)
        with pytest.raises(errors.ChallengeExpired):
            desk.verifier().verify(token, asked)
    finally:
        desk.at = NOW


def test_certificate_that_does_not_stand_is_refused(desk: Desk) -> None:
    for standing, error in (
        (Standing.REVOKED, errors.CertificateRevoked),
        (Standing.SUSPENDED, errors.CertificateSuspended),
        (Standing.UNKNOWN, errors.RevocationUnknown),
    ):
        with pytest.raises(error):
            desk.log_in(revocation=Saying(Judgement(standing, NOW)))


def test_silent_host_that_the_policy_names_lets_in_and_is_logged(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    points = x509.CRLDistributionPoints(
        [
            x509.DistributionPoint(
                [x509.UniformResourceIdentifier("http://crl.example/1.crl")], None, None, None
            )
        ]
    )
    card = holder(desk.ca, more=[(points, False)])
    silent = Saying(Judgement(Standing.UNKNOWN), hosts_are_silent=True)
    login = desk.log_in(card, revocation=silent, policy=Policy(silent_hosts=frozenset({"crl.example"})))
    assert not login.is_revocation_known
    assert "crl.example" in caplog.text
    with pytest.raises(errors.RevocationUnknown):
        desk.log_in(card, revocation=silent, policy=Policy(silent_hosts=frozenset({"other.example"})))
    with pytest.raises(errors.RevocationUnknown):
        desk.log_in(revocation=silent, policy=Policy(silent_hosts=frozenset({"crl.example"})))


def test_policy_of_a_site_refuses_other_holders(desk: Desk) -> None:
    for policy, error in (
        (Policy(binding=Binding.VERIFIED), errors.OriginNotVerified),
        (Policy(holder_kinds=frozenset({profile.COMPANY})), errors.HolderRefused),
        (Policy(ranks=frozenset({"primary"})), errors.RankRefused),
        (Policy(digests=frozenset({"sha512"})), errors.AlgorithmRefused),
    ):
        with pytest.raises(error):
            desk.log_in(policy=policy)


def test_certificate_of_an_issuer_whose_clock_is_ahead_is_let_in_within_the_policy(desk: Desk) -> None:
    card = holder(desk.ca, start=NOW + timedelta(minutes=4))
    assert desk.log_in(card)
    with pytest.raises(errors.CertificateNotYetValid):
        desk.log_in(card, policy=Policy(skew=timedelta(minutes=3)))


def test_verifier_that_many_threads_use_tells_whose_each_login_is(desk: Desk) -> None:
    verifier = desk.verifier()
    cards = {name: holder(desk.ca, name, key_name="a school") for name in ("a", "b", "c", "d")}
    asked = [(name, desk.challenge()) for name in cards for _ in range(8)]

    def log_in(name: str, challenge: Challenge) -> str:
        return verifier.verify(sign(cards[name], challenge.text), challenge).holder_name

    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(log_in, *zip(*asked, strict=True))] == [name for name, _ in asked]


def test_policy_that_takes_weak_digests_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="digests"):
        Policy(digests=frozenset({"sha1"}))


def test_generations_of_a_ca_with_one_name_are_both_trusted(desk: Desk) -> None:
    other = party("ca", desk.root, ca=True, key_name="the other generation")
    trusted = (desk.root, desk.ca, other)
    assert (
        desk.log_in(trusted=trusted).account
        != desk.log_in(holder(other, key_name="b"), trusted=trusted).account
    )


def test_ca_whose_certificate_was_renewed_for_its_key_lets_its_cards_in(desk: Desk) -> None:
    old = party("ca", desk.root, ca=True, end=NOW - DAY)
    for trusted in ((desk.root, old, desk.ca), (desk.root, desk.ca, old)):
        assert desk.log_in(trusted=trusted)
    with pytest.raises(errors.IssuerNotValid):
        desk.log_in(trusted=(desk.root, old))


def test_certificates_of_strangers_are_not_kept(desk: Desk) -> None:
    verifier = desk.verifier()
    usages = []
    for count in (20, 220):
        for _ in range(count):
            asked = desk.challenge()
            with pytest.raises(errors.IssuerUnknown):
                verifier.verify(sign(party("a stranger"), asked.text), asked)
        gc.collect()
        usages.append(sum(type(one) is x509.Extensions for one in gc.get_objects()))
    assert usages[1] - usages[0] < 200


def test_card_that_was_let_in_before_is_judged_anew_at_each_login(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xca_login.trust._AGAIN", 0)
    (tmp_path / "ca.cer").write_bytes(desk.ca.der)
    says = Standing.GOOD

    class Source:
        def judge(self, certificate: x509.Certificate, issuer: x509.Certificate, moment: datetime) -> Known:
            return Known(Judgement(says))

    verifier = Verifier(SITE, TrustFolder(tmp_path), Source(), clock=desk.clock)

    def log_in(card: Party = desk.school) -> Login:
        asked = desk.challenge()
        return verifier.verify(sign(card, asked.text), asked)

    assert log_in()
    with pytest.raises(errors.SignatureWrong):
        log_in(Party(desk.school.certificate, key("another")))
    says = Standing.REVOKED
    with pytest.raises(errors.CertificateRevoked):
        log_in()
    says = Standing.GOOD
    monkeypatch.setattr(desk, "at", NOW + 2 * DAY)
    with pytest.raises(errors.IssuerNotValid):
        log_in()
    monkeypatch.setattr(desk, "at", NOW)
    assert log_in()
    # Another key under the same name and the same key identifier.
    names = [
        one.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        for one in (desk.ca, party("ca", desk.root, ca=True, key_name="the other generation"))
    ]
    other = altered(
        party("ca", desk.root, ca=True, key_name="the other generation"), desk.root, names[1], names[0]
    )
    (tmp_path / "ca.cer").write_bytes(other.der)
    with pytest.raises(errors.IssuerUnknown):
        log_in()


def test_ca_that_is_not_valid_any_more_refuses_its_cards_alone(desk: Desk) -> None:
    old = party("old ca", desk.root, ca=True, end=NOW - DAY)
    trusted = (desk.root, desk.ca, old)
    with pytest.raises(errors.IssuerNotValid):
        desk.log_in(holder(old), trusted=trusted)
    assert desk.log_in(trusted=trusted)


def test_ca_that_may_not_issue_under_a_policy_is_held_to_it(desk: Desk) -> None:
    tests_only = party("tests ca", desk.root, ca=True, extensions=[policies(profile.TEST_POLICY)])
    with pytest.raises(errors.PolicyRefused):
        desk.log_in(holder(tests_only), trusted=(desk.root, tests_only))


def test_trust_without_an_issuing_ca_cannot_be_made(desk: Desk) -> None:
    for certificates in ([], [strict_certificate.load(desk.school.der)]):
        with pytest.raises(errors.BadTrust):
            Trust.of(certificates)


def test_ca_that_nobody_could_rely_on_is_refused_in_words(desk: Desk) -> None:
    mask = padding.PSS(padding.MGF1(hashes.SHA1()), 32)
    weak = certified_with(desk.ca, desk.root, pss_algorithm("sha1"), mask, hashes.SHA256())
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    is_ca = x509.BasicConstraints(ca=True, path_length=None), True
    for certificate, words in (
        (weak, "its signature is too weak"),
        (short_key("a ca", desk.root, is_ca, (usage, True)), "its key is not accepted"),
        (plain("a ca", desk.root, is_ca, (usage, True)), "it does not name its key"),
        (desk.school, "it is not that of a CA"),
    ):
        with pytest.raises(errors.BadTrust) as refused:
            Trust.of([desk.root.certificate, certificate.certificate])
        assert words in refused.value.message("en")


def test_file_of_trust_that_cannot_be_read_is_named(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca.pem").write_bytes(desk.ca.pem)
    monkeypatch.setattr("xca_login.trust._MOST_BYTES", 100)
    with pytest.raises(errors.BadTrustFile, match="more than"):
        TrustFolder(tmp_path)
    (tmp_path / "ca.pem").unlink()
    (tmp_path / "ca.pem").symlink_to(tmp_path / "nowhere.pem")
    with pytest.raises(errors.BadTrustFile, match="No such file"):
        TrustFolder(tmp_path)


def test_policy_that_lets_nobody_in_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="nobody could log in"):
        Policy(ranks=frozenset({"third"}))
    with pytest.raises(ValueError, match="nobody could log in"):
        Policy(frozenset())


def test_folder_of_trust_that_changes_is_read_again(
    tmp_path: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xca_login.trust._AGAIN", 0)
    (tmp_path / "ca.pem").write_bytes(desk.ca.pem)
    folder = TrustFolder(tmp_path)
    identifier = desk.ca.certificate.extensions.get_extension_for_class(
        x509.SubjectKeyIdentifier
    ).value.digest
    assert folder.current().issuers(identifier)
    other = party("ca", desk.root, ca=True, key_name="the other generation")
    (tmp_path / "other.cer").write_bytes(other.der)
    assert folder.current().issuers(identifier)
    (tmp_path / "ca.pem").unlink()
    assert not folder.current().issuers(identifier)
    (tmp_path / "other.cer").write_bytes(b"no certificate")
    with pytest.raises(errors.BadTrustFile):
        folder.current()
    with pytest.raises(errors.BadTrustFolder, match="Make it"):
        TrustFolder(tmp_path / "nowhere")


def test_token_that_openssl_makes_is_verified(tmp_path: Path, desk: Desk) -> None:
    asked = desk.challenge()
    (tmp_path / "text").write_bytes(asked.text)
    (tmp_path / "card.pem").write_bytes(
        desk.school.pem + desk.school.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    arguments = "cms -sign -binary -nodetach -nosmimecap -outform DER -md sha256 -signer card.pem -in text"
    made = subprocess.run(["openssl", *arguments.split()], cwd=tmp_path, check=True, capture_output=True)
    login = desk.verifier().verify(made.stdout, asked)
    assert login.binding is Binding.DECLARED


def test_signature_with_another_padding_is_wrong(desk: Desk) -> None:
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    with pytest.raises(errors.SignatureWrong):
        desk.log_in(lambda asked: sign(desk.school, asked.text, scheme=pss))


def test_login_of_a_company_has_its_tax_id(desk: Desk) -> None:
    value = directory_attributes(profile.COMPANY, "primary", tax_id="12345678")
    login = desk.log_in(holder(desk.ca, attributes_=value))
    assert (login.tax_id, login.organisation_oid) == ("12345678", None)
    assert login.account.organisation == "12345678"


def test_package_tells_that_it_is_typed() -> None:
    assert (resources.files("xca_login") / "py.typed").is_file()


@pytest.mark.parametrize("word", ["發卡機構", "發卡機關", "簽署人", "到期"])
def test_messages_have_the_words_of_the_glossary(word: str) -> None:
    catalogue = Path(__file__).parents[2] / "login/xca_login/locale/zh_TW/LC_MESSAGES/messages.po"
    assert word not in catalogue.read_text("utf-8")
