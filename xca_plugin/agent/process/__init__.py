# SPDX-License-Identifier: Apache-2.0
"""The agent as a program: its application, server, port, service and settings."""
