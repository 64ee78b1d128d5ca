# SPDX-License-Identifier: Apache-2.0
"""Certificates, the ways to a trusted one, revocation, and the ASN.1 of what is signed. No card is needed."""

import asn1crypto.tsp  # type: ignore[import-untyped]  # noqa: F401  # asn1crypto knows its names only if it is loaded first
