# SPDX-License-Identifier: Apache-2.0
"""Fixtures for other projects' tests: a running certificate centre, and cards at every point of their life.

pytest loads this file in every project of the machine. So a fixture imports what it needs when it is used.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xca_centre.sandbox.trial_cards import TrialCard, TrialCentre


@pytest.fixture(scope="session")
def xca_centre() -> "Iterator[TrialCentre]":
    """A running centre with two officers and 20 organisations; all tests share it, and its clock."""
    from xca_centre.sandbox.trial_cards import TrialCentre
    from xca_common.scratch import scratch_folder

    with scratch_folder() as folder, TrialCentre.running(folder / "centre") as running:
        yield running


@pytest.fixture
def xca_applied_card(xca_centre: "TrialCentre") -> "TrialCard":
    """A card that was applied and paid for."""
    return xca_centre.apply()


@pytest.fixture
def xca_reviewed_card(xca_centre: "TrialCentre", xca_applied_card: "TrialCard") -> "TrialCard":
    """A card whose application has passed both reviews; it is being made."""
    return xca_centre.review(xca_applied_card)


@pytest.fixture
def xca_made_card(xca_centre: "TrialCentre", xca_reviewed_card: "TrialCard") -> "TrialCard":
    """A card as it comes to its holder: not activated (未開卡), its certificates not accepted."""
    return xca_centre.wait_until_made(xca_reviewed_card)


@pytest.fixture
def xca_accepted_card(xca_centre: "TrialCentre", xca_made_card: "TrialCard") -> "TrialCard":
    """An activated card whose certificates are valid (有效)."""
    return xca_centre.accept(xca_made_card)


@pytest.fixture
def xca_suspended_card(xca_centre: "TrialCentre", xca_accepted_card: "TrialCard") -> "TrialCard":
    """An activated card whose certificates are suspended (停用)."""
    return xca_centre.suspend(xca_accepted_card)
