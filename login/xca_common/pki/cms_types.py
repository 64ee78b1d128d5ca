# SPDX-License-Identifier: Apache-2.0
"""The types of CMS (RFC 5652) as asn1crypto has them, with the attributes of time-stamps (RFC 3161)."""

# It gives them their names, but only if it is loaded before the first attribute of any kind is made.
import asn1crypto.tsp  # type: ignore[import-untyped]  # noqa: F401
from asn1crypto import cms

__all__ = ["cms"]
