# SPDX-License-Identifier: Apache-2.0
"""The component answers any request as docs/openapi.yaml says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from softhsm.card_fixture import CardFixture
from support.agent.agent_process import Agent, configure, running
from support.agent.component_client import SITE

DESCRIPTION = schemathesis.openapi.from_path(Path(__file__).parents[2] / "docs" / "openapi.yaml")
# Its systematic cases are thousands of requests that should be rejected.
DESCRIPTION.config.phases.coverage.enabled = False
# The checks for rejected data do not apply: the component answers every request with 200.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
SESSION = requests.Session()


@pytest.fixture(scope="module")
def fuzzed(active_card: CardFixture, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """An agent with a card that the tests may lock."""
    home = tmp_path_factory.mktemp("fuzzed")
    configure(home, allow=SITE)
    with running(home, active_card.copy(home / "card").variables) as agent:
        yield agent


def answers_as_described(case: schemathesis.Case[Any], fuzzed: Agent) -> None:
    origin = fuzzed.url if case.path in ("/popup", "/popup/question", "/addDomain") else SITE
    case.call_and_validate(base_url=fuzzed.url, headers={"Origin": origin}, checks=CHECKS, session=SESSION)


@pytest.mark.slow
@DESCRIPTION.parametrize()
@settings(max_examples=15, derandomize=True, suppress_health_check=list(HealthCheck))
def test_component_fuzzed_answers_as_documented(case: schemathesis.Case[Any], fuzzed: Agent) -> None:
    answers_as_described(case, fuzzed)


@pytest.mark.soak
@DESCRIPTION.parametrize()
@settings(max_examples=2_000, derandomize=False, suppress_health_check=list(HealthCheck))
def test_component_fuzzed_for_long_answers_as_documented(case: schemathesis.Case[Any], fuzzed: Agent) -> None:
    answers_as_described(case, fuzzed)
