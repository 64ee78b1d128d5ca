# SPDX-License-Identifier: Apache-2.0
"""Signatures, against OpenSSL in both directions."""

import hashlib
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from asn1crypto import cms  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.serialization import Encoding

from softhsm import Environment, revocation
from softhsm.revocation import Published
from support.certificates import certify_in_the_past
from support.cli.web_proxy import proxy
from support.cli.xcactl import PIN, Result, Workspace
from support.time_stamping import answering, authority, serving
from xca_login.testing.parties import party


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """More than one chunk, and not text."""
    path = tmp_path / "tender.bin"
    path.write_bytes(bytes(range(256)) * 2000)
    return path


@pytest.fixture
def root(active: Workspace) -> Path:
    return active.path / "pki" / "root.pem"


@pytest.fixture
def signature(active: Workspace, file: Path) -> Path:
    result = active.run("sign", str(file), "--pin", "stdin", stdin=f"{PIN}\n")
    assert result.status == 0, result.err
    return file.with_name("tender.bin.p7s")


def openssl(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True)


def verify(workspace: Workspace, file: Path, signature: Path, root: Path) -> tuple[int, str]:
    result = workspace.run("verify", str(file), str(signature), "--ca-file", str(root))
    return result.status, result.out + result.err


def test_signature_of_the_card_is_accepted_by_openssl(
    file: Path, signature: Path, root: Path, tmp_path: Path
) -> None:
    given: Sequence[str | Path] = ("-binary", "-inform", "DER", "-in", signature, "-content", file)
    trusting: Sequence[str | Path] = ("-CAfile", root, "-purpose", "any", "-out", tmp_path / "content")
    done = openssl("cms", "-verify", *given, *trusting)
    assert done.returncode == 0, done.stderr
    structure = openssl("cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", signature).stdout
    assert "signingTime" in structure
    assert "eContent: <ABSENT>" in structure
    assert structure.count("d.certificate:") == 2  # signer and issuing CA; the root is the verifier's to have
    assert "algorithm: sha256 (" in structure


def test_verify_of_our_signature_says_who_signed_and_when(
    active: Workspace, file: Path, signature: Path, root: Path
) -> None:
    status, said = verify(active, file, signature, root)
    assert status == 0
    assert "C=TW,L=臺北市,O=國立臺灣大學" in said
    assert "Signed at" in said
    assert "The signature is valid." in said
    assert "Revocation was not looked up" in said


def test_signature_of_a_changed_file_is_refused(
    active: Workspace, file: Path, signature: Path, root: Path
) -> None:
    file.write_bytes(file.read_bytes() + b"!")
    status, said = verify(active, file, signature, root)
    assert status == 62
    assert "not the one that was signed" in said
    assert "is valid" not in said


def test_signature_with_a_changed_byte_is_refused(
    active: Workspace, file: Path, signature: Path, root: Path
) -> None:
    der = bytearray(signature.read_bytes())
    der[-20] ^= 1
    signature.write_bytes(der)
    status, said = verify(active, file, signature, root)
    assert status == 62
    assert "altered" in said


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA of somebody else, and three people whom it certified."""
    folder = tmp_path_factory.mktemp("stranger")
    made = openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9", "-subj", "/C=TW/O=stranger"),
        *("-keyout", folder / "root.key", "-out", folder / "root.pem"),
    )
    assert made.returncode == 0, made.stderr
    root, key = folder / "root.pem", folder / "root.key"
    for name, usage in (("signer", "digitalSignature"), ("reader", "keyEncipherment"), ("expired", "")):
        request = folder / f"{name}.csr"
        openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/C=TW/O={name}", "-out", request),
            *("-keyout", folder / f"{name}.key"),
        )
        if name == "expired":
            certify_in_the_past(request, folder / f"{name}.pem", key=key, issuer=root)
            continue
        extensions = folder / "extensions"
        extensions.write_text(f"keyUsage = critical, {usage}\nsubjectKeyIdentifier = hash\n")
        made = openssl(
            *("x509", "-req", "-in", request, "-CA", root, "-CAkey", key, "-CAcreateserial", "-days", "9"),
            *("-extfile", extensions, "-out", folder / f"{name}.pem"),
        )
        assert made.returncode == 0, made.stderr
    return folder


def signed_by(stranger: Path, name: str, file: Path, *options: str) -> Path:
    signature = file.with_name("signature")
    made = openssl(
        *("cms", "-sign", "-binary", "-in", file, "-out", signature),
        *("-signer", stranger / f"{name}.pem", "-inkey", stranger / f"{name}.key"),
        *options,
    )
    assert made.returncode == 0, made.stderr
    return signature


@pytest.mark.parametrize(
    "options",
    [
        ("-outform", "DER"),
        ("-outform", "PEM"),
        # As the signatures of the past are: SHA-1, no signed attributes.
        ("-outform", "DER", "-md", "sha1", "-noattr"),
    ],
)
def test_verify_of_what_openssl_signed_accepts_it(
    active: Workspace, file: Path, stranger: Path, options: tuple[str, ...]
) -> None:
    signature = signed_by(stranger, "signer", file, *options)
    status, said = verify(active, file, signature, stranger / "root.pem")
    assert status == 0, said
    assert "O=signer" in said
    assert ("SHA-1" in said) is ("sha1" in options)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("reader", "not meant for signatures"), ("expired", "certificate expired on")],
)
def test_certificate_that_does_not_fit_is_refused(
    active: Workspace, file: Path, stranger: Path, name: str, reason: str
) -> None:
    signature = signed_by(stranger, name, file, "-outform", "DER")
    status, said = verify(active, file, signature, stranger / "root.pem")
    assert status == 62
    assert reason in said


def test_signature_below_another_root_is_not_trusted(
    active: Workspace, file: Path, signature: Path, stranger: Path
) -> None:
    status, said = verify(active, file, signature, stranger / "root.pem")
    assert status == 57
    assert "is missing" in said


def test_decrypt_of_another_file_says_what_it_is_not(
    active: Workspace, file: Path, signature: Path, root: Path, stranger: Path
) -> None:
    assert verify(active, file, root, root)[0] == 61
    # Not detached: the content is inside.
    inside = signed_by(stranger, "signer", file, "-outform", "DER", "-nodetach")
    assert verify(active, file, inside, stranger / "root.pem")[0] == 61
    assert verify(active, file, signature, file)[0] == 60
    assert verify(active, file, signature, signature)[0] == 60


def test_sign_with_a_wrong_pin_leaves_no_signature(active: Workspace, file: Path) -> None:
    before = sorted(file.parent.iterdir())
    assert active.run("sign", str(file), "--pin", "stdin", stdin="wrong-00\n").status == 35
    assert sorted(file.parent.iterdir()) == before


def test_output_folder_that_cannot_be_written_costs_no_try(active: Workspace, file: Path) -> None:
    result = active.run("sign", str(file), "-o", "/nowhere/x.p7s", "--pin", "stdin", stdin="wrong-00\n")
    assert result.status == 63
    assert active.card()["pin_tries_left"] == 3


def test_signature_file_that_is_the_input_is_refused(active: Workspace, file: Path) -> None:
    content = file.read_bytes()
    assert active.run("sign", str(file), "-o", str(file), "--pin", "stdin", stdin=f"{PIN}\n").status == 63
    assert file.read_bytes() == content


def test_result_in_the_place_of_the_pins_file_is_refused(active: Workspace, file: Path) -> None:
    pin = active.home / "pin"
    pin.write_text(f"{PIN}\n")
    for name in ("pin", str(pin), "./pin"):
        done = active.run("sign", str(file), "--pin", "file:pin", "-o", name, "--force")
        assert (done.status, pin.read_text()) == (63, f"{PIN}\n"), done.err
    of_the_first = active.home / "first.p7s"
    of_the_first.write_text(f"{PIN}\n")
    (active.home / "first").write_text("first")
    several = active.run("sign", "first", str(file), "--pin", f"file:{of_the_first}", "--force")
    assert (several.status, of_the_first.read_text()) == (63, f"{PIN}\n"), several.err


def test_result_in_a_loop_of_links_names_it(active: Workspace, file: Path) -> None:
    loop = active.home / "loop"
    loop.symlink_to("loop")
    (active.home / "pin").write_text(f"{PIN}\n")
    done = active.run("sign", str(file), "--pin", "file:pin", "-o", "loop")
    assert done.status == 63
    assert "loop" in done.err
    assert loop.is_symlink()


def test_content_on_the_standard_output_stands_there_alone(
    active: Workspace, root: Path, tmp_path: Path
) -> None:
    file, attached = tmp_path / "tender.txt", tmp_path / "whole.p7m"
    file.write_text("100\n")
    (active.home / "pin").write_text(f"{PIN}\n")
    signed = active.run("sign", str(file), "--attached", "--pin", "file:pin", "-o", str(attached))
    assert signed.status == 0, signed.err
    for output in ("-", "/dev/stdout"):
        done = active.run("verify", str(attached), "--ca-file", str(root), "-o", output)
        assert (done.status, done.out) == (0, "100\n"), done.err
        assert "The signature is valid." in done.err
    both = active.run("verify", str(attached), "--ca-file", str(root), "-o", "-", "--json")
    assert (both.status, both.out) == (2, "")


def test_sign_with_a_closed_card_is_refused(closed: Workspace, file: Path) -> None:
    result = closed.run("sign", str(file), "--pin", "stdin", stdin=f"{PIN}\n")
    assert result.status == 30
    assert "xcactl activate" in result.err


def sign(workspace: Workspace, file: Path, *options: str | Path) -> Result:
    result = workspace.run("sign", str(file), *map(str, options), "--pin", "stdin", stdin=f"{PIN}\n")
    assert result.status == 0, result.err
    return result


@pytest.mark.parametrize("form", ["der", "pem"])
def test_signature_with_the_content_inside_is_verified(
    active: Workspace, file: Path, root: Path, form: str, tmp_path: Path
) -> None:
    sign(active, file, "--attached", "--format", form)
    signed, content = file.with_name("tender.bin.p7m"), tmp_path / "content"
    trusting: Sequence[str | Path] = ("-CAfile", root, "-purpose", "any", "-out", content)
    done = openssl("cms", "-verify", "-binary", "-inform", form, "-in", signed, *trusting)
    assert done.returncode == 0, done.stderr
    assert content.read_bytes() == file.read_bytes()
    content.unlink()
    result = active.run("verify", str(signed), "--ca-file", str(root), "-o", str(content))
    assert result.status == 0, result.err
    assert content.read_bytes() == file.read_bytes()


def test_detached_signature_may_be_in_pem(active: Workspace, file: Path, root: Path) -> None:
    sign(active, file, "--format", "pem")
    signature = file.with_name("tender.bin.p7s")
    assert signature.read_text().startswith("-----BEGIN CMS-----\n")
    assert verify(active, file, signature, root)[0] == 0


@pytest.mark.parametrize(
    "options",
    [
        ("-outform", "DER"),
        ("-outform", "DER", "-stream"),  # indefinite lengths, the content in pieces
        ("-outform", "PEM", "-stream"),
    ],
)
def test_signature_that_openssl_put_around_a_file_is_read(
    active: Workspace, file: Path, stranger: Path, options: tuple[str, ...], tmp_path: Path
) -> None:
    signed, content = signed_by(stranger, "signer", file, "-nodetach", *options), tmp_path / "content"
    ca = str(stranger / "root.pem")
    result = active.run("verify", str(signed), "--ca-file", ca, "-o", str(content))
    assert result.status == 0, result.err
    assert content.read_bytes() == file.read_bytes()


@pytest.mark.parametrize("options", [(), ("-stream",)])
def test_decrypt_of_changed_content_writes_nothing(
    active: Workspace, file: Path, stranger: Path, options: tuple[str, ...], tmp_path: Path
) -> None:
    signed = signed_by(stranger, "signer", file, "-nodetach", "-outform", "DER", *options)
    signed.write_bytes(signed.read_bytes().replace(bytes(range(256)), bytes(256), 1))
    content = tmp_path / "content"
    result = active.run(
        "verify", str(signed), "--ca-file", str(stranger / "root.pem"), "-o", str(content), "--json"
    )
    assert result.status == 62
    assert result.json["valid"] is False
    assert not content.exists()


@pytest.mark.parametrize(
    "options", [("-outform", "DER"), ("-outform", "DER", "-stream"), ("-outform", "PEM")]
)
def test_cut_off_signature_is_called_so(
    active: Workspace, file: Path, stranger: Path, options: tuple[str, ...]
) -> None:
    signed = signed_by(stranger, "signer", file, "-nodetach", *options)
    whole = signed.read_bytes()
    before = sorted(file.parent.iterdir())
    for length in (30, len(whole) - 40):
        signed.write_bytes(whole[:length])
        result = active.run(
            *("verify", str(signed), "--ca-file", str(stranger / "root.pem")),
            *("-o", str(file.with_name("content"))),
        )
        assert result.status == 67, (length, result.err)
    assert sorted(file.parent.iterdir()) == before


@pytest.mark.parametrize(("language", "said"), [("en", "{} is empty."), ("zh_TW", "{} 是空的。")])
def test_empty_file_is_called_so(active: Workspace, file: Path, root: Path, language: str, said: str) -> None:
    empty, speaking = str(file.with_name("empty")), ("--lang", language)
    Path(empty).touch()
    for arguments in (
        ("verify", empty, "--ca-file", str(root)),
        ("verify", str(file), empty, "--ca-file", str(root)),
        ("decrypt", empty, "--pin", "env:NONE"),
    ):
        result = active.with_variables(NONE=PIN).run(*speaking, *arguments)
        assert (result.status, said.format(empty) in result.err) == (67, True), result.err
    result = active.run(*speaking, "verify", str(file), "--ca-file", empty)
    assert ("it is empty" if language == "en" else "內容是空的") in result.err


def test_signature_without_chain_and_time_is_made(active: Workspace, file: Path, root: Path) -> None:
    sign(active, file, "--leaf", "--no-signing-time")
    signature = file.with_name("tender.bin.p7s")
    structure = openssl("cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", signature).stdout
    assert structure.count("d.certificate:") == 1
    assert "signingTime" not in structure
    status, said = verify(active, file, signature, root)
    assert status == 57
    assert "is missing" in said
    assert "not said" in said


def test_signature_alone_can_be_stamped_with_a_time(active: Workspace, file: Path, tmp_path: Path) -> None:
    request = tmp_path / "request.tsq"
    said = sign(active, file, "--raw", "--timestamp-request", request).err
    assert said.endswith(f"Request for a time-stamp: {request}\n")
    signature = file.with_name("tender.bin.sig")
    assert active.run("cert", "export", "cert1", "-o", str(tmp_path / "cert1")).status == 0
    (tmp_path / "key").write_text(openssl("x509", "-in", tmp_path / "cert1", "-noout", "-pubkey").stdout)
    assert (
        "Verified OK"
        in openssl("dgst", "-sha256", "-verify", tmp_path / "key", "-signature", signature, file).stdout
    )
    said = openssl("ts", "-query", "-in", request, "-text").stdout
    assert "Hash Algorithm: sha256" in said
    assert "Certificate required: yes" in said
    digest = re.findall(r"    00\d0 - ((?:[0-9a-f]{2}[ -]){16})", said)
    assert re.sub("[ -]", "", "".join(digest)) == hashlib.sha256(signature.read_bytes()).hexdigest()


def test_signature_with_a_time_stamp_is_verified_here_and_by_openssl(
    active: Workspace, file: Path, root: Path, tmp_path: Path
) -> None:
    stampers_root = party("root of time", ca=True)
    with serving(answering(authority(stampers_root))) as address:
        sign(active, file, "--timestamp", address)
    signature, trusted = file.with_name("tender.bin.p7s"), stampers_root.write(tmp_path / "stampers.cer")
    options = ("--ca-file", root, "--tsa-ca-file", trusted)
    result = active.run("verify", *map(str, (file, signature, *options)))
    assert result.status == 0, result.err
    assert "by O=stamper" in result.out
    info = cms.ContentInfo.load(signature.read_bytes())["content"]["signer_infos"][0]
    (token,) = info["unsigned_attrs"][0]["values"]
    (tmp_path / "token").write_bytes(token.dump())
    (tmp_path / "value").write_bytes(info["signature"].native)
    (tmp_path / "stampers.pem").write_bytes(stampers_root.certificate.public_bytes(Encoding.PEM))
    done = openssl(
        *("ts", "-verify", "-token_in", "-in", tmp_path / "token", "-data", tmp_path / "value"),
        *("-CAfile", tmp_path / "stampers.pem"),
    )
    assert "Verification: OK" in done.stdout + done.stderr


def test_authority_that_gives_no_time_stamp_leaves_no_signature(active: Workspace, file: Path) -> None:
    before = sorted(file.parent.iterdir())
    with serving(lambda _request: b"", 503) as address:
        result = active.run("sign", str(file), "--timestamp", address, "--pin", "stdin", stdin=f"{PIN}\n")
    assert result.status == 58
    assert "HTTP 503" in result.err
    assert sorted(file.parent.iterdir()) == before


def test_address_that_is_none_is_told_before_the_pin_is_asked_for(active: Workspace, file: Path) -> None:
    result = active.run("sign", str(file), "--timestamp", "stamps.example.org")
    assert (result.status, "stamps.example.org: it is no http or https" in result.err) == (58, True), (
        result.err
    )
    assert "PIN" not in result.err


def test_options_that_exclude_each_other_are_refused(active: Workspace, file: Path, root: Path) -> None:
    assert active.run("sign", str(file), "--raw", "--attached").status == 2
    assert active.run("sign", str(file), "--raw", "--timestamp", "http://127.0.0.1/").status == 2
    result = active.run("verify", str(file), str(file), "--ca-file", str(root), "-o", "out")
    assert result.status == 2


def test_signature_options_that_name_one_file_twice_are_refused(
    active: Workspace, file: Path, root: Path
) -> None:
    sign(active, file, "--attached")
    signed = file.with_name("tender.bin.p7m")
    link = file.with_name("link")
    link.symlink_to(file)
    before = (file.read_bytes(), signed.read_bytes(), root.read_bytes())
    for arguments in (
        ("sign", file, "-o", link),
        ("sign", file, "--timestamp-request", file),
        ("sign", file, "-o", "new", "--timestamp-request", "new"),
        ("verify", signed, "--ca-file", root, "-o", signed),
        ("verify", signed, "--ca-file", root, "-o", root),
    ):
        assert active.run(*map(str, arguments), stdin=f"{PIN}\n").status == 63
    assert before == (file.read_bytes(), signed.read_bytes(), root.read_bytes())


# --- revocation


def asked(workspace: Workspace, file: Path, signature: Path, *options: str | Path) -> tuple[int, str]:
    root = workspace.path / "pki" / "root.pem"
    result = workspace.run("verify", str(file), str(signature), "--ca-file", str(root), *map(str, options))
    return result.status, result.out + result.err


def test_verify_with_crl_and_ocsp_tells_what_became_of_the_signer(
    active: Workspace, file: Path, signature: Path
) -> None:
    environment, number = Environment(active.path), active.number
    for change, status, words in (
        (revocation.suspend, 62, "is suspended since"),
        (revocation.resume, 0, "is not revoked"),
        (revocation.revoke, 62, "was revoked on"),
    ):
        published = change(environment, number)
        for options in (("--crl", published.crl), ("--ocsp", published.ocsp["cert1"])):
            found, said = asked(active, file, signature, *options)
            assert found == status, said
            assert words in said


def test_crl_and_ocsp_about_another_certificate_prove_nothing(
    active: Workspace, file: Path, signature: Path
) -> None:
    mine = revocation.publish(Environment(active.path), active.number)
    forged = mine.crl.with_name("forged.crl")
    # The same words, signed by nobody.
    forged.write_bytes(mine.crl.read_bytes()[:-4] + b"\0\0\0\0")
    for options in (("--ocsp", mine.ocsp["cert2"]), ("--crl", forged)):
        status, said = asked(active, file, signature, *options)
        assert status == 78, said
        assert "not known whether its signer's certificate is revoked" in said
    for option in ("--crl", "--ocsp"):
        status, said = asked(active, file, signature, option, file)
        assert status == 68


@pytest.mark.parametrize(
    ("change", "how", "status"), [(revocation.publish, "crl", 0), (revocation.suspend, "ocsp", 62)]
)
def test_verify_with_fetch_asks_where_the_certificate_says(
    active: Workspace, file: Path, signature: Path, change: Callable[..., Published], how: str, status: int
) -> None:
    published = change(Environment(active.path), active.number)
    answers = {
        "crl": dict.fromkeys(
            [f"http://xca.test/crl/{part}.crl" for part in ("partition-1", "complete")],
            published.crl.read_bytes(),
        ),
        "ocsp": {"http://xca.test/ocsp": published.ocsp["cert1"].read_bytes()},
    }
    with proxy(answers[how]) as (address, requests):
        workspace = active.with_variables(http_proxy=address)
        assert asked(workspace, file, signature)[0] == 0
        assert requests == []
        assert asked(workspace, file, signature, "--fetch")[0] == 78
        assert requests == []  # nobody allowed it
        assert asked(workspace, file, signature, "--fetch", "--allow-host", "xca.test")[0] == status
        assert set(requests) & set(answers[how])


def test_verify_of_a_certificate_without_addresses_says_so(
    active: Workspace, file: Path, signature: Path
) -> None:
    with proxy({}) as (address, _):
        workspace = active.with_variables(http_proxy=address)
        status, said = asked(workspace, file, signature, "--fetch", "--allow-host", "xca.test")
    assert status == 78
    assert "not known whether its signer's certificate is revoked" in said
    assert "HTTP 404" in said


@pytest.mark.parametrize("options", [(), ("--attached",), ("--raw",)], ids=["detached", "attached", "raw"])
def test_sign_of_what_passes_for_another_signature_is_refused(
    active: Workspace, tmp_path: Path, options: Sequence[str]
) -> None:
    """A statement is for a web site; signed attributes are what a signature of another file is made over."""
    statement, attributes = tmp_path / "statement.txt", tmp_path / "attributes.bin"
    statement.write_bytes(b"\xef\xbb\xbf\n xca-statement/1 login\n")
    attributes.write_bytes(
        cms.CMSAttributes([{"type": "message_digest", "values": [hashlib.sha256().digest()]}]).dump()
    )
    for file, reason in ((statement, "xca-statement"), (attributes, "CMS file")):
        result = active.run("sign", str(file), *options, "--pin", "stdin", stdin=f"{PIN}\n")
        assert result.status == 79, result.err
        assert reason in result.err
    assert sorted(path.name for path in tmp_path.glob("*.*")) == ["attributes.bin", "statement.txt"]
    together = active.run(
        "sign", str(statement), str(attributes), *options, "--pin", "stdin", stdin=f"{PIN}\n"
    )
    assert together.status == 79, together.err
