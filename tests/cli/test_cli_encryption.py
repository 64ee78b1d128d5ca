# SPDX-License-Identifier: Apache-2.0
"""Encrypted files, with OpenSSL in both directions, and files larger than memory."""

import os
import struct
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
from asn1crypto import algos, cms, core, pem  # type: ignore[import-untyped]
from click.testing import CliRunner
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from support.certificates import certify_in_the_past
from support.cli.xcactl import PIN, XCACTL, Result, Workspace
from xca_login.testing.parties import party
from xca_login.testing.tokens import signed
from xca_plugin.cli.root import xcactl

BIG = 128 << 20
MOST_MEMORY = 100 << 20
# How SoftHSM's object files encode CKA_CLASS = CKO_PRIVATE_KEY, a number.
SOFTHSM_PRIVATE_KEY = struct.pack(">QQQ", 0, 2, 3)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """More than one chunk, and not a whole number of blocks."""
    path = tmp_path / "tender.bin"
    path.write_bytes(bytes(range(256)) * 5000 + b"!")
    return path


@pytest.fixture
def encrypted(tmp_path: Path) -> Path:
    return tmp_path / "tender.bin.p7e"


@pytest.fixture
def decrypted(tmp_path: Path) -> Path:
    return tmp_path / "decrypted"


@pytest.fixture
def certificate(active: Workspace, tmp_path: Path) -> Path:
    """The card's certificate for encryption."""
    path = tmp_path / "cert2.pem"
    assert active.run("cert", "export", "cert2", "-o", str(path)).status == 0
    return path


@pytest.fixture(scope="session")
def colleague(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody with a certificate and a key in a file: cert.pem, key.pem."""
    folder = tmp_path_factory.mktemp("colleague")
    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/C=TW/O=colleague", "-days", "9"),
        *("-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
    )
    return folder


def openssl(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=stdin, check=True, capture_output=True).stdout


def openssl_sealed(certificate: Path, key: bytes) -> bytes:
    return openssl("pkeyutl", "-encrypt", "-certin", "-inkey", certificate, stdin=key)


def encrypt(workspace: Workspace, file: Path, *options: str | Path) -> None:
    result = workspace.run("encrypt", str(file), *map(str, options))
    assert result.status == 0, result.err


def decrypt(workspace: Workspace, encrypted: Path, decrypted: Path) -> int:
    result = workspace.run(
        "decrypt", str(encrypted), "-o", str(decrypted), "--pin", "stdin", stdin=f"{PIN}\n"
    )
    return result.status


def padded_by_255(der: bytes) -> bytes:
    """Damage an encrypted `file`: its padding, of 15 bytes, says that it has 255."""
    return der[:-17] + bytes([der[-17] ^ 15 ^ 255]) + der[-16:]


def altered(der: bytes) -> bytes:
    """Damage a file encrypted in GCM mode: the last byte of its content."""
    return der[:-19] + bytes([der[-19] ^ 1]) + der[-18:]


def padded_badly(key: bytes, iv: bytes, last_block: bytes) -> bool:
    decryptor = Cipher(AES(key), CBC(iv)).decryptor()
    return decryptor.update(last_block)[-1] not in range(1, 17)


@pytest.mark.parametrize("mode", [(), ("--cbc",)], ids=["gcm", "cbc"])
@pytest.mark.parametrize("form", ["der", "pem"])
def test_message_for_several_recipients_can_be_read_by_each(
    active: Workspace,
    file: Path,
    certificate: Path,
    colleague: Path,
    form: str,
    mode: tuple[str, ...],
    encrypted: Path,
    decrypted: Path,
    tmp_path: Path,
) -> None:
    encrypt(active, file, "--to", colleague / "cert.pem", "--to", certificate, "--format", form, *mode)
    (found,) = (
        pem.unarmor(encrypted.read_bytes(), multiple=True) if form == "pem" else ((encrypted.read_bytes(),),)
    )
    kind = "enveloped_data" if mode else "authenticated_enveloped_data"
    assert cms.ContentInfo.load(found[-1])["content_type"].native == kind
    by_openssl = tmp_path / "by-openssl"
    openssl(
        *("cms", "-decrypt", "-binary", "-inform", form, "-in", encrypted, "-out", by_openssl),
        *("-recip", colleague / "cert.pem", "-inkey", colleague / "key.pem"),
    )
    assert by_openssl.read_bytes() == file.read_bytes()
    assert decrypt(active, encrypted, decrypted) == 0
    assert decrypted.read_bytes() == file.read_bytes()
    assert decrypted.stat().st_mode & 0o777 == 0o600


def test_encrypt_without_a_card_writes_the_file(
    active: Workspace, file: Path, certificate: Path, tmp_path: Path
) -> None:
    workspace = active.with_variables(XCA_PKCS11_CONF=str(tmp_path / "nowhere"))
    encrypt(workspace, file, "--to", certificate)


@pytest.mark.parametrize(
    "options",
    [
        ("-outform", "DER", "-aes256"),
        ("-outform", "PEM", "-aes128", "-stream"),  # indefinite lengths, the content in pieces
        ("-outform", "DER", "-des3", "-stream"),
        ("-outform", "DER", "-aes256", "-keyid"),
        ("-outform", "DER", "-aes192", "-keyopt", "rsa_padding_mode:oaep"),
        ("-outform", "DER", "-aes-256-gcm"),
        ("-outform", "PEM", "-aes-128-gcm", "-stream"),
        ("-outform", "SMIME", "-aes256"),
        ("-outform", "SMIME", "-aes-192-gcm", "-crlfeol"),
    ],
)
def test_message_that_openssl_encrypted_is_decrypted(
    active: Workspace,
    file: Path,
    certificate: Path,
    options: tuple[str, ...],
    encrypted: Path,
    decrypted: Path,
) -> None:
    form, cipher, more = options[:2], options[2], options[3:]
    recipient: tuple[str | Path, ...] = ("-recip", certificate)
    recipient = (*recipient, *more) if "-keyopt" in more else (*more, *recipient)
    openssl("cms", "-encrypt", "-binary", "-in", file, "-out", encrypted, *form, cipher, *recipient)
    assert decrypt(active, encrypted, decrypted) == 0
    assert decrypted.read_bytes() == file.read_bytes()


def test_message_as_openssl_writes_it_by_default_is_decrypted(
    active: Workspace, file: Path, certificate: Path, encrypted: Path, decrypted: Path
) -> None:
    file.write_bytes("第一行\n第二行\n".encode())
    for command in ("smime", "cms"):
        encrypted.write_bytes(openssl(command, "-encrypt", "-aes256", "-in", file, certificate))
        assert encrypted.read_bytes().startswith(b"MIME-Version:")
        assert decrypt(active, encrypted, decrypted) == 0
        assert decrypted.read_bytes() == "第一行\r\n第二行\r\n".encode()
        decrypted.unlink()


def test_key_in_oaep_that_the_card_has_not_is_told_with_a_remedy(
    active: Workspace, file: Path, certificate: Path, encrypted: Path, decrypted: Path
) -> None:
    oaep = ("-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256")
    openssl(
        *("cms", "-encrypt", "-binary", "-in", file, "-out", encrypted, "-outform", "DER", "-aes256"),
        *("-recip", certificate, *oaep),
    )
    result = active.run("decrypt", str(encrypted), "-o", str(decrypted), "--pin", "stdin", stdin=f"{PIN}\n")
    assert result.status == 56
    assert "encrypted with RSAES-OAEP, SHA-256" in result.err
    assert "RSAES-PKCS1-v1_5" in result.err
    assert active.card()["pin_tries_left"] == 3
    assert not decrypted.exists()


def test_certificates_of_one_file_are_each_encrypted_to_once(
    active: Workspace, file: Path, certificate: Path, colleague: Path, encrypted: Path, decrypted: Path
) -> None:
    both = file.with_name("both.pem")
    both.write_bytes(b"\xef\xbb\xbf\n" + certificate.read_bytes() + (colleague / "cert.pem").read_bytes())
    p7b = file.with_name("both.p7b")
    p7b.write_bytes(openssl("crl2pkcs7", "-nocrl", "-certfile", both, "-outform", "DER"))
    for options in (("--to", both), ("--to", p7b), ("--to", p7b, "--to", certificate, "--to", both)):
        result = active.run("encrypt", str(file), *map(str, options), "--force")
        assert result.status == 0, result.err
        assert len(cms.ContentInfo.load(encrypted.read_bytes())["content"]["recipient_infos"]) == 2
        assert result.out.count("Can be opened by: ") == 2
        assert "Can be opened by: 國立臺灣大學 (C=TW,L=臺北市,O=國立臺灣大學)\n" in result.out
        assert "O=colleague" in result.out
        assert "Older programs may not be able to open it." in result.out
        assert "--cbc" in result.out
        assert "EnvelopedData" not in result.out
        # Without -recip, newer ones try each recipient's content key with this key, and take what comes out.
        key = ("-inkey", colleague / "key.pem", "-recip", colleague / "cert.pem")
        read = openssl("cms", "-decrypt", "-binary", "-inform", "DER", "-in", encrypted, *key)
        assert read == file.read_bytes()
    assert decrypt(active, encrypted, decrypted) == 0
    assert decrypted.read_bytes() == file.read_bytes()


def test_pipe_is_encrypted(active: Workspace, file: Path, colleague: Path, encrypted: Path) -> None:
    pipe = file.with_name("pipe")
    os.mkfifo(pipe)
    with subprocess.Popen(["cp", file, pipe]):
        encrypt(active, pipe, "--to", colleague / "cert.pem", "-o", encrypted)
    key = ("-inkey", colleague / "key.pem")
    assert (
        openssl("cms", "-decrypt", "-binary", "-inform", "DER", "-in", encrypted, *key) == file.read_bytes()
    )


def test_altered_message_gives_nothing_to_a_pipe(
    active: Workspace, file: Path, certificate: Path, encrypted: Path
) -> None:
    file.write_text("tender\n" * 300_000)
    encrypt(active, file, "--to", certificate)
    whole = encrypted.read_bytes()
    for der, status, out in ((altered(whole), 52, ""), (whole, 0, file.read_text())):
        encrypted.write_bytes(der)
        result = active.run("decrypt", str(encrypted), "-o", "-", "--pin", "stdin", stdin=f"{PIN}\n")
        assert (result.status, result.out) == (status, out)
        assert ("it was altered or damaged on its way" in result.err) is (status == 52)


@pytest.mark.parametrize("mode", [(), ("--cbc",)], ids=["gcm", "cbc"])
def test_empty_file_is_encrypted_and_decrypted(
    active: Workspace,
    file: Path,
    certificate: Path,
    encrypted: Path,
    decrypted: Path,
    mode: tuple[str, ...],
) -> None:
    file.write_bytes(b"")
    encrypt(active, file, "--to", certificate, *mode)
    assert decrypt(active, encrypted, decrypted) == 0
    assert decrypted.read_bytes() == b""


def test_certificate_without_its_key_is_said(
    active: Workspace, file: Path, certificate: Path, encrypted: Path, decrypted: Path
) -> None:
    encrypt(active, file, "--to", certificate)
    keys = [
        path for path in active.path.glob("tokens/*/*.object") if SOFTHSM_PRIVATE_KEY in path.read_bytes()
    ]
    assert len(keys) == 2
    for key in keys:
        key.unlink()
    before = sorted(file.parent.iterdir())
    assert decrypt(active, encrypted, decrypted) == 51
    result = active.run("sign", str(file), "--pin", "stdin", stdin=f"{PIN}\n")
    assert result.status == 51
    assert "has no private key SIGN" in result.err
    assert sorted(file.parent.iterdir()) == before


def test_message_for_somebody_else_costs_no_try(
    active: Workspace, file: Path, colleague: Path, encrypted: Path, decrypted: Path
) -> None:
    encrypt(active, file, "--to", colleague / "cert.pem")
    result = active.run("decrypt", str(encrypted), "-o", str(decrypted), "--pin", "stdin", stdin="wrong-00\n")
    assert result.status == 65
    assert active.number in result.err
    serial = openssl("x509", "-in", colleague / "cert.pem", "-noout", "-serial").decode()
    told = serial.strip().partition("=")[2]
    assert f"the certificate {told.lower()} of the issuer " in result.err
    assert active.card()["pin_tries_left"] == 3
    assert not decrypted.exists()


def test_message_for_another_card_that_is_here_names_that_card(
    two_cards: Workspace, file: Path, encrypted: Path, decrypted: Path
) -> None:
    first, second = (one["number"] for one in two_cards.run("detect", "--json").json["cards"])
    certificate = two_cards.path / "second.pem"
    exported = two_cards.run("cert", "export", "cert2", "--card", second, "-o", str(certificate))
    assert exported.status == 0, exported.err
    encrypt(two_cards, file, "--to", certificate)
    result = two_cards.run("decrypt", str(encrypted), "-o", str(decrypted), "--card", first)
    assert result.status == 65
    assert f"but to: the card {second}, which is here." in result.err
    assert "--card NUMBER" in result.err


def test_certificate_that_may_not_is_refused(
    active: Workspace, file: Path, encrypted: Path, tmp_path: Path
) -> None:
    signing = tmp_path / "cert1.pem"
    assert active.run("cert", "export", "cert1", "-o", str(signing)).status == 0
    result = active.run("encrypt", str(file), "--to", str(signing))
    assert result.status == 66
    assert "is for signatures, not for encryption" in result.err
    request, expired = tmp_path / "expired.csr", tmp_path / "expired.pem"
    key = tmp_path / "expired.key"
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/O=expired", "-keyout", key, "-out", request)
    certify_in_the_past(request, expired, key=key)
    result = active.run("encrypt", str(file), "--to", str(expired))
    assert result.status == 66
    assert "the certificate of expired expired on " in result.err
    assert active.run("encrypt", str(file), "--to", str(file)).status == 60
    assert not encrypted.exists()


@pytest.mark.parametrize(
    ("options", "cuts"),
    [
        (("-outform", "DER"), (100, -1)),
        (("-outform", "DER", "-stream"), (-3,)),
        (("-outform", "PEM"), (-40,)),
    ],
)
def test_message_that_is_cut_off_leaves_no_file(
    active: Workspace,
    file: Path,
    certificate: Path,
    options: tuple[str, ...],
    cuts: tuple[int, ...],
    encrypted: Path,
    decrypted: Path,
) -> None:
    openssl("cms", "-encrypt", "-aes256", "-binary", "-in", file, "-out", encrypted, *options, certificate)
    whole = encrypted.read_bytes()
    before = sorted(file.parent.iterdir())
    for cut in cuts:
        encrypted.write_bytes(whole[:cut])
        assert decrypt(active, encrypted, decrypted) == 67
    assert sorted(file.parent.iterdir()) == before


def test_verify_of_other_and_damaged_files_names_them(
    active: Workspace, file: Path, certificate: Path, encrypted: Path, decrypted: Path
) -> None:
    for other in (file, certificate):
        assert decrypt(active, other, decrypted) == 64
    encrypt(active, file, "--to", certificate, "--cbc")
    whole = encrypted.read_bytes()
    encrypted.write_bytes(whole + b"more")
    assert decrypt(active, encrypted, decrypted) == 64
    encrypted.write_bytes(padded_by_255(whole))
    assert decrypt(active, encrypted, decrypted) == 52
    assert not decrypted.exists()


@pytest.mark.parametrize("mode", [(), ("--cbc",)], ids=["gcm", "cbc"])
def test_failure_of_key_or_content_has_one_answer(
    active: Workspace,
    file: Path,
    certificate: Path,
    encrypted: Path,
    decrypted: Path,
    mode: tuple[str, ...],
) -> None:
    encrypt(active, file, "--to", certificate, *mode)
    whole = encrypted.read_bytes()
    (info,) = cms.ContentInfo.load(whole)["content"]["recipient_infos"]
    sealed = info.chosen["encrypted_key"].native
    wrong = next(
        key for number in count() if padded_badly(key := bytes([number]) * 32, whole[-32:-16], whole[-16:])
    )
    keys = [
        *(b"x" * 256, openssl_sealed(certificate, b"k" * 16), openssl_sealed(certificate, wrong)),
        openssl_sealed(certificate, b""),
    ]
    damaged = [whole.replace(sealed, key) for key in keys] + [
        padded_by_255(whole) if mode else altered(whole)
    ]
    for cut, status in ((slice(None), 52), (slice(-40), 67)):
        answers = set()
        for der in damaged:
            encrypted.write_bytes(der[cut])
            result = active.run(
                "decrypt", str(encrypted), "-o", str(decrypted), "--pin", "stdin", stdin=f"{PIN}\n"
            )
            answers.add((result.status, result.err))
        assert {answer[0] for answer in answers} == {status}
        assert len(answers) == 1
    encrypted.write_bytes(damaged[0] + b"more")
    assert decrypt(active, encrypted, decrypted) == 64
    assert not decrypted.exists()


def test_decrypt_with_a_wrong_pin_leaves_no_file(
    active: Workspace, file: Path, certificate: Path, encrypted: Path, decrypted: Path
) -> None:
    encrypt(active, file, "--to", certificate)
    before = sorted(file.parent.iterdir())
    result = active.run("decrypt", str(encrypted), "-o", str(decrypted), "--pin", "stdin", stdin="wrong-00\n")
    assert result.status == 35
    assert sorted(file.parent.iterdir()) == before


def test_output_that_is_an_input_is_refused(
    active: Workspace, file: Path, certificate: Path, encrypted: Path
) -> None:
    encrypt(active, file, "--to", certificate)
    before = (file.read_bytes(), certificate.read_bytes(), encrypted.read_bytes())
    for arguments in (
        ("encrypt", file, "--to", certificate, "-o", file),
        ("encrypt", file, "--to", certificate, "-o", certificate),
        ("decrypt", encrypted, "-o", encrypted),
    ):
        assert active.run(*map(str, arguments), stdin=f"{PIN}\n").status == 63
    assert before == (file.read_bytes(), certificate.read_bytes(), encrypted.read_bytes())


def test_decrypt_with_a_closed_card_is_refused(
    closed: Workspace, file: Path, encrypted: Path, decrypted: Path, tmp_path: Path
) -> None:
    certificate = tmp_path / "cert2.pem"
    assert closed.run("cert", "export", "cert2", "-o", str(certificate)).status == 0
    encrypt(closed, file, "--to", certificate)
    assert decrypt(closed, encrypted, decrypted) == 30


def test_big_file_is_decrypted_in_little_memory(active: Workspace, certificate: Path, tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(BIG)
    root = active.path / "pki" / "root.pem"
    pin = tmp_path / "pin"
    pin.write_text(PIN)
    for arguments in (
        ("sign", big, "--pin", f"file:{pin}"),
        ("verify", big, tmp_path / "big.p7s", "--ca-file", root),
        ("sign", big, "--attached", "--pin", f"file:{pin}"),
        ("verify", tmp_path / "big.p7m", "--ca-file", root),
        ("encrypt", big, "--to", certificate),
        ("decrypt", tmp_path / "big.p7e", "-o", tmp_path / "out", "--pin", f"file:{pin}"),
    ):
        assert memory(active, *arguments) < MOST_MEMORY, arguments
    assert (tmp_path / "out").stat().st_size == BIG


def memory(workspace: Workspace, *arguments: str | Path) -> int:
    """The peak memory of xcactl in bytes, measured in a process that has no other children."""
    program = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=sys.stderr);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, sys.executable, *XCACTL, *arguments],
        env=workspace.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout) * 1024


def test_progress_in_a_terminal_is_shown(
    active: Workspace, certificate: Path, encrypted: Path, tmp_path: Path
) -> None:
    with (tmp_path / "tender.bin").open("wb") as file:
        file.truncate(32 << 20)
    with active.terminal("encrypt", str(tmp_path / "tender.bin"), "--to", str(certificate)) as child:
        child.expect(r"/33\.6 MB")
        child.expect("Encrypted: ")
    with active.terminal("decrypt", str(encrypted), "-o", str(tmp_path / "out")) as child:
        child.expect("PIN: ")
        child.expect("PIN")
        child.sendline(PIN)
        child.expect(r"/33\.6 MB")
        child.expect("Decrypted: ")
    assert (tmp_path / "out").stat().st_size == 32 << 20


def _oaep(**changed: object) -> bytes:
    """An algorithm identifier of RSAES-OAEP with the given parameters; without any, they are absent."""
    oid = bytes.fromhex("06092a864886f70d010107")
    if not changed:
        return b"\x30" + bytes((len(oid),)) + oid
    parameters: bytes = algos.RSAESOAEPParams(
        {
            "hash_algorithm": {"algorithm": "sha1"},
            "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": {"algorithm": "sha1"}},
            **changed,
        }
    ).dump()
    return b"\x30" + bytes((len(oid) + len(parameters),)) + oid + parameters


@pytest.mark.parametrize(
    "algorithm",
    [
        _oaep(),
        _oaep(hash_algorithm={"algorithm": "1.2.3.4"}),
        _oaep(mask_gen_algorithm={"algorithm": "1.2.3.4"}),
        _oaep(mask_gen_algorithm={"algorithm": "mgf1", "parameters": {"algorithm": "md5"}}),
    ],
)
def test_key_that_was_encrypted_in_an_odd_way_costs_no_try(
    active: Workspace, file: Path, certificate: Path, encrypted: Path, decrypted: Path, algorithm: bytes
) -> None:
    encrypt(active, file, "--to", certificate, "--cbc")
    whole = cms.ContentInfo.load(encrypted.read_bytes())
    (info,) = whole["content"]["recipient_infos"]
    parts = [info.chosen[name].dump() for name in ("version", "rid", "encrypted_key")]
    recipient = core.Sequence(contents=parts[0] + parts[1] + algorithm + parts[2]).dump()
    recipients = core.SetOf(spec=core.Any, contents=recipient).dump()
    version, sealed = (whole["content"][name].dump() for name in ("version", "encrypted_content_info"))
    data = core.Sequence(contents=version + recipients + sealed).dump()
    length = len(data).to_bytes(4, "big")
    explicit = b"\xa0\x84" + length + data
    encrypted.write_bytes(core.Sequence(contents=whole["content_type"].dump() + explicit).dump())
    result = active.run("decrypt", str(encrypted), "-o", str(decrypted), "--pin", "stdin", stdin="wrong-00\n")
    assert result.status == 56, result.err
    assert active.card()["pin_tries_left"] == 3


def test_certificate_of_an_unknown_key_is_refused(
    active: Workspace, file: Path, certificate: Path, encrypted: Path, tmp_path: Path
) -> None:
    der = pem.unarmor(certificate.read_bytes())[2]
    rsa, unknown = (bytes.fromhex(f"2a864886f70d0101{last}") for last in ("01", "63"))
    odd = tmp_path / "odd.cer"
    odd.write_bytes(der.replace(rsa, unknown))
    result = active.run("encrypt", str(file), "--to", str(odd))
    assert result.status in (60, 66), result.err
    assert not encrypted.exists()


def run_here(*arguments: str) -> Result:
    """Run xcactl in this process, in the present folder."""
    done = CliRunner(env={"LANGUAGE": "en"}).invoke(xcactl, arguments)
    return Result(done.exit_code, done.stdout, done.stderr)


def test_missing_recipient_says_who_makes_the_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("content")
    none, absent = run_here("encrypt", "file"), run_here("encrypt", "file", "--to", "buyer.pem")
    assert (none.status, absent.status) == (2, 2)
    for result in (none, absent):
        assert "a recipient, who runs this and sends you the file: xcactl cert export cert2" in result.err
    party("signer").write(Path("signer.cer"))
    wrong = run_here("encrypt", "file", "--to", "signer.cer")
    assert wrong.status == 66
    assert "The recipient runs this and sends you the file, for --to: xcactl cert export cert2" in wrong.err


def test_file_that_is_not_encrypted_is_told_so_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.txt").write_text("content")
    Path("file.p7s").write_bytes(signed(party("signer"), b"content"))
    plain = run_here("decrypt", "file.txt")
    assert plain.status == 64
    assert "it is no CMS encrypted data" in plain.err
    signature = run_here("decrypt", "file.p7s")
    assert signature.status == 64
    assert "it is signed, not encrypted" in signature.err
    assert "xcactl verify FILE file.p7s --ca-file ROOT" in signature.err
    chinese = CliRunner(env={"LANGUAGE": "zh_TW"}).invoke(xcactl, ["decrypt", "file.p7s"]).stderr
    assert "xcactl verify 檔案 file.p7s --ca-file 根憑證" in chinese


def test_result_in_the_place_of_its_file_is_refused_in_clear_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("content")
    party("signer").write(Path("signer.cer"))
    result = run_here("encrypt", "file", "--to", "signer.cer", "-o", "file", "--force")
    assert result.status == 63
    assert "would replace a file that the command also reads" in result.err
    assert Path("file").read_text() == "content"
