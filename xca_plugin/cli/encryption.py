# SPDX-License-Identifier: Apache-2.0
"""xcactl encrypt and xcactl decrypt: files in CMS AuthEnvelopedData or EnvelopedData."""

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from xca_common.errors import FileProblem, XcaError
from xca_common.secret import Secret
from xca_plugin import card_text
from xca_plugin.cli.common import format_option, hidden, opened, output_option
from xca_plugin.cli.several_files import Writer, check_outputs, check_single, each_file, each_refused
from xca_plugin.history_note import Purpose
from xca_plugin.i18n import _, text
from xca_plugin.model import CardSession
from xca_plugin.named_file import STANDARD_INPUT, input_file, is_standard_output, problems_of
from xca_plugin.terminal.card_choice import card_option, choose
from xca_plugin.terminal.consent import before_pin, cards_asking, last_try_option, yes_option
from xca_plugin.terminal.input_files import RECIPIENT_FILE, files_argument, named_after
from xca_plugin.terminal.output import say_done
from xca_plugin.terminal.result_files import (
    agree_to_replace,
    check_output,
    check_shown,
    force_option,
    result_file,
    say_written,
)
from xca_plugin.terminal.secrets import PIN, Asker, source_option

if TYPE_CHECKING:
    from xca_plugin.enveloped import RecipientCard

_ENCRYPTED: Final = text("Encrypted: {path}")
_DECRYPTED: Final = text("Decrypted: {path}")
_SUFFIX: Final = ".p7e"
_UNNAMED: Final = text("The name of {path} does not end in .p7e: say with -o where to write its content.")
_ENDS_OTHERWISE: Final = text("its name does not end in .p7e, so nothing says where its content goes")
_DECRYPT_ALONE: Final = text("Decrypt it alone, and say with -o where to write its content.")
_NO_RECIPIENT: Final = text(
    "Missing option --to. It names the certificate of a recipient, who runs this and sends you the file: "
    "xcactl cert export cert2 -o cert2.pem"
)


@click.command(
    help=_("Encrypt each FILE to certificates: CMS AuthEnvelopedData, AES-256-GCM. No card is needed.")
)
@files_argument("FILE…")
@click.option(
    "--to",
    "certificates",
    metavar="CERT",
    type=RECIPIENT_FILE,
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
    if not certificates:
        raise click.UsageError(_NO_RECIPIENT())
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

        agreed = agree_to_replace(outputs, force)
        with Writer(agreed.replaced) as writer:
            status = each_file(list(outputs), encrypt_one, tell, refused=agreed.refused, hurry=writer.hurry)
    if written:
        err = is_standard_output(written[0])
        for recipient in recipients:
            holder = card_text.name_and_subject(recipient.told)
            say_done(text("Can be opened by: {holder}").format(holder=holder)(), err=err)
        if not cbc:
            newer = _(
                "Older programs may not be able to open it. If a recipient's cannot, encrypt it again "
                "with --cbc."
            )
            say_done(newer, err=err)
    click.get_current_context().exit(status)


@click.command(
    help=_("Decrypt each FILE (CMS AuthEnvelopedData or EnvelopedData) with the card and one login.")
)
@files_argument("FILE…")
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
    if output:
        check_shown(output)
    if len(files) == 1:
        (file,) = files
        with opened(file) as (source, progress):
            sealed = enveloped.Enveloped(source)
            target = output or _without_suffix(file)
            check_outputs({file: target})
            cards = cards_asking(last_try)
            card = choose(cards, number)
            by = enveloped.RecipientCard(cards, card)
            sealed.check_card(by)
            before_pin(card, yes=yes, last_try=last_try)
            with Asker(card) as ask, result_file(target, force=force, private=True) as result:
                secret = ask.get(PIN, pin)

                def decrypt_with_card(ciphertext: bytes, **how: Any) -> bytes:
                    with hidden(progress):
                        decrypt = partial(cards.decrypt, card, ciphertext=ciphertext, **how)
                        return ask.used(PIN, pin, secret, lambda value: decrypt(pin=value))

                with progress:
                    sealed.decrypt(result, by, decrypt_with_card)
        say_written(_DECRYPTED, target)
        return
    cards = cards_asking(last_try)
    card = choose(cards, number)
    by = enveloped.RecipientCard(cards, card)
    outputs, refused = _results_for(files, by)
    check_outputs(outputs)
    agreed = agree_to_replace(outputs, force)
    refused = {file: problem for file in files if (problem := refused.get(file) or agreed.refused.get(file))}
    if len(refused) == len(set(files)):  # nothing is left to be decrypted: no PIN is needed
        click.get_current_context().exit(each_refused(refused))
    before_pin(card, yes=yes, last_try=last_try)
    with Asker(card) as ask, ExitStack() as stack:

        def log_in(secret: Secret) -> CardSession:
            return stack.enter_context(cards.session(card, secret, Purpose.DECRYPT))

        session = ask.used(PIN, pin, ask.get(PIN, pin), log_in)
        writer = stack.enter_context(Writer(agreed.replaced))

        def decrypt_one(file: Path) -> Future[Path]:
            with input_file(file) as source:
                sealed = enveloped.Enveloped(source)
                sealed.check_card(by)
                decrypt = partial(sealed.decrypt, by=by, decrypt_key=session.decrypt)
                return writer.write(outputs[file], decrypt, private=True)

        def tell(file: Path, target: Path) -> None:
            say_written(_DECRYPTED, target)

        status = each_file([*dict.fromkeys(files)], decrypt_one, tell, refused=refused, hurry=writer.hurry)
    click.get_current_context().exit(status)


def _without_suffix(file: Path) -> Path:
    """Return the name of a decrypted file.

    Raises:
        click.UsageError: the encrypted file's name does not tell it.
    """
    if file == STANDARD_INPUT:
        raise click.UsageError(_("The standard input has no name: say with -o where its content goes."))
    if (target := _named_without_suffix(file)) is None:
        raise click.UsageError(_UNNAMED.format(path=file)())
    return target


def _named_without_suffix(file: Path) -> Path | None:
    name = file.name[: -len(_SUFFIX)]
    if not file.name.lower().endswith(_SUFFIX) or name in ("", ".", ".."):
        return None
    return file.with_name(name)


def _results_for(files: Sequence[Path], by: "RecipientCard") -> tuple[dict[Path, Path], dict[Path, XcaError]]:
    """Return the result of each of several files for the card, and why the other files have none.

    A pipe is taken to be for the card: it can be read only once.
    """
    from xca_plugin import enveloped

    outputs, refused = dict[Path, Path](), dict[Path, XcaError]()
    for file in files:
        try:
            with problems_of(file):
                is_pipe = file.is_fifo()
            if not is_pipe:
                with input_file(file) as source:
                    enveloped.Enveloped(source).check_card(by)
            target = _named_without_suffix(file)
            if target is None:
                raise FileProblem(path=file, detail=_ENDS_OTHERWISE).with_step(_DECRYPT_ALONE)
            outputs[file] = target
        except XcaError as error:
            refused[file] = error
    return outputs, refused
