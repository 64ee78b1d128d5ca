# SPDX-License-Identifier: Apache-2.0
"""Lists and responses of issuers with keys of any kind, with odd parts; and the addresses that have them."""

import base64
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest
from asn1crypto import algos, core  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from support.hostile_pki import pss_algorithm
from xca_common.pki.addresses import host_of
from xca_common.pki.algorithms import digests, is_strong
from xca_common.pki.authority import SIGNING
from xca_common.pki.fetching import Fetcher, Unreachable
from xca_common.pki.malformed import Malformed
from xca_common.pki.ocsp_response import OcspResponse
from xca_common.pki.revocation import RevocationData
from xca_common.pki.revocation_list import RevocationList, is_signed, load_all
from xca_common.pki.standing import Standing
from xca_login.testing.issuer import LIST, Answers, addresses, entry, revocation_list, serving
from xca_login.testing.parties import DAY, NOW, Party, party

FOR_GOOD = x509.ReasonFlags.key_compromise
Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


@pytest.fixture(scope="module")
def ca() -> Party:
    return party("ca", ca=True)


@pytest.fixture(scope="module")
def card(ca: Party) -> Party:
    return party("a school", ca)


@dataclass(frozen=True)
class Other:
    """Somebody whose key is no RSA key."""

    certificate: x509.Certificate
    key: Key

    @classmethod
    def made(
        cls,
        key: Key,
        by: Party | None = None,
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> "Other":
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "another")])
        builder = (
            x509.CertificateBuilder(by.certificate.subject if by else name, name, key.public_key(), 7)
            .not_valid_before(NOW - DAY)
            .not_valid_after(NOW + DAY)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        signed = builder.sign(by.key, hashes.SHA256()) if by else builder.sign(key, _digest_for(key))
        return cls(signed, key)


def _digest_for(key: Key) -> hashes.SHA256 | None:
    return hashes.SHA256() if isinstance(key, ec.EllipticCurvePrivateKey) else None


@pytest.mark.parametrize(
    ("make_key", "expected"),
    [
        (partial(ec.generate_private_key, ec.SECP256R1()), Standing.REVOKED),
        (ed25519.Ed25519PrivateKey.generate, Standing.REVOKED),
        (ed448.Ed448PrivateKey.generate, Standing.UNKNOWN),  # no signature of this kind is verified
    ],
    ids=["P-256", "Ed25519", "Ed448"],
)
def test_list_of_an_issuer_with_another_kind_of_key_counts_if_it_is_verified(
    card: Party, make_key: Callable[[], Key], expected: Standing
) -> None:
    issuer, twin = (Other.made(make_key()) for _ in range(2))
    builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, NOW, NOW + DAY)
    made = builder.add_revoked_certificate(entry(card, FOR_GOOD)).sign(issuer.key, _digest_for(issuer.key))
    der = made.public_bytes(Encoding.DER)
    known = RevocationData([RevocationList(der)])
    assert known.judge(card.certificate, issuer.certificate, NOW).standing is expected
    assert is_signed(der, issuer.certificate) is (expected is Standing.REVOKED)
    assert known.judge(card.certificate, twin.certificate, NOW).standing is Standing.UNKNOWN


@pytest.mark.parametrize(
    ("curve", "expected"),
    [(ec.SECP256R1(), Standing.GOOD), (ec.SECP192R1(), Standing.UNKNOWN)],
    ids=lambda one: getattr(one, "name", ""),
)
def test_responder_with_a_key_on_a_curve_counts_if_the_key_is_long_enough(
    ca: Party, card: Party, curve: ec.EllipticCurve, expected: Standing
) -> None:
    key = ec.generate_private_key(curve)
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
    responder = Other.made(key, ca, [(SIGNING, True), (purposes, False)])
    made = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            card.certificate,
            ca.certificate,
            hashes.SHA1(),
            ocsp.OCSPCertStatus.GOOD,
            NOW,
            NOW + DAY,
            None,
            None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, responder.certificate)
        .certificates([responder.certificate])
        .sign(key, hashes.SHA256())
    )
    known = RevocationData((), [OcspResponse(made.public_bytes(Encoding.DER))])
    assert known.judge(card.certificate, ca.certificate, NOW).standing is expected


def test_entry_of_any_length_is_found(ca: Party, card: Party) -> None:
    more = (
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x04\x82\x01\x00" + bytes(256)),
        False,
    )
    others = [entry(party(f"other {number}", ca, key_name="other"), FOR_GOOD) for number in range(3)]
    long = entry(card, FOR_GOOD, more=[more])
    found = RevocationList(revocation_list(ca, 1, others[0], long, *others[1:]))
    assert found.statement(card.certificate, ca.certificate, NOW).standing is Standing.REVOKED


def test_list_whose_last_entry_is_cut_off_is_malformed(ca: Party, card: Party) -> None:
    der = revocation_list(ca, 1, entry(card, FOR_GOOD))
    serial = card.certificate.serial_number
    start = der.index(core.Integer(serial).dump()) - 2
    assert der[start] == 0x30
    with pytest.raises(Malformed, match="one of its entries"):
        RevocationList(der[: start + 1] + bytes((der[start + 1] + 1,)) + der[start + 2 :])


def test_list_with_an_extension_twice_is_malformed(ca: Party) -> None:
    def twice(tbs: core.Sequence) -> None:
        tbs["crl_extensions"].append(tbs["crl_extensions"][0].copy())

    with pytest.raises(Malformed, match="it has the extension crl number twice"):
        RevocationList(revocation_list(ca, 1, change=twice))


def test_file_of_lists_in_pem_that_holds_none_says_so(ca: Party) -> None:
    with pytest.raises(Malformed, match="it holds something else in PEM"):
        load_all(ca.pem)


def test_what_is_given_later_counts_as_well(ca: Party, card: Party) -> None:
    none = RevocationData()
    assert none.judge(card.certificate, ca.certificate, NOW).standing is Standing.UNKNOWN
    more = none.with_more([RevocationList(revocation_list(ca, 1, entry(card, FOR_GOOD)))], [])
    assert more.judge(card.certificate, ca.certificate, NOW).standing is Standing.REVOKED
    assert none.judge(card.certificate, ca.certificate, NOW).standing is Standing.UNKNOWN


def test_list_of_another_issuer_at_an_address_says_nothing(ca: Party) -> None:
    other = party("other", ca=True)
    with serving() as served:
        served.answers = Answers({LIST: revocation_list(other, 1)})
        card = party("a school", ca, extensions=addresses(served.url, LIST))
        known = RevocationData(fetcher=Fetcher(["127.0.0.1"]))
        found = known.judge(card.certificate, ca.certificate, NOW)
    assert found.standing is Standing.UNKNOWN
    assert found.detail is not None
    assert not isinstance(found.detail, str)
    assert found.detail("en") == "the issuer of the certificate did not sign the list"


# --- whom this machine asks


def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask without a proxy."""
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_proxy_is_told_its_user_and_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    def heard(server: socket.socket) -> bytes:
        connection, _ = server.accept()
        with connection:
            data = b""
            while b"\r\n\r\n" not in data:
                data += connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            return data

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        server.settimeout(60)
        direct(monkeypatch)
        monkeypatch.setenv("http_proxy", f"http://clerk:s%3Acret@127.0.0.1:{server.getsockname()[1]}")
        request = pool.submit(heard, server)
        assert Fetcher().get("http://crl.nat.gov.tw/1.crl") == b"ok"
        lines = request.result().split(b"\r\n")
    assert lines[0] == b"GET http://crl.nat.gov.tw/1.crl HTTP/1.1"
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"clerk:s:cret") in lines


def test_host_that_has_no_address_gives_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("xca_common.pki.fetching.socket.getaddrinfo", unknown)
    direct(monkeypatch)
    with pytest.raises(Unreachable) as refused:
        Fetcher().get("http://nowhere.nat.gov.tw/1.crl")
    assert (refused.value.detail, refused.value.not_asked) == ("Name or service not known", False)


def test_port_where_nobody_listens_gives_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    direct(monkeypatch)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable) as refused:
            Fetcher(["127.0.0.1"]).get(f"http://127.0.0.1:{free.getsockname()[1]}/1.crl")
    assert (refused.value.detail, refused.value.not_asked) == ("Connection refused", False)


def test_host_of_what_is_no_address_is_empty() -> None:
    assert host_of("http://CRL.example:80/1") == "crl.example"
    assert {host_of(one) for one in ("http://[::1", "ldap:///x", "")} == {""}


# --- which algorithms are believed


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ({"algorithm": "sha256_rsa"}, {"sha256"}),
        ({"algorithm": "ed25519"}, set()),
        (pss_algorithm("sha1"), {"sha256", "sha1"}),
    ],
    ids=["RSA", "Ed25519", "PSS"],
)
def test_digests_of_an_algorithm_are_all_that_it_stands_on(
    algorithm: dict[str, object], expected: set[str]
) -> None:
    found = algos.SignedDigestAlgorithm(algorithm)
    assert digests(found) == expected
    assert is_strong(found) is ("sha1" not in expected)


def test_algorithm_with_an_unknown_mask_is_not_believed() -> None:
    parameters = pss_algorithm("sha256")["parameters"]
    assert isinstance(parameters, algos.RSASSAPSSParams)
    parameters["mask_gen_algorithm"]["algorithm"] = "1.2.3"
    odd = algos.SignedDigestAlgorithm({"algorithm": "rsassa_pss", "parameters": parameters})
    assert not is_strong(odd)
