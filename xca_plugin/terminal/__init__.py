# SPDX-License-Identifier: Apache-2.0
"""Showing and asking at a terminal, for every command there: those of xcactl, and pyHanko's with a card.

Questions and remarks go to stderr; stdout is for results.
"""
