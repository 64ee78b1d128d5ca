# SPDX-License-Identifier: Apache-2.0
"""The agent's pages for files in Chromium and Firefox: by mouse, by keyboard, from a hostile page."""

import json
from base64 import b64encode
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect

from softhsm.card_fixture import CardFixture
from support.agent.agent_process import Agent
from support.agent.browser_tab import Tab
from support.agent.file_page import UPLOAD
from support.agent.web_sites import site
from support.signed_pdf import page as pdf_page

pytestmark = pytest.mark.browser

READY = "document.querySelector('[data-shows]')?.hidden === false"
DROP = """(() => {
    const transfer = new DataTransfer();
    const bytes = (encoded) => Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
    for (const [name, encoded] of FILES) transfer.items.add(new File([bytes(encoded)], name));
    const drop = new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true});
    document.querySelector("[data-role=ROLE]").dispatchEvent(drop);
    return true;
})()"""
"""What a browser does when a person drops files."""


def drop(tab: Tab, files: dict[str, bytes], role: str = "content") -> None:
    encoded = [(name, b64encode(content).decode()) for name, content in files.items()]
    tab.now(DROP.replace("FILES", json.dumps(encoded)).replace("ROLE", role))
    sent = f"document.querySelectorAll('#files-{role} [data-file]:not([data-file=\"\"])').length"
    tab.see(f"{sent} === {len(files)}")


def test_files_dropped_are_signed_by_keyboard(shared: Agent, active_card: CardFixture, tab: Tab) -> None:
    tab.go(f"{shared.url}/files/sign")
    tab.see(READY)
    drop(tab, {"合約.txt": b"contract", "b.txt": b"second"})
    tab.read("合約.txt", "#files-content")
    tab.tab_to("移除")
    tab.press("Enter")
    tab.see("document.querySelectorAll('#files-content li').length === 1")
    assert tab.focused() == "移除"  # of the other file
    tab.tab_to("secret")
    tab.type(str(active_card.pin))
    tab.press("Enter")
    tab.see("document.activeElement?.id === 'result'")
    tab.read("簽署作業已結束。", "#result")
    assert tab.now("document.querySelectorAll('[download]').length") == 1
    tab.read("儲存 b.txt.p7s")
    tab.tab_to("刪除本機元件中的這些檔案")
    tab.press("Enter")
    tab.see("location.pathname === '/files/sign' || null")
    assert tab.now("document.querySelectorAll('#files-content li').length") == 0


def test_form_without_files_is_not_sent(shared: Agent, active_card: CardFixture, tab: Tab) -> None:
    tab.go(f"{shared.url}/files/sign")
    tab.see(READY)
    tab.tab_to("secret")
    tab.type(str(active_card.pin))
    tab.press("Enter")
    tab.read("請先選擇檔案。", "#files-error")
    assert tab.focused() == "choose-content"
    assert tab.now("location.pathname") == "/files/sign"
    tab.go(f"{shared.url}/files/encrypt")
    tab.see("document.readyState === 'complete'")
    drop(tab, {"a.txt": b"contract"})
    tab.click("button.main")
    tab.read("請先選擇收件者的憑證。", "#files-error")
    assert tab.focused() == "choose-recipient"


def test_files_chosen_survive_reload_and_language(shared: Agent, active_card: CardFixture, tab: Tab) -> None:
    tab.go(f"{shared.url}/files/verify")
    drop(tab, {"a.txt": b"contract"})
    tab.click(".language")
    tab.see("document.documentElement.lang === 'en'")
    tab.read("a.txt", "#files-content")
    tab.now("location.reload()")
    tab.read("a.txt", "#files-content")


def test_file_chosen_with_the_button_is_signed_and_saved(
    shared: Agent, active_card: CardFixture, page: Page, tmp_path: Path
) -> None:
    contract = tmp_path / "合約.pdf"
    contract.write_bytes(pdf_page())
    page.goto(f"{shared.url}/files/sign")
    page.get_by_label("要簽署的檔案").and_(page.locator("input")).set_input_files(contract)
    expect(page.locator("#files-content")).to_contain_text("合約.pdf")
    page.get_by_label("PIN碼").fill(str(active_card.pin))
    page.get_by_role("button", name="簽署", exact=True).click()
    expect(page.locator("#result")).to_contain_text("簽署作業已結束。")
    with page.expect_download() as saved:
        page.get_by_role("link", name="儲存 合約.pdf.p7s").click()
    assert saved.value.suggested_filename == "合約.pdf.p7s"
    assert b"\x06\x09\x2a\x86\x48" in saved.value.path().read_bytes()
    assert str(active_card.pin) not in page.content()


def test_hostile_page_can_neither_send_files_nor_start_a_job(
    shared: Agent, active_card: CardFixture, page: Page
) -> None:
    """It tries what a browser lets a page do: fetch in every mode, a form, a window, a frame, a picture."""
    page.goto(f"{shared.url}/files/sign")
    page.locator("#choose-content").set_input_files({"name": "a.txt", "mimeType": "", "buffer": b"contract"})
    expect(page.locator("#files-content")).to_contain_text("a.txt")
    page.wait_for_url("**job=*")
    job = page.url.partition("job=")[2]
    files = f"{shared.url}/files"
    script = f"""<!doctype html><meta charset="utf-8"><title>site</title><script>
    const job = "{job}";  // as if it had leaked
    const upload = "{shared.url}{UPLOAD}?page=/files/sign&role=content&job=" + job;
    const headers = {{"Content-Type": "application/octet-stream"}};
    const method = "POST";
    window.attempts = Promise.all([
      ...["cors", "no-cors"].flatMap((mode) => [
        fetch(upload, {{method, mode, body: "x"}}),
        fetch(upload, {{method, mode, body: "x", headers}}),
        fetch(upload, {{method, mode, body: new FormData()}}),
        fetch("{files}/delete", {{method, mode, body: new URLSearchParams({{job}})}}),
        fetch("{files}/sign", {{method, mode, body: new URLSearchParams({{job, secret: "123456"}})}}),
        fetch("{files}/sign?job=" + job, {{mode}}).then((answer) => answer.text()),
      ]),
    ].map((each) => each.catch(() => "refused")));
    </script>
    <iframe name="frame" src="{files}/sign?job={job}"></iframe>
    <form method="post" action="{files}/delete" target="_blank"><input name="job" value="{job}"></form>"""
    with site(script) as origin:
        hostile = page.context.new_page()
        hostile.goto(origin)
        answers = hostile.evaluate("window.attempts.then((all) => all.map((one) => one.type ?? one))")
        assert "a.txt" not in str(answers)
        with hostile.expect_popup() as opened:
            hostile.evaluate("document.forms[0].submit()")
        expect(opened.value.locator("#result")).to_be_visible()
        assert "/files/sign" not in opened.value.url
        frame = hostile.frame("frame")
        assert frame is None or "a.txt" not in frame.content()
    page.reload()
    expect(page.locator("#files-content li")).to_have_count(1)
    expect(page.locator("#files-content")).to_contain_text("a.txt")


@pytest.mark.parametrize(("language", "width"), [("zh-TW", 390), ("en-US", 1366)])
def test_results_pass_axe_and_fit(
    shared: Agent, active_card: CardFixture, browser: Browser, language: str, width: int
) -> None:
    name = "一個檔名很長的檔案" * 6 + ".txt"
    with browser.new_context(locale=language, viewport={"width": width, "height": 844}) as context:
        page = context.new_page()
        for path in ("/files/sign", "/files/verify"):
            page.goto(shared.url + path)
            page.locator("#choose-content").set_input_files(
                {"name": name, "mimeType": "", "buffer": b"contract"}
            )
            expect(page.locator("#files-content [data-remove]")).to_be_visible()
            for _ in range(2):
                found = Axe().run(page).response["violations"]
                assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                if page.locator("#secret").count():
                    page.locator("#secret").fill(str(active_card.pin))
                if page.locator("button.main").count():
                    page.locator("button.main").click()
                    expect(page.locator("#result")).to_be_visible()


# --- PDFs


def place(tab: Tab) -> list[int]:
    """Return the stamp's page, left, top, width and height, as the form sends them."""
    names = ["page", "left", "top", "width", "height"]
    return [int(tab.now(f"document.getElementById('stamp-{name}').value")) for name in names]


def drop_pdf(tab: Tab) -> None:
    """Drop a PDF, and wait until its first page is shown."""
    drop(tab, {"a.pdf": pdf_page()})
    tab.see("document.getElementById('view-picture')?.naturalWidth > 0")
    tab.read("第 1 頁，共 1 頁", "#view-number")


def test_stamp_placed_by_keys_is_signed_there(shared: Agent, active_card: CardFixture, tab: Tab) -> None:
    tab.go(f"{shared.url}/files/sign")
    tab.see(READY)
    drop_pdf(tab)
    assert tab.now("document.getElementById('stamp-box').hidden") is True
    tab.tab_to("form-p7s")
    tab.press("ArrowDown")
    tab.tab_to("stamp-yes")
    tab.press(" ")
    tab.tab_to("stamp-box")
    assert place(tab) == [1, 20, 20, 80, 20]
    tab.press("ArrowRight", "ArrowRight", "ArrowDown", "Shift+ArrowRight", "Shift+ArrowUp")
    assert place(tab) == [1, 24, 22, 82, 18]
    tab.press(*["ArrowUp"] * 20)
    assert place(tab) == [1, 24, 0, 82, 18]  # it stays on the page
    tab.tab_to("secret")
    tab.type(str(active_card.pin))
    tab.press("Enter")
    tab.see("document.activeElement?.id === 'result'")
    tab.read("儲存 a-signed.pdf")


def test_stamp_dragged_with_the_mouse_moves(shared: Agent, active_card: CardFixture, tab: Tab) -> None:
    tab.go(f"{shared.url}/files/sign")
    tab.see(READY)
    drop_pdf(tab)
    tab.click("#form-pdf")
    tab.click("#stamp-yes")
    tab.point_at("#stamp-box")
    where = "JSON.stringify(document.getElementById('ID').getBoundingClientRect())"
    box = json.loads(tab.now(where.replace("ID", "stamp-box")))
    sheet = json.loads(tab.now(where.replace("ID", "sheet")))
    a_millimetre = sheet["width"] / 141.1
    x, y = box["left"] + box["width"] / 2, box["top"] + box["height"] / 2
    tab.mouse_down()
    tab.mouse_move(x + 10 * a_millimetre, y + 30 * a_millimetre)
    tab.mouse_up()
    tab.see("document.getElementById('stamp-left').value === '30'")
    assert place(tab) == [1, 30, 50, 80, 20]
    tab.point_at("#stamp-corner")
    corner = json.loads(tab.now(where.replace("ID", "stamp-corner")))
    tab.mouse_down()
    tab.mouse_move(
        corner["left"] + corner["width"] / 2 - 20 * a_millimetre, corner["top"] + corner["height"] / 2
    )
    tab.mouse_up()
    tab.see("document.getElementById('stamp-width').value === '60'")
    assert place(tab)[:4] == [1, 30, 50, 60]


@pytest.mark.parametrize(("language", "width", "height"), [("zh-TW", 390, 844), ("en-US", 1366, 768)])
def test_pdf_page_passes_axe_and_fits(
    shared: Agent, active_card: CardFixture, browser: Browser, language: str, width: int, height: int
) -> None:
    with browser.new_context(locale=language, viewport={"width": width, "height": height}) as context:
        page = context.new_page()
        page.goto(f"{shared.url}/files/sign")
        page.locator("#choose-content").set_input_files(
            {"name": "a.pdf", "mimeType": "", "buffer": pdf_page()}
        )
        expect(page.locator("#view-number")).not_to_be_empty()
        page.locator("#form-pdf").check()
        page.locator("#stamp-yes").check()
        expect(page.locator("#stamp-box")).to_be_visible()
        found = Axe().run(page).response["violations"]
        assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
