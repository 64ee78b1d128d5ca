# SPDX-License-Identifier: Apache-2.0
"""A login is verified: what is right gives a Login, each thing that is wrong an error of its own."""

import gc
import subprocess
from collections.abc import Callable
from datetime import timedelta
from importlib import resources
from pathlib import Path

import pytest
from asn1crypto import cms  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from support.login_site import SITE, Desk, Saying
from xca_common.pki import profile, strict_certificate
from xca_common.pki.authority import ENCRYPTION, directory_attributes
from xca_common.pki.standing import Judgement, Standing
from xca_login import Binding, Challenge, Policy, Trust, TrustFolder, errors
from xca_login.testing.parties import DAY, NOW, Party, altered, authority_key, holder, key, party, policies
from xca_login.testing.tokens import attribute, attributes, origin, sign

pytestmark = pytest.mark.fast

Make = Callable[[Desk, Challenge], bytes]


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


def test_card_whose_usage_has_a_bit_without_a_name_logs_in(desk: Desk) -> None:
    assert desk.log_in(with_unnamed_usage(desk))


def unsigned(signed_data: cms.SignedData) -> None:
    signed_data["signer_infos"][0]["unsigned_attrs"] = [
        attribute("signing_time", cms.Time({"utc_time": NOW}))
    ]


def twice(signed_data: cms.SignedData) -> None:
    signed_data["signer_infos"] = [signed_data["signer_infos"][0]] * 2


def nobody(signed_data: cms.SignedData) -> None:
    signed_data["signer_infos"] = []


def without_certificates(signed_data: cms.SignedData) -> None:
    signed_data["certificates"] = []


def detached(signed_data: cms.SignedData) -> None:
    signed_data["encap_content_info"] = {"content_type": "data"}


def with_sha1(signed_data: cms.SignedData) -> None:
    signed_data["signer_infos"][0]["digest_algorithm"] = {"algorithm": "sha1"}


def stripped(desk: Desk, asked: Challenge) -> bytes:
    """Return a token whose content is the signed attributes of another signature, in DER."""
    content = bytes(cms.CMSAttributes(sorted(attributes(asked.text), key=lambda one: one.dump())).dump())
    return sign(desk.school, content, signed_attributes=[])


def of_another_type(desk: Desk, asked: Challenge) -> bytes:
    kind = attribute("content_type", cms.ContentType("signed_data"))
    return sign(desk.school, asked.text, signed_attributes=[kind, *attributes(asked.text)[1:]])


def changed(change: Callable[[cms.SignedData], None]) -> Make:
    return lambda desk, asked: sign(desk.school, asked.text, change=change)


def having(*more: cms.CMSAttribute) -> Make:
    return lambda desk, asked: sign(desk.school, asked.text, more=more)


def of(card: Callable[[Desk], Party]) -> Make:
    return lambda desk, asked: sign(card(desk), asked.text)


def indefinite(desk: Desk, asked: Challenge) -> bytes:
    """Return a right token in BER: its outermost length is not told."""
    token = sign(desk.school, asked.text)
    return b"\x30\x80" + token[4:] + b"\0\0"


def weak_key(bits: int, exponent: int = 65537) -> Callable[[Desk], Party]:
    def card(desk: Desk) -> Party:
        own = rsa.generate_private_key(public_exponent=exponent, key_size=bits)
        right = holder(desk.ca).certificate
        builder = x509.CertificateBuilder(
            right.issuer, right.subject, own.public_key(), right.serial_number + 1, NOW - DAY, NOW + DAY
        )
        for one in right.extensions:
            builder = builder.add_extension(one.value, one.critical)
        return Party(builder.sign(desk.ca.key, hashes.SHA256()), own)

    return card


def of_version_4(desk: Desk, asked: Challenge) -> bytes:
    """Return a token whose certificate has a version that there is not."""
    return sign(desk.school, asked.text).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x03")


def with_unnamed_usage(desk: Desk) -> Party:
    """Return a card whose key usage has a bit without a name beside digitalSignature."""
    critical, value = b"\x01\x01\xff", b"\x04\x04\x03\x02\x07\x80"
    return altered(desk.school, desk.ca, critical + value, b"\x04\x07\x03\x05\x06\x80\x00\x00\x40")


def twin_authority(desk: Desk) -> Party:
    """Return a card of another generation of the CA: its name, another key."""
    return holder(party("ca", desk.root, ca=True, key_name="the other generation"))


def directories(
    *, rank: str = "primary", tax_id: str | None = None, times: int = 1
) -> Callable[[Desk], Party]:
    value = directory_attributes(
        profile.COMPANY, rank, organisation_oid=None if tax_id else "2.16.886.111.1", tax_id=tax_id
    )
    if times > 1:
        inner = value[2:] * times
        value = b"\x30\x81" + bytes((len(inner),)) + inner
    return lambda desk: holder(desk.ca, attributes_=value)


REFUSED: dict[str, tuple[Make, type[errors.LoginRefused]]] = {
    "empty": (lambda desk, asked: b"", errors.TokenMalformed),
    "null": (lambda desk, asked: b"null", errors.TokenMalformed),
    "cut off": (lambda desk, asked: sign(desk.school, asked.text)[:-1], errors.TokenMalformed),
    "with more behind it": (lambda desk, asked: sign(desk.school, asked.text) + b"\0", errors.TokenMalformed),
    "BER": (indefinite, errors.TokenMalformed),
    "too long": (lambda desk, asked: sign(desk.school, asked.text) + bytes(1 << 16), errors.TokenTooLong),
    "detached": (
        changed(detached),
        errors.TokenMalformed,
    ),
    "certificate of version 4": (of_version_4, errors.TokenMalformed),
    "nobody signed": (changed(nobody), errors.SignerCountWrong),
    "signed twice": (changed(twice), errors.SignerCountWrong),
    "stripped attributes": (stripped, errors.AttributesWrong),
    "unsigned attributes": (changed(unsigned), errors.AttributesWrong),
    "no digest": (
        lambda desk, asked: sign(desk.school, asked.text, signed_attributes=attributes(asked.text)[:1]),
        errors.AttributesWrong,
    ),
    "an attribute twice": (
        having(*[attribute("signing_time", cms.Time({"utc_time": NOW - n * DAY})) for n in range(2)]),
        errors.AttributesWrong,
    ),
    "an attribute with two values": (
        having(attribute("signing_time", *[cms.Time({"utc_time": NOW - n * DAY}) for n in range(2)])),
        errors.AttributesWrong,
    ),
    "another content type": (of_another_type, errors.AttributesWrong),
    "another text": (lambda desk, asked: sign(desk.school, asked.text + b"x"), errors.ContentWrong),
    "another session's": (lambda desk, asked: sign(desk.school, desk.challenge().text), errors.ContentWrong),
    "another text inside": (
        lambda desk, asked: sign(desk.school, b"x", inside=asked.text),
        errors.SignatureWrong,
    ),
    "foreign origin": (having(origin("https://evil.example")), errors.OriginForeign),
    "SHA-1": (changed(with_sha1), errors.AlgorithmRefused),
    "PSS": (
        lambda desk, asked: sign(desk.school, asked.text, algorithm={"algorithm": "rsassa_pss"}),
        errors.AlgorithmRefused,
    ),
    "another key's": (
        lambda desk, asked: sign(Party(desk.school.certificate, key("another")), asked.text),
        errors.SignatureWrong,
    ),
    "no certificate": (changed(without_certificates), errors.CertificateMissing),
    "self-signed": (of(lambda desk: party("a school")), errors.IssuerUnknown),
    "wrong generation": (of(twin_authority), errors.IssuerUnknown),
    "RSA 1024": (of(weak_key(1024)), errors.KeyRefused),
    "exponent 3": (of(weak_key(2048, 3)), errors.KeyRefused),
    "expired": (of(lambda desk: holder(desk.ca, end=NOW - DAY)), errors.CertificateExpired),
    "not yet valid": (
        of(lambda desk: holder(desk.ca, start=NOW + DAY, end=NOW + 2 * DAY)),
        errors.CertificateNotYetValid,
    ),
    "cert2": (of(lambda desk: holder(desk.ca, usage=ENCRYPTION)), errors.NotForLogin),
    "a CA's": (of(lambda desk: holder(desk.ca, ca=True)), errors.NotForLogin),
    "of a server": (
        of(
            lambda desk: holder(
                desk.ca, more=[(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)]
            )
        ),
        errors.NotForLogin,
    ),
    "unknown critical extension": (
        of(
            lambda desk: holder(
                desk.ca, more=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True)]
            )
        ),
        errors.NotForLogin,
    ),
    "policy for tests": (
        of(lambda desk: holder(desk.ca, policy=profile.TEST_POLICY)),
        errors.PolicyRefused,
    ),
    "directory attributes missing": (
        of(
            lambda desk: party(
                "a school",
                desk.ca,
                extensions=[authority_key(desk.ca), policies(profile.COMPATIBILITY_POLICY)],
            )
        ),
        errors.HolderUnclear,
    ),
    "directory attributes unreadable": (
        of(lambda desk: holder(desk.ca, attributes_=b"\x30\x03\x02\x01\x00")),
        errors.CertificateMalformed,
    ),
    "directory attributes twice": (of(directories(times=2)), errors.HolderUnclear),
    "unknown rank": (of(directories(rank="tertiary")), errors.HolderUnclear),
    "tax id of seven digits": (of(directories(tax_id="1234567")), errors.HolderUnclear),
    "another tax id in the name": (
        of(
            lambda desk: holder(
                desk.ca,
                attributes_=directory_attributes(profile.COMPANY, "primary", tax_id="12345678"),
                subject=x509.Name([x509.NameAttribute(x509.NameOID.SERIAL_NUMBER, "87654321")]),
            )
        ),
        errors.HolderUnclear,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_token_that_is_wrong_is_refused_with_its_own_error(name: str, desk: Desk) -> None:
    make, error = REFUSED[name]
    with pytest.raises(error) as raised:
        desk.log_in(lambda asked: make(desk, asked))
    assert raised.value.code
    for language in ("en", "zh_TW"):
        assert raised.value.message(language)
        assert raised.value.next_step(language)
    assert raised.value.message("zh_TW") != raised.value.message("en")


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
        usages.append(sum(isinstance(one, x509.Extensions) for one in gc.get_objects()))
    assert usages[1] - usages[0] < 200


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
