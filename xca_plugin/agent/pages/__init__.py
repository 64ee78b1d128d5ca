# SPDX-License-Identifier: Apache-2.0
"""The person's own pages: the card, its PIN, the self-test."""
