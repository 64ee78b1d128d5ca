# SPDX-License-Identifier: Apache-2.0
"""The local agent: what web pages and people reach at http://localhost:61161."""
