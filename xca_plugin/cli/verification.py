# SPDX-License-Identifier: Apache-2.0
"""xcactl verify: whether the signatures of a file are valid."""

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xca_common.atomic_file import whole_file
from xca_plugin import card_text, errors
from xca_plugin.cli import json_documents
from xca_plugin.cli.common import FILE, check_output, json_option, opened, output_option
from xca_plugin.i18n import _, text
from xca_plugin.terminal.output import console, grid, print_json, say

if TYPE_CHECKING:
    from xca_plugin import verification


@click.command(
    help=_(
        "Verify that SIGNATURE is a valid signature of FILE. Without SIGNATURE, FILE is one that holds its "
        "content."
    )
)
@click.argument("file", type=FILE)
@click.argument("signature", type=FILE, required=False)
@click.option(
    "--ca-file", metavar="ROOT", type=FILE, required=True, help=_("Root certificate to trust, PEM or DER.")
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
@json_option
def verify(
    file: Path,
    signature: Path | None,
    ca_file: Path,
    crls: tuple[Path, ...],
    responses: tuple[Path, ...],
    fetch: bool,
    hosts: tuple[str, ...],
    output: Path | None,
    as_json: bool,
) -> None:
    """Verify a signature."""
    if output and signature:
        raise click.UsageError(_("-o is for a signature that holds its content."))
    if hosts and not fetch:
        raise click.UsageError(_("--allow-host goes with --fetch."))
    if output:
        check_output(output, file, ca_file, *crls, *responses)
    from xca_plugin import verification

    # What pyHanko logs is in the verdict.
    for name in ("pyhanko", "pyhanko_certvalidator"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with ExitStack() as stack:
        target = stack.enter_context(whole_file(output, 0o666)) if output else None
        content, progress = stack.enter_context(opened(file))
        signed = stack.enter_context(opened(signature))[0] if signature else content
        with progress:
            verdict = verification.verify(
                signed,
                ca_file,
                content if signature else None,
                output=target,
                sources=verification.Sources(crls, responses, fetch, hosts),
            )
        _show(verdict, as_json)
        if verdict.problem:
            raise errors.SignatureNotValid(reason=verdict.problem)
    if not as_json:
        say(_("The signature is valid."), fg="green", bold=True)
        say(_("Checked: content, signature, certificate and chain, today."))
        _say_what_is_open(verdict)


def _say_what_is_open(verdict: "verification.Verdict") -> None:
    """Say what a valid signature does not prove."""
    if verdict.only_content:
        say(_("Only the content was signed, without a time and without its content type."))
    elif verdict.signed_at:
        say(_("The time is the signer's own, not checked."))
    if not verdict.revocation_checked:
        say(_("Revocation was not looked up."))
        return
    say(_("Its certificate is not revoked."))
    for holder in verdict.not_checked:
        open_question = text("It is not known whether this certificate of its issuers is revoked: {holder}")
        say(open_question.format(holder=holder)())


def _show(verdict: "verification.Verdict", as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "valid": verdict.problem is None,
                "problem": verdict.problem() if verdict.problem else None,
                "signed_at": verdict.signed_at.isoformat() if verdict.signed_at else None,
                "digest": verdict.digest,
                "only_content_signed": verdict.only_content,
                "revocation_checked": verdict.revocation_checked,
                "revocation_not_checked": list(verdict.not_checked),
                "signer": json_documents.certificate(verdict.signer),
            }
        )
        return
    table = grid(False, True)
    table.add_row(_("Signer"), verdict.signer.holder)
    table.add_row(_("Issuer"), verdict.signer.issuer)
    signed = card_text.moment(verdict.signed_at) if verdict.signed_at else _("not said")
    table.add_row(_("Signed at"), signed)
    table.add_row(_("Digest"), verdict.digest)
    console().print(table)
