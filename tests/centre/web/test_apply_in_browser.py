# SPDX-License-Identifier: Apache-2.0
"""A person applies for a card in Chromium, by keyboard: from the search to the fee and the withdrawal."""

import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, Playwright, expect

from support.agent.agent_process import CHROMIUM, FLAGS
from support.centre.cases import CODE, FIELDS, SCHOOL
from support.centre.web import Card
from support.login_http import asgi_site, serving
from support.moved_clock import MovedClock
from xca_centre.life.certificate import CertificateEvent
from xca_centre.web.app import application
from xca_centre.web.frame import Frame
from xca_login.testing.tokens import origin as signed_origin
from xca_login.testing.tokens import sign

pytestmark = pytest.mark.browser
TYPED = {name: FIELDS[name] for name in FIELDS if name.startswith("contact_")}


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Debian's Chromium."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
    yield browser
    browser.close()


@pytest.fixture
def origin(frame: Frame) -> Iterator[str]:
    """A centre that is served."""
    with asgi_site(lambda origin: application(replace(frame, origin=origin))) as origin:
        yield origin


def look(page: Page, name: str) -> None:
    """See that a page with this heading is there, has no barriers, and fits."""
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    page.wait_for_load_state()
    found = [each["id"] for each in Axe().run(page).response["violations"]]
    assert found == [], name
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1], name


def press(page: Page, role: str, name: str) -> None:
    """Go to something with the keyboard, and press Enter there."""
    target = page.get_by_role(role, name=name, exact=True)  # type: ignore[arg-type]
    target.focus()
    page.keyboard.press("Enter")


def fill_in(page: Page, fields: dict[str, str]) -> None:
    """Type into fields, one after the other."""
    for name, value in fields.items():
        page.locator(f"[name={name}]").focus()
        page.keyboard.press("Control+A")
        page.keyboard.type(value)


def begin(page: Page, origin: str) -> None:
    """Go from the search to the form."""
    page.goto(f"{origin}/apply")
    fill_in(page, {"name": "青溪"})
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name=SCHOOL.name)).to_be_visible()
    look(page, "申請憑證")
    press(page, "link", SCHOOL.name)
    look(page, "選擇申請項目")
    press(page, "button", "下一步")
    look(page, "用戶約定條款")
    press(page, "button", "下一步")
    expect(page.get_by_role("alert")).to_contain_text("尚未同意")
    look(page, "用戶約定條款")
    page.get_by_role("checkbox").focus()
    page.keyboard.press("Space")
    press(page, "button", "下一步")
    expect(page.get_by_text(SCHOOL.oid)).to_be_visible()


def upload(page: Page, origin: str) -> None:
    """Go from the search to the case."""
    begin(page, origin)
    fill_in(page, {"applicant_email": FIELDS["applicant_email"], **TYPED, "contact_email": "no address"})
    fill_in(page, {"user_code": CODE, "user_code_again": CODE})
    press(page, "button", "確認填寫內容")
    expect(page.locator("#contact_email")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#user_code")).to_have_value("")
    look(page, "填寫申請資料")
    fill_in(page, {"contact_email": FIELDS["contact_email"]})
    press(page, "button", "確認填寫內容")
    look(page, "確認及上傳")
    press(page, "button", "上傳申請資料")
    expect(page.get_by_role("status")).to_contain_text("請記下案件流水號")
    look(page, "案件內容")


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (320, "dark")])
def test_card_is_applied_for_paid_and_corrected_by_keyboard(
    browser: Browser, origin: str, width: int, scheme: str
) -> None:
    with browser.new_context(
        locale="zh-TW",
        viewport={"width": width, "height": 800},
        color_scheme=scheme,  # type: ignore[arg-type]
    ) as context:
        page = context.new_page()
        upload(page, origin)
        number = page.locator(".number .code").inner_text()
        press(page, "button", "取得繳費單")
        expect(page.get_by_text("待繳費", exact=True)).to_be_visible()
        look(page, "案件內容")
        press(page, "link", "至測試繳費頁面")
        look(page, "測試繳費頁面")
        press(page, "button", "繳交新臺幣 420 元")
        expect(page.get_by_text("已繳費")).to_be_visible()
        press(page, "link", "案件進度查詢")
        look(page, "案件進度查詢")
        fill_in(page, {"case_number": number.replace("-", ""), "user_code": "wrong-code"})
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_be_visible()
        look(page, "案件進度查詢")
        fill_in(page, {"case_number": number, "user_code": CODE})
        page.keyboard.press("Enter")
        expect(page.locator(".state").first).to_contain_text("已繳費")
        press(page, "link", "更正")
        look(page, "更正申請資料")
        fill_in(page, {"contact_name": "林美麗"})
        press(page, "button", "上傳更正資料")
        expect(page.get_by_role("status")).to_contain_text("第 2 版")
        expect(page.get_by_text("林美麗")).to_be_visible()
        press(page, "link", "撤回申請")
        look(page, "撤回申請")
        press(page, "button", "撤回申請")
        expect(page.locator(".state").first).to_contain_text("撤回")
        press(page, "button", "結束查詢")
        expect(page.get_by_role("heading", level=1)).to_have_text("案件進度查詢")
        page.go_back()
        expect(page.get_by_role("alert")).to_be_visible()


def test_saved_data_are_loaded_for_a_second_card(browser: Browser, origin: str, tmp_path: Path) -> None:
    with browser.new_context(locale="zh-TW") as context:
        page = context.new_page()
        upload(page, origin)
        assert page.locator(".number img").evaluate("image => image.naturalWidth") > 100
        page.go_back()  # the draft is gone, and the case is shown again
        expect(page.locator(".number")).to_be_visible()
        begin(page, origin)
        fill_in(page, {**TYPED, "user_code": CODE, "user_code_again": CODE})
        with page.expect_download() as download:
            press(page, "button", "儲存申請資料")
        download.value.save_as(tmp_path / "saved.pem")
        begin(page, origin)
        press(page, "link", "讀取申請資料")
        page.locator("[name=file]").set_input_files(tmp_path / "saved.pem")
        fill_in(page, {"user_code": CODE})
        look(page, "讀取申請資料")
        press(page, "button", "讀取")
        expect(page.get_by_role("status")).to_contain_text("已讀取申請資料")
        expect(page.locator("#contact_name")).to_have_value(TYPED["contact_name"])
        look(page, "填寫申請資料")


COMPONENT = """<!DOCTYPE html><script>
window.onmessage = async (event) => {
  const answer = await fetch("/sign", {method: "POST", body: decodeURIComponent(event.data)});
  event.source.postMessage(await answer.text(), event.origin);
};
opener.postMessage(JSON.stringify({func: "getTbs"}), "*");
</script>"""


@contextmanager
def component(card: Card, site: str) -> Iterator[str]:
    """Stand in for the local component: it signs with a card what a page of the site asks for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(COMPONENT.encode())

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            signed = sign(card.signing, base64.b64decode(asked["tbs"]), more=[signed_origin(site)])
            said = {"func": "MakeSignature", "ret_code": 0, "signature": base64.b64encode(signed).decode()}
            self.answer(json.dumps(said).encode())

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}"


def test_card_is_renewed_with_its_signature(
    browser: Browser, frame: Frame, school_card: Card, clock: MovedClock
) -> None:
    school_card.happen(CertificateEvent.ACCEPT)
    clock.at = school_card.signing.certificate.not_valid_after_utc - timedelta(days=30)
    with ExitStack() as stack:
        addresses: list[str] = []

        def made(origin: str) -> object:
            addresses.append(stack.enter_context(component(school_card, origin)))
            return application(replace(frame, origin=origin, component=addresses[0]))

        origin = stack.enter_context(asgi_site(made))
        context = stack.enter_context(browser.new_context(locale="zh-TW"))
        page = context.new_page()
        asked = f"organisation={SCHOOL.oid}&wanted=renewal&rank=secondary"
        page.goto(f"{origin}/apply/terms?{asked}")
        page.get_by_role("checkbox").check()
        press(page, "button", "下一步")
        look(page, "填寫申請資料")
        fill_in(page, {"applicant_email": FIELDS["applicant_email"], **TYPED})
        fill_in(page, {"user_code": CODE, "user_code_again": CODE})
        press(page, "button", "確認填寫內容")
        look(page, "確認及上傳")
        page.evaluate("window.opens = window.open; window.open = () => null")  # a browser that blocks windows
        press(page, "button", "以原卡簽章並上傳")
        expect(page.get_by_role("status")).to_contain_text("彈出式視窗")
        page.evaluate("window.open = window.opens")
        press(page, "button", "以原卡簽章並上傳")
        look(page, "案件內容")
        expect(page.locator(".state").first).to_contain_text("繳費")
