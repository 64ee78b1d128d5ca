# SPDX-License-Identifier: Apache-2.0
"""xcactl bid: sealed bids, from the bidder's files to the officers' cards."""

import re
import secrets
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from xca_common.bid import Bid
from xca_common.pki.certificate import Certificate
from xca_common.pki.signed_bid import recipients
from xca_common.secret import Secret
from xca_common.taipei import moment
from xca_plugin import card_text
from xca_plugin.cards import Cards, signing_certificate
from xca_plugin.cli.common import opened, output_option
from xca_plugin.cli.several_files import Writer, check_outputs, check_single, each_file, each_refused
from xca_plugin.history_note import Purpose
from xca_plugin.i18n import _, text
from xca_plugin.model import Card, CardSession
from xca_plugin.named_file import input_file
from xca_plugin.terminal.card_choice import card_option, choose
from xca_plugin.terminal.consent import before_pin, cards_asking, last_try_option, yes_option
from xca_plugin.terminal.input_files import FILE, ROOT_FILE, files_argument
from xca_plugin.terminal.output import console, say, say_done
from xca_plugin.terminal.result_files import (
    agree_to_replace,
    check_output,
    force_option,
    result_file,
    say_written,
)
from xca_plugin.terminal.secrets import PIN, Asker, source_option
from xca_plugin.validity import check_now

if TYPE_CHECKING:
    from xca_common.pki.sealed_bid import SealedBid

_SEALED: Final = text("Sealed: {path}")
_OPENED: Final = text("Opened: {path}")
_INNER: Final = ".inner"
_ARCHIVE: Final = ".zip"
_RECEIPT: Final = ".receipt"
_WORDS: Final = re.compile(r"[A-Za-z0-9.:/_-]+(?: [A-Za-z0-9.:/_-]+)*")
_DIGEST: Final = re.compile("[0-9a-f]{64}")
_WORTH_A_BAR: Final = 8 << 20
_CHUNK: Final = 1 << 20


def _matching(form: re.Pattern[str], wrong: str) -> Callable[..., str | None]:
    def check(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
        if value is not None and not form.fullmatch(value):
            raise click.BadParameter(wrong)
        return value

    return check


_words: Final = _matching(_WORDS, _("It may have letters, digits, blanks and . : / _ - only."))
_digest: Final = _matching(_DIGEST, _("It has 64 hexadecimal digits, in lower case."))
notice_option: Final = click.option(
    "--notice",
    metavar="NOTICE",
    type=FILE,
    required=True,
    help=_("The notice of the tender, as its site signed it."),
)
site_option: Final = click.option(
    "--site",
    metavar="CERT",
    type=FILE,
    required=True,
    help=_("The certificate with which the site signs, from a source that you trust."),
)


@click.group(help=_("Seal a bid, look at it, or open it with an officer's card."))
def bid() -> None:
    """Group of the commands xcactl bid …."""


@bid.command(
    help=_(
        "Sign a bid with the card and seal it to the officers' cards: each FILE is in it, and nobody can "
        "open it alone, or before the opening."
    )
)
@files_argument("FILE…")
@output_option(_("The sealed bid."), required=True)
@notice_option
@site_option
@click.option(
    "--bid",
    "number_of_bid",
    metavar="NUMBER",
    callback=_digest,
    help=_("The number that the site gave the bid."),
)
@click.option(
    "--replaces",
    metavar="RECEIPT",
    type=FILE,
    help=_("The receipt of the bid that this one replaces; it takes the place of --bid."),
)
@click.option(
    "--instrument",
    metavar="FILE",
    type=FILE,
    required=True,
    help=_("The tender document receipt (領標電子憑據)."),
)
@click.option("--instrument-number", metavar="NUMBER", required=True, callback=_words, help=_("Its number."))
@click.option(
    "--bond",
    metavar="NUMBER",
    default="none",
    show_default=True,
    callback=_words,
    help=_("The number of the bid bond (押標金)."),
)
@force_option
@card_option
@source_option(PIN)
@yes_option
@last_try_option
def seal(
    files: tuple[Path, ...],
    output: Path,
    notice: Path,
    site: Path,
    number_of_bid: str | None,
    replaces: Path | None,
    instrument: Path,
    instrument_number: str,
    bond: str,
    force: bool,
    number: str | None,
    pin: str | None,
    yes: bool,
    last_try: bool,
) -> None:
    """Sign and seal one bid, after one login."""
    from xca_plugin import bids

    if (number_of_bid is None) == (replaces is None):
        raise click.UsageError(
            _("Give the number of the bid (--bid), or the receipt of the one that it replaces.")
        )
    if len(files) == 1:
        check_single(files)
    check_output(output, *files, notice, site, instrument, *([replaces] if replaces else []))
    tender = bids.Tender.read(notice, site)
    tender.check_deadline()
    tender.recipients()
    sequence, replaced = 1, None
    if replaces:
        receipt, replaced = tender.replaced(replaces)
        number_of_bid, sequence = receipt.bid.hex(), receipt.sequence + 1
    with input_file(instrument) as file:
        digest = sha256()
        for chunk in iter(partial(file.read, _CHUNK), b""):
            digest.update(chunk)
    cards = cards_asking(last_try)
    card = choose(cards, number)
    certificate = signing_certificate(card)
    organisation = bids.organisation_of(certificate, card.number)
    if replaces and receipt.account != organisation:
        raise click.UsageError(_("The receipt of --replaces is of another organisation's bid."))
    check_now(certificate, card.number)
    with _bar(files) as bar:
        told = bids.listed(files, bar)
    said = Bid(
        tender.notice.tender,
        tender.signed.sha256.hex(),
        organisation,
        f"{instrument_number} {digest.hexdigest()}",
        bond,
        number_of_bid or "",
        sequence,
        replaced.hex() if replaced else None,
        recipients(tender.notice),
        tuple(told),
    )
    statement = said.statement(tender.notice.origin, datetime.now(UTC), secrets.token_hex(32))
    before_pin(card, yes=yes, last_try=last_try)
    with Asker(card) as ask, result_file(output, force=force) as result:
        secret = ask.get(PIN, pin)

        def sign(digest: bytes) -> bytes:
            return ask.used(PIN, pin, secret, lambda value: cards.sign(card, value, digest))

        manifest = bids.signed_manifest(statement, certificate, sign)
        with _bar(files) as bar:
            sealed = bids.seal(tender, manifest, dict(zip(files, told, strict=True)), result, bar)
    say_written(_SEALED, output)
    say_done(text("SHA-256: {digest}").format(digest=sealed.sha256.hex())(), err=True)
    say_done(
        text("Submit it before {deadline}. Keep it, and compare its SHA-256 with the receipt.").format(
            deadline=moment(tender.notice.deadline)
        )(),
        err=True,
    )


@bid.command(
    help=_(
        "Look at a sealed bid without opening it: its form, the cards that it is sealed to, and its receipt. "
        "No card is needed."
    )
)
@files_argument("FILE")
@notice_option
@site_option
@click.option("--receipt", metavar="RECEIPT", type=FILE, help=_("The receipt that the site signed for it."))
def check(files: tuple[Path, ...], notice: Path, site: Path, receipt: Path | None) -> None:
    """Print what sealed bids show."""
    from xca_plugin import bids

    check_single(files, receipt)
    tender = bids.Tender.read(notice, site)
    received = tender.receipt(receipt) if receipt else None

    def check_one(file: Path) -> "SealedBid":
        with input_file(file, twice=True) as content:
            return bids.check(file, content, tender, received)

    def tell(file: Path, sealed: "SealedBid") -> None:
        say(text("{path}: {count} bytes").format(path=file, count=sealed.size)())
        say(text("SHA-256: {digest}").format(digest=sealed.sha256.hex())())
        for label, group in (
            (text("opens first: {holders}"), tender.notice.outer),
            (text("opens then: {holders}"), tender.notice.inner),
        ):
            holders = [Certificate.parse("", "", der).holder_name for der in group]
            say(label.format(holders=holders)())
        if received:
            words = text("The site received it at {moment}: the receipt is of this bid.")
            say(words.format(moment=moment(received.ended))())

    status = each_file([*dict.fromkeys(files)], check_one, tell)
    click.get_current_context().exit(status)


@bid.command(
    "open",
    help=_(
        "Open one envelope of each bid with an officer's card and one login. The first group makes "
        "FILE.inner of FILE, and the second a ZIP of FILE.inner. Each bid has its receipt beside it: "
        "FILE.receipt."
    ),
)
@files_argument("FILE…")
@output_option(
    _("The opened bid (mode 0600); by default FILE.inner, or the name without .inner and with .zip.")
)
@notice_option
@site_option
@click.option(
    "--ca-file",
    metavar="ROOT",
    type=ROOT_FILE,
    help=_("Root certificate that you trust, for the certificates of bidders; the second group needs it."),
)
@click.option(
    "--receipt",
    metavar="RECEIPT",
    type=FILE,
    help=_("The receipt of a single FILE; by default FILE.receipt."),
)
@force_option
@card_option
@source_option(PIN)
@yes_option
@last_try_option
def open_(
    files: tuple[Path, ...],
    output: Path | None,
    notice: Path,
    site: Path,
    ca_file: Path | None,
    receipt: Path | None,
    force: bool,
    number: str | None,
    pin: str | None,
    yes: bool,
    last_try: bool,
) -> None:
    """Open one envelope of each bid, after one login."""
    from xca_plugin import bids
    from xca_plugin.enveloped import RecipientCard
    from xca_plugin.trust import Trust

    check_single(files, output, receipt)
    tender = bids.Tender.read(notice, site)
    tender.check_opening()
    trust = Trust.read(ca_file) if ca_file else None
    cards = cards_asking(last_try)
    card = choose(cards, number)
    opener = bids.Opener(tender, RecipientCard(cards, card), trust)
    if not opener.is_first and trust is None:
        raise click.UsageError(_("The second group needs --ca-file, to judge who signed a bid."))
    outputs = {file: output or _opened_name(file, is_first=opener.is_first) for file in files}
    check_outputs(outputs)
    receipts = {file: receipt or _receipt_of(file) for file in files}
    for target in outputs.values():
        check_output(target, notice, site, *receipts.values(), *([ca_file] if ca_file else []))
    agreed = agree_to_replace(outputs, force)
    if len(agreed.refused) == len(outputs):
        click.get_current_context().exit(each_refused(agreed.refused))
    before_pin(card, yes=yes, last_try=last_try)
    bidders: dict[Path, Certificate] = {}
    with Asker(card) as ask, ExitStack() as stack:
        session = _logged_in(stack, cards, card, ask, pin)
        writer = stack.enter_context(Writer(agreed.replaced))

        def open_one(file: Path) -> Future[Path]:
            received = tender.receipt(receipts[file])
            with opened(file, twice=True) as (content, progress), progress:

                def fill(result: BinaryIO) -> None:
                    bidder = opener.open(file, content, received, session, result)
                    if bidder:
                        bidders[file] = bidder

                return writer.write(outputs[file], fill, private=True)

        def tell(file: Path, target: Path) -> None:
            say_written(_OPENED, target)
            if bidder := bidders.get(file):
                say_done(
                    text("Bid of: {holder}").format(holder=card_text.name_and_subject(bidder))(), err=True
                )

        status = each_file(list(outputs), open_one, tell, refused=agreed.refused, hurry=writer.hurry)
    click.get_current_context().exit(status)


@bid.command(
    help=_(
        "Try before the opening whether the card opens bids: open FILE, which the site encrypted to it, and "
        "print the answer for the site."
    )
)
@click.argument("file", metavar="FILE", type=FILE)
@click.option(
    "--origin", metavar="ORIGIN", required=True, help=_("The site, such as https://bids.example.gov.tw.")
)
@card_option
@source_option(PIN)
@yes_option
@last_try_option
def rehearse(file: Path, origin: str, number: str | None, pin: str | None, yes: bool, last_try: bool) -> None:
    """Open a rehearsal and print its nonce."""
    from xca_plugin import bids
    from xca_plugin.enveloped import RecipientCard

    cards = cards_asking(last_try)
    card = choose(cards, number)
    by = RecipientCard(cards, card)
    before_pin(card, yes=yes, last_try=last_try)
    with Asker(card) as ask, input_file(file) as content, ExitStack() as stack:
        session = _logged_in(stack, cards, card, ask, pin)
        nonce = bids.rehearse(file, content, origin, by, session)
    say(nonce)
    say_done(_("The card opens bids. Give the site what is printed above."), err=True)


def _logged_in(stack: ExitStack, cards: Cards, card: Card, ask: Asker, pin: str | None) -> CardSession:
    def log_in(secret: Secret) -> CardSession:
        return stack.enter_context(cards.session(card, secret, Purpose.DECRYPT))

    return ask.used(PIN, pin, ask.get(PIN, pin), log_in)


def _opened_name(file: Path, *, is_first: bool) -> Path:
    name = file.name
    if is_first:
        return file.with_name(f"{name}{_INNER}")
    return file.with_name(f"{_without_inner(name)}{_ARCHIVE}")


def _receipt_of(file: Path) -> Path:
    return file.with_name(f"{_without_inner(file.name)}{_RECEIPT}")


def _without_inner(name: str) -> str:
    return name.removesuffix(_INNER) or name


@contextmanager
def _bar(files: tuple[Path, ...]) -> Iterator[Callable[[BinaryIO], BinaryIO]]:
    """Show how much of several files was read; what this yields wraps each of them."""
    sizes = [file.stat().st_size for file in files if file.exists()]
    if not sys.stderr.isatty() or sum(sizes) < _WORTH_A_BAR:
        yield lambda file: file
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(err=True), transient=True) as progress:
        task = progress.add_task("", total=sum(sizes))
        yield partial(progress.wrap_file, task_id=task)
