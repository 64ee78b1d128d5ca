# SPDX-License-Identifier: Apache-2.0
"""python -m xca_plugin.cli: the same as xcactl."""

from xca_plugin.cli import main

main()
