# SPDX-License-Identifier: Apache-2.0
"""Errors of the project with invented facts."""

from dataclasses import fields

from xca_common.errors import XcaError


def with_facts(kind: type[XcaError]) -> XcaError:
    """Return an error of a class; each fact is its own name, numbers of tries are unknown."""
    invented = {fact.name: f"<{fact.name}>" for fact in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    special = {"tries_left": None, "reasons": ["Because."], "numbers": ["<number>", "<number>"]}
    return kind(**{name: special.get(name, fact) for name, fact in invented.items()})
