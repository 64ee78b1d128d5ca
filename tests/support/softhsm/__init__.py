# SPDX-License-Identifier: Apache-2.0
"""The command softhsm-card, and what looks at its cards."""
