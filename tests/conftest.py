# SPDX-License-Identifier: Apache-2.0
"""What pytest leaves alone below this folder."""

collect_ignore = ["downstream"]  # another project: tools/test_downstream.py builds and tests it
