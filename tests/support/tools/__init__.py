# SPDX-License-Identifier: Apache-2.0
"""The other tools, as matrix/*.toml describes them."""
