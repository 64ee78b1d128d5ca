# SPDX-License-Identifier: Apache-2.0
"""Modules that several tests share. A folder here serves the tests in the folder of the same name."""
