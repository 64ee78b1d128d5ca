# SPDX-License-Identifier: Apache-2.0
"""pyHanko's command for the card, as its users run it; pyHanko itself and poppler's pdfsig judge the PDF."""

import io
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pexpect
import pytest
import yaml
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter

from softhsm import issue
from softhsm.card_fixture import CardFixture
from support.odd_certificates import certificate, put
from support.signed_pdf import with_long_list
from xca_plugin.errors import OutputExists
from xca_plugin.terminal.exit_statuses import EXIT_STATUSES

DOCUMENT = (Path(__file__).parents[2] / "docs" / "pdf.md").read_text(encoding="utf-8")
PYHANKO = str(Path(sys.executable).with_name("pyhanko"))
HOLDER = "國立臺灣大學"
WRONG_PIN = "wrong-00"


def page(
    path: Path, *, password: str | None = None, user_password: str | None = None, more: bytes = b""
) -> None:
    """Write a PDF of one page, perhaps encrypted; by default with one password for owner and user."""
    writer = PdfFileWriter()
    contents = writer.add_object(generic.StreamObject(stream_data=b"q Q" + more))
    box = generic.ArrayObject(map(generic.NumberObject, (0, 0, 400, 300)))
    writer.insert_page(PageObject(contents=contents, media_box=box))
    if password is not None:
        writer.encrypt(owner_pass=password, user_pass=user_password)
    with path.open("wb") as file:
        writer.write(file)


@dataclass(frozen=True)
class Result:
    status: int
    said: str


class Workspace:
    """A card, a PDF, and pyhanko.yml as docs/pdf.md shows it."""

    def __init__(self, card: CardFixture, folder: Path) -> None:
        self.card, self.folder = card, folder
        page(folder / "in.pdf")
        (shown,) = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
        configuration = yaml.safe_load(shown)
        (folder / "root.pem").write_bytes((card.environment.pki / "root.pem").read_bytes())
        configuration["identities"]["office"]["parameters"] |= {"number": card.number, "pin": "env:PIN"}
        (folder / "pyhanko.yml").write_text(yaml.safe_dump(configuration))

    @property
    def variables(self) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in ("PATH", "HOME")},
            **self.card.variables,
            "PIN": self.card.pin or WRONG_PIN,
            "WRONG": WRONG_PIN,
            "LANGUAGE": "en",
            "LANG": "C.UTF-8",
            "TERM": "xterm",
        }

    def pyhanko(
        self,
        *arguments: str,
        most_bytes: int | None = None,
        variables: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> Result:
        """Run pyHanko; it never says a PIN."""

        def limit() -> None:
            if most_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

        done = subprocess.run(
            [PYHANKO, *arguments],
            env={**self.variables, **(variables or {})},
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            preexec_fn=limit,
            start_new_session=True,  # no terminal to ask at
            timeout=60,
        )
        said = done.stdout + done.stderr
        assert WRONG_PIN not in said
        assert self.variables["PIN"] not in said
        return Result(done.returncode, said)

    def sign(self, *options: str, pin: str = "env:PIN", source: str = "in.pdf", **more: str) -> Result:
        return self.pyhanko(
            *("sign", "addsig", "--field", "Sig1", *options),
            *("xca", "--pin", pin, source, "out.pdf"),
            variables=more,
        )

    def refused(self, result: Result, status: int, words: str, *, tries: int = 3) -> None:
        """Look that nothing was written, and that no more tries were spent than were due."""
        assert (result.status, words in result.said) == (status, True), result.said
        assert "Traceback" not in result.said
        assert not (self.folder / "out.pdf").exists()
        row = self.card.environment.store.card(self.card.number)
        assert row is not None
        assert row.pin_tries == tries

    def judged(self) -> str:
        """Have the output judged by pyHanko and by pdfsig; return what both say."""
        result = self.pyhanko(
            *("sign", "validate", "--validation-context", "xca", "--no-revocation-check"),
            *("--pretty-print", "out.pdf"),
        )
        assert "The signature is judged VALID." in result.said, result.said
        assert "The signer's certificate is trusted." in result.said
        database = self.folder / "nss"
        database.mkdir()
        subprocess.run(["certutil", "-N", "-d", f"sql:{database}", "--empty-password"], check=True)
        done = subprocess.run(
            ["pdfsig", "-nssdir", f"sql:{database}", "out.pdf"],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
        )
        assert "Signature Validation: Signature is Valid." in done.stdout
        assert "Total document signed" in done.stdout
        assert f"O={HOLDER},L=臺北市,C=TW" in done.stdout
        return result.said + done.stdout


@pytest.fixture
def workspace(xca_active_card: CardFixture, tmp_path: Path) -> Workspace:
    return Workspace(xca_active_card, tmp_path)


@pytest.mark.parametrize(
    ("options", "facts"),
    [
        ((), ("adbe.pkcs7.detached", "sha256_rsa")),
        (("--use-pades",), ("ETSI.CAdES.detached", "sha256_rsa")),
        (("--use-pades", "--prefer-pss"), ("ETSI.CAdES.detached", "rsassa_pss")),
    ],
)
def test_pdf_signature_is_accepted_by_two_programs(
    workspace: Workspace, options: tuple[str, ...], facts: tuple[str, ...]
) -> None:
    result = workspace.sign(*options)
    assert result.status == 0, result.said
    assert f"Card {workspace.card.number}, PIN: 3 tries left" in result.said
    said = workspace.judged()
    assert all(fact in said for fact in facts)


def test_pdf_stamp_shows_the_holder_in_chinese(workspace: Workspace) -> None:
    (stamping,) = re.findall(r"^pyhanko (sign .*--style-name.*) xca in.pdf out.pdf$", DOCUMENT, re.MULTILINE)
    result = workspace.pyhanko(*stamping.split(), "xca", "--pin", "env:PIN", "in.pdf", "out.pdf")
    assert result.status == 0, result.said
    workspace.judged()
    shown = subprocess.run(
        ["pdftotext", "-bbox", "out.pdf", "-"],
        cwd=workspace.folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (left, right) = re.findall(rf'xMin="([\d.]+)".* xMax="([\d.]+)".*簽章者：{HOLDER}', shown)[0]
    # Ten letters of ten points, side by side: not on top of each other, as in a font that does not fit.
    assert float(right) - float(left) == pytest.approx(100, abs=15)


def test_pdf_identity_of_the_configuration_signs_with_its_card(workspace: Workspace) -> None:
    options = ("sign", "addsig", "--field", "Sig1", "identity", "office", "in.pdf", "out.pdf")
    assert workspace.pyhanko(*options, variables={"XCA_CARD": "XC00000000000000"}).status == 0
    assert (workspace.folder / "out.pdf").exists()


def test_pdf_identity_without_a_number_takes_the_variables_card(workspace: Workspace) -> None:
    configuration = workspace.folder / "pyhanko.yml"
    configuration.write_text(configuration.read_text().replace(f"number: {workspace.card.number}", ""))
    options = ("sign", "addsig", "--field", "Sig1", "identity", "office", "in.pdf", "out.pdf")
    result = workspace.pyhanko(*options, variables={"XCA_CARD": "XC00000000000000"})
    workspace.refused(result, 17, "The card XC00000000000000 is not here.")


def test_pdf_command_signs_any_file_apart(workspace: Workspace) -> None:
    (workspace.folder / "text").write_bytes(b"tender")
    result = workspace.pyhanko("sign", "addsig", "--detach", "xca", "--pin", "env:PIN", "text", "text.p7s")
    assert result.status == 0, result.said
    assert "Signed: text.p7s" in result.said
    done = subprocess.run(
        [
            *("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "text.p7s"),
            *("-content", "text", "-CAfile", "root.pem", "-purpose", "any"),
        ],
        cwd=workspace.folder,
        capture_output=True,
    )
    assert done.stdout == b"tender"
    assert b"successful" in done.stderr


def test_pin_prompt_in_a_terminal_comes_last_and_shows_nothing(workspace: Workspace) -> None:
    page(workspace.folder / "locked.pdf", password="for the paper")
    child = pexpect.spawn(
        PYHANKO,
        ["sign", "addsig", "--field", "Sig1", "xca", "locked.pdf", "out.pdf"],
        env=workspace.variables,
        cwd=str(workspace.folder),
        encoding="utf-8",
        timeout=20,
    )
    shown = child.logfile_read = io.StringIO()
    child.expect_exact("PIN: 3 tries left")
    child.expect_exact("Password for encrypted file 'locked.pdf':")
    child.sendline("for the paper")
    child.expect_exact("PIN:")
    child.sendline("short")
    child.expect_exact("6 to 8 characters")
    child.expect_exact("PIN:")
    assert workspace.card.pin is not None
    child.sendline(workspace.card.pin)
    child.expect(pexpect.EOF)
    child.close()
    assert workspace.card.pin not in shown.getvalue()
    assert child.exitstatus == 0
    assert (workspace.folder / "out.pdf").exists()


@pytest.mark.parametrize("moment", ["at the PIN", "after a refused PIN"])
def test_pin_prompt_after_ctrl_c_ends_at_once(workspace: Workspace, moment: str) -> None:
    child = pexpect.spawn(
        PYHANKO,
        ["sign", "addsig", "--field", "Sig1", "xca", "in.pdf", "out.pdf"],
        env=workspace.variables,
        cwd=str(workspace.folder),
        encoding="utf-8",
        timeout=20,
    )
    child.expect_exact("PIN: 3 tries left")
    child.expect_exact("PIN: ")
    if moment == "after a refused PIN":
        child.sendline("short")
        child.expect_exact("PIN: ")
    child.waitnoecho()
    child.sendintr()
    child.expect(pexpect.EOF)  # nothing more is asked for, or taken
    child.close()
    assert child.exitstatus == 1
    assert not (workspace.folder / "out.pdf").exists()
    row = workspace.card.environment.store.card(workspace.card.number)
    assert row is not None
    assert row.pin_tries == 3


def test_interruption_before_the_pin_prompt_asks_and_tries_nothing(workspace: Workspace) -> None:
    """pyHanko signs within asyncio.run(), which takes the first Ctrl-C for itself."""
    program = """
        import asyncio, signal
        from xca_plugin import Cards, Secret
        from xca_plugin.signer import CardSigner

        cards = Cards()
        (card,) = cards.detect()

        def pin():
            print("asked")
            return Secret("wrong-00")

        async def sign():
            signer = CardSigner(cards, card, cards.certificates(card), pin)
            signal.raise_signal(signal.SIGINT)
            await signer.async_sign_raw(b"data", "sha256")

        asyncio.run(sign())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=workspace.variables,
        cwd=workspace.folder,
        capture_output=True,
        text=True,
    )
    assert "KeyboardInterrupt" in done.stderr
    assert done.stdout == ""
    row = workspace.card.environment.store.card(workspace.card.number)
    assert row is not None
    assert row.pin_tries == 3


def test_wrong_pin_costs_one_try_and_leaves_no_file(workspace: Workspace) -> None:
    options = (
        "--verbose",
        "sign",
        "addsig",
        "--field",
        "Sig1",
        "xca",
        "--pin",
        "env:WRONG",
        "in.pdf",
        "out.pdf",
    )
    workspace.refused(workspace.pyhanko(*options), 35, "The PIN is wrong. 2 tries are left.", tries=2)


def test_several_cards_without_a_number_are_refused(workspace: Workspace) -> None:
    other = issue(workspace.card.environment, workspace.card.user_code)
    result = workspace.sign(XCA_CARD="")
    workspace.refused(result, 18, "Name the one that you mean: --card NUMBER")
    assert other.number in result.said


def test_card_before_activation_says_what_to_do(xca_issued_card: CardFixture, tmp_path: Path) -> None:
    workspace = Workspace(xca_issued_card, tmp_path)
    workspace.refused(workspace.sign(), 30, "Activate it with the user code: xcactl activate")


def test_locked_card_says_what_to_do(xca_pin_locked_card: CardFixture, tmp_path: Path) -> None:
    workspace = Workspace(xca_pin_locked_card, tmp_path)
    workspace.refused(workspace.sign(), 36, "xcactl pin reset", tries=0)


def test_messages_are_in_the_persons_language(xca_issued_card: CardFixture, tmp_path: Path) -> None:
    workspace = Workspace(xca_issued_card, tmp_path)
    workspace.refused(workspace.sign(LANGUAGE="zh_TW", LANG="C.UTF-8"), 30, "錯誤：")


def test_pin_without_a_terminal_needs_a_source(workspace: Workspace) -> None:
    result = workspace.pyhanko("sign", "addsig", "--field", "Sig1", "xca", "in.pdf", "out.pdf")
    workspace.refused(result, 43, "No value for --pin")


def test_file_that_is_no_pdf_costs_no_try(workspace: Workspace) -> None:
    (workspace.folder / "text.pdf").write_text("no PDF\n")
    (workspace.folder / "empty.pdf").touch()
    for name in ("text.pdf", "empty.pdf"):
        result = workspace.sign(pin="env:WRONG", source=name)
        workspace.refused(result, 77, f"{name} cannot be signed: it is no PDF that can be read (")
        assert "Name a PDF file that is whole." in result.said
        assert "Failed to read" not in result.said
    whole = (workspace.folder / "in.pdf").read_bytes()
    (workspace.folder / "half.pdf").write_bytes(whole[: len(whole) // 2])
    workspace.refused(workspace.sign(pin="env:WRONG", source="half.pdf"), 77, "it is no PDF that can be read")


def test_encrypted_file_costs_no_try(workspace: Workspace) -> None:
    page(workspace.folder / "locked.pdf", password="for the paper")
    workspace.refused(workspace.sign(pin="env:WRONG", source="locked.pdf"), 63, "it is encrypted")


def test_output_that_cannot_be_written_costs_no_try(workspace: Workspace) -> None:
    options = ("sign", "addsig", "--field", "Sig1", "xca", "--pin", "env:WRONG", "in.pdf")
    workspace.refused(workspace.pyhanko(*options, "/nowhere/out.pdf"), 63, "/nowhere/out.pdf cannot be used")
    before = (workspace.folder / "in.pdf").read_bytes()
    workspace.refused(workspace.pyhanko(*options, "in.pdf"), 63, "this is the file to be signed")
    assert (workspace.folder / "in.pdf").read_bytes() == before


def test_encrypted_pdf_without_a_user_password_is_signed_without_a_terminal(workspace: Workspace) -> None:
    page(workspace.folder / "owned.pdf", password="for the owner", user_password="")
    result = workspace.sign(source="owned.pdf")
    assert result.status == 0, result.said
    assert b"/ByteRange" in (workspace.folder / "out.pdf").read_bytes()


def test_pin_from_stdin_is_not_taken_for_the_password_of_the_pdf(workspace: Workspace) -> None:
    page(workspace.folder / "locked.pdf", password=workspace.card.pin)
    options = ("sign", "addsig", "--field", "Sig1", "xca", "--pin", "stdin")
    given = f"{workspace.card.pin}\n"
    result = workspace.pyhanko(*options, "locked.pdf", "out.pdf", stdin=given)
    workspace.refused(result, 63, "no terminal to ask for its password")
    page(workspace.folder / "owned.pdf", password="for the owner", user_password="")
    assert workspace.pyhanko(*options, "owned.pdf", "out.pdf", stdin=given).status == 0


def without_pages(folder: Path) -> tuple[str, ...]:
    with (folder / "in.pdf").open("wb") as file:
        PdfFileWriter().write(file)
    return ("--field", "Sig1")


def with_a_text_field(folder: Path) -> tuple[str, ...]:
    writer = IncrementalPdfFileWriter((folder / "in.pdf").open("rb"))
    name, field_type = generic.TextStringObject("Sig1"), generic.NameObject("/Tx")
    field = generic.DictionaryObject({pdf_name("/T"): name, pdf_name("/FT"): field_type})
    form = generic.DictionaryObject({pdf_name("/Fields"): generic.ArrayObject([writer.add_object(field)])})
    writer.root["/AcroForm"] = writer.add_object(form)
    writer.update_root()
    output = io.BytesIO()
    writer.write(output)
    (folder / "in.pdf").write_bytes(output.getvalue())
    return ("--field", "Sig1")


def with_no_such_page(folder: Path) -> tuple[str, ...]:
    return ("--field", "7/50,100,350,200/Sig1")


def with_a_dead_authority(folder: Path) -> tuple[str, ...]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return ("--field", "Sig1", "--timestamp-url", f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (without_pages, "it has no such page"),
        (with_a_text_field, "its field of that name is not for a signature"),
        (with_no_such_page, "it has no such page"),
        (with_a_dead_authority, "Connection refused"),
    ],
)
def test_pdf_that_cannot_be_signed_is_refused_with_the_reason(
    workspace: Workspace, prepare: Callable[[Path], tuple[str, ...]], reason: str
) -> None:
    result = workspace.sign(*prepare(workspace.folder))
    assert "Generic processing error" not in result.said
    workspace.refused(result, 77, reason)


def test_field_that_is_signed_is_told_once_in_the_language(workspace: Workspace) -> None:
    assert workspace.sign().status == 0
    signed = (workspace.folder / "out.pdf").rename(workspace.folder / "signed.pdf").name
    result = workspace.sign(source=signed, LANGUAGE="zh_TW")
    workspace.refused(result, 77, "該名稱的欄位已有簽章；請另取名稱，例如 --field Signature2。")
    assert "appears to be filled" not in result.said
    assert workspace.sign("--field", "Signature2", source=signed).status == 0


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--existing-only",), "檔案中沒有簽章欄位；請省略 --existing-only 以建立欄位。"),
        (("--name", "A", "--field", "1/50,100,52,101/Sig1"), "可見簽章的位置太小；請放大範圍。"),
    ],
    ids=["no field", "no room"],
)
def test_place_that_cannot_be_signed_is_told_once_in_the_language(
    workspace: Workspace, options: tuple[str, ...], reason: str
) -> None:
    result = workspace.sign(*options, LANGUAGE="zh_TW")
    workspace.refused(result, 77, reason)
    assert "ERROR" not in result.said


def test_reason_why_an_authority_does_not_answer_is_in_the_language(workspace: Workspace) -> None:
    result = workspace.sign(*with_a_dead_authority(workspace.folder), LANGUAGE="zh_TW")
    workspace.refused(result, 77, "時戳機構沒有回應：連線遭拒。")


def test_address_of_no_authority_is_told_before_the_pin_is_asked_for(workspace: Workspace) -> None:
    result = workspace.sign("--field", "Sig1", "--timestamp-url", "stamps.example.org")
    workspace.refused(result, 58, "stamps.example.org: it is no http or https address")
    assert "tries left" not in result.said


VISIBLE = ("--field", "1/50,100,350,200/Sig1")


def test_stamp_whose_font_lacks_the_holders_name_is_refused(workspace: Workspace) -> None:
    workspace.refused(workspace.sign(*VISIBLE), 77, f"the font of its stamp has no {HOLDER}")
    configuration = yaml.safe_load((workspace.folder / "pyhanko.yml").read_text())
    latin = next(Path("/usr/share/fonts").rglob("DejaVuSans.ttf"), None)
    if latin is not None:
        configuration["stamp-styles"]["xca"]["text-box-style"]["font"] = str(latin)
        (workspace.folder / "pyhanko.yml").write_text(yaml.safe_dump(configuration))
        workspace.refused(workspace.sign(*VISIBLE, "--style-name", "xca"), 77, "the font of its stamp has no")
    assert workspace.sign(*VISIBLE, "--name", "National University").status == 0


OUTPUTS = {"a file": b"mine", "a dangling link": None}


@pytest.mark.parametrize("before", OUTPUTS.values(), ids=OUTPUTS)
def test_full_disk_leaves_the_output_as_it_was(workspace: Workspace, before: bytes | None) -> None:
    page(workspace.folder / "big.pdf", more=bytes(1 << 20))
    target = workspace.folder / "target.pdf"
    (workspace.folder / "out.pdf").symlink_to(target)
    if before is not None:
        target.write_bytes(before)
    listed = sorted(workspace.folder.iterdir())
    options = (
        "sign",
        "addsig",
        "--field",
        "Sig1",
        "xca",
        "--force",
        "--pin",
        "env:PIN",
        "big.pdf",
        "out.pdf",
    )
    result = workspace.pyhanko(*options, most_bytes=1 << 20)
    assert (result.status, "File too large" in result.said) == (63, True), result.said
    assert (target.read_bytes() if target.exists() else None) == before
    assert sorted(workspace.folder.iterdir()) == listed
    assert workspace.pyhanko(*options).status == 0
    assert b"/ByteRange" in target.read_bytes()
    assert (workspace.folder / "out.pdf").is_symlink()


def test_output_that_is_there_is_replaced_only_with_force(workspace: Workspace) -> None:
    output = workspace.folder / "out.pdf"
    output.write_bytes(b"mine")
    result = workspace.sign(pin="env:WRONG")
    assert result.status == EXIT_STATUSES[OutputExists], result.said
    assert output.read_bytes() == b"mine"
    options = ("sign", "addsig", "--field", "Sig1", "xca", "--force", "--pin", "env:PIN", "in.pdf", "out.pdf")
    assert workspace.pyhanko(*options).status == 0
    assert b"/ByteRange" in output.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", ["at the PIN", "while it writes"])
def test_signal_leaves_the_output_as_it_was(
    workspace: Workspace, number: signal.Signals, moment: str
) -> None:
    output = workspace.folder / "out.pdf"
    output.write_bytes(b"mine")
    listed = sorted(workspace.folder.iterdir())
    command = ["sign", "addsig", "--field", "Sig1", "xca", "--force", "in.pdf", "out.pdf"]
    if moment == "at the PIN":
        program, arguments = PYHANKO, command
    else:
        # What strikes it is sent when half is written.
        source = f"""
            import os, sys
            from pyhanko.cli import launch
            from xca_plugin.named_file import NamedFile

            whole = NamedFile.write

            def write(self, data):
                whole(self, data[: len(data) // 2])
                os.kill(os.getpid(), {int(number)})
                return whole(self, data[len(data) // 2 :])

            NamedFile.write = write
            launch()
        """
        program, arguments = sys.executable, ["-c", textwrap.dedent(source), *command]
    child = pexpect.spawn(
        program, arguments, env=workspace.variables, cwd=str(workspace.folder), encoding="utf-8", timeout=20
    )
    child.expect_exact("PIN: 3 tries left")
    child.expect_exact("PIN: ")
    if moment == "at the PIN":
        child.kill(number)
    else:
        child.waitnoecho()
        child.sendline(workspace.card.pin or "")
    child.expect(pexpect.EOF)
    child.close()
    assert child.signalstatus == number
    assert output.read_bytes() == b"mine"
    assert sorted(workspace.folder.iterdir()) == listed


def test_full_disk_leaves_no_half_file(workspace: Workspace) -> None:
    page(workspace.folder / "big.pdf", more=bytes(1 << 20))
    options = ("sign", "addsig", "--field", "Sig1", "xca", "--pin", "env:PIN", "big.pdf", "out.pdf")
    workspace.refused(workspace.pyhanko(*options, most_bytes=1 << 20), 63, "File too large")


def test_tries_spent_by_others_during_the_pin_prompt_lead_to_the_question(workspace: Workspace) -> None:
    child = pexpect.spawn(
        PYHANKO,
        ["sign", "addsig", "--field", "Sig1", "xca", "in.pdf", "out.pdf"],
        env=workspace.variables,
        cwd=str(workspace.folder),
        encoding="utf-8",
        timeout=20,
    )
    child.expect_exact("PIN: 3 tries left")
    child.expect_exact("PIN: ")
    for wrong in ("wrong-01", "wrong-02"):
        workspace.refused(
            workspace.sign(pin="env:WRONG", WRONG=wrong), 35, "The PIN is wrong", tries=3 - int(wrong[-1])
        )
    child.sendline(WRONG_PIN)
    child.expect_exact("Only one try is left")
    child.expect_exact("Enter alone ends the command: ")
    child.sendline("no")
    child.expect_exact("Nothing was tried")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 41


def test_certificate_that_is_not_valid_today_costs_no_try(workspace: Workspace) -> None:
    environment = workspace.card.environment
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    early = certificate(start=tomorrow, end=tomorrow + timedelta(days=9))
    put(environment.inner_module, environment.inner_configuration, early, id="SIGN", label="cert1")
    workspace.refused(workspace.sign(pin="env:WRONG"), 55, "is not valid before")


def launched(workspace: Workspace, prepared: str) -> Result:
    """Sign in a process that runs some statements first."""
    program = f"import xca_plugin.pdf; from pyhanko.cli import launch; {prepared}; launch()"
    command = ["sign", "addsig", "--field", "Sig1", "xca", "--pin", "env:PIN", "in.pdf", "out.pdf"]
    done = subprocess.run(
        [sys.executable, "-c", program, *command],
        env=workspace.variables,
        cwd=workspace.folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Result(done.returncode, done.stdout + done.stderr)


def test_pdf_that_takes_too_long_is_not_signed(workspace: Workspace) -> None:
    source = workspace.folder / "in.pdf"
    source.write_bytes(with_long_list(source.read_bytes(), 400_000))
    result = launched(workspace, "xca_plugin.pdf.PDF_SECONDS = 0.3")
    workspace.refused(result, 69, "it takes too long to read")


def test_limit_of_time_does_not_end_a_pdf_that_has_appeared(workspace: Workspace) -> None:
    result = launched(
        workspace,
        "import signal; from xca_plugin import named_file; file = named_file._RegularFile; "
        "appear = file.appear; end = lambda: signal.getsignal(signal.SIGVTALRM); "
        "file.appear = lambda self: (appear(self), callable(end()) and end()())",
    )
    assert result.status == 0, result
    assert "Signed: out.pdf" in result.said
