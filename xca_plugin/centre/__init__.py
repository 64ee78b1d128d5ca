# SPDX-License-Identifier: Apache-2.0
"""The client of the centre that issued a card (憑證管理中心): a built-in plugin."""
