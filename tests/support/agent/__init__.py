# SPDX-License-Identifier: Apache-2.0
"""The agent's process, and who talks to it."""
