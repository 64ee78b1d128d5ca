# SPDX-License-Identifier: Apache-2.0
"""PDFs on the agent's page that signs files: shown, signed in themselves, with a visible stamp; hostile "
"ones."""

import io
import subprocess
from pathlib import Path

import httpx
import pytest
from PIL import Image
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from softhsm.card_fixture import CardFixture
from support.agent.agent_process import Agent, Start
from support.agent.file_page import FilePage, open_page
from support.agent.page_visitor import WRONG
from support.signed_pdf import page as pdf_page
from support.signed_pdf import sign_pdf, with_long_list
from xca_login.testing.parties import party
from xca_plugin import errors, own_loop
from xca_plugin.agent.files import parser

STAMP = {"form": "pdf", "stamp": "yes", "page": "1", "left": "10", "top": "20", "width": "60", "height": "20"}


def rotated(degrees: int) -> bytes:
    output = io.BytesIO(pdf_page())
    writer = IncrementalPdfFileWriter(output)
    reference, _ = writer.prev.find_page_for_modification(0)
    reference.get_object()["/Rotate"] = generic.NumberObject(degrees)
    writer.mark_update(reference)
    writer.write_in_place()
    return output.getvalue()


def text_of(pdf: bytes, *options: str) -> str:
    done = subprocess.run(["pdftotext", *options, "-", "-"], input=pdf, capture_output=True, check=True)
    return done.stdout.decode()


def picture(page: FilePage, file: object, number: str = "1") -> httpx.Response:
    query = {"job": page.job, "file": str(file), "page": number}
    return page.visitor.client.get("/files/picture", params=query)


def test_pdf_signed_with_a_stamp_verifies_and_shows_the_holder(
    shared: Agent, active_card: CardFixture
) -> None:
    unsigned = pdf_page()
    with open_page(shared, "/files/sign", "zh-TW") as page:
        page.add("合約.pdf", unsigned)
        page.add("letter.txt", b"letter")
        assert "所有檔案均已完成。" in page.start(secret=str(active_card.pin), **STAMP)
        signed = page.downloads()
    assert set(signed) == {"合約-signed.pdf", "letter.txt.p7s"}
    pdf = signed["合約-signed.pdf"]
    assert pdf.startswith(unsigned)
    said = text_of(pdf)
    assert "簽章者：國立臺灣大學" in said
    assert "+08:00" in said
    with open_page(shared, "/files/verify") as page:
        page.add("signed.pdf", pdf)
        verdict = page.start(trust="card", card=active_card.number)
        assert "The signature is valid." in verdict
        assert "Field Signature1 Changed since nothing" in verdict


def test_pdf_signed_twice_keeps_the_first_signature(shared: Agent, active_card: CardFixture) -> None:
    pdf = pdf_page()
    for _ in range(2):
        with open_page(shared, "/files/sign") as page:
            page.add("a.pdf", pdf)
            said = page.start(secret=str(active_card.pin), **STAMP)
            assert "All files are in order." in said
            (pdf,) = page.downloads().values()
    with open_page(shared, "/files/verify") as page:
        page.add("a.pdf", pdf)
        assert "2 of 2 signatures are valid." in page.start(trust="card", card=active_card.number)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_stamp_on_a_turned_page_is_where_it_was_put(
    shared: Agent, active_card: CardFixture, degrees: int
) -> None:
    """Its border is where the page said, as the page is shown; what is written in it is upright."""
    with open_page(shared, "/files/sign") as page:
        page.add("a.pdf", rotated(degrees))
        page.start(secret=str(active_card.pin), **STAMP)
        (pdf,) = page.downloads().values()
    with open_page(shared, "/files/sign") as page:
        file = page.add("signed.pdf", pdf)["id"]
        query = {"job": page.job, "file": str(file)}
        ((width, height),) = page.visitor.client.get("/files/pages", params=query).json()
        image = Image.open(io.BytesIO(picture(page, file).content)).convert("L")
    scale = image.width / width
    assert (width < height) is (degrees in (90, 270))
    box = image.point(lambda value: 255 * (value < 128)).getbbox()
    assert box
    left, top, right, bottom = (edge / scale for edge in box)
    for found, wanted in ((left, 10), (top, 20), (right, 70), (bottom, 40)):
        assert abs(found - wanted) < 1.5, box
    assert "Signed by:" in text_of(pdf)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"page": "2"}, "it has no page 2"),
        ({"left": "139"}, "the stamp does not lie on the page"),
        ({"width": "-5"}, "the stamp does not lie on the page"),
        ({"top": "1e9"}, "the stamp does not lie on the page"),
    ],
)
def test_stamp_beside_the_page_is_refused_without_a_try(
    shared: Agent, active_card: CardFixture, fields: dict[str, str], said: str
) -> None:
    with open_page(shared, "/files/sign") as page:
        page.add("a.pdf", pdf_page())
        assert said in page.start(secret=WRONG[0], **STAMP | fields)
        assert "3 tries left" in page.visitor.see("/files/sign")
        assert page.downloads() == {}


def test_stamp_without_numbers_is_no_form(shared: Agent, active_card: CardFixture) -> None:
    with open_page(shared, "/files/sign") as page:
        page.add("a.pdf", pdf_page())
        for fields in ({"left": "nan"}, {"page": "one"}, {"height": ""}):
            form = {**page.fields, "job": page.job, "secret": WRONG[0], **STAMP, **fields}
            assert page.visitor.send(page.path, form).status_code == 400
            page = FilePage(page.visitor, page.path, f"?job={page.job}")
            page.job = form["job"]


def test_pdf_that_needs_a_password_is_neither_shown_nor_signed(
    shared: Agent, active_card: CardFixture
) -> None:
    with open_page(shared, "/files/sign") as page:
        file = page.add("locked.pdf", pdf_page("secret"))["id"]
        answer = page.visitor.client.get("/files/pages", params={"job": page.job, "file": str(file)})
        assert answer.status_code == 422
        assert "password" in answer.json()["title"]
        assert picture(page, file).status_code == 404
        assert "can only be read with its password" in page.start(secret=WRONG[0], **STAMP)


def test_pdf_signed_by_somebody_who_forbids_more_is_refused(shared: Agent, active_card: CardFixture) -> None:
    from pyhanko.sign.fields import MDPPerm

    certified = sign_pdf(pdf_page(), party("signer"), certify=True, docmdp_permissions=MDPPerm.NO_CHANGES)
    with open_page(shared, "/files/sign") as page:
        page.add("certified.pdf", certified)
        assert "cannot be signed" in page.start(secret=WRONG[0], **STAMP)


HOSTILE = {
    "nothing but a head": b"%PDF-1.7\n",
    "noise": b"%PDF-1.7\n" + bytes(range(256)) * 400,
    "cut off": pdf_page()[:-200],
    "deep": b"%PDF-1.7\n1 0 obj\n" + b"[" * 200_000 + b"\nendobj\ntrailer<</Root 1 0 R>>\n%%EOF",
    "itself as its parent": b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages"
    b"/Kids[2 0 R]/Count 99999999/Parent 2 0 R>>endobj\ntrailer<</Root 1 0 R/Size 3>>\n%%EOF",
}


@pytest.mark.parametrize("pdf", HOSTILE.values(), ids=HOSTILE)
def test_hostile_pdf_breaks_nothing(shared: Agent, active_card: CardFixture, pdf: bytes) -> None:
    with open_page(shared, "/files/sign") as page:
        file = page.add("evil.pdf", pdf)["id"]
        answer = page.visitor.client.get("/files/pages", params={"job": page.job, "file": str(file)})
        assert answer.status_code in (200, 422, 500), answer.text
        assert picture(page, file).status_code in (200, 404)
        page.start(secret=WRONG[0], form="pdf")
        assert page.downloads() == {}
        assert "evil.pdf" in page.results
        assert "3 tries left" in page.visitor.see("/files/sign")


def test_pdf_with_endless_work_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The process is ended after its time, and the caller's loop goes on meanwhile."""
    ca = party("ca", ca=True)
    pdf = tmp_path / "pdf"
    pdf.write_bytes(with_long_list(sign_pdf(pdf_page(), party("signer", ca)), 4_000_000))
    root = tmp_path / "root"
    root.write_bytes(ca.pem)
    monkeypatch.setattr(parser, "SECONDS", 2)

    def stored(name: str) -> dict[str, str]:
        return {"id": name, "name": f"{name}.pdf", "role": "content", "path": str(tmp_path / name)}

    asked = parser.ask(
        "verify",
        "pdf.pdf",
        content=stored("pdf"),
        signature=None,
        roots=[stored("root")],
        intermediates=[],
        fetch=False,
        report=stored("report"),
        language="en",
    )
    with pytest.raises(errors.TooMuch) as raised:
        own_loop.run(asked)
    assert "pdf.pdf" in raised.value.message("en")


def test_wrong_pin_of_a_pdf_is_told_and_another_is_taken(
    start_agent: Start, xca_active_card: CardFixture
) -> None:
    with open_page(start_agent(xca_active_card), "/files/sign") as page:
        page.add("a.pdf", pdf_page())
        assert "2 tries are left" in page.start(secret=WRONG[0], **STAMP)
        assert page.downloads() == {}
        again = FilePage(page.visitor, page.path, f"?job={page.job}")
        again.job = page.job
        assert "All files are in order." in again.start(secret=str(xca_active_card.pin), form="pdf")
        assert list(again.downloads()) == ["a-signed.pdf"]
