# SPDX-License-Identifier: Apache-2.0
"""What the agent's tests share: agents, browsers, web sites and clients."""
