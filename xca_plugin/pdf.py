# SPDX-License-Identifier: Apache-2.0
"""pyHanko's command `pyhanko sign addsig xca`: sign a PDF with a card (docs/pdf.md)."""

import getpass
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final

import click
from pyhanko.cli import plugin_api
from pyhanko.cli._ctx import PasswordPrompter
from pyhanko.cli.commands.signing import plugin as pyhanko_command
from pyhanko.pdf_utils.crypt import AuthStatus, StandardSecurityHandler
from pyhanko.pdf_utils.misc import PdfDecodeLimitError, PdfReadError, PdfStrictReadError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.signers import DEFAULT_SIGNING_STAMP_STYLE
from pyhanko.sign.signers.pdf_cms import Signer
from pyhanko.sign.timestamps import TimestampRequestError
from pyhanko.stamp import TextStampStyle

from xca_common.errors import FileProblem, XcaError, os_reason, place_of
from xca_common.i18n import Text
from xca_plugin.cards import signing_certificate
from xca_plugin.errors import PdfNotSigned, TooMuch
from xca_plugin.i18n import _, text
from xca_plugin.signer import CardSigner
from xca_plugin.stamp_font import CompleteFont
from xca_plugin.terminal.card_choice import card_option, choose
from xca_plugin.terminal.consent import before_pin, cards_asking, last_try_option, yes_option
from xca_plugin.terminal.exit_statuses import exit_status
from xca_plugin.terminal.next_steps import next_step
from xca_plugin.terminal.output import say
from xca_plugin.terminal.result_files import force_option, result_file, say_about
from xca_plugin.terminal.secrets import PIN, Asker, source_option
from xca_plugin.terminal.streams import show_module_log
from xca_plugin.time_limit import PDF_SECONDS, TAKES_TOO_LONG, TimeIsUp, time_limit
from xca_plugin.time_stamping import check_address
from xca_plugin.validity import check_now

_UNREADABLE: Final = text("it is no PDF that can be read ({detail})")
_NAME_A_PDF: Final = text("Nothing was written. Name a PDF file that is whole.")
_NOT_STRICT: Final = text("Nothing was written. Put --no-strict-syntax before xca to read it all the same.")
_NO_LIMITS: Final = text("Nothing was written. If you trust the file, put --no-decode-limits before xca.")
_REASONS: Final = {
    "Page index out of range": text("it has no such page"),
    "appears to be filled already": text(
        "its field of that name holds a signature; choose another name, such as --field Signature2"
    ),
    "There are no empty signature fields": text(
        "it has no empty signature field; name a new one, such as --field Signature1"
    ),
    "No empty signature field": text(
        "it has no empty signature field of that name; leave out --existing-only to make it"
    ),
    "does not contain a form": text("it has no signature field; leave out --existing-only to make one"),
    "is not a /Sig field": text("its field of that name is not for a signature; choose another name"),
    "too wide for container": text("the place of the visible signature is too small; give it more room"),
    "hybrid cross-reference": text(
        "it has two cross-reference tables (hybrid); put --no-strict-syntax before xca"
    ),
    "must be the first signature": text("it is signed, so it cannot be certified; leave out --certify"),
    "forbids all changes": text("a signature in it forbids all changes"),
}
"""Why pyHanko cannot sign a file, by a part of its words."""
_TERMINAL: Final = "/dev/tty"
_PLACEHOLDERS: Final = {"NUMBER": text("NUMBER"), "SOURCE": text("SOURCE")}


@click.command()
@card_option
@source_option(PIN)
@yes_option
@last_try_option
@force_option
def _xcactl_options() -> None:
    """Hold the options that are xcactl's; it is never run."""


class SigningCommandPlugin(plugin_api.SigningCommandPlugin):
    """The command, as pyHanko finds it in the entry-point group `pyhanko.cli_plugin.signing`."""

    subcommand_name = "xca"
    help_summary = _("Sign with an organisation IC card (組織及團體憑證 IC 卡).")

    def click_options(self) -> list[click.Option]:
        """Return the options: card, PIN, consent and replacement as in xcactl."""
        options = [option for option in _xcactl_options.params if isinstance(option, click.Option)]
        for option in options:
            if placeholder := _PLACEHOLDERS.get(option.metavar or ""):
                option.metavar = placeholder()
        return options

    def create_signer(self, context: plugin_api.CLIContext, **kwargs: Any) -> AbstractContextManager[Signer]:
        """Choose the card and check its state; the signer asks for the PIN when the PDF is ready for it."""
        return _signer(context, **kwargs)


@contextmanager
def _signer(
    context: plugin_api.CLIContext,
    number: str | None,
    pin: str | None,
    yes: bool,
    last_try: bool,
    force: bool,
) -> Iterator[Signer]:
    files = click.get_current_context().params
    source, output = Path(files["infile"]), Path(files["outfile"])
    # pyHanko's `identity` command does not read the variable.
    number = number or os.environ.get("XCA_CARD") or None
    show_module_log(wanted=False)
    try:
        # The limit ends before the output appears: what has appeared did not take too long.
        with _written_whole(context, source, output, force), time_limit(PDF_SECONDS):
            context.ux.prompter = _PasswordOfPdf(context, source)
            if context.timestamp_url:
                check_address(context.timestamp_url)
            _check_font(context, source)
            cards = cards_asking(last_try)
            card = choose(cards, number)
            check_now(signing_certificate(card), card.number)
            before_pin(card, yes=yes, last_try=last_try)
            with Asker(card) as ask:
                yield CardSigner(
                    cards,
                    card,
                    cards.certificates(card),
                    lambda: ask.get(PIN, pin),
                    prefer_pss=context.prefer_pss,
                )
        say_about(text("Signed: {path}"), output)
    except TimeIsUp:
        raise _Shown(TooMuch(path=source, detail=TAKES_TOO_LONG)) from None
    except XcaError as error:
        raise _Shown(error) from error
    except click.Abort:
        raise KeyboardInterrupt from None  # pyHanko takes an Abort for a failure of its own
    except click.ClickException:
        raise
    except PdfReadError as error:
        problem = PdfNotSigned(path=source, detail=_UNREADABLE.format(detail=str(error).removesuffix(".")))
        raise _Shown(problem.with_step(_step(error))) from error
    except Exception as error:
        raise _Shown(PdfNotSigned(path=source, detail=_reason(error))) from error


@contextmanager
def _written_whole(context: plugin_api.CLIContext, source: Path, output: Path, force: bool) -> Iterator[None]:
    """Have pyHanko write the output with result_file: whole, or not at all.

    pyHanko opens the output by itself when the signature is made. Its module gets another open() for that.

    Raises:
        FileProblem: the output is the source, or cannot be written.
        OutputExists: a file is there, and may not be replaced.
    """
    if output.exists() and output.samefile(source):
        problem = FileProblem(path=output, detail=text("this is the file to be signed"))
        raise problem.with_step(text("Choose another name for the result."))
    with result_file(output, force=force, binary=not context.detach_pem) as file:

        def opened(name: str, mode: str) -> AbstractContextManager[IO[bytes]]:
            return nullcontext(file) if mode == "wb" else Path(name).open(mode)

        pyhanko_command.open = opened  # type: ignore[attr-defined]
        try:
            yield
        finally:
            del pyhanko_command.open  # type: ignore[attr-defined]


class _PasswordOfPdf(PasswordPrompter):
    """Asks for the password of an encrypted PDF, at a terminal and nowhere else.

    The standard input may hold the PIN. A PDF that opens without a password is not asked for its owner's.
    """

    def __init__(self, context: plugin_api.CLIContext, source: Path) -> None:
        self._context, self._source = context, source

    def prompt_for_password(self, prompt: str) -> str:
        """Return the password.

        Raises:
            FileProblem: one is needed, and there is no terminal, or its input ended.
        """
        if self._opens_without():
            return ""
        try:
            os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
            return getpass.getpass(prompt)
        except (OSError, EOFError):
            detail = text("it is encrypted, and there is no terminal to ask for its password at")
            problem = FileProblem(path=self._source, detail=detail)
            raise problem.with_step(text("Run it in a terminal, or take the password off first.")) from None

    def _opens_without(self) -> bool:
        with self._source.open("rb") as file:
            limits = self._context.decode_limits
            reader = PdfFileReader(file, strict=not self._context.lenient, decode_limits=limits)
            if not isinstance(reader.security_handler, StandardSecurityHandler):
                return False
            return reader.decrypt("").status is not AuthStatus.FAILED


def _check_font(context: plugin_api.CLIContext, source: Path) -> None:
    """Have the text of a visible signature refused where its font lacks a character."""
    style = context.stamp_style or DEFAULT_SIGNING_STAMP_STYLE
    if isinstance(style, TextStampStyle):
        box = style.text_box_style
        context.stamp_style = replace(style, text_box_style=replace(box, font=CompleteFont(box.font, source)))


def _cause(error: BaseException) -> Text | str:
    """Return the system's words for the first of the errors that led to this one, else its own."""
    first = error
    while (before := first.__cause__ or first.__context__) is not None:
        first = before
    return os_reason(first) if isinstance(first, OSError) and first.errno else str(error.args[0])


def _reason(error: Exception) -> Text | str:
    """Say why pyHanko failed. The text of a stranger's exception is left out: it may hold a secret."""
    if isinstance(error, TimestampRequestError):
        return text("the time-stamping authority does not answer: {detail}").format(detail=_cause(error))
    if isinstance(error, OSError):
        return os_reason(error)
    if type(error).__module__.startswith("pyhanko"):
        for part, reason in _REASONS.items():
            if part in str(error):
                return reason
        return str(error).removesuffix(".") or type(error).__name__
    return text("unexpected problem ({where})").format(where=place_of(error))


def _step(error: PdfReadError) -> Text:
    if isinstance(error, PdfDecodeLimitError):
        return _NO_LIMITS
    return _NOT_STRICT if isinstance(error, PdfStrictReadError) else _NAME_A_PDF


class _Shown(click.ClickException):
    """An XcaError as xcactl shows it: message, next step, status."""

    def __init__(self, error: XcaError) -> None:
        super().__init__(error.message())
        self.exit_code = exit_status(error)  # type: ignore[misc]  # click reads the instance's
        self._next_step = next_step(error)

    def show(self, file: IO[Any] | None = None) -> None:
        say(text("Error: {message}").format(message=self.message)(), err=True, fg="red")
        say(self._next_step, err=True)
