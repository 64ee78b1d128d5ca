# SPDX-License-Identifier: Apache-2.0
"""Every test is in one lane, and one that hangs is ended."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration  # starts many programs

TESTS = Path(__file__).parent
PROJECT = TESTS.parent / "pyproject.toml"


def run(
    folder: Path, source: str, *options: str, inside: str = "other"
) -> "subprocess.CompletedProcess[str]":
    """Run a test module as if it stood in a folder of the tests."""
    shutil.copy(PROJECT, folder)
    (folder / "tests" / inside).mkdir(parents=True)
    shutil.copy(TESTS / "conftest.py", folder / "tests")
    (folder / "tests" / inside / "test_sample.py").write_text(source)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "tests"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_lane_of_a_test_in_none_is_an_error(tmp_path: Path) -> None:
    done = run(tmp_path, "def test_sample_passes(): pass\n")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "test_sample_passes is in 0 lanes" in done.stderr


def test_lane_of_a_test_in_two_is_an_error(tmp_path: Path) -> None:
    marks = (
        "import pytest\npytestmark = pytest.mark.slow\n@pytest.mark.fast\ndef test_sample_passes(): pass\n"
    )
    done = run(tmp_path, marks, inside="plugin")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "test_sample_passes is in 2 lanes ['fast', 'slow']" in done.stderr


def test_lane_of_a_test_without_a_mark_is_its_folders(tmp_path: Path) -> None:
    done = run(tmp_path, "def test_sample_passes(): pass\n", "-m", "fast", inside="plugin")
    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("hanging", "said"),
    [
        ("subprocess.run(['sleep', '60'])", "Failed: Timeout"),
        # Twice: nobody unlocks it, and no signal ends the wait.
        ("[ctypes.CDLL(None).pthread_mutex_lock(mutex) for _ in (1, 2)]", "Timeout (0:00:0"),
    ],
    ids=["in Python", "in C"],
)
def test_timeout_of_a_test_ends_it_and_says_where(tmp_path: Path, hanging: str, said: str) -> None:
    source = f"import ctypes, subprocess\nmutex = bytes(64)\ndef test_sample_passes():\n    {hanging}\n"
    options = ("-o", "timeout=1", "-o", "faulthandler_timeout=3")
    done = run(tmp_path, source, *options, inside="plugin")
    assert done.returncode != 0
    assert said in done.stdout + done.stderr
    assert "test_sample.py" in done.stdout + done.stderr
