# SPDX-License-Identifier: Apache-2.0
"""Checks of everything that a card needs, from the module to the clock, each with its finding and advice.

No check costs a try, and each has a time limit. A check that fails is often the reason why later ones fail.
"""
