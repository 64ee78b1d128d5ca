# SPDX-License-Identifier: Apache-2.0
"""Certificates, the ways to a trusted one, revocation, and the ASN.1 of what is signed. No card is needed."""
