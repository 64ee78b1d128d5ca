# SPDX-License-Identifier: Apache-2.0
"""xcactl accept, info and doctor against a centre in processes of its own, which is away meanwhile."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from xca_centre.sandbox.trial_cards import TrialCard, TrialCentre

pytestmark = pytest.mark.integration  # a whole centre

XCACTL = Path(sys.executable).with_name("xcactl")
PIN = "5g8!Rw2"


def xcactl(variables: Mapping[str, str], *words: str, **secrets: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [XCACTL, "--lang", "en", *words],
        env={**variables, **secrets},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def activate(variables: Mapping[str, str], card: TrialCard) -> None:
    sources = ("--user-code", "env:CODE", "--new-pin", "env:PIN")
    done = xcactl(
        variables, "activate", "--yes", "--card", card.number, *sources, CODE=card.user_code, PIN=PIN
    )
    assert done.returncode == 0, done.stderr


def status(variables: Mapping[str, str], card: TrialCard) -> tuple[str, str | None]:
    """The state of a card's certificates, and what is known of their acceptance, as xcactl info tells."""
    shown = xcactl(variables, "info", "--card", card.number, "--json")
    assert shown.returncode == 0, shown.stderr
    certificates = json.loads(shown.stdout)["certificates"]
    return certificates["state"], certificates["acceptance"]


def findings(variables: Mapping[str, str], card: TrialCard) -> dict[str, str]:
    """What xcactl doctor finds out about a card by asking its centre."""
    told = json.loads(xcactl(variables, "doctor", "--json").stdout)["findings"]
    asked = ("crl", "ocsp", "acceptance")
    return {
        each["check"]: each["outcome"]
        for each in told
        if each["card"] == card.number and each["check"] in asked
    }


def test_acceptance_reaches_a_centre_that_was_away_and_the_states_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "centre"
    with TrialCentre.running(folder) as centre:
        kept, other = (centre.wait_until_made(centre.review(centre.apply())) for _ in range(2))
        variables = centre.environment
        assert status(variables, kept) == ("on-hold", None)
        # Where no centre is configured, the activation accepts nothing.
        activate({**variables, "XDG_CONFIG_HOME": str(tmp_path / "empty")}, other)
        assert status(variables, other) == ("on-hold", None)
        done = xcactl(variables, "accept", "--yes", "--card", other.number, "--pin", "env:PIN", PIN=PIN)
        assert done.returncode == 0, done.stderr
        assert status(variables, other) == ("valid", "accepted")
    activate(variables, kept)
    assert status(variables, kept) == ("unknown", "kept")
    assert xcactl(variables, "accept", "--deliver").returncode == 96
    with TrialCentre.running(folder) as centre:
        assert xcactl(variables, "accept", "--deliver").returncode == 0
        assert status(variables, kept) == ("valid", "accepted")
        assert findings(variables, kept) == dict.fromkeys(("crl", "ocsp", "acceptance"), "passed")
        centre.suspend(kept)
        assert status(variables, kept) == ("suspended", "accepted")
        assert findings(variables, kept) == {"crl": "failed", "ocsp": "failed", "acceptance": "passed"}
