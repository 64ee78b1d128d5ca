# SPDX-License-Identifier: Apache-2.0
"""PINs and user codes of one command: from where a script keeps them, or asked for at the terminal."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import click

from pkcs11_shim import rules
from xca_common.errors import SecretMissing, XcaError
from xca_common.secret import Secret
from xca_common.secret_source import SecretReader, SecretSourceError
from xca_plugin.cards import check_pin, check_user_code
from xca_plugin.i18n import _, text
from xca_plugin.model import Card
from xca_plugin.terminal.prompts import interactive, prompt


@dataclass(frozen=True)
class SecretKind:
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


PIN: Final = SecretKind("--pin", lambda card: _("PIN"), None, check_pin, _SOURCES)
NEW_PIN: Final = SecretKind("--new-pin", _new_pin, _("New PIN again"), check_pin, _SOURCES)
USER_CODE: Final = SecretKind(
    "--user-code",
    lambda card: _("User code (upper and lower case differ)"),
    None,
    _check_user_code,
    _SOURCES,
)
NEW_USER_CODE: Final = SecretKind(
    "--new-user-code", _new_user_code, _("New user code again"), _check_user_code, _SOURCES
)


def source_option(kind: SecretKind) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the option that names where a secret comes from."""
    return click.option(kind.option, metavar="SOURCE", help=kind.help)


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

    def get(
        self, kind: SecretKind, source: str | None, check: Callable[[Secret], None] | None = None
    ) -> Secret:
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
