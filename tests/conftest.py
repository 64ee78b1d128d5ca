# SPDX-License-Identifier: Apache-2.0
"""Collection of tests: lanes, a folder left out; signals for programs that tests start; Playwright."""

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

# It adds names to asn1crypto's, and does that wrongly after asn1crypto has looked one up.
import pyhanko.pdf_utils.crypt.pdfmac  # noqa: F401
import pytest
from hypothesis import settings
from playwright.sync_api import Playwright, sync_playwright

collect_ignore = ["downstream"]  # another project: tools/test_downstream.py builds and tests it

LANES: Final = frozenset({"fast", "integration", "browser", "slow", "soak"})
FOLDERS: Final = {
    "agent": "integration",
    "centre": "fast",
    "cli": "integration",
    "common": "fast",
    "login": "fast",
    "module": "fast",
    "plugin": "fast",
    "softhsm": "integration",
    "tools": "integration",
    "virtual_card": "integration",
}
"""The lane of a folder's tests; a test or a module that is marked otherwise is in that lane."""

# A test is the same each time, on a busy machine too; a soak tries new values.
settings.register_profile("same", deadline=None, derandomize=True, database=None)
settings.load_profile("same")

# What a script starts in its background ignores Ctrl-C. What nohup starts ignores the end of its terminal.
# So would every program to which a test sends these signals.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """See that every test is in one lane.

    Raises:
        pytest.UsageError: a test is in no lane, or in several.
    """
    for item in items:
        lanes = {mark.name for mark in item.iter_markers()} & LANES
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if not lanes and folder in FOLDERS:
            lanes = {FOLDERS[folder]}
            item.add_marker(FOLDERS[folder])
        if len(lanes) != 1:
            raise pytest.UsageError(
                f"{item.nodeid} is in {len(lanes)} lanes {sorted(lanes)}; mark it with one of {sorted(LANES)}"
            )


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Playwright. While it runs, no other test of this process can run an event loop of its own."""
    with sync_playwright() as playwright:
        yield playwright
