# SPDX-License-Identifier: Apache-2.0
"""Time-stamps of signatures (RFC 3161): valid ones, and ones that prove nothing."""

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms, tsp  # type: ignore[import-untyped]
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from support.cli.json_schemas import check
from support.cli.xcactl import Result
from support.hostile_pki import repeated
from support.time_stamping import Answer, answering, authority, serving, token
from xca_common.pki.asn1_stream import SEQUENCE, header
from xca_login.testing.parties import DAY, NOW, Party, party
from xca_login.testing.tokens import attribute, signed
from xca_plugin import errors
from xca_plugin.cli.root import xcactl
from xca_plugin.time_stamping import time_stamp_token

CONTENT = b"The bid is 1,000,000 dollars.\n"


@pytest.fixture(scope="session")
def root() -> Party:
    return party("root", ca=True)


@pytest.fixture(scope="session")
def stampers_root() -> Party:
    return party("root of time", ca=True)


@pytest.fixture(scope="session")
def stamper(stampers_root: Party) -> Party:
    return authority(stampers_root)


@pytest.fixture(scope="session")
def expired(root: Party) -> Party:
    """Somebody whose certificate ended yesterday."""
    return party("expired", root, end=NOW - DAY)


def stamped(signature: bytes, *tokens: bytes) -> bytes:
    """A signature with time-stamp tokens beside it."""
    whole = cms.ContentInfo.load(signature)
    values = [cms.ContentInfo.load(one) for one in tokens]
    whole["content"]["signer_infos"][0]["unsigned_attrs"] = [attribute("signature_time_stamp_token", *values)]
    return bytes(whole.dump(force=True))


def value_of(signature: bytes) -> bytes:
    return bytes(cms.ContentInfo.load(signature)["content"]["signer_infos"][0]["signature"].native)


class Verifier:
    """xcactl verify in this process."""

    def __init__(self, folder: Path, root: Party, stampers_root: Party) -> None:
        self.folder = folder
        self.root = root.write(folder / "root.cer")
        self.stampers_root = stampers_root.write(folder / "stampers.cer")

    def __call__(self, signature: bytes, *options: str, is_stamper_trusted: bool = True) -> Result:
        (self.folder / "file").write_bytes(CONTENT)
        (self.folder / "file.p7s").write_bytes(signature)
        arguments = [str(self.folder / "file"), str(self.folder / "file.p7s"), "--ca-file", str(self.root)]
        if is_stamper_trusted:
            arguments += ["--tsa-ca-file", str(self.stampers_root)]
        done = CliRunner(env={"LANGUAGE": "en"}).invoke(xcactl, ["verify", *arguments, *options])
        return Result(done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def verify(tmp_path: Path, root: Party, stampers_root: Party) -> Verifier:
    return Verifier(tmp_path, root, stampers_root)


def test_time_stamp_within_the_validity_keeps_an_expired_signer_valid(
    verify: Verifier, expired: Party, stamper: Party
) -> None:
    signature = signed(expired, CONTENT)
    assert verify(signature).status == 62
    result = verify(stamped(signature, token(stamper, value_of(signature), NOW - 2 * DAY)))
    assert result.status == 0, result.err
    assert "by O=stamper" in result.out
    assert "as of its time-stamp" in result.out


def test_time_stamp_is_told_in_json(verify: Verifier, expired: Party, stamper: Party) -> None:
    signature = signed(expired, CONTENT)
    document = verify(stamped(signature, token(stamper, value_of(signature), NOW - 2 * DAY)), "--json").json
    check(document, "verify")
    assert document["time_stamp"]["proved"]
    assert datetime.fromisoformat(document["time_stamp"]["at"]) == NOW - 2 * DAY


def _bad_tokens(root: Party, stampers_root: Party, stamper: Party, value: bytes) -> dict[str, bytes]:
    """Tokens that prove nothing, by the words of the error."""
    at = NOW - 2 * DAY
    good = token(stamper, value, at)
    altered = cms.ContentInfo.load(good)
    info = altered["content"]["signer_infos"][0]
    info["signature"] = bytes(len(info["signature"].native))
    not_critical = authority(stampers_root, "not critical", critical=False)
    both = party(
        "both",
        stampers_root,
        extensions=[
            (
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.EMAIL_PROTECTION]
                ),
                True,
            )
        ],
    )
    return {
        "it is of something else": token(stamper, b"another signature", at),
        "with the key of its signer's certificate, or was altered": bytes(altered.dump(force=True)),
        "it is of the future": token(stamper, value, NOW + DAY),
        "which you do not trust": token(authority(root), value, at),
        "is not meant for signatures": token(party("no stamper", stampers_root), value, at),
        " is not meant for signatures": token(not_critical, value, at),
        "  is not meant for signatures": token(both, value, at),
        "is not yet valid": token(authority(stampers_root, start=NOW - DAY), value, at),
        "it is no time-stamp": signed(stamper, value),
        "it cannot be read": repeated(good),
        "expired on": token(authority(stampers_root, "former", end=NOW - DAY), value, at),
    }


def test_bad_time_stamp_proves_nothing(
    verify: Verifier, root: Party, stampers_root: Party, stamper: Party, expired: Party
) -> None:
    signature = signed(expired, CONTENT)
    other = party("another root", ca=True)
    for words, odd in _bad_tokens(other, stampers_root, stamper, value_of(signature)).items():
        result = verify(stamped(signature, odd))
        assert result.status == 62, words
        assert "expired on" in result.err
        if "do not trust" not in words:
            assert words.strip() in result.out, words
        assert "not proved" in result.out, words


def test_bad_time_stamp_makes_a_valid_signature_no_worse(
    verify: Verifier, root: Party, stamper: Party
) -> None:
    signature = signed(party("signer", root), CONTENT)
    result = verify(stamped(signature, token(stamper, b"another")))
    assert result.status == 0
    assert "not proved: it is of something else" in result.out
    assert "as of its time-stamp" not in result.out


def test_good_time_stamp_after_a_bad_one_counts(verify: Verifier, expired: Party, stamper: Party) -> None:
    signature = signed(expired, CONTENT)
    at = NOW - 2 * DAY
    both = stamped(signature, token(stamper, b"another", at), token(stamper, value_of(signature), at))
    assert verify(both).status == 0


def test_time_stamp_after_the_validity_keeps_nothing_valid(
    verify: Verifier, expired: Party, stamper: Party
) -> None:
    signature = signed(expired, CONTENT)
    late = NOW - DAY + timedelta(hours=1)
    assert verify(stamped(signature, token(stamper, value_of(signature), late))).status == 62


def test_root_of_signers_is_the_default_root_of_time_stamps(
    verify: Verifier, root: Party, expired: Party, stamper: Party
) -> None:
    signature = signed(expired, CONTENT)
    at = NOW - 2 * DAY
    good = stamped(signature, token(authority(root), value_of(signature), at))
    assert verify(good, is_stamper_trusted=False).status == 0
    foreign = stamped(signature, token(stamper, value_of(signature), at))
    assert verify(foreign, is_stamper_trusted=False).status == 62


def test_root_of_signers_is_none_of_time_stamps_when_another_is_named(
    verify: Verifier, root: Party, expired: Party
) -> None:
    signature = signed(expired, CONTENT)
    good = stamped(signature, token(authority(root), value_of(signature), NOW - 2 * DAY))
    assert verify(good).status == 62


def test_time_stamp_of_an_authority_without_a_root_says_which_option_takes_it(
    verify: Verifier, root: Party, stamper: Party
) -> None:
    signature = signed(party("signer", root), CONTENT)
    signature = stamped(signature, token(stamper, value_of(signature), at=NOW))
    hint = "give its root certificate, which it publishes: --tsa-ca-file FILE"
    without = verify(signature, is_stamper_trusted=False)
    assert (without.status, hint in without.out, hint in verify(signature).out) == (0, True, False)


def test_certificate_of_no_authority_is_refused_with_the_root_that_is_meant(
    verify: Verifier, root: Party, expired: Party
) -> None:
    own = str(expired.write(verify.folder / "own.cer"))
    done = verify(signed(party("signer", root), CONTENT), "--tsa-ca-file", own, is_stamper_trusted=False)
    assert done.status == 92
    assert "the root certificate of the time-stamping authority" in done.err
    assert "grca" not in done.err


def _weak_token(stamper: Party, value: bytes, imprint: str, digest: str) -> bytes:
    asked = tsp.TimeStampReq(
        {
            "version": "v1",
            "message_imprint": {
                "hash_algorithm": {"algorithm": imprint},
                "hashed_message": hashlib.new(imprint, value).digest(),
            },
            "cert_req": True,
        }
    )
    answer = answering(stamper, NOW - 2 * DAY, digest)(asked.dump())
    return bytes(tsp.TimeStampResp.load(answer)["time_stamp_token"].dump())


@pytest.mark.parametrize(
    ("imprint", "digest", "status"), [("sha256", "sha256", 0), ("sha1", "sha256", 62), ("sha256", "sha1", 62)]
)
def test_time_stamp_with_a_weak_digest_proves_nothing(
    verify: Verifier, expired: Party, stamper: Party, imprint: str, digest: str, status: int
) -> None:
    signature = signed(expired, CONTENT)
    result = verify(stamped(signature, _weak_token(stamper, value_of(signature), imprint, digest)))
    assert result.status == status
    assert ("no longer secure" in result.out) is (status != 0)


def test_file_that_an_authority_signed_is_no_time_stamp(
    verify: Verifier, expired: Party, stamper: Party
) -> None:
    signature = signed(expired, CONTENT)
    info = cms.ContentInfo.load(token(stamper, value_of(signature), NOW - 2 * DAY))["content"]
    said = info["encap_content_info"]["content"].parsed.dump()
    file = cms.ContentInfo.load(signed(stamper, said))
    file["content"]["encap_content_info"]["content"] = said
    result = verify(stamped(signature, file.dump(force=True)))
    assert result.status == 62
    assert "it is no time-stamp" in result.out


def test_root_of_time_stamps_is_no_root_of_signers(verify: Verifier, stampers_root: Party) -> None:
    assert verify(signed(party("somebody", stampers_root), CONTENT)).status == 57


def _revoked(issuer: Party, one: Party, at: datetime) -> bytes:
    entry = (
        x509.RevokedCertificateBuilder()
        .serial_number(one.certificate.serial_number)
        .revocation_date(at)
        .build()
    )
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(NOW - timedelta(hours=1))
        .next_update(NOW + DAY)
        .add_revoked_certificate(entry)
        .sign(issuer.key, hashes.SHA256())
    )
    return made.public_bytes(Encoding.DER)


def test_revoked_signer_is_refused_whatever_the_time_stamp_says(
    verify: Verifier, root: Party, stamper: Party, tmp_path: Path
) -> None:
    signer = party("signer", root)
    signature = signed(signer, CONTENT)
    (tmp_path / "crl").write_bytes(_revoked(root, signer, NOW - DAY))
    good = stamped(signature, token(stamper, value_of(signature), NOW - 2 * DAY))
    result = verify(good, "--crl", str(tmp_path / "crl"))
    assert result.status == 62
    assert "was revoked on" in result.err


def test_revoked_authority_proves_nothing(
    verify: Verifier, stampers_root: Party, stamper: Party, expired: Party, tmp_path: Path
) -> None:
    signature = signed(expired, CONTENT)
    (tmp_path / "crl").write_bytes(_revoked(stampers_root, stamper, NOW - DAY))
    good = stamped(signature, token(stamper, value_of(signature), NOW - 2 * DAY))
    result = verify(good, "--crl", str(tmp_path / "crl"))
    assert result.status == 62
    assert "not proved" in result.out


# --- asking an authority


def _other_nonce(answer: Answer) -> Answer:
    def odd(request: bytes) -> bytes:
        asked = tsp.TimeStampReq.load(request)
        asked["nonce"] = 7
        return answer(asked.dump(force=True))

    return odd


def _of_something_else(answer: Answer) -> Answer:
    def odd(request: bytes) -> bytes:
        asked = tsp.TimeStampReq.load(request)
        asked["message_imprint"]["hashed_message"] = bytes(32)
        return answer(asked.dump(force=True))

    return odd


def _refusal(_request: bytes) -> bytes:
    status = tsp.PKIStatusInfo({"status": "rejection", "status_string": ["closed today"]}).dump()
    return header(SEQUENCE, len(status)) + bytes(status)


def test_authority_gives_a_token_of_the_signature(stamper: Party) -> None:
    with serving(answering(stamper)) as address:
        found = time_stamp_token(address, b"signature")
    assert cms.ContentInfo.load(found)["content_type"].native == "signed_data"


@pytest.mark.parametrize(
    ("make", "status", "words"),
    [
        (_other_nonce, 200, "its answer is to another question"),
        (_of_something_else, 200, "it is of something else"),
        (lambda _: _refusal, 200, "it refuses: closed today"),
        (lambda _: lambda _request: b"<html>", 200, "it answers with something else"),
        (lambda _: lambda _request: bytes(2 << 20), 200, "it answers with something else"),
        (lambda _: lambda _request: b"", 503, "HTTP 503"),
        (lambda _: lambda _request: b"", 302, "HTTP 302"),
    ],
)
def test_authority_that_answers_oddly_is_refused(
    stamper: Party, make: "object", status: int, words: str
) -> None:
    assert callable(make)
    with (
        serving(make(answering(stamper)), status, Location="http://127.0.0.1:1/") as address,
        pytest.raises(errors.NoTimeStamp) as caught,
    ):
        time_stamp_token(address, b"signature")
    assert words in caught.value.message("en")


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://127.0.0.1/", "127.0.0.1", "", "http://"])
def test_address_that_is_not_http_is_refused(address: str) -> None:
    with pytest.raises(errors.NoTimeStamp):
        time_stamp_token(address, b"signature")


def test_authority_that_is_not_there_is_named() -> None:
    with serving(lambda request: request) as address:
        pass
    with pytest.raises(errors.NoTimeStamp) as caught:
        time_stamp_token(address, b"signature")
    assert "refused" in caught.value.message("en")
