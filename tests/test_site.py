# SPDX-License-Identifier: Apache-2.0
"""The documentation site is built without a warning, its links lead somewhere, its search finds Chinese."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Playwright

from support.agent.agent_process import CHROMIUM

pytestmark = pytest.mark.browser

ROOT: Final = Path(__file__).parents[1]


class _Page(HTMLParser):
    """What a page links to, loads and can be linked at."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.places: set[str] = set()
        self.language: str | None = None
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value}
        self.places |= {values[name] for name in ("id", "name") if name in values}
        if tag == "html":
            self.language = values.get("lang")
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif "src" in values:
            self.loaded.append(values["src"])
        elif tag == "link" and values.get("rel") in ("stylesheet", "preload", "icon"):
            self.loaded.append(values["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, built as docs/serve.sh builds it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "-c", "docs", ".", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "http_proxy": "http://127.0.0.1:9"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, _Page]:
    return {file: _Page(file) for file in site.rglob("*.html")}


def _inner_links(pages: dict[Path, _Page]) -> Iterator[tuple[Path, Path, str]]:
    for file, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if not (parts.scheme or parts.netloc):
                yield (
                    file,
                    (file.parent / unquote(parts.path)) if parts.path else file,
                    unquote(parts.fragment),
                )


def test_site_has_every_document_and_each_in_its_language(site: Path, pages: dict[Path, _Page]) -> None:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    assert len(documents) > 20
    for document in documents:
        page = pages[site / document.relative_to(ROOT).with_suffix(".html")]
        is_chinese = "zh-TW" in str(document.relative_to(ROOT))
        assert page.language == ("zh-TW" if is_chinese else "en"), document


def test_site_links_lead_to_a_page_and_a_place_in_it(pages: dict[Path, _Page]) -> None:
    links = list(_inner_links(pages))
    assert len(links) > 1000
    broken = [
        (str(file), str(target), place)
        for file, target, place in links
        if not target.exists()
        or (place and target.resolve() in pages and place not in pages[target.resolve()].places)
    ]
    assert broken == []


def test_site_page_when_opened_loads_nothing_from_elsewhere(pages: dict[Path, _Page]) -> None:
    loaded = {address for page in pages.values() for address in page.loaded}
    assert len(loaded) > 5
    assert [address for address in loaded if urlsplit(address).netloc] == []


def test_site_reference_names_every_hook_every_error_and_every_replaced_call(site: Path) -> None:
    from xca_plugin import errors, hookspecs

    hooks = (site / "docs/reference/hooks.html").read_text(encoding="utf-8")
    for name in (name for name in vars(hookspecs) if name.startswith("xca_")):
        assert f'id="xca_plugin.hookspecs.{name}"' in hooks
    families = (site / "docs/reference/errors.html").read_text(encoding="utf-8")
    for error in (each for each in vars(errors).values() if isinstance(each, type)):
        if error.__module__ == errors.__name__ and not error.__name__.startswith("_"):
            assert f'id="xca_plugin.errors.{error.__name__}"' in families
    calls = re.findall(
        r"^XCA_\w+\((C_\w+)\)$", (ROOT / "pkcs11_shim/src/replaced.def").read_text(), re.MULTILINE
    )
    table = (ROOT / "docs/reference/module.md").read_text(encoding="utf-8")
    assert len(calls) > 25
    assert [call for call in calls if not re.search(rf"^\| .*\b{call}\b.* \|", table, re.MULTILINE)] == []


_NOT_CALLED: Final = re.compile(
    r"cli|commands|der|extras|holder|i18n|keys|pytest_plugin|(demo|oidc)\..*|integrations\.django\.(admin|apps|configured|"
    r"models|migrations\..*)|testing\.\w+_cases"
)
"""Modules of xca_login that no site calls. The reference has Django's models one by one."""


def test_site_reference_names_whatever_a_site_calls_for_logins(site: Path) -> None:
    folder = ROOT / "login" / "xca_login"
    page = (site / "docs/reference/login.html").read_text(encoding="utf-8")
    found = 0
    for file in folder.rglob("*.py"):
        module = ".".join(file.relative_to(folder).with_suffix("").parts)
        if _NOT_CALLED.fullmatch(module):
            continue
        for name in re.findall(
            r"^(?:async )?(?:def|class) ([A-Za-z]\w*)", file.read_text("utf-8"), re.MULTILINE
        ):
            found += 1
            assert f'id="xca_login.{module}.{name}"' in page
    assert found > 150


@pytest.mark.parametrize("searched", ["開卡作業", "鎖卡", "2202", "CKR_PIN_EXPIRED"])
def test_site_search_for_a_word_or_a_number_finds_the_page(
    site: Path, searched: str, playwright: Playwright
) -> None:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    page = browser.new_page()
    page.goto(f"{site.as_uri()}/search.html?q={searched}")
    page.wait_for_selector("#search-results li a")
    found = page.locator("#search-results li a").evaluate_all("links => links.map(each => each.href)")
    browser.close()
    assert any("docs/troubleshooting.html" in each for each in found), found
