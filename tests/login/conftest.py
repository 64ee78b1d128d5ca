# SPDX-License-Identifier: Apache-2.0
"""A database server for all tests of this folder."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine

from support.postgresql import postgresql


@pytest.fixture(scope="session")
def server() -> Iterator[Engine]:
    """A server of PostgreSQL."""
    with postgresql() as url:
        engine = create_engine(url)
        yield engine
        engine.dispose()
