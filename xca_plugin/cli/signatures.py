# SPDX-License-Identifier: Apache-2.0
"""xcactl sign: signatures of files."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click

from xca_plugin.cards import signing_certificate
from xca_plugin.cli.common import FILE, check_output, format_option, opened, output_option
from xca_plugin.i18n import _, text
from xca_plugin.terminal.card_choice import card_option, choose
from xca_plugin.terminal.consent import before_pin, cards_asking, last_try_option, yes_option
from xca_plugin.terminal.result_files import OUTPUT, force_option, result_file, say_written
from xca_plugin.terminal.secrets import PIN, Asker, source_option
from xca_plugin.validity import check_now


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
    type=OUTPUT,
    help=_("Also write a request for a time-stamp of the signature (RFC 3161)."),
)
@force_option
@click.option(
    "--timestamp",
    "time_stamper",
    metavar="URL",
    help=_("Have this time-stamping authority stamp the time of the signature (RFC 3161)."),
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
    force: bool,
    time_stamper: str | None,
    number: str | None,
    pin: str | None,
    yes: bool,
    last_try: bool,
) -> None:
    """Sign a file."""
    if raw and (attached or leaf or no_signing_time or time_stamper or form == "pem"):
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
        content, progress = stack.enter_context(opened(file, twice=attached))
        request = (
            stack.enter_context(result_file(timestamp_request, force=force)) if timestamp_request else None
        )
        target = stack.enter_context(result_file(output, force=force, binary=form != "pem"))
        secret = ask.get(PIN, pin)
        from xca_plugin import cms, time_stamping  # half a second: only when everything else is there

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
                time_stamp=partial(time_stamping.time_stamp_token, time_stamper) if time_stamper else None,
            )
        if request:
            request.write(cms.timestamp_request(signature))
    say_written(text("Signed: {path}"), output)
