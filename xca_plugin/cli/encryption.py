# SPDX-License-Identifier: Apache-2.0
"""xcactl encrypt and xcactl decrypt: files in CMS EnvelopedData."""

from pathlib import Path

import click

from xca_plugin.cli.common import FILE, check_output, format_option, opened, output_option
from xca_plugin.i18n import _, text
from xca_plugin.terminal.card_choice import card_option, choose
from xca_plugin.terminal.consent import before_pin, cards_asking, last_try_option, yes_option
from xca_plugin.terminal.result_files import force_option, result_file, say_written
from xca_plugin.terminal.secrets import PIN, Asker, source_option


@click.command(help=_("Encrypt FILE to certificates: CMS EnvelopedData, AES-256. No card is needed."))
@click.argument("file", type=FILE)
@click.option(
    "--to",
    "recipients",
    metavar="CERT",
    type=FILE,
    required=True,
    multiple=True,
    help=_("Certificate of a recipient, PEM or DER; may be repeated."),
)
@output_option(_("Encrypted file; by default FILE.p7e."))
@format_option
@force_option
def encrypt(file: Path, recipients: tuple[Path, ...], output: Path | None, form: str, force: bool) -> None:
    """Encrypt a file."""
    from xca_plugin import enveloped

    output = output or file.with_name(f"{file.name}.p7e")
    check_output(output, file, *recipients)
    with (
        opened(file) as (content, progress),
        result_file(output, force=force, binary=form != "pem") as target,
        progress,
    ):
        enveloped.encrypt(content, target, recipients, armored=form == "pem")
    say_written(text("Encrypted: {path}"), output)


@click.command(help=_("Decrypt FILE (CMS EnvelopedData) with the card."))
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
    """Decrypt a file."""
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
