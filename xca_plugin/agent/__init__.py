# SPDX-License-Identifier: Apache-2.0
"""The local agent: the program behind http://localhost:61161, for web sites and for the card holder."""
