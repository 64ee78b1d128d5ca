# SPDX-License-Identifier: Apache-2.0
"""Logins in web frameworks: one module for each. Each needs the extra of xca-login with its name."""
