# SPDX-License-Identifier: Apache-2.0
"""A centre's pages over SQLite, and a browser."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from support.centre.cases import FOUNDATION, SCHOOL, with_organisations
from support.centre.web import Card, browser, frame_of
from support.moved_clock import MovedClock
from xca_centre.store.database import Database
from xca_centre.trial_provider import TrialProvider
from xca_centre.web.frame import Frame


@pytest.fixture
def frame(sqlite_address: str, clock: MovedClock, tmp_path: Path) -> Iterator[Frame]:
    """The frame of a centre that knows a school and a foundation."""
    database = Database(sqlite_address, clock)
    payments = TrialProvider(tmp_path / "payments")
    yield replace(frame_of(with_organisations(database), clock), payment_provider=payments)
    database.close()


@pytest.fixture
def client(frame: Frame) -> Iterator[TestClient]:
    """A browser at the centre."""
    with browser(frame) as client:
        yield client


@pytest.fixture
def school_card(frame: Frame) -> Card:
    """A secondary card (附卡) of the school, not accepted."""
    return Card(frame, "XC00000000000001", SCHOOL.oid, SCHOOL.name)


@pytest.fixture
def foundation_card(frame: Frame) -> Card:
    """A primary card (正卡) of the foundation, not accepted."""
    return Card(frame, "XC00000000000002", FOUNDATION.oid, FOUNDATION.name, "primary")
