# SPDX-License-Identifier: Apache-2.0
"""A site's side of sealed bids: what it keeps, and what proves years later that it kept it."""
