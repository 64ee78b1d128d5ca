# SPDX-License-Identifier: Apache-2.0
"""The command xcactl, its JSON schemas, and a proxy for the addresses in certificates."""
