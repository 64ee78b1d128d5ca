# SPDX-License-Identifier: Apache-2.0
"""The JSON that commands print; docs/schema describes each document."""

from typing import TYPE_CHECKING, Any

from xca_common.errors import XcaError
from xca_common.pki.certificate import Certificate
from xca_plugin import card_text
from xca_plugin.action import next_action
from xca_plugin.model import Card, CertificateStatus, Event, OddCertificate
from xca_plugin.pcsc import Reader
from xca_plugin.terminal.next_steps import next_step
from xca_plugin.verdict import InPdf, Outcome, TimeStamp, Verdict, Verification
from xca_plugin.watch import Change

if TYPE_CHECKING:
    from xca_plugin.checks.finding import Finding

if TYPE_CHECKING:
    from xca_plugin.tools import Tool
    from xca_plugin.verification_report import Report


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
        "pin_count_low": card.pin_count_low,
        "user_code_count_low": card.user_code_count_low,
        "holder": certificate.holder if certificate else None,
        "rank": certificate.rank if certificate else None,
        "not_before": certificate.not_before.isoformat() if certificate else None,
        "not_after": certificate.not_after.isoformat() if certificate else None,
        "activate_by": card.activate_by.isoformat() if card.activate_by else None,
        "days_left": card.days_left,
        "certificate_odd": card.certificate_odd,
        "pin_to_be_changed": card.pin_to_be_changed,
        "real": card.real,
        "has_keypad": card.has_keypad,
        "next_action": next_action(card).value,
    }


def certificate_status(status: CertificateStatus | None) -> dict[str, Any] | None:
    """Shape how a card's certificates stand with their centre (info.schema.json)."""
    if status is None:
        return None
    acceptance = status.acceptance
    return {
        "state": status.state.value,
        "centre": status.centre,
        "since": status.since.isoformat() if status.since else None,
        "detail": str(status.detail) if status.detail else None,
        "acceptance": acceptance.outcome.value if acceptance else None,
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


def verification(found: Verification) -> dict[str, Any]:
    """Shape a verification (verify.schema.json); the top level describes the first readable signature."""
    signers = [_verdict(verdict) for verdict in found.verdicts]
    first = next((one for one in signers if one["signer"]), signers[0])
    error = found.error
    return {
        **first,
        "valid": found.outcome is Outcome.VALID,
        "outcome": found.outcome.value,
        "problem": found.problem() if found.problem else None,
        "next_step": next_step(error) if error else None,
        "one_is_enough": found.one_is_enough,
        "signatures": signers,
        "document_time_stamps": [_time_stamp(stamp) for stamp in found.document_time_stamps],
    }


def verification_report(report: "Report") -> dict[str, Any]:
    """Shape the report of a verification (verification-report.schema.json)."""
    return {
        "verified_at": report.at.isoformat(timespec="seconds"),
        "program": report.program,
        "files": [{"name": one.name, "size": one.size, "sha256": one.sha256} for one in report.files],
        "verification": verification(report.found),
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "valid": verdict.outcome is Outcome.VALID,
        "outcome": verdict.outcome.value,
        "problem": verdict.problem() if verdict.problem else None,
        "signed_at": verdict.signed_at.isoformat() if verdict.signed_at else None,
        "digest": verdict.digest,
        "weak_digests": list(verdict.weak),
        "only_content_signed": verdict.only_content,
        "revocation_checked": verdict.revocation_checked,
        "revocation_not_checked": list(verdict.not_checked),
        "signer": certificate(verdict.signer) if verdict.signer else None,
        "time_stamp": _time_stamp(verdict.time_stamp) if verdict.time_stamp else None,
        "trusted": certificate(verdict.anchor) if verdict.anchor else None,
        "pdf": _in_pdf(verdict.in_pdf) if verdict.in_pdf else None,
    }


def _in_pdf(signature: InPdf) -> dict[str, Any]:
    return {
        "field": signature.field,
        "changes": signature.changes.value,
        "changed_fields": list(signature.changed_fields),
    }


def _time_stamp(stamp: TimeStamp) -> dict[str, Any]:
    return {
        "proved": stamp.problem is None,
        "at": stamp.at.isoformat() if stamp.at else None,
        "authority": stamp.authority,
        "problem": stamp.problem() if stamp.problem else None,
    }


def odd_certificate(certificate: OddCertificate) -> dict[str, Any]:
    """Shape an object that cannot be read as a certificate (a part of cert-list.schema.json)."""
    return {"label": certificate.label, "id": certificate.id, "sha256": certificate.sha256}


def event(event: Event) -> dict[str, Any]:
    """Shape an entry of a history (events.schema.json)."""
    return {
        "at": event.at.isoformat(),
        "card": event.card,
        "event": event.event,
        "result": event.result,
        "result_name": card_text.return_value(event.result),
        "program": event.program,
    }


def reader(reader: Reader) -> dict[str, Any]:
    """Shape a card reader (reader.schema.json)."""
    return {
        "name": reader.name,
        "contents": reader.contents.value,
        "atr": reader.atr.hex() or None,
        "card": reader.card() if reader.card else None,
    }


def problem(error: XcaError) -> dict[str, Any]:
    """Shape a problem (problem.schema.json)."""
    return {
        "name": type(error).__name__,
        "message": error.message(),
        "next_step": next_step(error),
    }


def change(change: Change) -> dict[str, Any]:
    """Shape a change of cards or readers (change.schema.json)."""
    subject = change.subject
    return {
        "at": change.at.isoformat(),
        "change": change.kind.value,
        "card": card(subject) if isinstance(subject, Card) else None,
        "reader": reader(subject) if isinstance(subject, Reader) else None,
        "problem": problem(subject) if isinstance(subject, XcaError) else None,
    }


def tool(tool: "Tool") -> dict[str, Any]:
    """Shape a tool (tools-list.schema.json)."""
    missing = tool.missing()
    return {
        "name": tool.name,
        "title": tool.title(),
        "installed": missing is None,
        "missing": missing() if missing else None,
        "state": tool.state().value,
        "command": tool.command(),
        "remarks": [remark() for remark in tool.remarks()],
    }


def probe_result(tool: "Tool", works: bool, detail: str) -> dict[str, Any]:
    """Shape the result of checking one tool (tools-check.schema.json)."""
    return {"name": tool.name, "works": works, "detail": detail or None}


def finding(finding: "Finding", next_step: str | None) -> dict[str, Any]:
    """Shape a finding of a check and its next step (a part of doctor.schema.json)."""
    return {
        "check": finding.check,
        "title": finding.title(),
        "outcome": finding.outcome.value,
        "finding": finding.said(),
        "next_step": next_step,
        "card": finding.card.number if finding.card else None,
    }
