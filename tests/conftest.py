# SPDX-License-Identifier: Apache-2.0
"""What pytest leaves alone below this folder, and what all that the tests start inherits."""

import signal

collect_ignore = ["downstream"]  # another project: tools/test_downstream.py builds and tests it

# What a script starts in its background ignores Ctrl-C, and so would every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
