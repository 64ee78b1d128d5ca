# SPDX-License-Identifier: Apache-2.0
"""The centre's pages for tests: over a database, with CAs whose keys are in software."""

from starlette.testclient import TestClient

from support.centre.authority import REPOSITORY, issuer, root
from xca_centre.authority.hierarchy import Hierarchy
from xca_centre.issuer_rules import Issuer, load
from xca_centre.store.database import Clock, Database
from xca_centre.web.app import application
from xca_centre.web.frame import Frame

ORIGIN = "https://centre.test"
PERSON = {"Accept": "text/html", "Accept-Language": "zh-TW"}
"""Headers of a person's browser that prefers Chinese."""
ENGLISH = {"Accept": "text/html", "Accept-Language": "en"}


class SoftHierarchy(Hierarchy):
    """CAs whose keys are in software (support.centre.authority), without folder or token."""

    def __init__(self) -> None:
        self.repository, self.root = REPOSITORY, root().certificate  # type: ignore[misc]  # not begun in a folder
        self.generations = {2: issuer(2)}  # type: ignore[misc]  # likewise


def frame_of(database: Database, clock: Clock) -> Frame:
    """Return the frame of a centre over a database."""
    return Frame(database, load(Issuer.TEST), SoftHierarchy(), ORIGIN, clock)


def browser(frame: Frame) -> TestClient:
    """Return a browser of a person at the centre; its posts come from the centre's own pages."""
    headers = {**PERSON, "Origin": frame.origin}
    return TestClient(application(frame), base_url=frame.origin, headers=headers, follow_redirects=False)
