# SPDX-License-Identifier: Apache-2.0
"""docs/architecture.md and its picture are the tree."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.fast

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["architecture.svg", "architecture.md"])
def test_architecture_document_is_what_the_sources_say(tmp_path: Path, name: str) -> None:
    # In a process of its own: it imports the sources, and not the installed packages.
    subprocess.run([sys.executable, ROOT / "tests" / "architecture.py", tmp_path], check=True)
    written = (tmp_path / name).read_text(encoding="utf-8")
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == written, "run python tests/architecture.py"


def test_architecture_document_links_to_files_that_are_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert len(links) > 100
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
