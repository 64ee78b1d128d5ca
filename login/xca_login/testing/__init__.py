# SPDX-License-Identifier: Apache-2.0
"""A kit for tests of login verifiers, this one or another."""
