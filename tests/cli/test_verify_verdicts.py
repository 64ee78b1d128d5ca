# SPDX-License-Identifier: Apache-2.0
"""Results of xcactl verify for signatures that are neither plainly valid nor plainly invalid."""

import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from asn1crypto import cms  # type: ignore[import-untyped]
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from support.cli.json_schemas import check
from support.cli.xcactl import Result
from xca_login.testing.parties import DAY, NOW, Party, party
from xca_login.testing.tokens import signed
from xca_plugin.cli.root import xcactl

pytestmark = pytest.mark.fast

CONTENT = b"first line\nsecond line\n"
INCOMPLETE = 57
NOT_VALID = 62
NOT_AN_AUTHORITY = 92


@pytest.fixture(scope="session")
def root() -> Party:
    return party("root", ca=True)


@pytest.fixture(scope="session")
def issuer(root: Party) -> Party:
    return party("issuer", root, ca=True)


@pytest.fixture(scope="session")
def signer(issuer: Party) -> Party:
    return party("signer", issuer)


class Verifier:
    """xcactl verify in this process."""

    def __init__(self, folder: Path, root: Party) -> None:
        self.folder = folder
        self.root = root

    def file(self, name: str, content: bytes) -> str:
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def __call__(
        self, signature: bytes, *options: str, content: bytes = CONTENT, language: str = "en"
    ) -> Result:
        ca = self.file("root.cer", self.root.der)
        files = (self.file("file", content), self.file("file.p7s", signature))
        arguments = ["verify", *files, "--ca-file", ca, *options]
        done = CliRunner(env={"LANGUAGE": language}).invoke(xcactl, arguments)
        return Result(done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def verify(tmp_path: Path, root: Party) -> Verifier:
    return Verifier(tmp_path, root)


def together(*signatures: bytes) -> bytes:
    """One SignedData with the signers and certificates of several SignedData."""
    whole = cms.ContentInfo.load(signatures[0])
    others = [cms.ContentInfo.load(one)["content"] for one in signatures]
    certificates = {one.dump(): one for data in others for one in data["certificates"]}
    whole["content"]["certificates"] = list(certificates.values())
    whole["content"]["signer_infos"] = [info for data in others for info in data["signer_infos"]]
    return bytes(whole.dump(force=True))


# --- incomplete chains


def test_signature_with_the_leaf_alone_is_told_as_incomplete(verify: Verifier, signer: Party) -> None:
    result = verify(signed(signer, CONTENT))
    assert result.status == INCOMPLETE
    assert "the certificate of O=issuer is missing, which issued the certificate of O=signer" in result.err
    assert "--certfile" in result.err
    assert "NOT valid" not in result.out + result.err
    assert "is valid" not in result.out


def test_signature_with_the_leaf_alone_is_told_as_incomplete_in_json(verify: Verifier, signer: Party) -> None:
    document = verify(signed(signer, CONTENT), "--json").json
    check(document, "verify")
    assert (document["valid"], document["outcome"]) == (False, "incomplete")


@pytest.mark.parametrize("form", [Encoding.DER, Encoding.PEM])
def test_certfile_gives_the_missing_certificate(
    verify: Verifier, issuer: Party, signer: Party, form: Encoding
) -> None:
    given = verify.file("issuer", issuer.certificate.public_bytes(form))
    assert verify(signed(signer, CONTENT), "--certfile", given).status == 0


def test_certfile_is_repeated_for_two_intermediates(verify: Verifier, root: Party) -> None:
    upper = party("upper", root, ca=True)
    lower = party("lower", upper, ca=True)
    signature = signed(party("signer", lower), CONTENT)
    first, second = (verify.file(one, party.der) for one, party in (("1", upper), ("2", lower)))
    assert verify(signature, "--certfile", second).status == INCOMPLETE
    assert verify(signature, "--certfile", first, "--certfile", second).status == 0


def test_certfile_gives_the_signers_own_certificate(verify: Verifier, issuer: Party, signer: Party) -> None:
    whole = cms.ContentInfo.load(signed(signer, CONTENT))
    whole["content"]["certificates"] = []
    options = ["--certfile", verify.file("1", signer.der), "--certfile", verify.file("2", issuer.der)]
    assert verify(whole.dump(force=True), *options).status == 0


def test_certfile_is_not_trusted(verify: Verifier) -> None:
    stranger = party("stranger's root", ca=True)
    signature = signed(party("somebody", stranger), CONTENT)
    result = verify(signature, "--certfile", verify.file("stranger", stranger.der))
    assert result.status == NOT_VALID
    assert "but under O=stranger's root, which you do not trust" in result.err


def test_wrong_content_of_an_incomplete_chain_is_not_valid(verify: Verifier, signer: Party) -> None:
    result = verify(signed(signer, CONTENT), content=b"another")
    assert result.status == NOT_VALID


def test_name_of_a_trusted_ca_that_did_not_issue_is_not_incomplete(verify: Verifier) -> None:
    twin = party("root", ca=True, key_name="another root's")
    result = verify(signed(party("somebody", twin), CONTENT))
    assert result.status == NOT_VALID
    assert "not issued under the given CA" in result.err


def test_missing_ca_file_says_what_it_is_and_where_it_is_got(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    done = CliRunner(env={"LANGUAGE": "en"}).invoke(xcactl, ["verify", str(tmp_path / "file")])
    assert done.exit_code == 2
    for words in ("--ca-file", "root certificate that you trust", "https://grca.nat.gov.tw", "cert export"):
        assert words in " ".join(done.stderr.split())


# --- several signers, none


def test_two_signers_are_both_shown(verify: Verifier, issuer: Party, signer: Party) -> None:
    other = party("other", issuer)
    result = verify(together(signed(signer, CONTENT, [issuer]), signed(other, CONTENT)))
    assert result.status == 0
    assert "O=signer" in result.out
    assert "O=other" in result.out
    assert "2 of 2 signatures are valid." in result.out


def test_one_bad_signer_of_two_makes_the_whole_not_valid(
    verify: Verifier, issuer: Party, signer: Party
) -> None:
    bad = signed(party("other", issuer), b"another content", [issuer])
    both = together(signed(signer, CONTENT, [issuer]), bad)
    result = verify(both)
    assert result.status == NOT_VALID
    told = r"1 of its 2 signatures is valid\. Of signature [12]: the file is not the one that was signed\."
    assert re.search(told, result.err)
    assert "the file is not the one that was signed" in result.out
    assert "is valid." not in result.out


def test_any_accepts_one_valid_signer_of_two(verify: Verifier, issuer: Party, signer: Party) -> None:
    bad = signed(party("other", issuer), b"another content", [issuer])
    both = together(signed(signer, CONTENT, [issuer]), bad)
    result = verify(both, "--any")
    assert result.status == 0
    assert "1 of 2 signatures is valid." in result.out
    document = verify(both, "--any", "--json").json
    check(document, "verify")
    assert document["valid"]
    assert sorted(one["valid"] for one in document["signatures"]) == [False, True]


def test_any_with_no_valid_signer_is_not_valid(verify: Verifier, issuer: Party, signer: Party) -> None:
    bad = together(signed(signer, b"1", [issuer]), signed(party("other", issuer), b"2"))
    assert verify(bad, "--any").status == NOT_VALID


def test_incomplete_signer_beside_a_bad_one_is_not_valid(
    verify: Verifier, signer: Party, issuer: Party
) -> None:
    both = together(signed(signer, CONTENT), signed(party("other", issuer), b"2"))
    assert verify(both).status == NOT_VALID


def test_unreadable_signer_of_two_is_shown_and_counts_as_not_valid(
    verify: Verifier, issuer: Party, signer: Party
) -> None:
    odd = cms.ContentInfo.load(signed(party("other", issuer), CONTENT))
    odd["content"]["signer_infos"][0]["signature_algorithm"] = {"algorithm": "sha256_ecdsa"}
    both = together(odd.dump(force=True), signed(signer, CONTENT, [issuer]))
    result = verify(both)
    assert result.status == NOT_VALID
    assert "signature algorithm is not known here, or does not fit the key" in result.out
    assert verify(both, "--any").status == 0
    document = verify(both, "--json").json
    check(document, "verify")
    assert document["signer"]["holder"] == "O=signer"


def test_many_signers_are_too_much(verify: Verifier, signer: Party) -> None:
    whole = cms.ContentInfo.load(signed(signer, CONTENT))
    info = whole["content"]["signer_infos"][0]
    infos = [info.copy() for _ in range(17)]
    for number, one in enumerate(infos):
        one["signature"] = bytes([number]) * 256  # a SET: no two alike
    whole["content"]["signer_infos"] = infos
    result = verify(whole.dump(force=True))
    assert result.status == 69
    assert "more than 16 signers" in result.err


def test_signature_without_a_signer_says_so(verify: Verifier, signer: Party) -> None:
    whole = cms.ContentInfo.load(signed(signer, CONTENT))
    whole["content"]["signer_infos"] = []
    result = verify(whole.dump(force=True))
    assert result.status == 61
    assert "nobody signed it: it has no signer" in result.err


# --- line ends


@pytest.mark.parametrize("with_attributes", [True, False])
@pytest.mark.parametrize(
    ("was_signed", "is_there", "words"),
    [
        (b"a\r\nb\r\n", b"a\nb\n", "end in CR LF"),
        (b"a\nb\n", b"a\r\nb\r\n", "end in LF"),
    ],
)
def test_other_line_ends_are_told(
    verify: Verifier,
    issuer: Party,
    signer: Party,
    was_signed: bytes,
    is_there: bytes,
    words: str,
    with_attributes: bool,
) -> None:
    given: list[cms.CMSAttribute] | None = None if with_attributes else []
    signature = signed(signer, was_signed, [issuer], signed_attributes=given)
    result = verify(signature, content=is_there)
    assert result.status == NOT_VALID
    assert words in result.err
    assert verify(signature, content=was_signed).status == 0


def test_other_content_is_not_told_as_other_line_ends(verify: Verifier, issuer: Party, signer: Party) -> None:
    result = verify(signed(signer, b"a\r\nb\r\n", [issuer]), content=b"a\nc\n")
    assert result.status == NOT_VALID
    assert "line ends" not in result.err


# --- certificates


def _without_key_usage(issuer: Party) -> Party:
    full = party("plain", issuer)
    builder = (
        x509.CertificateBuilder(issuer.certificate.subject, full.certificate.subject)
        .public_key(full.key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
    )
    return Party(builder.sign(issuer.key, hashes.SHA256()), full.key)


def test_certificate_without_key_usage_signs(verify: Verifier, issuer: Party) -> None:
    result = verify(signed(_without_key_usage(issuer), CONTENT, [issuer]))
    assert result.status == 0, result.err


def test_untrusted_self_signed_certificate_is_the_reason(verify: Verifier) -> None:
    result = verify(signed(party("myself"), CONTENT))
    assert result.status == NOT_VALID
    assert "is self-signed, and it is not among the certificates that you trust" in result.err


@pytest.mark.parametrize("whose", ["signer", "not a CA", "self-signed", "no keyCertSign"])
def test_certificate_of_no_ca_is_refused_as_one_to_trust(
    verify: Verifier, root: Party, issuer: Party, signer: Party, whose: str
) -> None:
    signed_by = party("myself") if whose == "self-signed" else signer
    no_ca = [(x509.BasicConstraints(ca=False, path_length=None), True)]
    given = {
        "not a CA": party("signer", issuer, extensions=no_ca).der,
        "no keyCertSign": party("issuer", root, ca=True, usage=_SIGNS_NO_CERTIFICATES).der,
    }.get(whose, signed_by.der)
    signature = verify.file("signature", signed(signed_by, CONTENT, [issuer]))
    file, other, ca = verify.file("file", CONTENT), verify.file("other", given), verify.file("ca", root.der)
    own = "xcactl cert export 'ROOT CA Cert' -o root.pem"
    for trusted, step in (
        (("--ca-file", other), own),
        (("--ca-file", ca, "--tsa-ca-file", other), "that authority publishes it"),
    ):
        done = CliRunner(env={"LANGUAGE": "en"}).invoke(xcactl, ["verify", file, signature, *trusted])
        assert done.exit_code == NOT_AN_AUTHORITY
        assert "is not that of a CA" in done.stderr
        assert step in done.stderr


_SIGNS_NO_CERTIFICATES = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _whose(issuer: Party, root: Party, which: str, **when: object) -> tuple[Party, Sequence[Party]]:
    if which == "signer":
        return party("signer", issuer, **when), [issuer]  # type: ignore[arg-type]
    ca = party("issuer", root, ca=True, **when)  # type: ignore[arg-type]
    return party("signer", ca), [ca]


@pytest.mark.parametrize("which", ["signer", "issuer"])
@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (NOW + DAY, NOW + 2 * DAY, "not yet valid"),
        (NOW - 2 * DAY, NOW - timedelta(hours=1), "expired on"),
    ],
)
def test_certificate_outside_its_validity_says_on_which_side(
    verify: Verifier, issuer: Party, root: Party, which: str, start: object, end: object, words: str
) -> None:
    one, others = _whose(issuer, root, which, start=start, end=end)
    result = verify(signed(one, CONTENT, others))
    assert result.status == NOT_VALID
    assert words in result.err
    assert ("O=issuer" in result.err) is (which == "issuer")


def test_purpose_of_time_stamps_signs_no_file(verify: Verifier, issuer: Party) -> None:
    usage = [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)]
    result = verify(signed(party("stamper", issuer, extensions=usage), CONTENT, [issuer]))
    assert result.status == NOT_VALID


def test_verdict_in_chinese_has_no_english(verify: Verifier, signer: Party) -> None:
    result = verify(signed(signer, CONTENT), language="zh_TW")
    assert "缺少 O=issuer 的憑證" in result.err
    assert "missing" not in result.err
