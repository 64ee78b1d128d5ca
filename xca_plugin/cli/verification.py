# SPDX-License-Identifier: Apache-2.0
"""xcactl verify: whether the signatures of a file are valid."""

import logging
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import click

from xca_plugin import card_text, errors
from xca_plugin.cli import json_documents
from xca_plugin.cli.common import FILE, check_output, json_option, opened, output_option
from xca_plugin.i18n import _, text
from xca_plugin.terminal.output import console, grid, print_json, say
from xca_plugin.terminal.result_files import force_option, result_file
from xca_plugin.trust import Sources
from xca_plugin.verdict import Changes, InPdf, Outcome, TimeStamp, Verdict, Verification

_NO_ROOT: Final = text(
    "Missing option --ca-file. It names the root certificate that you trust: a signature counts if its "
    "signer's certificate was issued under that root. The government's root is at https://grca.nat.gov.tw "
    "and on every organisation card: xcactl cert export 'ROOT CA Cert' -o root.pem. "
    "A CA between the signer and the root goes with --certfile."
)
_OUTCOMES: Final = {
    Outcome.VALID: text("valid"),
    Outcome.NOT_VALID: text("NOT valid"),
    Outcome.INCOMPLETE: text("cannot be told: a certificate is missing"),
}
CHANGES: Final = {
    Changes.NONE: text("nothing"),
    Changes.ARCHIVAL: text("time-stamps or revocation information were added, as is allowed"),
    Changes.FORMS: text("form fields were filled in or signatures added, as is allowed"),
    Changes.ANNOTATIONS: text("annotations were added, as is allowed"),
    Changes.OTHER: text("what it does not allow"),
}


@click.command(
    help=_(
        "Verify that SIGNATURE is a valid signature of FILE. "
        "Without SIGNATURE, FILE is a signature that holds its content, or a signed PDF."
    )
)
@click.argument("file", type=FILE)
@click.argument("signature", type=FILE, required=False)
@click.option("--ca-file", metavar="ROOT", type=FILE, help=_("Root certificate to trust, PEM or DER."))
@click.option(
    "--certfile",
    "certificate_files",
    metavar="CERT",
    type=FILE,
    multiple=True,
    help=_("Certificates of CAs between the signer and the root, not trusted; may be repeated."),
)
@click.option(
    "--tsa-ca-file",
    "time_stampers_file",
    metavar="ROOT",
    type=FILE,
    help=_("Root certificate to trust for time-stamps; by default that of --ca-file."),
)
@click.option(
    "--any", "one_is_enough", is_flag=True, help=_("Of several signatures, one that is valid is enough.")
)
@click.option(
    "--crl",
    "crls",
    metavar="CRL",
    type=FILE,
    multiple=True,
    help=_("CRL of the signer's CA; may be repeated."),
)
@click.option(
    "--ocsp",
    "responses",
    metavar="RESPONSE",
    type=FILE,
    multiple=True,
    help=_("OCSP response about the signer's certificate; may be repeated."),
)
@click.option(
    "--fetch",
    is_flag=True,
    help=_("Get OCSP responses and CRLs over the network, from where the certificates say."),
)
@click.option(
    "--allow-host",
    "hosts",
    metavar="HOST",
    multiple=True,
    help=_("With --fetch: also ask this host, beside those below nat.gov.tw; may be repeated."),
)
@output_option(_("Where to write the content of FILE, if it is valid."))
@force_option
@json_option
def verify(
    file: Path,
    signature: Path | None,
    ca_file: Path | None,
    certificate_files: tuple[Path, ...],
    time_stampers_file: Path | None,
    one_is_enough: bool,
    crls: tuple[Path, ...],
    responses: tuple[Path, ...],
    fetch: bool,
    hosts: tuple[str, ...],
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Verify a signature."""
    if ca_file is None:
        raise click.UsageError(_NO_ROOT())
    if output and signature:
        raise click.UsageError(_("-o is for a signature that holds its content."))
    if hosts and not fetch:
        raise click.UsageError(_("--allow-host goes with --fetch."))
    others = (*certificate_files, *([time_stampers_file] if time_stampers_file else []))
    if output:
        check_output(output, file, ca_file, *others, *crls, *responses)
    from xca_plugin import pdf_verification, verification

    # What pyHanko logs is in the verdict.
    for name in ("pyhanko", "pyhanko_certvalidator"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with ExitStack() as stack:
        target = stack.enter_context(result_file(output, force=force)) if output else None
        content, progress = stack.enter_context(opened(file, twice=signature is None))
        signed = stack.enter_context(opened(signature))[0] if signature else content
        with progress:
            if signature is None and pdf_verification.is_pdf(content):
                if output:
                    raise click.UsageError(_("-o is for a signature that holds its content."))
                verify_it = partial(pdf_verification.verify, content, ca_file)
            else:
                detached = content if signature else None
                verify_it = partial(verification.verify, signed, ca_file, detached, output=target)
            found = verify_it(
                time_stampers_file=time_stampers_file,
                certificate_files=certificate_files,
                sources=Sources(crls, responses, fetch, hosts),
                one_is_enough=one_is_enough,
            )
        if as_json:
            print_json(json_documents.verification(found))
        else:
            _show(found)
        _refuse(found)
    if not as_json:
        _say_what_holds(found)


def _refuse(found: Verification) -> None:
    """Raise the error of a verification that did not come out as valid."""
    if found.problem is None:
        return
    if found.outcome is Outcome.INCOMPLETE:
        raise errors.ChainIncomplete(reason=found.problem)
    raise errors.SignatureNotValid(reason=found.problem)


def _say_what_holds(found: Verification) -> None:
    """Say what is valid, and what that does not prove."""
    valid = [verdict for verdict in found.verdicts if verdict.outcome is Outcome.VALID]
    if len(found.verdicts) == 1:
        say(_("The signature is valid."), fg="green", bold=True)
    else:
        some = text("{valid} of {count} signatures are valid.")
        said = some.format(valid=len(valid), count=len(found.verdicts))()
        say(said, fg="green" if len(valid) == len(found.verdicts) else "yellow", bold=True)
    if all(proved_time(verdict) for verdict in valid):
        say(_("Checked: content, signature, certificate and chain, as of its time-stamp."))
    else:
        say(_("Checked: content, signature, certificate and chain, today."))
    for sentence in dict.fromkeys(open_question for one in valid for open_question in _open_questions(one)):
        say(sentence)


def _open_questions(verdict: Verdict) -> list[str]:
    """Return what a valid signature does not prove."""
    said = []
    if verdict.only_content:
        said.append(_("Only the content was signed, without a time and without its content type."))
    elif verdict.signed_at and not proved_time(verdict):
        said.append(_("The time is the signer's own, not checked."))
    if not verdict.revocation_checked:
        return [*said, _("Revocation was not looked up.")]
    unknown = text("It is not known whether this certificate of its issuers is revoked: {holder}")
    said.append(_("Its certificate is not revoked."))
    return said + [unknown.format(holder=holder)() for holder in verdict.not_checked]


def proved_time(verdict: Verdict) -> datetime | None:
    """Return the time that a time-stamp proves; None: none proves any."""
    stamp = verdict.time_stamp
    return stamp.at if stamp and stamp.problem is None else None


def _time_stamp(stamp: TimeStamp) -> str:
    when = card_text.moment(stamp.at) if stamp.at else _("unknown")
    if stamp.problem is None:
        return text("{when}, by {authority}").format(when=when, authority=stamp.authority or "")()
    return text("{when}, not proved: {problem}").format(when=when, problem=stamp.problem)()


def changes(signature: InPdf) -> str:
    """Return what was changed in a PDF after a signature."""
    said = CHANGES[signature.changes]()
    if not signature.changed_fields:
        return said
    return text("{changes} ({fields})").format(changes=said, fields=", ".join(signature.changed_fields))()


def _show(found: Verification) -> None:
    """Show each signature; of several, its verdict as well."""
    for number, verdict in enumerate(found.verdicts, 1):
        table = grid(False, True)
        if len(found.verdicts) > 1:
            table.add_row(_("Signature"), f"{number}/{len(found.verdicts)}")
        table.add_row(_("Signer"), verdict.signer.holder if verdict.signer else _("unknown"))
        if verdict.signer:
            table.add_row(_("Issuer"), verdict.signer.issuer)
            signed = card_text.moment(verdict.signed_at) if verdict.signed_at else _("not said")
            table.add_row(_("Signed at"), signed)
            table.add_row(_("Digest"), verdict.digest or "")
        if verdict.in_pdf:
            table.add_row(_("Field"), verdict.in_pdf.field)
            table.add_row(_("Changed since"), changes(verdict.in_pdf))
        if verdict.time_stamp:
            table.add_row(_("Time-stamp"), _time_stamp(verdict.time_stamp))
        if len(found.verdicts) > 1:
            table.add_row(_("Verdict"), _OUTCOMES[verdict.outcome]())
            if verdict.problem:
                table.add_row(_("Reason"), verdict.problem())
        console().print(table)
        if number < len(found.verdicts) or found.document_time_stamps:
            say()
    for stamp in found.document_time_stamps:
        table = grid(False, True)
        table.add_row(_("Time-stamp of the document"), _time_stamp(stamp))
        console().print(table)
