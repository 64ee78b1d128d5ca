# SPDX-License-Identifier: Apache-2.0
"""What several tests use. A folder here serves the tests in the folder of the same name."""
