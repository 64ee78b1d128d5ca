# SPDX-License-Identifier: Apache-2.0
"""xcactl encrypt and xcactl decrypt: files in CMS AuthEnvelopedData or EnvelopedData."""

from pathlib import Path

import click

from xca_common.output_file import is_standard_output
from xca_plugin.cli.common import FILE, format_option, opened, output_option
from xca_plugin.i18n import _, text
from xca_plugin.terminal.card_choice import card_option, choose
from xca_plugin.terminal.consent import before_pin, cards_asking, last_try_option, yes_option
from xca_plugin.terminal.output import say_done
from xca_plugin.terminal.result_files import check_output, force_option, result_file, say_written
from xca_plugin.terminal.secrets import PIN, Asker, source_option


@click.command(help=_("Encrypt FILE to certificates: CMS AuthEnvelopedData, AES-256-GCM. No card is needed."))
@click.argument("file", type=FILE)
@click.option(
    "--to",
    "certificates",
    metavar="CERT",
    type=FILE,
    required=True,
    multiple=True,
    help=_("Certificates of recipients, PEM, DER or PKCS #7; may be repeated."),
)
@output_option(_("Encrypted file; by default FILE.p7e."))
@format_option
@force_option
@click.option(
    "--cbc",
    is_flag=True,
    help=_(
        "Write CMS EnvelopedData, AES-256-CBC: for programs that know nothing newer, and for files of more "
        "than 64 GiB. Alterations on the way go unnoticed."
    ),
)
def encrypt(
    file: Path, certificates: tuple[Path, ...], output: Path | None, form: str, force: bool, cbc: bool
) -> None:
    """Encrypt a file to the certificates of its recipients."""
    from xca_plugin import enveloped

    output = output or file.with_name(f"{file.name}.p7e")
    check_output(output, file, *certificates)
    recipients = enveloped.recipients_in(certificates)
    with (
        opened(file) as (content, progress),
        result_file(output, force=force, binary=form != "pem") as target,
        progress,
    ):
        enveloped.encrypt(content, target, recipients, armored=form == "pem", cbc=cbc)
    say_written(text("Encrypted: {path}"), output)
    err = is_standard_output(output)
    for recipient in recipients:
        say_done(text("Can be opened by: {holder}").format(holder=recipient.told.holder)(), err=err)
    if not cbc:
        newer = _("Programs that know only CMS EnvelopedData cannot open it; for them, encrypt with --cbc.")
        say_done(newer, err=err)


@click.command(help=_("Decrypt FILE (CMS AuthEnvelopedData or EnvelopedData) with the card."))
@click.argument("file", type=FILE)
@output_option(_("Decrypted file (mode 0600)."), required=True)
@force_option
@card_option
@source_option(PIN)
@yes_option
@last_try_option
def decrypt(
    file: Path, output: Path, force: bool, number: str | None, pin: str | None, yes: bool, last_try: bool
) -> None:
    """Decrypt a file with the card's key, after a login."""
    from xca_plugin import enveloped

    check_output(output, file)
    with opened(file) as (source, progress):
        sealed = enveloped.Enveloped(source)
        cards = cards_asking(last_try)
        card = choose(cards, number)
        sealed.check_card(cards, card)
        before_pin(card, yes=yes, last_try=last_try)
        with Asker(card) as ask, result_file(output, force=force, private=True) as target:
            secret = ask.get(PIN, pin)
            with progress:
                sealed.decrypt(target, cards, card, secret)
    say_written(text("Decrypted: {path}"), output)
