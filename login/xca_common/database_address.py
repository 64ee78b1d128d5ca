# SPDX-License-Identifier: Apache-2.0
"""Addresses of databases. It needs SQLAlchemy, which only extras bring."""

from sqlalchemy import URL


def holds_password(address: URL) -> bool:
    """Tell whether an address holds a password: whoever reads the file that it stands in has it."""
    return address.password is not None or any("password" in name.lower() for name in address.query)
