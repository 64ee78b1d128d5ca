# SPDX-License-Identifier: Apache-2.0
"""Verdicts in words, in the language that is being spoken. The terminal and reports show them."""

from datetime import datetime
from typing import Final

from xca_plugin import card_text
from xca_plugin.i18n import _, plural, text
from xca_plugin.model import digest_name
from xca_plugin.verdict import Changes, InPdf, Outcome, TimeStamp, Verdict, Verification

OUTCOMES: Final = {
    Outcome.VALID: text("valid"),
    Outcome.NOT_VALID: text("NOT valid"),
    Outcome.INCOMPLETE: text("cannot be told: a certificate is missing"),
    Outcome.UNKNOWN: text("cannot be told: it is not known whether a certificate is revoked"),
}
CHANGES: Final = {
    Changes.NONE: text("nothing"),
    Changes.ARCHIVAL: text("time-stamps or revocation information were added, as is allowed"),
    Changes.FORMS: text("form fields were filled in or signatures added, as is allowed"),
    Changes.ANNOTATIONS: text("annotations were added, as is allowed"),
    Changes.OTHER: text("what it does not allow"),
}


def rows(verdict: Verdict) -> list[tuple[str, str]]:
    """Return what a verdict says of a signature: names and values."""
    if verdict.signer is None:
        return [(_("Signer"), _("unknown"))]
    signed = card_text.moment(verdict.signed_at) if verdict.signed_at else _("not said")
    found = [
        (_("Signer"), verdict.signer.holder_name),
        (_("Distinguished name"), verdict.signer.holder),
        (_("Issuer"), verdict.signer.issuer),
        (_("Signed at"), signed),
        (_("Digest"), digest(verdict)),
    ]
    if verdict.in_pdf:
        found.append((_("Field"), verdict.in_pdf.field))
        # Of what nobody signed in this form, "nothing" was changed since: it would be read as a good sign.
        if verdict.outcome is not Outcome.NOT_VALID or verdict.in_pdf.changes is not Changes.NONE:
            found.append((_("Changed since"), changes(verdict.in_pdf)))
    if verdict.time_stamp:
        found.append((_("Time-stamp"), time_stamp(verdict.time_stamp)))
    return found


def conclusion(found: Verification) -> list[str]:
    """Return what is valid, and what that does not prove: the first sentence is the result."""
    valid = [verdict for verdict in found.verdicts if verdict.outcome is Outcome.VALID]
    some = plural(
        "{valid} of {count} signatures is valid.", "{valid} of {count} signatures are valid.", "valid"
    ).format(valid=len(valid), count=len(found.verdicts))
    said = [_("The signature is valid.") if len(found.verdicts) == 1 else some()]
    if all(proved_time(verdict) for verdict in valid):
        said.append(_("Checked: content, signature, certificate and chain, as of its time-stamp."))
    else:
        said.append(_("Checked: content, signature, certificate and chain, today."))
    return said + list(dict.fromkeys(question for one in valid for question in open_questions(one)))


def open_questions(verdict: Verdict) -> list[str]:
    """Return what a valid signature does not prove."""
    said = []
    if verdict.weak:
        weak = text(
            "Warning: it uses {names}, which is no longer secure: there may be another file with the same "
            "signature. Ask its signer to sign it again, with SHA-256."
        )
        said.append(weak.format(names=[digest_name(name) for name in verdict.weak])())
    if verdict.only_content:
        said.append(_("Only the content was signed, without a time and without its content type."))
    elif verdict.signed_at and not proved_time(verdict):
        said.append(_("The time is the signer's own, not checked."))
    if not verdict.revocation_checked:
        return [*said, _("Revocation was not looked up.")]
    unknown = text("It is not known whether this certificate of its issuers is revoked: {holder}")
    said.append(_("Its certificate is not revoked."))
    return said + [unknown.format(holder=holder)() for holder in verdict.not_checked]


def digest(verdict: Verdict) -> str:
    """Return the name of a signature's digest algorithm, and whether it is no longer secure."""
    if verdict.digest is None:
        return ""
    name = digest_name(verdict.digest)
    return text("{name} (no longer secure)").format(name=name)() if verdict.digest in verdict.weak else name


def proved_time(verdict: Verdict) -> datetime | None:
    """Return the time that a time-stamp proves; None: none proves any."""
    stamp = verdict.time_stamp
    return stamp.at if stamp and stamp.problem is None else None


def time_stamp(stamp: TimeStamp) -> str:
    """Return the time of a time-stamp and its authority, or why it proves nothing."""
    when = card_text.moment(stamp.at) if stamp.at else _("unknown")
    if stamp.problem is None:
        return text("{when}, by {authority}").format(when=when, authority=stamp.authority or "")()
    return text("{when}, not proved: {problem}").format(when=when, problem=stamp.problem)()


def changes(signature: InPdf) -> str:
    """Return what was changed in a PDF after a signature."""
    said = CHANGES[signature.changes]()
    if not signature.changed_fields:
        return said
    return text("{changes} ({fields})").format(changes=said, fields=list(signature.changed_fields))()
