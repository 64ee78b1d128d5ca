# SPDX-License-Identifier: Apache-2.0
"""The environment variables that programs started by tests inherit."""

from typing import Final

INHERITED: Final = ("PATH", "PYTHONPATH", "COVERAGE_PROCESS_CONFIG")
"""Variables that are passed on: where programs and modules are, and that lines are counted (coverage)."""
