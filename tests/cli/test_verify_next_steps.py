# SPDX-License-Identifier: Apache-2.0
"""What xcactl verify says to do next: it fits what is wrong."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from asn1crypto import cms, core  # type: ignore[import-untyped]
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from support.cli.json_schemas import check
from support.cli.xcactl import Result
from support.signed_pdf import page, sign_pdf
from xca_login.testing.parties import DAY, NOW, Party, party
from xca_login.testing.tokens import attribute, signed
from xca_plugin.cli.root import xcactl

pytestmark = pytest.mark.fast

CONTENT = b"first line\nsecond line\n"
ASK_THE_SENDER = "Ask the sender for it and its signature again"
NOT_A_SIGNATURE = 61
NOT_VALID = 62


@pytest.fixture(scope="session")
def root() -> Party:
    return party("root", ca=True)


@pytest.fixture(scope="session")
def signer(root: Party) -> Party:
    return party("signer", root)


@pytest.fixture
def verify(tmp_path: Path, root: Party, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """xcactl verify in this process, in a folder of its own; the root is there."""
    monkeypatch.chdir(tmp_path)
    root.write(tmp_path / "root.cer")

    def run(*arguments: str, language: str = "en") -> Result:
        given = ["verify", *arguments, "--ca-file", "root.cer"]
        done = CliRunner(env={"LANGUAGE": language}).invoke(xcactl, given)
        return Result(done.exit_code, done.stdout, done.stderr)

    return run


def attached(signature: bytes, content: bytes) -> bytes:
    """The same signature with a content in it."""
    whole = cms.ContentInfo.load(signature)
    whole["content"]["encap_content_info"]["content"] = content
    return bytes(whole.dump(force=True))


# --- what was given


def test_exchanged_files_are_told_with_the_command_that_works(
    verify: Callable[..., Result], signer: Party
) -> None:
    Path("my file.txt").write_bytes(CONTENT)
    Path("my file.p7s").write_bytes(signed(signer, CONTENT))
    result = verify("my file.p7s", "my file.txt")
    assert result.status == NOT_A_SIGNATURE
    assert "The two files are exchanged." in result.err
    assert result.err.rstrip().endswith("xcactl verify 'my file.txt' 'my file.p7s' --ca-file root.cer")
    assert verify("my file.txt", "my file.p7s").status == 0


def test_detached_signature_alone_names_the_file_beside_it(
    verify: Callable[..., Result], signer: Party
) -> None:
    Path("file.txt.p7s").write_bytes(signed(signer, CONTENT))
    result = verify("file.txt.p7s")
    assert result.status == NOT_A_SIGNATURE
    assert "Give the signed file first: xcactl verify FILE file.txt.p7s --ca-file root.cer" in result.err
    Path("file.txt").write_bytes(CONTENT)
    assert "xcactl verify file.txt file.txt.p7s --ca-file root.cer" in verify("file.txt.p7s").err


def test_file_whose_signature_is_beside_it_names_that(verify: Callable[..., Result], signer: Party) -> None:
    Path("file.txt").write_bytes(CONTENT)
    assert "xcactl verify FILE FILE.p7s --ca-file root.cer" in verify("file.txt").err
    Path("file.txt.p7s").write_bytes(signed(signer, CONTENT))
    result = verify("file.txt")
    assert result.status == NOT_A_SIGNATURE
    assert result.err.rstrip().endswith("xcactl verify file.txt file.txt.p7s --ca-file root.cer")


def test_signature_with_content_beside_a_file_is_to_stand_alone(
    verify: Callable[..., Result], signer: Party
) -> None:
    Path("file").write_bytes(CONTENT)
    Path("file.p7m").write_bytes(attached(signed(signer, CONTENT), CONTENT))
    result = verify("file", "file.p7m")
    assert result.status == NOT_A_SIGNATURE
    assert "Give it alone: xcactl verify file.p7m --ca-file root.cer" in result.err


def test_pdf_without_a_signature_is_told_as_unsigned(verify: Callable[..., Result]) -> None:
    Path("file.pdf").write_bytes(page())
    result = verify("file.pdf")
    assert result.status == NOT_A_SIGNATURE
    assert "the PDF holds no signature" in result.err
    assert "give that as well: xcactl verify file.pdf FILE.p7s --ca-file root.cer" in result.err


@pytest.mark.parametrize("arguments", [("file.sig",), ("file", "file.sig")])
def test_bare_signature_is_told_as_one_without_a_signer(
    verify: Callable[..., Result], signer: Party, arguments: tuple[str, ...]
) -> None:
    Path("file").write_bytes(CONTENT)
    Path("file.sig").write_bytes(signer.key.sign(CONTENT, padding.PKCS1v15(), hashes.SHA256()))
    result = verify(*arguments)
    assert result.status == NOT_A_SIGNATURE
    assert "bare signature, which does not say who signed" in result.err


def test_encrypted_file_is_told_to_be_decrypted_first(verify: Callable[..., Result], root: Party) -> None:
    Path("my file").write_bytes(CONTENT)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    party("reader", root, usage=usage).write(Path("reader.cer"))
    assert CliRunner().invoke(xcactl, ["encrypt", "my file", "--to", "reader.cer"]).exit_code == 0
    result = verify("my file.p7e")
    assert result.status == NOT_A_SIGNATURE
    assert "it is encrypted, not signed." in result.err
    assert "verify what comes out: xcactl decrypt 'my file.p7e'" in result.err


@pytest.mark.parametrize("given", ["contract.txt", "contract.p7s"])
def test_file_and_signature_of_one_name_are_told_to_belong_together(
    verify: Callable[..., Result], signer: Party, given: str
) -> None:
    Path("contract.txt").write_bytes(CONTENT)
    Path("contract.p7s").write_bytes(signed(signer, CONTENT))
    result = verify(given)
    assert result.status == NOT_A_SIGNATURE
    assert result.err.rstrip().endswith("xcactl verify contract.txt contract.p7s --ca-file root.cer")


def test_unsigned_pdf_names_the_signed_one_or_the_signature_beside_it(
    verify: Callable[..., Result], signer: Party
) -> None:
    Path("contract.pdf").write_bytes(page())
    Path("contract-2.pdf").write_bytes(page())
    Path("contract-signed.pdf").write_bytes(sign_pdf(page(), signer))
    result = verify("contract.pdf")
    assert result.status == NOT_A_SIGNATURE
    assert result.err.rstrip().endswith("xcactl verify contract-signed.pdf --ca-file root.cer")
    Path("contract.p7s").write_bytes(signed(signer, page()))
    said = verify("contract.pdf").err
    assert said.rstrip().endswith("xcactl verify contract.pdf contract.p7s --ca-file root.cer")


@pytest.mark.parametrize(
    ("option", "command"),
    [
        ("--ca-file", "xcactl cert export 'ROOT CA Cert' -o 'my root.pem'"),
        ("--certfile", "xcactl cert export 'CA Cert' -o 'my root.pem'"),
    ],
)
def test_certificate_that_is_not_there_says_how_it_is_got(
    verify: Callable[..., Result], option: str, command: str
) -> None:
    Path("file").write_bytes(CONTENT)
    arguments = ["verify", "file", option, "my root.pem"]
    done = CliRunner(env={"LANGUAGE": "en"}).invoke(xcactl, arguments)
    assert done.exit_code == 2
    assert "does not exist. This should be " in done.stderr
    assert command in done.stderr


# --- what does not hold


def test_other_file_is_to_be_checked_first(verify: Callable[..., Result], signer: Party) -> None:
    Path("file").write_bytes(b"another")
    Path("file.p7s").write_bytes(signed(signer, CONTENT))
    result = verify("file", "file.p7s")
    assert result.status == NOT_VALID
    assert "the file is not the one that was signed" in result.err
    assert "Check that it is the file that came with this signature" in result.err


def test_content_changed_inside_a_signature_is_told_as_changed(
    verify: Callable[..., Result], signer: Party
) -> None:
    Path("file.p7m").write_bytes(attached(signed(signer, CONTENT), b"another"))
    result = verify("file.p7m")
    assert result.status == NOT_VALID
    assert "what was signed was changed afterwards" in result.err
    assert "Ask the sender for it again, as it was signed" in result.err


def test_pdf_altered_in_what_is_signed_is_told_as_altered(
    verify: Callable[..., Result], signer: Party
) -> None:
    Path("file.pdf").write_bytes(sign_pdf(page(), signer).replace(b" 400 300", b" 400 301", 1))
    result = verify("file.pdf")
    assert result.status == NOT_VALID
    assert "the PDF was altered after it was signed" in result.err


def test_untrusted_root_says_where_a_root_is_got(verify: Callable[..., Result]) -> None:
    Path("file").write_bytes(CONTENT)
    stranger = party("stranger's root", ca=True)
    Path("file.p7s").write_bytes(signed(party("somebody", stranger), CONTENT, [stranger]))
    result = verify("file", "file.p7s")
    assert result.status == NOT_VALID
    assert "from the CA itself, not from the sender" in result.err
    assert ASK_THE_SENDER not in result.err


def test_expired_certificate_says_that_the_signer_is_to_sign_again(
    verify: Callable[..., Result], root: Party
) -> None:
    Path("file").write_bytes(CONTENT)
    expired = party("signer", root, start=NOW - 9 * DAY, end=NOW - DAY)
    Path("file.p7s").write_bytes(signed(expired, CONTENT))
    result = verify("file", "file.p7s")
    assert result.status == NOT_VALID
    assert "Ask its signer to sign it again, with a certificate that is valid" in result.err


def test_missing_certificate_names_it_as_it_is_on_a_card(verify: Callable[..., Result], root: Party) -> None:
    Path("file").write_bytes(CONTENT)
    Path("file.p7s").write_bytes(signed(party("signer", party("issuer", root, ca=True)), CONTENT))
    result = verify("file", "file.p7s")
    assert result.status == 57
    assert "xcactl cert export 'CA Cert' -o ca.pem" in result.err


def test_report_that_is_there_is_refused_without_naming_another_option(
    verify: Callable[..., Result], signer: Party
) -> None:
    Path("file").write_bytes(CONTENT)
    Path("file.p7s").write_bytes(signed(signer, CONTENT))
    Path("report.html").write_text("another")
    result = verify("file", "file.p7s", "--report", "report.html")
    assert result.status == 45
    assert "-o" not in result.err.split()
    assert "--force" in result.err
    assert Path("report.html").read_text() == "another"


def test_content_that_was_written_is_told_on_stderr(verify: Callable[..., Result], signer: Party) -> None:
    Path("file.p7m").write_bytes(attached(signed(signer, CONTENT), CONTENT))
    result = verify("file.p7m", "-o", "out")
    assert (result.status, Path("out").read_bytes()) == (0, CONTENT)
    assert "The content was written: out" in result.err
    to_standard_output = verify("file.p7m", "-o", "-")
    assert "The content was written: (standard output)" in to_standard_output.err


# --- weak algorithms


def _with_sha1(signer: Party, content: bytes) -> bytes:
    digest = hashlib.sha1(content, usedforsecurity=False).digest()
    given = [
        attribute("content_type", cms.ContentType("data")),
        attribute("message_digest", core.OctetString(digest)),
    ]
    whole = cms.ContentInfo.load(signed(signer, content, signed_attributes=given))
    info = whole["content"]["signer_infos"][0]
    info["digest_algorithm"] = {"algorithm": "sha1"}
    info["signature_algorithm"] = {"algorithm": "sha1_rsa"}
    message = cms.CMSAttributes(given).dump()
    info["signature"] = signer.key.sign(message, padding.PKCS1v15(), hashes.SHA1())
    return bytes(whole.dump(force=True))


def test_digest_that_is_no_longer_secure_is_told_with_a_valid_signature(
    verify: Callable[..., Result], signer: Party
) -> None:
    Path("file").write_bytes(CONTENT)
    Path("file.p7s").write_bytes(_with_sha1(signer, CONTENT))
    result = verify("file", "file.p7s")
    assert result.status == 0, result.err
    assert "SHA-1 (no longer secure)" in result.out
    assert "Warning: it uses SHA-1, which is no longer secure" in result.out
    document = verify("file", "file.p7s", "--json").json
    check(document, "verify")
    assert document["weak_digests"] == ["sha1"]
    Path("file.p7s").write_bytes(signed(signer, CONTENT))
    result = verify("file", "file.p7s")
    assert "no longer secure" not in result.out
    assert verify("file", "file.p7s", "--json").json["weak_digests"] == []
