# SPDX-License-Identifier: Apache-2.0
"""The agent's own pages for the card holder: the card, its PIN, the self-test."""
