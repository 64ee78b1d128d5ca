# SPDX-License-Identifier: Apache-2.0
"""Whatever strangers, holders and officers send to any page, the centre answers in words and never fails."""

import re
from collections.abc import Iterator
from uuid import uuid4

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from support.centre.applicant import begun, uploaded
from support.centre.staff import officer_in
from support.centre.web import Card
from xca_centre.life.certificate import CertificateEvent
from xca_centre.web.app import PAGES
from xca_centre.web.frame import UPLOADS, Frame

pytestmark = pytest.mark.slow

NAMES = [
    "name",
    "organisation",
    "wanted",
    "rank",
    "number",
    "serial",
    "card",
    "code",
    "user_code",
    "user_code_again",
    "state",
    "act",
    "next",
    "event",
    "reason",
    "ground",
    "token",
    "secret",
    "issued_from",
    "version",
    "to",
    "consent",
    "contact_name",
    "applicant_email",
    "request",
    "revision",
    "case",
    "kind",
    "uploaded",
]
"""Names of fields; a form has 32 at most."""
HOSTILE = (
    *("", "\x00", "a\x00b", "'\"><script>", "-1", "9" * 100, "𠮷" * 30, "../../etc/passwd", "%00", "\u2060"),
    b"\xed\xa0\x80",
)
MULTIPART = ("multipart/form-data; boundary=x", "multipart/form-data")


@pytest.fixture(params=["nobody", "holder", "both", "op"])
def visitor(
    request: pytest.FixtureRequest, frame: Frame, client: TestClient, school_card: Card
) -> Iterator[TestClient]:
    """A browser of a stranger, a holder, or an officer of one or another role."""
    school_card.happen(CertificateEvent.ACCEPT)
    if request.param == "holder":
        assert school_card.log_in(client) == 200
    if request.param in ("nobody", "holder"):
        yield client
    else:
        with officer_in(frame, request.param) as officer:
            yield officer


def path_of(route: Route, known: dict[str, str], value: str | bytes) -> str:
    """The address of a route, with values of its parameters that lead somewhere where they are known."""

    def filled(found: re.Match[str]) -> str:
        if found[2]:
            return known.get(found[1], str(uuid4()))
        return re.sub(r"[^A-Za-z0-9-]", "", value)[:20] or "x" if isinstance(value, str) else "x"

    return re.sub(r"\{(\w+)(:\w+)?\}", filled, route.path)


def test_pages_answer_whatever_is_sent_in_words(visitor: TestClient, frame: Frame) -> None:
    known = {"draft": begun(visitor).rpartition("/")[2], "access": uploaded(visitor).rpartition("/")[2]}
    with frame.database.read() as connection:
        known["case"] = str(connection.exec_driver_sql("SELECT id FROM application").scalar())
    failed = []
    for route in (route for module in PAGES for route in module.routes(frame)):
        for value in HOSTILE:
            path = path_of(route, known, value)
            for method in (route.methods or set()) - {"HEAD"}:
                if method == "GET":
                    answers = [visitor.get(path, params=dict.fromkeys(NAMES, value))]
                elif path.endswith(UPLOADS):
                    content = value.encode() if isinstance(value, str) else value
                    parts = dict.fromkeys(NAMES, (None, content))
                    answers = [visitor.post(path, files=parts)]
                    answers += [
                        visitor.post(path, content=b"--x\r\n" + content, headers={"Content-Type": media})
                        for media in MULTIPART
                    ]
                else:
                    answers = [visitor.post(path, data=dict.fromkeys(NAMES, value))]
                failed += [
                    (method, route.path, value, answer.status_code)
                    for answer in answers
                    if answer.status_code >= 500
                ]
    assert failed == []
