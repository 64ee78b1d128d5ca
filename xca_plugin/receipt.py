# SPDX-License-Identifier: Apache-2.0
"""The record of an activation (docs/schema/receipt.schema.json). It holds no secret."""

from contextlib import suppress
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from xca_common.harmless_text import harmless_json
from xca_plugin.model import Card


def activation(card: Card, at: datetime, program: str) -> bytes:
    """Return the record, as JSON.

    Args:
        card: the card after its activation.
        at: the time of the activation, with its zone.
        program: name of the program that activated it; its version is added.
    """
    with suppress(PackageNotFoundError):  # run from the sources
        program = f"{program} {version('xca-plugin')}"
    record: dict[str, Any] = {
        "event": "activate",
        "at": at.isoformat(timespec="seconds"),
        "card": card.number,
        "reader": card.reader,
        "holder": card.certificate.holder if card.certificate else None,
        "certificate_sha256": card.certificate.sha256 if card.certificate else None,
        "state": card.state.value,
        "program": program,
    }
    return harmless_json(record).encode() + b"\n"
