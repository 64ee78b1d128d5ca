# SPDX-License-Identifier: Apache-2.0
"""Jobs with files on the agent's own pages: to sign, verify, encrypt and decrypt them."""
