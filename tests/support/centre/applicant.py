# SPDX-License-Identifier: Apache-2.0
"""An applicant at the centre's pages, without a browser: the posts that the pages send."""

import re
from typing import Any

from starlette.testclient import TestClient

from support.centre.cases import CODE, FIELDS, SCHOOL

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TYPED = {name: value for name, value in FIELDS.items() if name not in ("rank", "consent")}


def begun(client: TestClient, wanted: str = "card", rank: str = "secondary", oid: str = SCHOOL.oid) -> str:
    """Begin a draft, and return its address."""
    asked = {"organisation": oid, "wanted": wanted, "rank": rank, "consent": FIELDS["consent"]}
    answer = client.post("/apply/terms", data=asked)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def post(client: TestClient, address: str) -> Any:
    """Send a form that has no fields."""
    return client.post(address, headers=FORM)


def filled(client: TestClient, draft: str, code: str = CODE, **fields: str) -> Any:
    """Fill in a form. The parts go as multipart/form-data, as the page sends them."""
    typed = {**TYPED, "user_code": code, "user_code_again": code, **fields}
    return client.post(f"{draft}/upload", files={name: (None, value) for name, value in typed.items()})


def sent(client: TestClient, **asked: str) -> str:
    """Apply for a card, and return the address of the draft that was uploaded."""
    draft = begun(client, **asked)
    assert filled(client, draft).headers["location"] == f"{draft}/check"
    answer = post(client, f"{draft}/send")
    assert answer.status_code == 303, answer.text
    return draft


def uploaded(client: TestClient, **asked: str) -> str:
    """Apply for a card, and return the address of its case."""
    return str(client.get(sent(client, **asked)).headers["location"]).partition("?")[0]


def number_of(page: str) -> str:
    """Return the case number that a page shows."""
    (number,) = {*re.findall(r"\d{5}(?:-\d{5}){4}", page)}
    return str(number)


def wrong(page: str) -> set[str]:
    """Return the fields that something is wrong with, as a page shows them."""
    return {*re.findall(r'id="([a-z_]+)-wrong"', page)}
