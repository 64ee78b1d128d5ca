# SPDX-License-Identifier: Apache-2.0
"""xcactl encrypt and xcactl decrypt: files in CMS AuthEnvelopedData or EnvelopedData."""

from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import click

from xca_common.errors import FileProblem, XcaError
from xca_common.output_file import input_file, is_standard_output
from xca_plugin.cards import Cards
from xca_plugin.cli.common import format_option, opened, output_option
from xca_plugin.cli.several_files import Writer, check_outputs, check_single, each_file
from xca_plugin.history_note import Purpose
from xca_plugin.i18n import _, text
from xca_plugin.model import Card
from xca_plugin.terminal.card_choice import card_option, choose
from xca_plugin.terminal.consent import before_pin, cards_asking, last_try_option, yes_option
from xca_plugin.terminal.input_files import FILE, named_after
from xca_plugin.terminal.output import say_done
from xca_plugin.terminal.result_files import (
    agree_to_replace,
    check_output,
    force_option,
    result_file,
    say_written,
)
from xca_plugin.terminal.secrets import PIN, Asker, source_option

_ENCRYPTED: Final = text("Encrypted: {path}")
_DECRYPTED: Final = text("Decrypted: {path}")
_SUFFIX: Final = ".p7e"


@click.command(
    help=_("Encrypt each FILE to certificates: CMS AuthEnvelopedData, AES-256-GCM. No card is needed.")
)
@click.argument("files", metavar="FILE…", type=FILE, nargs=-1, required=True)
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
    files: tuple[Path, ...],
    certificates: tuple[Path, ...],
    output: Path | None,
    form: str,
    force: bool,
    cbc: bool,
) -> None:
    """Encrypt each file to the certificates of its recipients."""
    from xca_plugin import enveloped

    check_single(files, output)
    outputs = {file: output or named_after(file, _SUFFIX) for file in files}
    check_outputs(outputs)
    for target in outputs.values():
        check_output(target, *certificates)
    recipients = enveloped.recipients_in(certificates)
    armored = form == "pem"
    written: list[Path] = []

    def tell(file: Path, target: Path) -> None:
        say_written(_ENCRYPTED, target)
        written.append(target)

    status = 0
    if len(files) == 1:
        ((file, target),) = outputs.items()
        with (
            opened(file) as (content, progress),
            result_file(target, force=force, binary=not armored) as result,
            progress,
        ):
            enveloped.encrypt(content, result, recipients, armored=armored, cbc=cbc)
        tell(file, target)
    else:

        def encrypt_one(file: Path) -> Future[Path]:
            with input_file(file) as content:
                return writer.write(
                    outputs[file],
                    lambda result: enveloped.encrypt(content, result, recipients, armored=armored, cbc=cbc),
                )

        with Writer(agree_to_replace(outputs.values(), force)) as writer:
            status = each_file(list(outputs), encrypt_one, tell)
    if written:
        err = is_standard_output(written[0])
        for recipient in recipients:
            say_done(text("Can be opened by: {holder}").format(holder=recipient.told.holder)(), err=err)
        if not cbc:
            newer = _(
                "Programs that know only CMS EnvelopedData cannot open it; for them, encrypt with --cbc."
            )
            say_done(newer, err=err)
    click.get_current_context().exit(status)


@click.command(
    help=_("Decrypt each FILE (CMS AuthEnvelopedData or EnvelopedData) with the card and one login.")
)
@click.argument("files", metavar="FILE…", type=FILE, nargs=-1, required=True)
@output_option(_("Decrypted file (mode 0600); by default the name of FILE without .p7e."))
@force_option
@card_option
@source_option(PIN)
@yes_option
@last_try_option
def decrypt(
    files: tuple[Path, ...],
    output: Path | None,
    force: bool,
    number: str | None,
    pin: str | None,
    yes: bool,
    last_try: bool,
) -> None:
    """Decrypt each file with the card's key, after one login."""
    from xca_plugin import enveloped

    check_single(files, output)
    outputs = {file: output or _without_suffix(file) for file in files}
    check_outputs(outputs)
    if len(files) == 1:
        ((file, target),) = outputs.items()
        with opened(file) as (source, progress):
            sealed = enveloped.Enveloped(source)
            cards = cards_asking(last_try)
            card = choose(cards, number)
            sealed.check_card(cards, card)
            before_pin(card, yes=yes, last_try=last_try)
            with Asker(card) as ask, result_file(target, force=force, private=True) as result:
                secret = ask.get(PIN, pin)
                with progress:
                    sealed.decrypt(result, cards, card, partial(cards.decrypt, card, secret))
        say_written(_DECRYPTED, target)
        return
    cards = cards_asking(last_try)
    card = choose(cards, number)
    with ExitStack() as stack:
        session, replace = None, frozenset[Path]()
        if any(_may_be_for(file, cards, card) for file in outputs):
            before_pin(card, yes=yes, last_try=last_try)
            replace = agree_to_replace(outputs.values(), force)
            ask = stack.enter_context(Asker(card))
            session = stack.enter_context(cards.session(card, ask.get(PIN, pin), Purpose.DECRYPT))

        writer = stack.enter_context(Writer(replace))

        def decrypt_one(file: Path) -> Future[Path]:
            with input_file(file) as source:
                sealed = enveloped.Enveloped(source)
                sealed.check_card(cards, card)
                if session is None:  # what cannot be decrypted costs no PIN
                    problem = FileProblem(path=file, detail=text("it changed while it was read"))
                    raise problem.with_step(text("Wait until no program writes to it. Then do it again."))
                decrypt = partial(sealed.decrypt, cards=cards, card=card, decrypt_key=session.decrypt)
                return writer.write(outputs[file], decrypt, private=True)

        def tell(file: Path, target: Path) -> None:
            say_written(_DECRYPTED, target)

        status = each_file(list(outputs), decrypt_one, tell)
    click.get_current_context().exit(status)


def _without_suffix(file: Path) -> Path:
    """Return the name of a decrypted file.

    Raises:
        click.UsageError: the encrypted file's name does not tell it.
    """
    name = file.name[: -len(_SUFFIX)]
    if not file.name.lower().endswith(_SUFFIX) or name in ("", ".", ".."):
        unnamed = text("The name of {path} does not end in .p7e: say with -o where to write its content.")
        raise click.UsageError(unnamed.format(path=file)())
    return file.with_name(name)


def _may_be_for(file: Path, cards: Cards, card: Card) -> bool:
    """Tell whether a file seems to be encrypted to the card. A pipe may be: it can be read only once."""
    from xca_plugin import enveloped

    try:
        with input_file(file) as source:
            if source.seekable():
                enveloped.Enveloped(source).check_card(cards, card)
    except XcaError:
        return False
    return True
