# SPDX-License-Identifier: Apache-2.0
"""xcactl sign: signatures of files."""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

import click

from xca_common.secret import Secret
from xca_plugin.cards import Cards, CheckedSession, signing_certificate
from xca_plugin.cli.common import format_option, hidden, opened, output_option
from xca_plugin.cli.several_files import (
    ReadAhead,
    Writer,
    check_outputs,
    check_single,
    each_file,
    each_refused,
)
from xca_plugin.history_note import Purpose
from xca_plugin.i18n import _, text
from xca_plugin.model import Card
from xca_plugin.named_file import input_file
from xca_plugin.terminal.acceptance import offer
from xca_plugin.terminal.card_choice import card_option, choose
from xca_plugin.terminal.consent import before_pin, cards_asking, last_try_option, yes_option
from xca_plugin.terminal.input_files import files_argument, named_after
from xca_plugin.terminal.result_files import (
    OUTPUT,
    agree_to_replace,
    check_output,
    check_shown,
    force_option,
    result_file,
    say_about,
    say_written,
)
from xca_plugin.terminal.secrets import PIN, Asker, source_option
from xca_plugin.validity import check_now

_SIGNED: Final = text("Signed: {path}")
_REQUESTED: Final = text("Request for a time-stamp: {path}")


@click.command(
    help=_("Sign each FILE with one login: a CMS signature (SHA-256), detached unless told otherwise.")
)
@files_argument("FILE…")
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
    files: tuple[Path, ...],
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
    """Sign each file with the card, after one login."""
    if raw and (attached or leaf or no_signing_time or time_stamper or form == "pem"):
        raise click.UsageError(_("--raw cannot be used with options about CMS."))
    if time_stamper:
        from xca_plugin import time_stamping  # here, because few signatures have a time-stamp

        time_stamping.check_address(time_stamper)
    check_single(files, output, timestamp_request)
    suffix = ".sig" if raw else ".p7m" if attached else ".p7s"
    outputs = {file: output or named_after(file, suffix) for file in files}
    check_outputs(outputs)
    if timestamp_request:
        check_output(timestamp_request, *files, *outputs.values())
        check_shown(timestamp_request)
    if output and form != "pem":
        check_shown(output)
    cards = cards_asking(last_try)
    card = choose(cards, number)
    check_now(signing_certificate(card), card.number)
    form_of = _Form(attached, form == "pem", not leaf, not no_signing_time, raw, time_stamper)
    if len(files) == 1:
        (target,) = outputs.values()
        before_pin(card, yes=yes, last_try=last_try)
        with Asker(card) as ask:
            with (
                opened(files[0], twice=attached) as (content, progress),
                _also(timestamp_request, force) as request,
                result_file(target, force=force, binary=form != "pem") as result,
            ):
                secret = ask.get(PIN, pin)

                def sign_with_card(digest: bytes) -> bytes:
                    def use(value: Secret) -> bytes:
                        nonlocal secret
                        secret = value
                        return cards.sign(card, value, digest)

                    with hidden(progress):
                        return ask.used(PIN, pin, secret, use)

                write = form_of.writer(cards, card, sign_with_card)
                with progress:
                    write(content, result, request)
            say_written(_SIGNED, target)
            if timestamp_request:
                say_about(_REQUESTED, timestamp_request)
            offer(cards, card, secret)
        return
    agreed = agree_to_replace(outputs, force)
    if len(agreed.refused) == len(outputs):  # nothing is left to be signed: no PIN is needed
        click.get_current_context().exit(each_refused(agreed.refused))
    before_pin(card, yes=yes, last_try=last_try)
    with Asker(card) as ask, ExitStack() as stack:

        def log_in(secret: Secret) -> CheckedSession:
            return stack.enter_context(cards.session(card, secret, Purpose.SIGN))

        verify: Callable[[], object]

        def sign_with_session(digest: bytes) -> bytes:
            nonlocal verify
            if attached:
                return session.sign(digest)
            signature, verify = session.sign_unverified(digest)
            return signature

        secret = ask.get(PIN, pin)
        write = form_of.writer(cards, card, sign_with_session)
        session = ask.used(PIN, pin, secret, log_in)
        writer = stack.enter_context(Writer(agreed.replaced))
        ahead = ReadAhead([file for file in outputs if file not in agreed.refused], writer.hurry)

        def sign_one(file: Path) -> Future[Path]:
            if attached:
                with input_file(file, twice=True) as content:
                    return writer.write(outputs[file], lambda result: write(content, result, None))
            signature = BytesIO()
            with ahead.open(file) as content:
                write(content, signature, None)
            return writer.put(outputs[file], signature.getvalue(), check=verify)

        def tell(file: Path, signature: Path) -> None:
            say_written(_SIGNED, signature)

        status = each_file(list(outputs), sign_one, tell, refused=agreed.refused, hurry=writer.hurry)
    click.get_current_context().exit(status)


@dataclass(frozen=True)
class _Form:
    """The form of the signatures that the options ask for."""

    attached: bool
    pem: bool
    chain: bool
    signing_time: bool
    raw: bool
    time_stamper: str | None

    def writer(
        self, cards: Cards, card: Card, sign: Callable[[bytes], bytes]
    ) -> Callable[[BinaryIO, BinaryIO, BinaryIO | None], None]:
        """Return what signs: a function of the content, the result, and the time-stamp request or None.

        This takes half a second. It comes after the checks, and before the login.
        """
        from xca_plugin import cms, time_stamping

        stamp = partial(time_stamping.time_stamp_token, self.time_stamper) if self.time_stamper else None
        signer = None
        if not self.raw:
            signer = cms.FileSigner(cards, card, sign, chain=self.chain, signing_time=self.signing_time)

        def write(content: BinaryIO, result: BinaryIO, request: BinaryIO | None) -> None:
            if signer is None:
                signature = cms.sign_raw(content, sign)
                result.write(signature)
            else:
                signature = signer.sign(
                    content, result, attached=self.attached, pem=self.pem, time_stamp=stamp
                )
            if request:
                request.write(cms.timestamp_request(signature))

        return write


def _also(path: Path | None, force: bool) -> AbstractContextManager[BinaryIO | None]:
    return result_file(path, force=force) if path else nullcontext()
