# SPDX-License-Identifier: Apache-2.0
"""Each writing call of each request fails once: the page says what happened; no part of a file is left."""

import errno
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from softhsm.card_fixture import CardFixture
from support.agent.agent_process import configure
from support.agent.component_client import SITE
from support.faults.fault_server import FaultServer, fault_server
from support.faults.forking import NOT_REACHED
from support.faults.kept_folder import KeptFolder
from support.inherited import INHERITED

pytestmark = pytest.mark.slow

OTHER = "https://other.example.gov.tw"
NEW_PIN = "5g8!Rw2"
KINDS = {
    "open": errno.EACCES,
    "write": errno.ENOSPC,
    "fsync": errno.EIO,
    "rename": errno.EPERM,
    "close": errno.EIO,
}
"""Kinds of calls, and the error of each."""
MOST_CALLS = 40
NOTES = ("sites-asked.json", "trusted-sites.lock", "blind-sites.lock")
"""Files that a request may write besides; nobody need be told if it cannot."""
NEXT_STEP = "Then do it again|Make room on the disk|repeat"


@dataclass(frozen=True)
class Case:
    """A request that writes.

    Attributes:
        do: the method of support.faults.pages.Person that sends it.
        more: its arguments.
        site: the web site that it is about.
        done: words of the answer if it was carried out; None: an answer without a problem.
        file: the file of the configuration that it changes; None: none.
    """

    do: str
    more: Sequence[str] = ()
    site: str = ""
    done: str | None = None
    file: str | None = None


CASES = {
    "word": Case("word", file="agent-word"),
    "a site is trusted": Case("change_sites", ["add"], "https://new.example.gov.tw", file="trusted-sites"),
    "a site is trusted in its window": Case(
        "add_site", (), "https://new.example.gov.tw", file="trusted-sites"
    ),
    "a site is trusted no longer": Case("change_sites", ["remove"], SITE, file="trusted-sites"),
    "blind requests, off": Case("change_sites", ["see"], OTHER, file="blind-sites"),
    "blind requests, on": Case("switch_blind_on", file="blind-sites"),
    "a site asks": Case("ask_as_site", file="sites-asked.json"),
    "PIN": Case("change_pin", done="The PIN is changed"),
    "upload": Case("upload"),
    "sign": Case("file_job", ["/files/sign"], done="All files are in order."),
    "verify": Case("file_job", ["/files/verify"], done="All files are in order."),
    "encrypt": Case("file_job", ["/files/encrypt"], done="All files are in order."),
    "decrypt": Case("file_job", ["/files/decrypt"], done="All files are in order."),
}


@pytest.fixture(scope="module")
def server(active_card: CardFixture, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultServer]:
    with fault_server(
        "pages", variables(active_card, Path("/")), tmp_path_factory.mktemp("faults")
    ) as server:
        yield server


def variables(card: CardFixture, home: Path) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**inherited, "LANG": "C.UTF-8", **card.variables, "HOME": str(home), "TMPDIR": str(home / "tmp")}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_call_that_fails_is_told_on_the_page_with_the_next_step(
    server: FaultServer, active_card: CardFixture, tmp_path: Path, case: Case
) -> None:
    home = tmp_path / "desk"
    card = active_card.copy(home / "card")
    (home / "tmp").mkdir()
    configure(home, trusted=(SITE, OTHER))
    (home / ".config/xca/blind-sites").write_text(f"{OTHER}\n")
    desk = KeptFolder(home, tmp_path / "kept")
    said: dict[str, Any] = {
        "do": case.do,
        "with": case.more,
        "site": case.site,
        "card": card.number,
        "pin": card.pin,
        "new_pin": NEW_PIN,
    }
    environment = variables(card, home)

    def settings() -> dict[str, bytes]:
        return {
            file.name: file.read_bytes()
            for file in (home / ".config/xca").iterdir()
            if file.name == case.file or file.name not in NOTES
        }

    def is_done(answer: dict[str, Any]) -> bool:
        if case.done is None:
            return answer["status"] < 400 and "cannot be used" not in answer["text"]
        return case.done in answer["text"]

    before = settings()
    whole = server.run(environment, home, **said)
    assert whole.status == 0, whole
    assert is_done(whole.json), whole
    after = settings()
    assert (case.file is not None) == (after != before)
    hits = 0
    for kind, error in KINDS.items():
        for nth in range(1, MOST_CALLS):
            desk.put_back()
            result = server.run(environment, home, kind, nth, error, **said)
            where = f"{kind} {nth}: {result}"
            for word in ("nexpected", "Traceback", "Exception ignored", "OSError", str(card.pin), NEW_PIN):
                assert word not in result.out + result.err, where
            assert not list(home.rglob(".xca-*")), where
            assert not list((home / "tmp").iterdir()), where
            if result.status == NOT_REACHED:
                break
            hits += 1
            assert result.status == 0, where
            answer = result.json
            assert answer["status"] != 500, where
            if is_done(answer):
                assert case.file in NOTES or settings().keys() == after.keys(), where
            else:
                assert settings() == before, where
                assert re.search(NEXT_STEP, answer["text"]), where
    assert hits > 0
