# SPDX-License-Identifier: Apache-2.0
"""xcactl accept and activate: what the card signs is kept until the centre accepts it or refuses for good."""

import os
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from support.centre_server import ACCEPTED, BUSY, CentreServer, centre_server, configure, refused
from support.cli.xcactl import PIN, USER_CODE, Result, Workspace
from xca_centre.acceptance import SignedAcceptance


@pytest.fixture
def centre() -> Iterator[CentreServer]:
    with centre_server() as served:
        yield served


@pytest.fixture
def card(active: Workspace, centre: CentreServer) -> Workspace:
    """An activated card of the centre that is configured."""
    configure(active, centre.origin, issuer=active.path / "pki" / "ca.pem")
    return active


def accept(workspace: Workspace) -> Result:
    return workspace.run("accept", "--yes", "--pin", "stdin", stdin=f"{PIN}\n")


def kept(workspace: Workspace) -> list[Path]:
    return sorted((workspace.home / ".local" / "share" / "xca" / "acceptances").glob("*.signed"))


def let_time_pass(workspace: Workspace) -> None:
    """As if the centre may be asked again."""
    for file in kept(workspace):
        later = f"{datetime.now(UTC).year + 1}-"
        text = file.read_text()
        after = text.index('"try_after": "') + len('"try_after": "')
        assert text[after : after + 5] <= later
        file.write_text(f"{text[:after]}2000-01-01{text[after + 10 :]}")


def test_accept_of_an_active_card_sends_what_the_centre_demands(
    card: Workspace, centre: CentreServer
) -> None:
    done = accept(card)
    assert (done.status, kept(card)) == (0, [])
    ((path, _, body),) = centre.posts
    signed = SignedAcceptance.read(body, centre.origin)
    fields = dict(signed.statement.fields)
    listed = {
        each["label"]: each["sha256"] for each in card.run("cert", "list", "--json").json["certificates"]
    }
    assert path == "/acceptances"
    assert fields == {"card": card.number, "cert1": listed["cert1"], "cert2": listed["cert2"]}
    assert signed.token.origin == centre.origin


def test_accept_of_accepted_certificates_signs_nothing(card: Workspace, centre: CentreServer) -> None:
    accept(card)
    again = card.run("accept")
    assert (again.status, len(centre.posts)) == (0, 1)
    assert "accepted already" in again.out


def test_accept_without_an_answer_is_kept_and_sent_by_a_later_command(
    card: Workspace, centre: CentreServer
) -> None:
    centre.answer = BUSY
    first = accept(card)
    assert first.status == 96
    assert "The database is away." in first.err
    assert "xcactl accept --deliver" in first.err
    (file,) = kept(card)
    assert file.stat().st_mode & 0o777 == 0o600
    card.run("module-path")
    assert len(centre.posts) == 1  # the centre wants two minutes of peace
    let_time_pass(card)
    centre.answer = ACCEPTED
    later = card.run("module-path")
    assert (later.status, kept(card)) == (0, [])
    assert card.number in later.err
    assert centre.posts[0][2] == centre.posts[1][2]


def test_deliver_sends_at_once_and_needs_no_card(
    card: Workspace, centre: CentreServer, tmp_path: Path
) -> None:
    centre.answer = BUSY
    accept(card)
    centre.answer = ACCEPTED
    without_card = card.with_variables(XCA_PKCS11_CONF=str(tmp_path / "none.conf"))
    assert without_card.run("accept", "--deliver").status == 0
    assert kept(card) == []
    assert "Nothing is kept" in without_card.run("accept", "--deliver").out


def test_accept_that_is_refused_for_good_is_not_sent_again(card: Workspace, centre: CentreServer) -> None:
    centre.answer = refused("The certificate is revoked.", "憑證已廢止。")
    done = accept(card)
    assert (done.status, kept(card)) == (97, [])
    assert "The certificate is revoked." in done.err
    chinese = card.with_variables(LANGUAGE="zh_TW").run("info")
    assert "憑證已廢止。" in chinese.out
    card.run("module-path")
    assert len(centre.posts) == 1


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, {"outcome": "maybe"}),
        (200, {}, b"<html>welcome to the hotel network</html>"),
        (302, {"Location": "/elsewhere"}, {}),
        (409, {}, {"final": "yes"}),
        (409, {}, b"[" * 50_000),
        (500, {}, {"final": True}),
        (200, {}, b" " * 70_000 + b'{"outcome": "accepted"}'),
    ],
    ids=["outcome", "html", "redirection", "final", "depth", "fault", "length"],
)
def test_accept_with_an_answer_of_something_else_is_kept(
    card: Workspace, centre: CentreServer, answer: tuple[int, dict[str, str], object]
) -> None:
    centre.answer = answer
    assert accept(card).status == 96
    assert len(kept(card)) == 1
    assert {path for path, _, _ in centre.posts} == {"/acceptances"}


def test_accept_of_a_card_of_another_issuer_tells_nobody(
    active: Workspace, centre: CentreServer, issued_twice: Workspace, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(_authority()[0].public_bytes(Encoding.PEM))
    configure(active, centre.origin, issuer=other)
    done = accept(active)
    assert (done.status, centre.posts) == (95, [])


def test_accept_without_a_centre_names_the_configuration(active: Workspace) -> None:
    done = accept(active)
    assert done.status == 95
    assert "centre.conf" in done.err


def test_kept_acceptance_is_sent_to_no_other_centre(card: Workspace, centre: CentreServer) -> None:
    centre.answer = BUSY
    accept(card)
    with centre_server() as other:
        configure(card, other.origin, issuer=card.path / "pki" / "ca.pem")
        assert card.run("accept", "--deliver").status == 96
        assert other.posts == []


def test_activation_with_a_centre_accepts_at_once(closed: Workspace, centre: CentreServer) -> None:
    configure(closed, centre.origin, issuer=closed.path / "pki" / "ca.pem")
    secrets = f"{USER_CODE}\n{PIN}\n"
    done = closed.run("activate", "--yes", "--user-code", "stdin", "--new-pin", "stdin", stdin=secrets)
    assert done.status == 0, done.err
    assert centre.origin in done.err
    assert len(centre.posts) == 1
    SignedAcceptance.read(centre.posts[0][2], centre.origin)


def test_activation_without_network_succeeds_and_keeps_the_acceptance(
    closed: Workspace, centre: CentreServer
) -> None:
    configure(closed, "http://127.0.0.1:9", issuer=closed.path / "pki" / "ca.pem")
    closed.activate()
    assert len(kept(closed)) == 1


def test_activation_without_a_centre_keeps_nothing(closed: Workspace) -> None:
    closed.activate()
    assert kept(closed) == []


def _authority() -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    """A CA of TLS, and with the same key a server on this computer."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "TLS CA")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    made = made.add_extension(x509.BasicConstraints(True, None), critical=True)
    return made.sign(key, SHA256()), key


def _server(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """The TLS of a server, and the CA that a client may trust."""
    import ipaddress

    authority, own = _authority()
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "centre")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(
        authority.subject, name, key.public_key(), 2, now - timedelta(1), now + timedelta(1)
    ).add_extension(address, critical=False)
    server, ca = folder / "server.pem", folder / "ca.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    server.write_bytes(secret + made.sign(own, SHA256()).public_bytes(Encoding.PEM))
    ca.write_bytes(authority.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    return context, ca


def test_accept_over_tls_trusts_the_named_authority_alone(active: Workspace, tmp_path: Path) -> None:
    context, ca = _server(tmp_path)
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(_authority()[0].public_bytes(Encoding.PEM))
    with centre_server(context) as served:
        issuer = active.path / "pki" / "ca.pem"
        configure(active, served.origin, issuer=issuer, ca=stranger)
        refused = accept(active.with_variables(SSL_CERT_FILE=str(ca)))
        assert (refused.status, served.posts) == (96, []), refused.err
        assert "TLS" in refused.err
        configure(active, served.origin, issuer=issuer, ca=ca)
        assert active.run("accept", "--deliver").status == 0
    assert len(served.posts) == 1


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("url = http://xca.example.gov.tw", "this computer alone"),
        ("url = xca.example.gov.tw", "no address"),
        ("url = https://xca.example.gov.tw\nissuer = ca.pem", "ca is missing"),
        ("url = http://127.0.0.1:1", "issuer is missing"),
        ("url = http://127.0.0.1:1\nissuer = nowhere.pem", "nowhere.pem"),
        ("url = http://127.0.0.1:1\nissuer = centre.conf", "centre.conf"),
        ("address = http://127.0.0.1:1", "unknown: address"),
    ],
)
def test_configuration_that_cannot_be_used_is_told(active: Workspace, lines: str, said: str) -> None:
    folder = active.home / ".config" / "xca"
    folder.mkdir(parents=True)
    (folder / "centre.conf").write_text(f"[centre]\n{lines}\n")
    done = accept(active)
    assert done.status == 94
    assert said in done.err


def test_broken_file_among_the_kept_ones_harms_no_command(card: Workspace) -> None:
    folder = card.home / ".local" / "share" / "xca" / "acceptances"
    folder.mkdir(parents=True)
    for name, content in (("a" * 64, b"{"), ("b" * 64, b"[]"), ("c" * 64, os.urandom(100))):
        (folder / f"{name}.signed").write_bytes(content)
    done = card.run("module-path")
    assert (done.status, done.err) == (0, "")
