# SPDX-License-Identifier: Apache-2.0
"""Reports of a verification, as files that can be handed on."""

import hashlib
import json
import re
import stat
import subprocess
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.x509.oid import NameOID

from support.cli.json_schemas import check
from support.cli.xcactl import Result
from xca_login.testing.issuer import revocation_list
from xca_login.testing.parties import Party, party
from xca_login.testing.tokens import signed
from xca_plugin.cli.root import xcactl

CONTENT = b"The bid is 1,000,000 dollars.\n"
HOLDER = "國立臺灣大學"


@pytest.fixture(scope="session")
def root() -> Party:
    return party("root", ca=True)


def named(name: str, root: Party) -> Party:
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)])
    return party("signer", root, subject=subject)


class Verifier:
    """xcactl verify --report in this process."""

    def __init__(self, folder: Path, root: Party) -> None:
        self.folder = folder
        self.root = root.write(folder / "root.cer")

    def __call__(
        self, report: str, signer: Party, *options: str, content: bytes = CONTENT, language: str = "zh_TW"
    ) -> Result:
        file, signature = self.folder / "file", self.folder / "file.p7s"
        file.write_bytes(content)
        signature.write_bytes(signed(signer, CONTENT))
        arguments = [str(file), str(signature), "--ca-file", str(self.root), "--report", self.path(report)]
        done = CliRunner(env={"LANGUAGE": language}).invoke(xcactl, ["verify", *arguments, *options])
        return Result(done.exit_code, done.stdout, done.stderr)

    def path(self, report: str) -> str:
        return str(self.folder / report)

    def read(self, report: str) -> bytes:
        return Path(self.path(report)).read_bytes()

    def pdf_text(self, report: str) -> str:
        done = subprocess.run(
            ["pdftotext", "-layout", self.path(report), "-"], capture_output=True, check=True
        )
        return done.stdout.decode()


@pytest.fixture
def verify(tmp_path: Path, root: Party) -> Verifier:
    return Verifier(tmp_path, root)


class Text(HTMLParser):
    """The text of a page, and its elements."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.elements: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.elements.add(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_report_in_json_fits_its_schema_and_names_the_files(verify: Verifier, root: Party) -> None:
    assert verify("out.json", named(HOLDER, root)).status == 0
    document = json.loads(verify.read("out.json"))
    check(document, "verification-report")
    assert [one["name"] for one in document["files"]] == ["file", "file.p7s"]
    assert document["files"][0]["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert document["verification"]["valid"]
    assert document["verification"]["trusted"]["holder"] == "O=root"
    assert datetime.fromisoformat(document["verified_at"]).tzinfo is not None


@pytest.mark.parametrize(("language", "word"), [("zh_TW", "簽章有效"), ("en", "The signature is valid.")])
def test_report_in_html_says_who_signed_what(verify: Verifier, root: Party, language: str, word: str) -> None:
    assert verify("out.html", named(HOLDER, root), language=language).status == 0
    page = Text(verify.read("out.html").decode())
    said = "".join(page.texts)
    for words in (word, f"O={HOLDER}", hashlib.sha256(CONTENT).hexdigest(), "O=root", "file.p7s"):
        assert words in said


@pytest.mark.parametrize(("language", "label"), [("en", "Digest"), ("zh_TW", "雜湊演算法")])
def test_digest_is_named_as_people_read_it_and_in_json_as_programs_do(
    verify: Verifier, root: Party, language: str, label: str
) -> None:
    result = verify("out.html", named(HOLDER, root), language=language)
    assert re.search(rf"{label}\W+SHA-256", result.out)
    assert f"<th>{label}</th><td>SHA-256</td>" in verify.read("out.html").decode()
    assert verify("out.json", named(HOLDER, root)).status == 0
    assert json.loads(verify.read("out.json"))["verification"]["digest"] == "sha256"


def test_report_of_what_is_not_valid_says_why(verify: Verifier, root: Party) -> None:
    assert verify("out.html", named(HOLDER, root), content=b"another", language="en").status == 62
    page = verify.read("out.html").decode()
    assert "NOT valid" in page
    assert "The signature is valid." not in page
    document = verify("out.json", named(HOLDER, root), content=b"another")
    assert document.status == 62
    assert json.loads(verify.read("out.json"))["verification"]["valid"] is False


def test_hostile_name_in_a_report_is_text(verify: Verifier, root: Party) -> None:
    assert verify("out.html", named("<script>alert(1)</script>\u202e", root)).status == 0
    page = Text(verify.read("out.html").decode())
    assert "script" not in page.elements
    said = "".join(page.texts)
    assert "alert(1)" in said
    assert "<U+202E>" in said
    assert "\u202e" not in said


def test_report_in_pdf_shows_the_holder_in_chinese(verify: Verifier, root: Party) -> None:
    result = verify("out.pdf", named(HOLDER, root))
    assert result.status == 0, result.err
    said = "".join(verify.pdf_text("out.pdf").split())
    for words in ("驗章報告", "簽章有效", f"O={HOLDER}", hashlib.sha256(CONTENT).hexdigest()):
        assert words in said


def test_report_in_pdf_without_a_font_for_a_name_is_refused(verify: Verifier, root: Party) -> None:
    result = verify("out.pdf", named("\U00016f00 \U0001e900", root), language="en")
    assert result.status == 59
    assert ".html" in result.err
    assert not Path(verify.path("out.pdf")).exists()


def test_report_in_pdf_without_any_font_is_refused(
    verify: Verifier, root: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # no fontconfig to ask
    assert verify("out.pdf", named(HOLDER, root)).status == 59


def test_report_of_another_form_is_a_wrong_use(verify: Verifier, root: Party) -> None:
    assert verify("out.txt", named(HOLDER, root)).status == 2


def test_report_replaces_no_file_unasked(verify: Verifier, root: Party) -> None:
    Path(verify.path("out.json")).write_text("mine")
    assert verify("out.json", named(HOLDER, root)).status != 0
    assert verify.read("out.json") == b"mine"
    assert verify("out.json", named(HOLDER, root), "--force").status == 0
    for taken in ("root.cer.json", "link.json"):
        Path(verify.path(taken)).symlink_to(verify.root)
        assert verify(taken, named(HOLDER, root), "--force").status == 63


@pytest.mark.parametrize("name", ["report.html", "report.json", "report.pdf"])
def test_report_is_for_its_user_alone_whatever_was_there(verify: Verifier, root: Party, name: str) -> None:
    file = Path(verify.path(name))
    file.touch()
    file.chmod(0o666)
    done = verify(name, party("signer", root), "--force", language="en")
    assert (done.status, stat.S_IMODE(file.stat().st_mode)) == (0, 0o600), done.err


def test_report_and_content_that_were_written_are_told_on_stderr(verify: Verifier, root: Party) -> None:
    result = verify("out.html", named(HOLDER, root), language="en")
    assert f"The report was written: {verify.path('out.html')}" in result.err
    assert "was written" not in result.out
    bad = verify("bad.html", named(HOLDER, root), language="en", content=b"another")
    assert bad.status == 62
    assert f"The report was written: {verify.path('bad.html')}" in bad.err


def test_report_that_is_there_is_told_before_the_verdict(verify: Verifier, root: Party) -> None:
    Path(verify.path("out.html")).write_text("another")
    result = verify("out.html", named(HOLDER, root), language="en")
    assert (result.status, result.out) == (45, "")


@pytest.mark.parametrize(
    ("content", "status", "words"), [(CONTENT, 59, "is valid."), (b"x", 62, "NOT valid")]
)
def test_report_that_cannot_be_made_hides_no_verdict(
    verify: Verifier, root: Party, monkeypatch: pytest.MonkeyPatch, content: bytes, status: int, words: str
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")  # no fc-match, so no font
    result = verify("out.pdf", named(HOLDER, root), language="en", content=content)
    assert result.status == status
    assert words in result.out + result.err
    assert "The report" in result.err
    assert "cannot be made" in result.err
    assert not Path(verify.path("out.pdf")).exists()


def test_times_of_a_report_are_all_in_taipei(verify: Verifier, root: Party) -> None:
    verify("out.html", named(HOLDER, root), language="en")
    page = verify.read("out.html").decode()
    (verified_at,) = re.findall("Verified at</th><td>([^<]+)<", page)
    assert verified_at.endswith(" +08:00")


@pytest.mark.parametrize("form", ["html", "pdf"])
def test_unknown_revocation_in_a_report_is_neutral_and_says_what_to_do(
    verify: Verifier, root: Party, form: str
) -> None:
    report, other = f"report.{form}", verify.folder / "other.crl"
    other.write_bytes(revocation_list(party("another", ca=True), 1))
    assert verify(report, named(HOLDER, root), "--crl", str(other), language="en").status == 78
    said = verify.read(report).decode() if form == "html" else " ".join(verify.pdf_text(report).split())
    assert ("#555b66" in said) is (form == "html")
    assert "cannot be told: it is not known whether a certificate is revoked" in said
    assert "--allow-host HOST" in said
    assert "NOT valid" not in said
