# SPDX-License-Identifier: Apache-2.0
"""What the commands share: the options, choosing a card, asking for secrets, writing results.

Questions and remarks go to stderr; stdout is for results.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self

import click

from pkcs11_shim import rules
from xca_common.errors import FileProblem, SecretMissing, XcaError, os_reason
from xca_common.harmless_text import harmless
from xca_common.secret import Secret
from xca_common.secret_source import SecretReader, SecretSourceError
from xca_plugin import card_text, errors
from xca_plugin.cards import REAL_CARD_WARNING, Cards, check_pin, check_pin_usable, check_user_code
from xca_plugin.cli.terminal import confirm, prompt, say
from xca_plugin.i18n import _, text
from xca_plugin.last_try import allow
from xca_plugin.model import Card, CardState

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# --- options


def _complete_card(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
    from click.shell_completion import CompletionItem

    try:
        cards = Cards().detect()
    except XcaError:
        return []  # a completion has no place to say why
    return [
        CompletionItem(card.number, help=harmless(card_text.holder(card)))
        for card in cards
        # What is completed becomes part of a command: no sign of a shell may stand in it.
        if card.number.startswith(incomplete.upper()) and card.number.isascii() and card.number.isalnum()
    ]


card_option: Final = click.option(
    "--card",
    "number",
    metavar="NUMBER",
    envvar="XCA_CARD",
    show_envvar=True,
    shell_complete=_complete_card,
    help=_("Number of the card; not needed when there is only one."),
)
json_option: Final = click.option("--json", "as_json", is_flag=True, help=_("Print JSON (docs/schema)."))
yes_option: Final = click.option("--yes", is_flag=True, help=_("Agree to what would be asked; for scripts."))
last_try_option: Final = click.option(
    "--last-try", is_flag=True, help=_("Go on although only one try is left.")
)


FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
"""Type of an argument that names a file to be read."""
format_option: Final = click.option(
    "--format",
    "form",
    type=click.Choice(["der", "pem"]),
    default="der",
    show_default=True,
    help=_("Encoding."),
)


def output_option(
    explained: str, *, required: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option that names the file to be written."""
    return click.option(
        "-o",
        "--output",
        metavar="OUT",
        required=required,
        type=click.Path(dir_okay=False, path_type=Path),
        help=explained,
    )


def source_option(kind: "Kind") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option that names where a secret comes from."""
    return click.option(kind.option, metavar="SOURCE", help=kind.help)


# --- choosing a card


def choose(cards: Cards, number: str | None) -> Card:
    """Return the card of that number, or the only one there is; among several, ask.

    Raises:
        NoReader, NoCard, CardNotFound, SeveralCards.
    """
    present = cards.detect()
    if number is not None:
        for card in present:
            if card.number == number.strip().upper():
                return card
        raise errors.CardNotFound(number=number)
    if not present:
        raise errors.NoCard if cards.readers() else errors.NoReader
    if len(present) == 1:
        return present[0]
    if not interactive():
        raise errors.SeveralCards(numbers=[card.number for card in present])
    say(_("Several cards are here:"), err=True)
    table = grid(False, False, True, False)
    for position, card in enumerate(present, 1):
        table.add_row(f"{position})", card.number, card_text.holder(card), card_text.state(card))
    console(err=True).print(table)
    chosen: int = prompt(_("Which one"), type=click.IntRange(1, len(present)))
    return present[chosen - 1]


# --- consent


def interactive() -> bool:
    """Tell whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def agree(question: str, yes: bool) -> None:
    """Ask for consent, unless it was given beforehand.

    Raises:
        NotAgreed: it was not given, or there is nobody to ask.
    """
    if not (yes or (interactive() and confirm(question))):
        raise errors.NotAgreed


def agree_to_risk(card: Card, yes: bool) -> None:
    """Before a secret of a real card is used: the holder must know what that may do to it."""
    if card.real:
        say(REAL_CARD_WARNING(), err=True, fg="yellow")
        agree(_("Do you agree?"), yes)


def cards_asking(last_try: bool) -> Cards:
    """Return the cards, for a command that spends tries: the last is asked for, whatever was shown before."""
    return Cards(confirm_last_try=partial(confirm_last_try, 1, last_try))


def confirm_last_try(tries: int | None, confirmed: bool) -> None:
    """When one try is left, have it confirmed in words.

    Raises:
        LastTryNotConfirmed: it was not.
    """
    if tries != 1:
        return
    if not confirmed and interactive():
        phrase = _("last try")
        question = text("Only one try is left; a wrong value locks it. To go on, type: {phrase}")
        say(question.format(phrase=phrase)(), err=True, fg="yellow")
        confirmed = prompt(_("Confirm"), default="", show_default=False).strip() == phrase
    if not confirmed:
        raise errors.LastTryNotConfirmed
    allow()


def before_pin(card: Card, *, yes: bool, last_try: bool) -> None:
    """Before the PIN is asked: say how it stands, refuse what cannot be, have confirmed what must be."""
    check_pin_usable(card)
    say(
        text("Card {number}, PIN: {tries}").format(
            number=card.number, tries=card_text.tries(card.pin_tries)
        )(),
        err=True,
    )
    agree_to_risk(card, yes)
    confirm_last_try(card.pin_tries, last_try)


def before_user_code(card: Card, *, yes: bool, last_try: bool) -> None:
    """Do the same before the user code is asked."""
    if card.state is CardState.LAPSED:
        raise errors.CardLapsed(number=card.number)
    if card.user_code_tries == 0:
        raise errors.UserCodeLocked(number=card.number)
    say(
        text("Card {number}, user code: {tries}").format(
            number=card.number, tries=card_text.tries(card.user_code_tries)
        )(),
        err=True,
    )
    agree_to_risk(card, yes)
    confirm_last_try(card.user_code_tries, last_try)


# --- secrets


@dataclass(frozen=True)
class Kind:
    """A secret that commands ask for.

    Attributes:
        option: the option that names its source.
        prompt: how it is asked for, of a card.
        again: how it is asked for the second time; None: once is enough.
        check: refuses what has not its form.
        help: what the option is for.
    """

    option: str
    prompt: Callable[[Card], str]
    again: str | None
    check: Callable[[Card, Secret], None]
    help: str


_SOURCES: Final = _(
    "Where it comes from: env:NAME, file:PATH, fd:NUMBER or stdin; by default it is asked for."
)


def _new_pin(card: Card) -> str:
    prompt = text("New PIN ({shortest} to {longest} characters)")
    return prompt.format(shortest=card.pin_min, longest=card.pin_max)()


def _new_user_code(card: Card) -> str:
    prompt = text("New user code ({shortest} to {longest} characters)")
    return prompt.format(shortest=rules.USER_CODE_MIN, longest=rules.USER_CODE_MAX)()


def _check_user_code(card: Card, user_code: Secret) -> None:
    check_user_code(user_code)


PIN: Final = Kind("--pin", lambda card: _("PIN"), None, check_pin, _SOURCES)
NEW_PIN: Final = Kind("--new-pin", _new_pin, _("New PIN again"), check_pin, _SOURCES)
USER_CODE: Final = Kind(
    "--user-code",
    lambda card: _("User code (upper and lower case differ)"),
    None,
    _check_user_code,
    _SOURCES,
)
NEW_USER_CODE: Final = Kind(
    "--new-user-code", _new_user_code, _("New user code again"), _check_user_code, _SOURCES
)


class Asker:
    """Gets the secrets of one command, from their sources or from the person, and wipes them at its end.

    Args:
        card: the card that they are for.
    """

    def __init__(self, card: Card) -> None:
        self._card = card
        self._stack = ExitStack()
        self._reader = self._stack.enter_context(SecretReader())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def get(self, kind: Kind, source: str | None, check: Callable[[Secret], None] | None = None) -> Secret:
        """Return the secret from its source, or ask until it passes the check (by default the kind's).

        Raises:
            SecretMissing: the source cannot be used, or there is none and nobody to ask.
            InvalidPin, InvalidUserCode, PinRefused: what the source holds does not pass.
        """
        check = check or partial(kind.check, self._card)
        if source is not None:
            try:
                value = self._reader.read(source)
            except SecretSourceError as error:
                raise SecretMissing(option=kind.option, detail=str(error)) from error
            return self._checked(value, check)
        if not interactive():
            raise SecretMissing(option=kind.option, detail=text("there is no terminal to ask at"))

        def checked(value: str) -> Secret:
            try:
                return self._checked(value, check)
            except XcaError as error:
                raise click.UsageError(error.message()) from None  # asks again

        secret: Secret = prompt(
            kind.prompt(self._card),
            hide_input=True,
            confirmation_prompt=kind.again or False,
            value_proc=checked,
        )
        return secret

    def _checked(self, value: str, check: Callable[[Secret], None]) -> Secret:
        """Keep a secret until the end of the command, also one that does not pass, and check it."""
        secret = self._stack.enter_context(Secret(value))
        check(secret)
        return secret


# --- results

_UNLIMITED: Final = 10_000
_WORTH_A_BAR: Final = 8 << 20


def console(*, err: bool = False) -> "Console":
    """Return rich's console; loaded here because not every command needs it."""
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    # Only a terminal has an edge to fold lines at.
    width = None if stream.isatty() else _UNLIMITED
    return Console(stderr=err, highlight=False, markup=False, emoji=False, width=width)


def grid(*folding: bool) -> "Table":
    """Return a table without lines; each argument is a column, and tells whether it may fold.

    Its cells are made harmless.
    """
    from xca_plugin.cli.harmless_table import HarmlessTable

    table = HarmlessTable.grid(padding=(0, 2, 0, 0))
    for folds in folding:
        table.add_column(no_wrap=not folds, overflow="fold")
    return table


def add_heads(table: "Table", *heads: str) -> None:
    """Put a line of heads on top of a table."""
    from rich.text import Text

    table.add_row(*(Text(head, style="dim") for head in heads))


def check_output(output: Path, *inputs: Path) -> None:
    """Refuse to write over a file that the command reads or writes otherwise.

    Raises:
        FileProblem: the output is one of them.
    """
    if output.resolve() in (path.resolve() for path in inputs) or (
        output.exists() and any(path.exists() and output.samefile(path) for path in inputs)
    ):
        raise FileProblem(path=output, detail=text("the command uses this file for something else"))


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, AbstractContextManager[object]]]:
    """Open a file to be read; with it comes the context that shows, in a terminal, how far it was read.

    Raises:
        FileProblem: it cannot be read.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise FileProblem(path=path, detail=os_reason(error)) from error
    with file:
        size = os.fstat(file.fileno()).st_size
        if not sys.stderr.isatty() or size < _WORTH_A_BAR:
            yield file, nullcontext()
            return
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

        progress = Progress(
            BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console(err=True), transient=True
        )
        yield progress.wrap_file(file, total=size), progress
