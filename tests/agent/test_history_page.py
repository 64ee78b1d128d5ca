# SPDX-License-Identifier: Apache-2.0
"""The page of what happened to a card."""

import pytest

from softhsm.card_fixture import CardFixture
from support.agent.agent_process import Start
from support.agent.page_visitor import WRONG, visiting


def test_history_of_a_card_lists_the_latest_event_first(
    start_agent: Start, xca_active_card: CardFixture
) -> None:
    number = xca_active_card.number
    with visiting(start_agent(xca_active_card)) as visitor:
        visitor.fill("/change-pin", WRONG[0], "5g8!Rw2", again="5g8!Rw2")
        said = visitor.see(f"/history?card={number.lower()}")
        assert said.index("wrong") < said.index("activated") < said.index("card issued")
        assert number in visitor.see("/history")
        for secret in (WRONG[0], str(xca_active_card.pin), xca_active_card.user_code):
            assert secret not in said


@pytest.mark.parametrize("number", ["XC00000000000000", "<b>\u202e"])
def test_history_of_an_unknown_card_is_empty(
    start_agent: Start, xca_active_card: CardFixture, number: str
) -> None:
    with visiting(start_agent(xca_active_card)) as visitor:
        page = visitor.client.get("/history", params={"card": number})
        assert "Nothing is recorded." in page.text
        assert "<b>" not in page.text.lower()
        assert "\u202e" not in page.text
