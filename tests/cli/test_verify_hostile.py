# SPDX-License-Identifier: Apache-2.0
"""Forged signatures and signatures that cost much work; each is refused within seconds."""

import base64
import hashlib
import ipaddress
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms, core  # type: ignore[import-untyped]
from asn1crypto import x509 as asn1_x509
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from support.cli.json_schemas import check
from support.cli.xcactl import XCACTL, Result, Workspace
from support.hostile_pki import pss_algorithm, short_key, with_bad_extension
from xca_common.errors import XcaError
from xca_common.pki.authority import SIGNING, directory_attributes
from xca_common.pki.profile import SCHOOL
from xca_login.testing.parties import DAY, NOW, Party, altered, certified_with, party
from xca_login.testing.tokens import attribute, attributes, signed
from xca_plugin import own_loop, verification
from xca_plugin.cli.root import xcactl

CONTENT = b"The bid is 1,000,000 dollars.\n"
SECONDS = 60  # enough for a busy computer; a check without limits takes far longer
MEMORY = 200 << 20


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """No card, no module: verifying needs neither."""
    return Workspace(tmp_path, tmp_path, {"XCA_PKCS11_CONF": "/nowhere"})


@pytest.fixture(scope="session")
def root() -> Party:
    return party("root", ca=True)


@pytest.fixture(scope="session")
def signer(root: Party) -> Party:
    return party("signer", root)


class Verifier:
    """xcactl verify in this process: most of these need no other."""

    def __init__(self, root: Party, folder: Path) -> None:
        self._folder = folder
        self._root = root.write(folder / "root.cer")

    def arguments(self, signature: bytes, content: bytes = CONTENT, *options: str | Path) -> list[str]:
        file, signed_file = self._folder / "file", self._folder / "file.p7s"
        file.write_bytes(content)
        signed_file.write_bytes(signature)
        return ["verify", *map(str, (file, signed_file, "--ca-file", self._root, *options))]

    def __call__(self, signature: bytes, content: bytes = CONTENT, *options: str | Path) -> Result:
        done = CliRunner(env={"LANGUAGE": "en"}).invoke(xcactl, self.arguments(signature, content, *options))
        return Result(done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def verify(root: Party, tmp_path: Path) -> Verifier:
    return Verifier(root, tmp_path)


def refused(result: Result, words: str, status: int = 62) -> None:
    assert result.status == status, result.out + result.err
    assert words in result.out + result.err
    assert "is valid" not in result.out


# --- what was signed


def test_signature_without_its_attributes_over_them_is_refused(verify: Verifier, signer: Party) -> None:
    genuine = cms.ContentInfo.load(signed(signer, CONTENT))
    assert verify(genuine.dump()).status == 0
    other_file = genuine["content"]["signer_infos"][0]["signed_attrs"].untag().dump()
    stripped = signed(signer, other_file, signed_attributes=[])
    # No new signature is needed: PKCS #1 v1.5 is deterministic, and the signed bytes are the same.
    (before,), (after,) = (
        cms.ContentInfo.load(one)["content"]["signer_infos"] for one in (genuine.dump(), stripped)
    )
    assert before["signature"].native == after["signature"].native
    refused(verify(stripped, other_file), "attributes of another signature")


def test_signature_is_verified_inside_a_running_event_loop(verify: Verifier, signer: Party) -> None:
    async def asked() -> Result:
        return verify(signed(signer, CONTENT))

    assert own_loop.run(asked()).status == 0


def test_attributes_that_do_not_fit_are_refused(verify: Verifier, signer: Party) -> None:
    kind, digest = attributes(CONTENT)
    wrong_kind = attribute("content_type", cms.ContentType("signed_data"))
    odd_time = attribute("signing_time", cms.Time("generalized_time", core.GeneralizedTime("20260101000000")))
    cases: list[Sequence[cms.CMSAttribute]] = [
        [digest],
        [kind],
        [kind, kind, digest],
        [kind, digest, digest],
        [kind, attribute("message_digest", *(list(digest["values"]) * 2))],
        [wrong_kind, digest],
        [kind, digest, odd_time],
        [kind, digest, *[attribute("signing_time", cms.Time("utc_time", NOW))] * 2],
    ]
    for case in cases:
        refused(verify(signed(signer, CONTENT, signed_attributes=case)), "do not match the content")
    refused(verify(signed(signer, CONTENT, content_type="signed_data")), "do not match the content")


def test_signature_of_the_content_alone_says_so(verify: Verifier, signer: Party) -> None:
    signature = signed(signer, CONTENT, signed_attributes=[])
    result = verify(signature)
    assert result.status == 0
    assert "Only the content was signed" in result.out
    assert verify(signature, CONTENT, "--json").json["only_content_signed"] is True
    assert verify(signed(signer, CONTENT), CONTENT, "--json").json["only_content_signed"] is False
    refused(
        verify(signed(signer, CONTENT, signed_attributes=[], content_type="signed_data")), "nobody signed it"
    )


@pytest.mark.parametrize("content", [b"", b"1", b"1\xff", b"12 pages\n", b"1\x800", b"10" + bytes(48)])
def test_content_that_only_begins_like_attributes_is_a_content(
    verify: Verifier, signer: Party, content: bytes
) -> None:
    assert verify(signed(signer, content, signed_attributes=[]), content).status == 0


def test_eddsa_signature_of_a_digest_is_no_signature_of_its_file(verify: Verifier, root: Party) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ed25519")]))
        .issuer_name(root.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(SIGNING, critical=True)
        .sign(root.key, hashes.SHA256())
    )
    own = cms.Certificate.load(certificate.public_bytes(Encoding.DER))
    name = {"issuer": own.issuer, "serial_number": own.serial_number}
    # A message that somebody signed without attributes; here it is the digest of another file.
    message = hashlib.sha512(CONTENT).digest()
    for signed_attributes, signature in (
        ([], key.sign(message)),
        (digested := _attributes_with(message), key.sign(cms.CMSAttributes(digested).dump())),
    ):
        whole = cms.ContentInfo.load(
            signed(party("signer", root), CONTENT, signed_attributes=signed_attributes)
        )
        info = whole["content"]["signer_infos"][0]
        info["sid"] = cms.SignerIdentifier("issuer_and_serial_number", name)
        info["digest_algorithm"] = {"algorithm": "sha512"}
        info["signature_algorithm"] = {"algorithm": "ed25519"}
        info["signature"] = signature
        whole["content"]["certificates"] = [cms.CertificateChoices("certificate", own)]
        result = verify(whole.dump(force=True))
        assert result.status == (0 if signed_attributes else 61), result.out + result.err


def _attributes_with(digest: bytes) -> list[cms.CMSAttribute]:
    return [
        attribute("content_type", cms.ContentType("data")),
        attribute("message_digest", core.OctetString(digest)),
    ]


# --- who signed


@pytest.mark.parametrize(
    ("purposes", "status"),
    [
        ([ExtendedKeyUsageOID.SERVER_AUTH], 62),
        ([ExtendedKeyUsageOID.TIME_STAMPING], 62),
        ([ExtendedKeyUsageOID.OCSP_SIGNING], 62),
        ([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.CODE_SIGNING], 62),
        ([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.EMAIL_PROTECTION], 0),
        ([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE], 0),
        ([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")], 0),
    ],
)
def test_certificate_with_other_purposes_signs_no_files(
    verify: Verifier, root: Party, purposes: list[x509.ObjectIdentifier], status: int
) -> None:
    extensions = [(x509.ExtendedKeyUsage(purposes), False)]
    result = verify(signed(party("signer", root, extensions=extensions), CONTENT))
    assert result.status == status, result.err
    assert ("not meant for signatures" in result.err) is (status == 62)
    # What an issuer may issue is all that it can.
    between = party("between", root, ca=True, extensions=extensions)
    assert verify(signed(party("signer", between), CONTENT, [between])).status == status


def test_certificate_that_demands_to_be_understood_is_refused(verify: Verifier, root: Party) -> None:
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    assert verify(signed(party("signer", root, extensions=[(strange, False)]), CONTENT)).status == 0
    refused(verify(signed(party("signer", root, extensions=[(strange, True)]), CONTENT)), "chain")


def test_weak_mask_of_pss_is_refused(verify: Verifier, root: Party, signer: Party) -> None:
    strong, weak = (padding.PSS(padding.MGF1(mask), 32) for mask in (hashes.SHA256(), hashes.MD5()))
    assert verify(signed(signer, CONTENT, scheme=strong, algorithm=pss_algorithm("sha256"))).status == 0
    refused(verify(signed(signer, CONTENT, scheme=weak, algorithm=pss_algorithm("md5"))), "no longer secure")
    assert verify(signed(party("signer", root, pss=strong), CONTENT)).status == 0


@pytest.mark.parametrize(
    ("algorithm", "scheme", "digest"),
    [
        ({"algorithm": "sha1_rsa"}, padding.PKCS1v15(), hashes.SHA1()),
        ({"algorithm": "md5_rsa"}, padding.PKCS1v15(), hashes.MD5()),
        (pss_algorithm("sha1"), padding.PSS(padding.MGF1(hashes.SHA1()), 32), hashes.SHA256()),
    ],
    ids=["SHA-1", "MD5", "mask of SHA-1"],
)
def test_certificate_signed_with_a_weak_algorithm_is_refused(
    verify: Verifier,
    root: Party,
    signer: Party,
    algorithm: dict[str, object],
    scheme: padding.AsymmetricPadding,
    digest: hashes.HashAlgorithm,
) -> None:
    weak = certified_with(signer, root, algorithm, scheme, digest)
    assert verify(signed(weak, CONTENT)).status == 62


def test_signer_with_a_short_key_is_refused(verify: Verifier, root: Party) -> None:
    refused(verify(signed(short_key("signer", root), CONTENT)), "no longer secure")


def test_chain_through_a_short_key_is_refused(verify: Verifier, root: Party) -> None:
    certifies = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    basic = x509.BasicConstraints(ca=True, path_length=None)
    issuer = short_key("issuer", root, (certifies, True), (basic, True))
    result = verify(signed(party("signer", issuer), CONTENT, [issuer]))
    refused(result, "no longer secure")


def test_signature_algorithm_of_another_kind_of_key_is_refused(verify: Verifier, signer: Party) -> None:
    signature = signed(signer, CONTENT, algorithm={"algorithm": "sha256_ecdsa"})
    refused(verify(signature), "signature algorithm is not known here, or does not fit the key", 61)


# --- bytes around it


def test_bytes_after_the_signature_are_refused(verify: Verifier, signer: Party) -> None:
    der = signed(signer, CONTENT)
    for more in (b"\n", b"\nmore", b"more", b"\0", der):
        refused(verify(der + more), "something stands behind it", 61)
    body = base64.encodebytes(der)
    pem = b"-----BEGIN CMS-----\n" + body + b"-----END CMS-----"
    for end in (b"", b"\n", b"\r\n"):
        assert verify(pem + end).status == 0
    inside = b"-----BEGIN CMS-----\n" + base64.encodebytes(der + b"\nmore") + b"-----END CMS-----\n"
    for odd in (pem + b"\nmore", pem + b"more", pem + b"\n" + pem, inside):
        refused(verify(odd), "stands behind it", 61)


# --- floods


def bounded(workspace: Workspace, *arguments: str | Path) -> tuple[int, str, float]:
    """Run xcactl with little memory; return its status, its output, and its time in seconds."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))

    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, *XCACTL, *map(str, arguments)],
        env=workspace.environment,
        capture_output=True,
        text=True,
        cwd=workspace.home,
        timeout=2 * SECONDS,
        preexec_fn=limit,
    )
    return done.returncode, done.stdout + done.stderr, time.monotonic() - start


def levels(root: Party, deep: int, wide: int) -> list[Party]:
    """A hierarchy with several CAs of one name and key on each level; the last certificate is a signer's."""
    found, above = [], root
    for level in range(deep):
        twins = [party(f"level {level}", above, ca=True) for _ in range(wide)]
        found += twins
        above = twins[0]
    return [party("signer", above), *found]


@pytest.mark.parametrize(
    ("deep", "wide", "is_known", "status", "words"),
    [
        (1, 40, True, 69, "more than 32 certificates"),
        (1, 30, True, 0, ""),
        (1, 30, False, 57, "is missing"),
        (16, 2, True, 69, "more than 32 certificates"),
        (15, 2, True, 62, "too many chains"),
        (15, 2, False, 57, "is missing"),
        (7, 4, True, 62, "too many chains"),
        (6, 5, True, 0, ""),
        (6, 5, False, 57, "is missing"),
    ],
)
def test_chain_search_among_twins_and_levels_ends(
    workspace: Workspace,
    root: Party,
    tmp_path: Path,
    deep: int,
    wide: int,
    is_known: bool,
    status: int,
    words: str,
) -> None:
    made_by = root if is_known else party("somebody else", ca=True)
    signer, *others = levels(made_by, deep, wide)
    (tmp_path / "file").write_bytes(CONTENT)
    (tmp_path / "file.p7s").write_bytes(signed(signer, CONTENT, others))
    ca = root.write(tmp_path / "root.cer")
    found, said, seconds = bounded(
        workspace, "verify", tmp_path / "file", tmp_path / "file.p7s", "--ca-file", ca
    )
    assert found == status, said
    assert words in said
    assert seconds < SECONDS


def test_chain_search_among_twins_that_issue_each_other_ends(
    workspace: Workspace, root: Party, tmp_path: Path
) -> None:
    names = [f"friend {number}" for number in range(5)]
    friends = {name: party(name, ca=True) for name in names}
    each_other = [party(name, friends[other], ca=True) for name in names for other in names if name != other]
    signer = party("signer", friends[names[0]])
    (tmp_path / "file").write_bytes(CONTENT)
    (tmp_path / "file.p7s").write_bytes(signed(signer, CONTENT, each_other))
    ca = root.write(tmp_path / "root.cer")
    status, said, seconds = bounded(
        workspace, "verify", tmp_path / "file", tmp_path / "file.p7s", "--ca-file", ca
    )
    assert status == 62, said
    assert seconds < SECONDS


def test_valid_twin_among_expired_ones_is_found(verify: Verifier, root: Party) -> None:
    expired = [party("between", root, ca=True, start=NOW - 3 * DAY, end=NOW - DAY) for _ in range(5)]
    good = party("between", root, ca=True)
    assert verify(signed(party("signer", good), CONTENT, [*expired, good])).status == 0
    refused(verify(signed(party("signer", good), CONTENT, expired)), "chain")


def _element(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    length = len(body)
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, length) if length < 128 else (tag, 0x80 | len(octets), *octets)) + body


def _enveloped(recipients: bytes, content: bytes = _element(0x80, bytes(16))) -> bytes:
    algorithm = cms.EncryptionAlgorithm({"algorithm": "aes256_cbc", "parameters": bytes(16)}).dump()
    info = _element(0x30, cms.ContentType("data").dump(), algorithm, content)
    data = _element(0x30, cms.CMSVersion("v0").dump(), _element(0x31, recipients), info)
    return _element(0x30, cms.ContentType("enveloped_data").dump(), _element(0xA0, data))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: _enveloped(b"\x30\x00" * 2_900_000), "more than 2 MiB"),
        (lambda: _enveloped(b"\x30\x00" * 900_000), "more than 50000 parts"),
        (lambda: _enveloped(b"\x30\x80" * 50_000 + b"\0\0" * 50_000), "more than 32 deep"),
        (lambda: _enveloped(b"\x30\x80" * 40 + b"\0\0" * 40), "more than 32 deep"),
    ],
)
def test_decrypt_of_a_flood_of_recipients_ends(
    workspace: Workspace, tmp_path: Path, made: Callable[[], bytes], words: str
) -> None:
    file = tmp_path / "flood.p7e"
    file.write_bytes(made())
    status, said, seconds = bounded(workspace, "decrypt", file, "-o", tmp_path / "out")
    assert status == 69, said
    assert words in said
    assert seconds < SECONDS


@pytest.mark.parametrize(
    ("content", "lists", "words"),
    [
        pytest.param(b"\x04\x00" * 10_000_000, b"", "too many pieces", id="pieces"),
        pytest.param(b"\x24\x00" * 1_000_000, b"", "too many pieces", id="empty-around-nothing"),
        pytest.param(b"", b"\x30\x00" * 1_000_000, "50000 parts", id="lists"),
    ],
)
def test_verify_of_a_flood_of_pieces_ends(
    workspace: Workspace, root: Party, signer: Party, tmp_path: Path, content: bytes, lists: bytes, words: str
) -> None:
    whole = cms.ContentInfo.load(signed(signer, b"", signed_attributes=attributes(b"")))
    head = b"".join(whole["content"][name].dump() for name in ("version", "digest_algorithms"))
    certificates, infos = (whole["content"][name].dump() for name in ("certificates", "signer_infos"))
    pieces = b"\x24\x80" + content + b"\0\0"
    inner = _element(0x30, cms.ContentType("data").dump(), _element(0xA0, pieces))
    revocation = b"\xa1\x80" + lists + b"\0\0" if lists else b""
    data = _element(0xA0, _element(0x30, head, inner, certificates, revocation, infos))
    file = tmp_path / "pieces.p7m"
    file.write_bytes(_element(0x30, cms.ContentType("signed_data").dump(), data))
    status, said, seconds = bounded(workspace, "verify", file, "--ca-file", root.write(tmp_path / "root.cer"))
    assert status == 69, said
    assert words in said
    assert seconds < SECONDS


@pytest.mark.parametrize("option", ["--ca-file", "--crl", "--ocsp"])
def test_file_that_is_too_big_is_not_read_to_its_end(
    workspace: Workspace, root: Party, signer: Party, tmp_path: Path, option: str
) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    (tmp_path / "file.p7s").write_bytes(signed(signer, CONTENT))
    with (tmp_path / "big").open("wb") as big:
        big.truncate(1 << 40)
    ca = tmp_path / "big" if option == "--ca-file" else root.write(tmp_path / "root.cer")
    more = () if option == "--ca-file" else (option, tmp_path / "big")
    status, said, seconds = bounded(
        workspace, "verify", tmp_path / "file", tmp_path / "file.p7s", "--ca-file", ca, *more
    )
    assert status == 69, said
    assert "MiB" in said
    assert seconds < SECONDS


# --- the one who is trusted


def test_trusted_ca_outside_its_validity_is_refused(tmp_path: Path) -> None:
    for start, end in ((NOW - 30 * DAY, NOW - DAY), (NOW + DAY, NOW + 2 * DAY)):
        expired = party("expired", ca=True, start=start, end=end)
        result = Verifier(expired, tmp_path)(signed(party("signer", expired), CONTENT))
        refused(result, "chain of its signer's certificate is not")


@pytest.mark.parametrize(("length", "status"), [(0, 62), (1, 0)])
def test_trusted_ca_that_lets_nobody_certify_others_limits_the_chain(
    root: Party, tmp_path: Path, length: int, status: int
) -> None:
    limit = x509.BasicConstraints(ca=True, path_length=length)
    usage = root.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    trusted = party("limited", usage=usage, extensions=[(limit, True)])
    between = party("between", trusted, ca=True)
    verify = Verifier(trusted, tmp_path)
    assert verify(signed(party("signer", between), CONTENT, [between])).status == status
    assert verify(signed(party("signer", trusted), CONTENT)).status == 0


def organisation(name: str) -> x509.DirectoryName:
    return x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)]))


POLICIES = {
    name: x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(oid), None)])
    for name, oid in (
        ("tests", "2.16.886.101.0.3.0"),
        ("cards", "2.16.886.101.0.3.3"),
        ("any", "2.5.29.32.0"),
    )
}
ADDRESS = x509.SubjectAlternativeName([x509.RFC822Name("it@example.org")])
IP = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("192.0.2.1"))])


def names(
    permitted: x509.GeneralName | None = None, excluded: x509.GeneralName | None = None
) -> x509.NameConstraints:
    return x509.NameConstraints([permitted] if permitted else None, [excluded] if excluded else None)


@pytest.mark.parametrize(
    ("of_the_trusted", "of_the_signer", "words"),
    [
        pytest.param([names(organisation("signer"))], [], "", id="its name is permitted"),
        pytest.param([names(organisation("others"))], [], "chain", id="its name is not permitted"),
        pytest.param([names(excluded=organisation("signer"))], [], "chain", id="its name is excluded"),
        pytest.param([names(excluded=organisation("others"))], [], "", id="another name is excluded"),
        pytest.param([names(organisation("signer"))], [ADDRESS], "", id="nothing is said of addresses"),
        pytest.param([names(x509.RFC822Name("example.org"))], [ADDRESS], "", id="its address is permitted"),
        pytest.param(
            [names(x509.RFC822Name("x.test"))], [ADDRESS], "chain", id="its address is not permitted"
        ),
        pytest.param(
            [names(x509.IPAddress(ipaddress.ip_network("192.0.2.0/24")))],
            [IP],
            "cannot be compared",
            id="pyHanko knows no such constraint",
        ),
        pytest.param([x509.PolicyConstraints(0, None)], [], "chain", id="policies are asked for"),
        pytest.param([x509.PolicyConstraints(0, None)], [POLICIES["tests"]], "", id="any policy will do"),
        pytest.param([x509.PolicyConstraints(9, None)], [], "", id="policies are asked for further down"),
        pytest.param(
            [x509.PolicyConstraints(0, None), POLICIES["cards"]],
            [POLICIES["tests"]],
            "chain",
            id="another policy",
        ),
        pytest.param(
            [x509.PolicyConstraints(0, None), POLICIES["tests"]], [POLICIES["tests"]], "", id="this policy"
        ),
        pytest.param(
            [x509.PolicyConstraints(0, None), x509.InhibitAnyPolicy(0)],
            [POLICIES["any"]],
            "chain",
            id="not any",
        ),
        pytest.param([x509.PolicyConstraints(0, None)], [POLICIES["any"]], "", id="any is a policy"),
        pytest.param(
            [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])],
            [],
            "not meant for signatures",
            id="purpose",
        ),
        pytest.param(
            [x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")],
            [],
            "critical extension that is not understood here: 1.2.3.4.5",
            id="something unknown",
        ),
    ],
)
@pytest.mark.parametrize("is_direct", [True, False], ids=["direct", "through a CA"])
def test_constraint_of_the_trusted_ca_counts(
    tmp_path: Path,
    of_the_trusted: list[x509.ExtensionType],
    of_the_signer: list[x509.ExtensionType],
    words: str,
    is_direct: bool,
) -> None:
    trusted = party("trusted", ca=True, extensions=[(one, True) for one in of_the_trusted])
    # A CA of the signer's name, with the signer's policies: what is said of one holds for the other.
    policies = [one for one in of_the_signer if isinstance(one, x509.CertificatePolicies)]
    between = party(
        "between",
        trusted,
        ca=True,
        extensions=[(one, False) for one in policies],
        subject=organisation("signer").value,
    )
    issuer, others = (trusted, []) if is_direct else (between, [between])
    signer = party("signer", issuer, extensions=[(one, False) for one in of_the_signer])
    result = Verifier(trusted, tmp_path)(signed(signer, CONTENT, others))
    if words:
        refused(result, words)
    else:
        assert result.status == 0, result.err


def test_mapped_policy_does_not_count_where_the_trusted_ca_inhibits_it(tmp_path: Path) -> None:
    mapping = x509.UnrecognizedExtension(
        x509.ObjectIdentifier("2.5.29.33"),
        asn1_x509.PolicyMappings(
            [{"issuer_domain_policy": "2.16.886.101.0.3.0", "subject_domain_policy": "2.16.886.101.0.3.3"}]
        ).dump(),
    )
    for inhibit, status in ((None, 0), (0, 62)):
        limits = x509.PolicyConstraints(0, inhibit)
        trusted = party("trusted", ca=True, extensions=[(limits, True), (POLICIES["tests"], False)])
        between = party("between", trusted, ca=True, extensions=[(POLICIES["tests"], False), (mapping, True)])
        signer = party("signer", between, extensions=[(POLICIES["cards"], False)])
        result = Verifier(trusted, tmp_path)(signed(signer, CONTENT, [between]))
        assert result.status == status, result.err


# --- names


def name(*pairs: tuple[x509.ObjectIdentifier, str, _ASN1Type]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, value, kind) for oid, value, kind in pairs])


@pytest.mark.parametrize(
    "text",
    ["\U0002a700公司", "x\u2066y", "\U0001f600", "\u1e9e", "ﬁ", "a\u00adb", "台\U000e0100", "\ufdd0"],
    ids=ascii,
)
@pytest.mark.parametrize("kind", [_ASN1Type.UTF8String, _ASN1Type.UniversalString])
def test_chain_of_any_name_is_found(tmp_path: Path, text: str, kind: _ASN1Type) -> None:
    odd = name((NameOID.ORGANIZATION_NAME, text, kind))
    root = party("odd root", ca=True, subject=odd)
    between = party("odd between", root, ca=True, subject=name((NameOID.COMMON_NAME, text, kind)))
    signer = party("odd signer", between, subject=name((NameOID.COMMON_NAME, f"{text}!", kind)))
    verify = Verifier(root, tmp_path)
    result = verify(signed(signer, CONTENT, [between]), CONTENT, "--json")
    assert result.status == 0, result.err
    assert result.json["signer"]["holder"] == f"CN={text}!"


def test_chain_of_names_in_sixteen_bits_is_found(tmp_path: Path) -> None:
    odd = name((NameOID.ORGANIZATION_NAME, "x\u2066公司", _ASN1Type.BMPString))
    root = party("odd root", ca=True, subject=odd)
    assert Verifier(root, tmp_path)(signed(party("signer", root), CONTENT)).status == 0


def test_chain_of_names_with_strings_of_the_past_is_found(root: Party, tmp_path: Path) -> None:
    """TeletexString with bytes that are no UTF-8: cryptography refuses to decode them."""
    placeholder = name((NameOID.ORGANIZATION_NAME, "caf??", _ASN1Type.UTF8String))
    before, after = b"\x0c\x05caf??", b"\x14\x05caf\xe9\xe8"
    between = altered(party("between", root, ca=True, subject=placeholder), root, before, after)
    plain = party(
        "signer", replace(between, certificate=party("x", root, ca=True, subject=placeholder).certificate)
    )
    signer = altered(plain, between, before, after)
    result = Verifier(root, tmp_path)(signed(signer, CONTENT, [between]))
    assert result.status == 0, result.err


def test_name_with_a_part_that_holds_nothing_is_named(verify: Verifier, root: Party) -> None:
    usual = party("signer", root)
    part = bytes.fromhex("310f300d060355040a0c06") + b"signer"
    # A SET of nothing, and beside it another one that fills its place.
    empty = bytes.fromhex("3100310d300b060355040a0c04") + b"sign"
    odd = altered(usual, root, part, empty)
    result = verify(signed(odd, CONTENT))
    assert result.status in (0, 61), result.err
    if result.status:
        assert "its signer's certificate, its" in result.err


def test_names_that_differ_in_case_or_kind_of_string_still_name_the_signer(
    verify: Verifier, root: Party, signer: Party
) -> None:
    whole = cms.ContentInfo.load(signed(signer, CONTENT))
    info = whole["content"]["signer_infos"][0]
    info["sid"].chosen["issuer"] = asn1_x509.Name.build({"organization_name": "ROOT"}, use_printable=True)
    assert verify(whole.dump(force=True)).status == 0


# --- what is malformed is named


def _of_another_kind(one: Party, issuer: Party) -> dict[str, Party]:
    """Copies of one certificate, each with one malformed part, by the words of the error."""
    ends = one.certificate.not_valid_after_utc.strftime("%y%m%d%H%M%SZ").encode()
    holder = one.certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value
    holder = str(holder).encode()
    return {
        "its validity": altered(one, issuer, ends, b"991399999999Z"),
        "its holder": altered(
            one,
            issuer,
            b"\x0c" + bytes((len(holder),)) + holder,
            b"\x0c" + bytes((len(holder),)) + b"\xff" * len(holder),
        ),
        "its extension key usage cannot": with_bad_extension(one, issuer, "2.5.29.15"),
        "its extension key identifier cannot": with_bad_extension(one, issuer, "2.5.29.14"),
        "it has the extension key identifier twice": altered(
            one, issuer, b"\x06\x03\x55\x1d\x20", b"\x06\x03\x55\x1d\x0e"
        ),
        "its extension crl distribution points cannot": with_bad_extension(one, issuer, "2.5.29.31"),
        "its extension authority information access cannot": with_bad_extension(
            one, issuer, "1.3.6.1.5.5.7.1.1"
        ),
        "its extension certificate policies cannot": with_bad_extension(one, issuer, "2.5.29.32"),
        "its extension subject directory attributes cannot": with_bad_extension(one, issuer, "2.5.29.9"),
        "its extension subject alt name cannot": with_bad_extension(one, issuer, "2.5.29.17"),
    }


def _with_everything(who: str, issuer: Party | None, **more: Any) -> Party:
    address = x509.UniformResourceIdentifier("http://x.test/c")
    extensions: list[x509.ExtensionType] = [
        x509.CRLDistributionPoints([x509.DistributionPoint([address], None, None, None)]),
        x509.AuthorityInformationAccess(
            [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, address)]
        ),
        POLICIES["tests"],
        x509.UnrecognizedExtension(
            x509.ObjectIdentifier("2.5.29.9"),
            directory_attributes(SCHOOL, "primary", organisation_oid="2.16.886.111.100000"),
        ),
        ADDRESS,
    ]
    return party(who, issuer, extensions=[(one, False) for one in extensions], **more)


def test_malformed_part_of_the_signers_certificate_is_named(verify: Verifier, root: Party) -> None:
    usual = _with_everything("signer", root)
    assert verify(signed(usual, CONTENT)).status == 0
    for words, odd in _of_another_kind(usual, root).items():
        refused(verify(signed(odd, CONTENT)), f"of its signer's certificate, {words}", 61)


def test_malformed_part_inside_an_extension_is_named(verify: Verifier, root: Party) -> None:
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
    usual = party("signer", root, extensions=[(purposes, False)])
    purpose = bytes.fromhex("06082b06010505070304")
    odd = altered(usual, root, purpose, b"\x0c" + purpose[1:])
    assert verify(signed(usual, CONTENT)).status == 0
    refused(verify(signed(odd, CONTENT)), "its extension extended key usage cannot be read", 61)


def test_malformed_part_of_a_certificate_between_is_named(verify: Verifier, root: Party) -> None:
    usual = _with_everything("between", root, ca=True)
    signer = party("signer", usual)
    assert verify(signed(signer, CONTENT, [usual])).status == 0
    for words, odd in _of_another_kind(usual, root).items():
        refused(verify(signed(signer, CONTENT, [odd])), f"Of another certificate in the file, {words}")
        # It keeps nobody from the one that is whole.
        assert verify(signed(signer, CONTENT, [odd, usual])).status == 0


def test_malformed_part_of_the_trusted_certificate_is_named(tmp_path: Path) -> None:
    usual = _with_everything("trusted", None, ca=True)
    signer = party("signer", usual)
    assert Verifier(usual, tmp_path)(signed(signer, CONTENT)).status == 0
    for words, odd in _of_another_kind(usual, usual).items():
        refused(Verifier(odd, tmp_path)(signed(signer, CONTENT)), words, 60)


def test_malformed_part_of_the_signature_is_named(verify: Verifier, root: Party, signer: Party) -> None:
    def changed(change: Callable[[cms.SignedData], None]) -> bytes:
        whole = cms.ContentInfo.load(signed(signer, CONTENT))
        change(whole["content"])
        return bytes(whole.dump(force=True))

    def info(data: cms.SignedData) -> cms.SignerInfo:
        return data["signer_infos"][0]

    whole = signed(signer, CONTENT)
    sha256 = bytes.fromhex("0609608648016503040201")
    assert whole.count(sha256) >= 2
    at = whole.rindex(sha256)
    named = bytes.fromhex("06092a864886f70d010904")  # messageDigest
    cases = {
        "nobody signed it": changed(lambda data: data.__setitem__("signer_infos", [])),
        "it does not hold its signer's certificate": changed(
            lambda data: data.__setitem__("certificates", [])
        ),
        "its digest algorithm is not known here: 2.16.840.1.101.3.4.2.99": whole[: at + 10]
        + b"\x63"
        + whole[at + 11 :],
        "what was signed beside the content cannot be read": whole.replace(
            named + b"\x31", named + b"\x30", 1
        ),
        "what stands behind its content cannot be read": whole.replace(b"\xa0\x82", b"\xa2\x82", 1)
        if whole.count(b"\xa0\x82") == 1
        else whole[: whole.rindex(b"\xa0\x82")] + b"\xa2" + whole[whole.rindex(b"\xa0\x82") + 1 :],
        "its structure cannot be read": whole.replace(b"\x02\x01\x01\x31", b"\x05\x01\x01\x31", 1),
    }
    for words, odd in cases.items():
        refused(verify(odd), words, 61)


# --- what is odd


def test_signing_time_in_the_last_year_is_shown(
    workspace: Workspace, verify: Verifier, signer: Party
) -> None:
    last = cms.Time("generalized_time", core.GeneralizedTime("99991231235959Z"))
    signature = signed(
        signer, CONTENT, signed_attributes=attributes(CONTENT, attribute("signing_time", last))
    )
    there = workspace.with_variables(TZ="Asia/Taipei")
    result = there.run(*verify.arguments(signature))
    assert result.status == 0, result.err
    assert "9999-12-31 23:59:59" in result.out
    document = there.run(*verify.arguments(signature), "--json").json
    check(document, "verify")
    assert datetime.fromisoformat(document["signed_at"]).year == 9999


def _with_unknown_key(der: bytes) -> bytes:
    rsa, unknown = (bytes.fromhex(f"2a864886f70d0101{last}") for last in ("01", "63"))
    assert der.count(rsa) == 1
    return der.replace(rsa, unknown)


def _broken(der: bytes) -> list[bytes]:
    """Certificates, each with an oddity at another place."""
    return [der[:at] + b"\xff" + der[at + 1 :] for at in range(8, len(der) - 256, 7)]


def test_ca_file_that_is_malformed_is_named(
    workspace: Workspace, root: Party, signer: Party, tmp_path: Path
) -> None:
    program = (
        "import io, sys, pathlib\n"
        "from xca_plugin import errors, verification\n"
        "signature, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])\n"
        "for file in sorted(folder.iterdir()):\n"
        "    with signature.open('rb') as signed, (signature.parent / 'file').open('rb') as content:\n"
        "        try:\n"
        "            verdict = verification.verify(signed, file, content)\n"
        "            print('verdict', verdict.problem)\n"
        "        except errors.NotACertificate:\n"
        "            print('refused')\n"
    )
    (tmp_path / "file").write_bytes(CONTENT)
    (tmp_path / "file.p7s").write_bytes(signed(signer, CONTENT))
    folder = tmp_path / "odd"
    folder.mkdir()
    for number, der in enumerate([*_broken(root.der), _with_unknown_key(root.der), b"\x30\x00", b""]):
        (folder / f"{number:04}.cer").write_bytes(der)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(tmp_path / "file.p7s"), str(folder)],
        env=workspace.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "refused" in done.stdout


def test_odd_certificate_beside_the_others_breaks_nothing(
    verify: Verifier, root: Party, signer: Party
) -> None:
    genuine = cms.ContentInfo.load(signed(signer, CONTENT))
    for odd in (_with_unknown_key(root.der), *_broken(root.der)[::9]):
        data = genuine["content"]
        certificates = data["certificates"].untag().contents + odd
        parts = [data[name].dump() for name in ("version", "digest_algorithms", "encap_content_info")]
        whole = _element(0x30, *parts, _element(0xA0, certificates), data["signer_infos"].dump())
        signature = _element(0x30, cms.ContentType("signed_data").dump(), _element(0xA0, whole))
        result = verify(signature)
        assert result.status in (0, 61), result.err
        assert verify(signed(signer, CONTENT)).status == 0


def test_signer_with_an_unknown_key_is_an_error(verify: Verifier, signer: Party) -> None:
    result = verify(_with_unknown_key(signed(signer, CONTENT)))
    assert result.status in (61, 62), result.err


def attached(signature: bytes, content: bytes) -> bytes:
    """The same signature with its content inside, in the given encoding."""
    whole = cms.ContentInfo.load(signature)["content"]
    head, tail = (
        b"".join(whole[name].dump() for name in names)
        for names in (("version", "digest_algorithms"), ("certificates", "signer_infos"))
    )
    inner = _element(0x30, whole["encap_content_info"]["content_type"].dump(), _element(0xA0, content))
    data = _element(0xA0, _element(0x30, head, inner, tail))
    return _element(0x30, cms.ContentType("signed_data").dump(), data)


def test_attributes_in_pieces_of_one_byte_are_attributes(
    workspace: Workspace, root: Party, signer: Party
) -> None:
    other_file = cms.CMSAttributes(attributes(CONTENT)).dump()
    stripped = signed(signer, other_file, signed_attributes=[])
    for content in (
        _element(4, other_file),
        _element(0x24, *(_element(4, bytes((byte,))) for byte in other_file)),
    ):
        (workspace.home / "file.p7m").write_bytes(attached(stripped, content))
        arguments = [
            "verify",
            str(workspace.home / "file.p7m"),
            "--ca-file",
            str(root.write(workspace.home / "root")),
        ]
        done = CliRunner(env={"LANGUAGE": "en"}).invoke(xcactl, arguments)
        refused(Result(done.exit_code, done.stdout, done.stderr), "attributes of another signature")


def test_trusted_certificate_that_is_no_ca_issues_nothing(root: Party, signer: Party, tmp_path: Path) -> None:
    result = Verifier(signer, tmp_path)(signed(party("somebody", signer), CONTENT))
    assert (result.status, "is not that of a CA" in result.err) == (92, True)


def test_mutated_signature_is_no_crash_and_no_other_signer(
    root: Party, signer: Party, tmp_path: Path
) -> None:
    between = party("between", root, ca=True)
    genuine = signed(party("signer below", between), CONTENT, [between])
    file, signature = tmp_path / "file", tmp_path / "file.p7s"
    file.write_bytes(CONTENT)
    ca = root.write(tmp_path / "root")
    valid = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for at in range(0, len(genuine), 13):
            for byte in (0x00, 0xFF, genuine[at] ^ 0x01):
                signature.write_bytes(genuine[:at] + bytes((byte,)) + genuine[at + 1 :])
                with signature.open("rb") as signed_file, file.open("rb") as content, suppress(XcaError):
                    verdict = verification.verify(signed_file, ca, content)
                    if verdict.problem is None:
                        valid |= {one.signer.holder for one in verdict.verdicts if one.signer}
    assert valid <= {"O=signer below"}
