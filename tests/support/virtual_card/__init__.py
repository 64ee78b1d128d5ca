# SPDX-License-Identifier: Apache-2.0
"""A card in a virtual reader, and OpenSC's module as the inner module."""
