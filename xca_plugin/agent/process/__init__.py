# SPDX-License-Identifier: Apache-2.0
"""The agent as a process: application, server, settings, service, card worker and shared state."""
