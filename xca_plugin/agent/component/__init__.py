# SPDX-License-Identifier: Apache-2.0
"""The protocol that web sites speak with the computer's own component: requests, consent, answers."""
