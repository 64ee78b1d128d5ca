# SPDX-License-Identifier: Apache-2.0
"""The command softhsm-card, and programs that read its cards."""
