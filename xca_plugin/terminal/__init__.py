# SPDX-License-Identifier: Apache-2.0
"""Output and questions at a terminal, for the commands of xcactl and for pyHanko's commands with a card.

Questions and remarks go to stderr, results to stdout.
"""
