# SPDX-License-Identifier: Apache-2.0
"""PINs and user codes of one command: read from sources such as env:NAME, or asked for at the terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import click

from pkcs11_shim import rules
from xca_common.command_line import SHOWN_SECRET, QuestionEnded, SourceOption
from xca_common.errors import XcaError
from xca_common.i18n import Text
from xca_common.secret import Secret, TypedAtReader
from xca_common.secret_source import NotASourceError, SecretReader, SecretSourceError
from xca_plugin import errors
from xca_plugin.cards import check_pin, check_user_code
from xca_plugin.errors import SecretMissing
from xca_plugin.i18n import _, text
from xca_plugin.made_pin import made_pin
from xca_plugin.model import Card
from xca_plugin.named_file import leads_to_standard_input
from xca_plugin.terminal.input_files import is_standard_input_taken
from xca_plugin.terminal.output import other_screen, say
from xca_plugin.terminal.prompts import confirm, interactive, prompt

_T = TypeVar("_T")


@dataclass(frozen=True)
class SecretKind:
    """A secret that commands ask for.

    Attributes:
        option: the option that names its source.
        prompt: returns the question for the secret, given the card.
        again: the question for the second entry; None: the secret is asked for once.
        check: raises an error for a value of the wrong form.
        help: help text of the option.
        can_be_made: the program can make such a secret for the person.
        rule: says what a new secret must be like, before it is typed; None: it is no new one.
        at_reader: what a reader with a keypad asks for instead, one line each; empty: the same.
    """

    option: str
    prompt: Callable[[Card], str]
    again: str | None
    check: Callable[[Card, Secret], None]
    help: str
    can_be_made: bool = False
    rule: Callable[[Card], str] | None = None
    at_reader: tuple[Text, ...] = ()


_SOURCES: Final = _(
    "Where the secret comes from: env:NAME, file:PATH, fd:NUMBER or stdin; by default it is asked for."
)


def _new_pin(card: Card) -> str:
    prompt = text("New PIN ({shortest} to {longest} characters)")
    return prompt.format(shortest=card.pin_min, longest=card.pin_max)()


def _new_user_code(card: Card) -> str:
    prompt = text("New user code ({shortest} to {longest} characters)")
    return prompt.format(shortest=rules.USER_CODE_MIN, longest=rules.USER_CODE_MAX)()


def _pin_rule(card: Card) -> str:
    rule = text(
        "A PIN has {shortest} to {longest} characters: letters, digits and ASCII signs, no blanks; upper and "
        "lower case differ. Not allowed: one character repeated (111111), a run (123456), the PIN that it "
        "replaces, the user code, a part of the card's or the organisation's number."
    )
    return rule.format(shortest=card.pin_min, longest=card.pin_max)()


def _user_code_rule(card: Card) -> str:
    rule = text(
        "A user code has {shortest} to {longest} characters: letters, digits and ASCII signs, no blanks; "
        "upper and lower case differ."
    )
    return rule.format(shortest=rules.USER_CODE_MIN, longest=rules.USER_CODE_MAX)()


def _check_user_code(card: Card, user_code: Secret) -> None:
    check_user_code(user_code)


PIN: Final = SecretKind("--pin", lambda card: _("PIN"), None, check_pin, _SOURCES)
CURRENT_PIN: Final = SecretKind("--pin", lambda card: _("Current PIN"), None, check_pin, _SOURCES)
NEW_PIN: Final = SecretKind("--new-pin", _new_pin, _("New PIN again"), check_pin, _SOURCES, rule=_pin_rule)
FIRST_PIN: Final = SecretKind(
    "--new-pin",
    _new_pin,
    _("New PIN again"),
    check_pin,
    _SOURCES,
    can_be_made=True,
    rule=_pin_rule,
    at_reader=(text("the new PIN, also repeated"), text("the new PIN once more, which proves it")),
)
"""The new PIN of an activation or of an unlocking, which the user code authorises."""
USER_CODE: Final = SecretKind(
    "--user-code",
    lambda card: _("User code (upper and lower case differ)"),
    None,
    _check_user_code,
    _SOURCES,
)
CURRENT_USER_CODE: Final = SecretKind(
    "--user-code",
    lambda card: _("Current user code (upper and lower case differ)"),
    None,
    _check_user_code,
    _SOURCES,
)
NEW_USER_CODE: Final = SecretKind(
    "--new-user-code",
    _new_user_code,
    _("New user code again"),
    _check_user_code,
    _SOURCES,
    rule=_user_code_rule,
    at_reader=(text("the current user code once more"), text("the new user code, also repeated")),
)


def source_option(kind: SecretKind) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option that names the source of a secret."""
    return click.option(kind.option, metavar="SOURCE", help=kind.help, cls=SourceOption)


def check_sources() -> None:
    """Find what is wrong with the sources that the command's options name, before a person is asked anything.

    Raises:
        SecretMissing: one of them cannot be used.
    """
    context = click.get_current_context()
    with SecretReader() as reader:
        for option in context.command.params:
            source = context.params.get(option.name or "")
            if isinstance(option, SourceOption) and source is not None:
                with _problems_of(option.opts[0]):
                    _check_not_taken(option.opts[0], source)
                    reader.check(source)


def _check_not_taken(option: str, source: str) -> None:
    if is_standard_input_taken() and _is_standard_input(source):
        raise SecretMissing(option=option, detail=text("the standard input (-) is the file that is read"))


def _is_standard_input(source: str) -> bool:
    kind, _, name = source.partition(":")
    if kind == "file":
        return leads_to_standard_input(Path(name))
    return source == "stdin" or (kind == "fd" and name.isdecimal() and int(name) == 0)


@contextmanager
def _problems_of(option: str) -> Iterator[None]:
    """Tell every problem of a source in the block as one of this option.

    Raises:
        SecretMissing: there was one.
    """
    try:
        yield
    except NotASourceError as error:
        problem = SecretMissing(option=option, detail=error.reason)
        raise problem.with_step(SHOWN_SECRET) from error
    except SecretSourceError as error:
        problem = SecretMissing(option=option, detail=error.reason)
        if interactive():
            problem = problem.with_step(_WITHOUT_THE_SOURCE.format(option=option))
        raise problem from error


_WITHOUT_THE_SOURCE: Final = text(
    "Leave {option} out to be asked, or correct the source: env:NAME, file:PATH, fd:NUMBER or stdin"
)


_KEEPS_WHAT_IT_SHOWS: Final = text(
    "This terminal cannot erase what it shows: clear it and its history afterwards."
)


class Asker:
    """Gets the secrets of one command from their sources or from the person, and wipes them on exit.

    Args:
        card: the card of the secrets.
    """

    def __init__(self, card: Card) -> None:
        self._card = card
        self._stack = ExitStack()
        self._reader = self._stack.enter_context(SecretReader())
        self._asked = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def get(
        self, kind: SecretKind, source: str | None, check: Callable[[Secret], None] | None = None
    ) -> Secret:
        """Return the secret from its source, or ask until it passes the check (by default the kind's).

        Raises:
            SecretMissing: the source cannot be used, or there is neither a source nor a terminal.
            InvalidPin, InvalidUserCode, PinRefused: the value from the source does not pass.
        """
        check = check or partial(kind.check, self._card)
        if source is not None:
            with _problems_of(kind.option):
                value = self._reader.read(source)
            return self._checked(value, check)
        if self._card.has_keypad:
            self._send_to_reader(kind)
            return TypedAtReader()
        if not interactive():
            nowhere = text("there is no terminal to ask at")
            if sys.stderr.isatty():
                nowhere = text("the standard input, where it would be typed, is not a terminal")
            raise SecretMissing(option=kind.option, detail=nowhere)
        if not self._asked:
            say(_("Nothing is shown while you type."), err=True)
            self._asked = True
        if kind.rule:
            say(kind.rule(self._card), err=True)
        if kind.can_be_made:
            say(
                _("Press Enter alone to have a PIN made for you. It is shown once, for you to write down."),
                err=True,
            )
        while True:
            if (secret := self._asked_once(kind, check)) is not None:
                return secret

    def proved(
        self,
        kind: SecretKind,
        source: str | None,
        prove: Callable[[Secret], Card],
        *,
        next_source: str | None,
    ) -> Secret:
        """Return the present secret of a card, proved by a login before the person types the next secret.

        After a wrong value the person is asked again, as long as more than one try is known to be left.
        Without a terminal, or if both secrets come from sources, the operation itself tries the value.

        Args:
            kind: the present secret.
            source: its source; None: the person is asked.
            prove: tries the value on the card.
            next_source: source of the secret that the command needs next; None: the person is asked.

        Raises:
            As get, and as prove.
        """
        at_reader = self._card.has_keypad and source is None
        if not interactive() or at_reader or (source is not None and next_source is not None):
            return self.get(kind, source)

        def try_it(secret: Secret) -> Secret:
            prove(secret)
            return secret

        secret = self.used(kind, source, self.get(kind, source), try_it)
        if self._card.real and kind.option == USER_CODE.option:
            say(
                _(
                    "The card accepted the login. For a real card this does not prove that the user code "
                    "is right: the card may check it only when the new value is set."
                ),
                err=True,
            )
        return secret

    def used(self, kind: SecretKind, source: str | None, secret: Secret, use: Callable[[Secret], _T]) -> _T:
        """Use a secret of a card.

        After a wrong value the person is asked again, as long as more than one try is known to be left. A
        value from a source or from the reader's keypad is tried once.

        Args:
            kind: the secret's kind.
            source: its source; None: the person is asked.
            secret: the first value.
            use: tries a value on the card.

        Returns:
            What use returned.

        Raises:
            As get, and as use.
        """
        while True:
            try:
                return use(secret)
            except (errors.WrongPin, errors.WrongUserCode) as error:
                is_asked = source is None and not self._card.has_keypad
                if not is_asked or error.tries_left is None or error.tries_left < 2:
                    raise
                say(text("Error: {message}").format(message=error.message())(), err=True, fg="red")
            try:
                secret = self.get(kind, source)
            except QuestionEnded:
                raise click.Abort from None  # a try was spent

    def _send_to_reader(self, kind: SecretKind) -> None:
        """Tell what the reader will ask for."""
        if not self._asked:
            say(_("This reader has a keypad. Type there, not here, when it asks for:"), err=True, bold=True)
            self._asked = True
        for line in kind.at_reader or (kind.prompt(self._card),):
            say(f"  - {line if isinstance(line, str) else line()}", err=True)

    def _asked_once(self, kind: SecretKind, check: Callable[[Secret], None]) -> Secret | None:
        """Ask for a secret, for a new one twice; None: the entry was refused with a message."""
        value = _hidden(kind.prompt(self._card), may_be_empty=kind.can_be_made)
        if not value:
            return self._made(check)
        try:
            secret = self._checked(value, check)
        except XcaError as error:
            say(text("Error: {message}").format(message=error.message())(), err=True, fg="red")
            return None
        if kind.again and self._stack.enter_context(Secret(_hidden(kind.again))) != secret:
            say(_("Error: The two entered values do not match."), err=True, fg="red")
            return None
        return secret

    def _made(self, check: Callable[[Secret], None]) -> Secret | None:
        """Make a PIN and show it once; None: none was made, or the person did not write it down."""
        try:
            made = self._stack.enter_context(made_pin(self._card, check))
        except errors.PinRefused as error:
            say(text("Error: {message}").format(message=error.message())(), err=True, fg="red")
            return None
        with other_screen() as is_forgotten:
            say(text("Your new PIN: {pin}").format(pin=made.reveal())(), err=True, bold=True)
            say(_("Write it down now. It is stored nowhere and is not shown again."), err=True)
            if not is_forgotten:
                say(_KEEPS_WHAT_IT_SHOWS(), err=True, fg="yellow")
            written_down = confirm(_("I have written it down (我已記下)"))
        if written_down:
            return made
        say(
            _(
                "That PIN was discarded, and nothing was changed. Press Enter alone for another one, or "
                "type a PIN of your own; Ctrl-C ends the command."
            ),
            err=True,
        )
        return None

    def _checked(self, value: str, check: Callable[[Secret], None]) -> Secret:
        """Register a secret to be wiped at the end of the command, then check it."""
        secret = self._stack.enter_context(Secret(value))
        check(secret)
        return secret


def _hidden(question: str, *, may_be_empty: bool = False) -> str:
    while True:
        value: str = prompt(question, hide_input=True, default="", show_default=False)
        if value or may_be_empty:
            return value
        say(_("Nothing was typed, and no try was spent. Type it, or end the command with Ctrl-C."), err=True)
