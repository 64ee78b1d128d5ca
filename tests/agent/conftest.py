# SPDX-License-Identifier: Apache-2.0
"""Running agents, the application without a process, and the browsers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect
from starlette.testclient import TestClient

from softhsm.card_fixture import CardFixture
from support.agent.agent_process import CHROMIUM, FLAGS, Agent, Start, configure, running
from support.agent.browser_tab import Tab
from support.agent.chromium import Chromium
from support.agent.component_client import SITE, SiteClient
from support.agent.firefox import Connection, firefox
from xca_plugin.agent.process.app import create_app
from xca_plugin.agent.process.settings import PagePin, Settings
from xca_plugin.agent.process.state import AgentState
from xca_plugin.agent_port import PORT

PATIENCE = 30_000  # milliseconds: a busy machine may stop for a while
expect.set_options(timeout=PATIENCE)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """The agent's application in the test's own process, for requests that need no card."""
    settings = Settings(PORT, PagePin.ACCEPT, frozenset({SITE}), tmp_path / "trusted-sites")
    with TestClient(create_app(AgentState.create(settings)), base_url=settings.origins()[0]) as client:
        yield client


@pytest.fixture
def start_agent(tmp_path: Path) -> Iterator[Start]:
    """Start agents: start_agent(card, trusted=[origin], page_pin="ask", allow=origin, port=0)."""
    with ExitStack() as stack:
        count = 0

        def start(
            card: CardFixture, *, trusted: tuple[str, ...] = (), port: int = 0, **settings: str
        ) -> Agent:
            nonlocal count
            count += 1
            home = tmp_path / f"home-{count}"
            configure(home, trusted=trusted, **settings)
            return stack.enter_context(running(home, card.variables, port))

        yield start


@pytest.fixture(scope="session")
def active_card(_xca_first_cards: Callable[[str], CardFixture]) -> Iterator[CardFixture]:
    """An activated card that many tests share and must not change."""
    with TemporaryDirectory(prefix="xca-") as folder:
        yield _xca_first_cards("active").copy(Path(folder) / "card")


@pytest.fixture(scope="session")
def allowed(active_card: CardFixture, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteClient]:
    """A site that may sign without asking and make blind requests, and the agent that many tests share."""
    home = tmp_path_factory.mktemp("allowed")
    configure(home, allow=SITE, blind=SITE)
    with running(home, active_card.variables) as agent:
        yield SiteClient(agent)


@pytest.fixture(scope="session")
def shared(active_card: CardFixture, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """An agent that many tests share, each with a site of its own. They must not change its card."""
    home = tmp_path_factory.mktemp("shared")
    configure(home)
    with running(home, active_card.variables) as agent:
        yield agent


@pytest.fixture
def agent(start_agent: Start, xca_active_card: CardFixture) -> Agent:
    """A running agent with an activated card."""
    return start_agent(xca_active_card)


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Debian's Chromium, which blocks pop-ups as it does for a person."""
    browser = playwright.chromium.launch(
        executable_path=CHROMIUM, args=[*FLAGS], ignore_default_args=["--disable-popup-blocking"]
    )
    yield browser
    browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A new profile, in Chinese, whose windows have sizes of their own."""
    context = browser.new_context(locale="zh-TW", no_viewport=True)
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """An empty tab."""
    return context.new_page()


@pytest.fixture(scope="session")
def firefox_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """Debian's Firefox. Each test has a tab with a new profile."""
    with firefox(tmp_path_factory.mktemp("firefox")) as connection:
        yield connection


@pytest.fixture
def firefox_tab(firefox_browser: Connection) -> Iterator[Tab]:
    """An empty tab of Firefox."""
    with firefox_browser.tab() as tab:
        yield tab


@pytest.fixture(params=["chromium", "firefox"])
def tab(request: pytest.FixtureRequest) -> Tab:
    """An empty tab, once of each browser."""
    if request.param == "firefox":
        tab: Tab = request.getfixturevalue("firefox_tab")
        return tab
    return Chromium(request.getfixturevalue("page"))
