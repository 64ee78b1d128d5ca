# SPDX-License-Identifier: Apache-2.0
"""The command xcactl, and what surrounds it."""
