# SPDX-License-Identifier: Apache-2.0
"""pyHanko's command `pyhanko sign addsig xca`: sign a PDF with a card (docs/pdf.md)."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

import click
from pyhanko.cli import plugin_api
from pyhanko.sign.signers.pdf_cms import Signer

from xca_common.errors import FileProblem, XcaError, os_reason
from xca_plugin.cards import signing_certificate
from xca_plugin.i18n import _, text
from xca_plugin.signer import CardSigner
from xca_plugin.terminal.card_choice import card_option, choose
from xca_plugin.terminal.consent import before_pin, cards_asking, last_try_option, yes_option
from xca_plugin.terminal.exit_statuses import exit_status
from xca_plugin.terminal.next_steps import next_step
from xca_plugin.terminal.output import say
from xca_plugin.terminal.secrets import PIN, Asker, source_option
from xca_plugin.validity import check_now


@click.command()
@card_option
@source_option(PIN)
@yes_option
@last_try_option
def _xcactl_options() -> None:
    """Hold the options that are xcactl's; it is never run."""


class SigningCommandPlugin(plugin_api.SigningCommandPlugin):
    """The command, as pyHanko finds it in the entry-point group `pyhanko.cli_plugin.signing`."""

    subcommand_name = "xca"
    help_summary = _("Sign with an organisation IC card (組織及團體憑證 IC 卡).")

    def click_options(self) -> list[click.Option]:
        """Return the options: card, PIN and consent as in xcactl."""
        return [option for option in _xcactl_options.params if isinstance(option, click.Option)]

    def create_signer(self, context: plugin_api.CLIContext, **kwargs: Any) -> AbstractContextManager[Signer]:
        """Choose the card and look at its state; the signer asks for the PIN when the PDF is ready for it."""
        return _signer(context, **kwargs)


@contextmanager
def _signer(
    context: plugin_api.CLIContext, number: str | None, pin: str | None, yes: bool, last_try: bool
) -> Iterator[Signer]:
    files = click.get_current_context().params
    source, output = Path(files["infile"]), Path(files["outfile"])
    # pyHanko's `identity` command does not read the variable.
    number = number or os.environ.get("XCA_CARD") or None
    try:
        with _whole(output, source):
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
    except XcaError as error:
        raise _Shown(error) from error
    except EOFError:  # pyHanko asked for the PDF's own password
        detail = text("it is encrypted, and there is no terminal to ask for its password at")
        raise _Shown(FileProblem(path=source, detail=detail)) from None
    except click.Abort:
        raise KeyboardInterrupt from None  # pyHanko takes an Abort for a failure of its own


@contextmanager
def _whole(output: Path, source: Path) -> Iterator[None]:
    """Refuse an output that cannot be; afterwards take away what pyHanko could only half write.

    Raises:
        FileProblem: it is the source, or cannot be written.
    """
    new = not output.exists()
    if not new and output.samefile(source):
        raise FileProblem(path=output, detail=text("this is the file to be signed"))
    if not os.access(output.parent if new else output, os.W_OK):
        raise FileProblem(path=output, detail=text("it cannot be written there"))
    try:
        yield
    except BaseException as error:
        if new and output.exists():
            output.unlink()
            if isinstance(error, OSError):
                raise FileProblem(path=output, detail=os_reason(error)) from error
        raise


class _Shown(click.ClickException):
    """An XcaError as xcactl shows it: message, next step, status."""

    def __init__(self, error: XcaError) -> None:
        super().__init__(error.message())
        self.exit_code = exit_status(error)  # type: ignore[misc]  # click reads the instance's
        self._next_step = next_step(error)

    def show(self, file: IO[Any] | None = None) -> None:
        say(text("Error: {message}").format(message=self.message)(), err=True, fg="red")
        say(self._next_step, err=True)
