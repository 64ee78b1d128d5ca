# SPDX-License-Identifier: Apache-2.0
"""The same through the agent: its pages, and a site that asks for signatures."""

from pathlib import Path

from support.agent.agent_process import configure, running
from support.agent.component_client import SITE, SiteClient, verify
from support.agent.page_visitor import WRONG, visiting
from support.cli.xcactl import NEW_PIN, PIN
from support.virtual_card import card_files
from support.virtual_card.card_in_reader import CODE, CardInReader
from support.virtual_card.myeid_card import Instruction

WRONG_PIN = 35  # exit status of xcactl
SIGN = {"func": "MakeSignature", "tbs": "text", "tbsEncoding": "NONE", "hashAlgorithm": "SHA256"}


def test_pages_activate_change_and_reset_a_card_that_counts(closed: CardInReader, tmp_path: Path) -> None:
    configure(tmp_path)
    with running(tmp_path, closed.variables) as agent:
        with visiting(agent) as visitor:
            agreed = {"agreed": "yes"}
            assert "not activated" in visitor.see("/")
            assert "user code is wrong" in visitor.fill("/activate", "wrong-A", PIN, **agreed)
            assert closed.card.tries(card_files.USER_CODE) == 2
            assert "The card is activated." in visitor.fill("/activate", CODE, PIN, **agreed)
            assert "PIN is wrong" in visitor.fill("/change-pin", WRONG[0], NEW_PIN, **agreed)
            assert closed.card.tries(card_files.PIN) == 2
            assert "The PIN is changed." in visitor.fill("/change-pin", PIN, NEW_PIN, **agreed)
            closed.card.set_tries(card_files.PIN, 0)
            assert "PIN locked" in visitor.see("/")
            assert "is unlocked" in visitor.fill("/reset-pin", CODE, PIN, **agreed)
            assert closed.card.holds(card_files.PIN, PIN)
        for secret in (CODE, PIN, NEW_PIN, *WRONG):
            assert secret not in agent.log


def test_site_gets_signatures_of_a_card_that_counts(real: CardInReader, tmp_path: Path) -> None:
    configure(tmp_path, allow=SITE)
    with running(tmp_path, real.variables) as agent:
        site = SiteClient(agent)
        verify(site.post("/sign", {**SIGN, "pin": PIN}), "sha256", b"text", tmp_path)
        assert site.post("/sign", {**SIGN, "pin": "wrong-1"})["ret_code"] != 0
        assert real.card.tries(card_files.PIN) == 2
        verify(site.post("/sign", {**SIGN, "pin": PIN}), "sha256", b"text", tmp_path)
        assert real.card.tries(card_files.PIN) == 3


def test_agent_goes_on_after_a_pull_and_a_restart_of_the_daemon(real: CardInReader, tmp_path: Path) -> None:
    configure(tmp_path, allow=SITE)
    with running(tmp_path, real.variables) as agent, visiting(agent) as visitor:
        site = SiteClient(agent)
        verify(site.post("/sign", {**SIGN, "pin": PIN}), "sha256", b"text", tmp_path)
        real.pull_at(Instruction.PERFORM_OPERATION, after_effect=True)
        assert site.post("/sign", {**SIGN, "pin": PIN})["ret_code"] != 0
        assert card_files.NUMBER not in visitor.see("/")
        real.insert()
        assert card_files.NUMBER in visitor.see("/")
        verify(site.post("/sign", {**SIGN, "pin": PIN}), "sha256", b"text", tmp_path)
        real.reader.stop_daemon()
        assert site.post("/sign", {**SIGN, "pin": PIN})["ret_code"] != 0
        real.reader.start_daemon()
        real.insert()
        verify(site.post("/sign", {**SIGN, "pin": PIN}), "sha256", b"text", tmp_path)
        assert real.card.tries(card_files.PIN) == 3


def test_agent_and_xcactl_at_once_have_one_card(real: CardInReader, tmp_path: Path) -> None:
    configure(tmp_path, allow=SITE)
    real.configure("[quirks]", "hash = module", "[guard]", "keep_last_try = yes")
    with running(tmp_path, real.variables) as agent, visiting(agent) as visitor:
        site = SiteClient(agent)
        verify(site.post("/sign", {**SIGN, "pin": PIN}), "sha256", b"text", tmp_path)
        workspace = real.workspace()
        changed = workspace.run(
            "pin", "change", "--yes", "--pin", "stdin", "--new-pin", "stdin", stdin=f"{PIN}\n{NEW_PIN}\n"
        )
        assert changed.status == 0
        verify(site.post("/sign", {**SIGN, "pin": NEW_PIN}), "sha256", b"text", tmp_path)
        for left in (2, 1):
            wrong = workspace.run("pin", "verify", "--yes", "--pin", "stdin", stdin=f"wrong-{left}\n")
            assert wrong.status == WRONG_PIN
            assert real.card.tries(card_files.PIN) == left
        assert site.post("/sign", {**SIGN, "pin": NEW_PIN})["ret_code"] != 0  # the guard keeps the last try
        assert "Nothing was tried" in visitor.fill("/change-pin", NEW_PIN, PIN, agreed="yes")
        assert real.card.tries(card_files.PIN) == 1
        assert "The PIN is changed." in visitor.fill(
            "/change-pin", NEW_PIN, PIN, agreed="yes", last_try="last try"
        )
        assert real.card.holds(card_files.PIN, PIN)
