# SPDX-License-Identifier: Apache-2.0
"""The JSON that commands print; docs/schema describes each document."""

from typing import Any

from xca_plugin.action import next_action
from xca_plugin.cli import words
from xca_plugin.model import Card, Certificate, Event


def card(card: Card) -> dict[str, Any]:
    """Shape a card (info.schema.json)."""
    certificate = card.certificate
    return {
        "number": card.number,
        "reader": card.reader,
        "model": card.model,
        "state": card.state.value,
        "pin_tries_left": card.pin_tries,
        "user_code_tries_left": card.user_code_tries,
        "holder": certificate.holder if certificate else None,
        "rank": certificate.rank if certificate else None,
        "not_before": certificate.not_before.isoformat() if certificate else None,
        "not_after": certificate.not_after.isoformat() if certificate else None,
        "activate_by": card.activate_by.isoformat() if card.activate_by else None,
        "days_left": card.days_left,
        "pin_to_be_changed": card.pin_to_be_changed,
        "real": card.real,
        "next_action": next_action(card).value,
    }


def certificate(certificate: Certificate) -> dict[str, Any]:
    """Shape a certificate (certificate.schema.json)."""
    return {
        "label": certificate.label,
        "id": certificate.id,
        "holder": certificate.holder,
        "issuer": certificate.issuer,
        "serial": certificate.serial,
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
        "key_usage": list(certificate.key_usage),
        "organisation_oid": certificate.organisation_oid,
        "tax_id": certificate.tax_id,
        "rank": certificate.rank,
        "sha256": certificate.sha256,
    }


def event(event: Event) -> dict[str, Any]:
    """Shape an entry of a history (events.schema.json)."""
    return {
        "at": event.at.isoformat(),
        "card": event.card,
        "event": event.event,
        "result": event.result,
        "result_name": words.result(event.result),
        "program": event.program,
    }
