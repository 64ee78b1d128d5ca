# SPDX-License-Identifier: Apache-2.0
"""xcactl sign and xcactl verify: signatures of files."""

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xca_common.atomic_file import whole_file
from xca_plugin import card_text, errors
from xca_plugin.cards import signing_certificate
from xca_plugin.cli import json_documents
from xca_plugin.cli.common import FILE, check_output, format_option, json_option, opened, output_option
from xca_plugin.i18n import _, text
from xca_plugin.terminal.card_choice import card_option, choose
from xca_plugin.terminal.consent import before_pin, cards_asking, last_try_option, yes_option
from xca_plugin.terminal.output import console, grid, print_json, say
from xca_plugin.terminal.secrets import PIN, Asker, source_option
from xca_plugin.validity import check_now

if TYPE_CHECKING:
    from xca_plugin import verification


@click.command(help=_("Sign FILE: a CMS signature (SHA-256), detached unless told otherwise."))
@click.argument("file", type=FILE)
@output_option(_("Signature file; by default FILE.p7s, .p7m (--attached) or .sig (--raw)."))
@format_option
@click.option("--attached", is_flag=True, help=_("The signature holds the content of FILE as well."))
@click.option("--leaf", is_flag=True, help=_("The signer's certificate alone, without its chain."))
@click.option("--no-signing-time", is_flag=True, help=_("Do not say when it was signed."))
@click.option("--raw", is_flag=True, help=_("The bare signature (PKCS#1 v1.5), no CMS."))
@click.option(
    "--timestamp-request",
    metavar="OUT",
    type=click.Path(dir_okay=False, path_type=Path),
    help=_("Also write a request for a time-stamp of the signature (RFC 3161)."),
)
@card_option
@source_option(PIN)
@yes_option
@last_try_option
def sign(
    file: Path,
    output: Path | None,
    form: str,
    attached: bool,
    leaf: bool,
    no_signing_time: bool,
    raw: bool,
    timestamp_request: Path | None,
    number: str | None,
    pin: str | None,
    yes: bool,
    last_try: bool,
) -> None:
    """Sign a file."""
    if raw and (attached or leaf or no_signing_time or form == "pem"):
        raise click.UsageError(_("--raw goes with no option about CMS."))
    suffix = ".sig" if raw else ".p7m" if attached else ".p7s"
    output = output or file.with_name(f"{file.name}{suffix}")
    check_output(output, file)
    if timestamp_request:
        check_output(timestamp_request, file, output)
    cards = cards_asking(last_try)
    card = choose(cards, number)
    check_now(signing_certificate(card), card.number)
    before_pin(card, yes=yes, last_try=last_try)
    with ExitStack() as stack:
        ask = stack.enter_context(Asker(card))
        content, progress = stack.enter_context(opened(file))
        request = stack.enter_context(whole_file(timestamp_request, 0o666)) if timestamp_request else None
        target = stack.enter_context(whole_file(output, 0o666))
        secret = ask.get(PIN, pin)
        from xca_plugin import cms  # half a second: only when everything else is there

        stack.enter_context(progress)
        if raw:
            signature = cms.sign_raw(content, cards, card, secret)
            target.write(signature)
        else:
            signature = cms.sign(
                content,
                target,
                cards,
                card,
                secret,
                attached=attached,
                pem=form == "pem",
                chain=not leaf,
                signing_time=not no_signing_time,
            )
        if request:
            request.write(cms.timestamp_request(signature))
    say(text("Signed: {path}").format(path=output)())


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
    """Say what a valid signature leaves open."""
    if verdict.only_content:
        say(_("Nothing but the content was signed: no time, and not what kind of content it is."))
    elif verdict.signed_at:
        say(_("The time is the signer's own, not checked."))
    if not verdict.revocation_checked:
        say(_("Revocation was not looked up."))
        return
    say(_("Its certificate is not revoked."))
    for holder in verdict.not_checked:
        open_question = text("Whether this certificate of its issuers is revoked was not found out: {holder}")
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
