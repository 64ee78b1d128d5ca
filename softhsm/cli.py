# SPDX-License-Identifier: Apache-2.0
"""The command softhsm-card: the issuer of cards for developers and for continuous integration."""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

import softhsm
from pkcs11_shim import StoreError, rules
from softhsm import Application, Environment, IssuedCard, IssuedCardState
from xca_common.errors import place_of
from xca_common.harmless_text import harmless, harmless_json
from xca_common.secret_source import FORMS, SecretReader, SecretSourceError
from xca_common.standard_streams import tolerate_characters

if TYPE_CHECKING:
    from softhsm.revocation import Published

_STATES: Final = {
    IssuedCardState.ISSUED: "not activated 未開卡",
    IssuedCardState.ACTIVE: "active 已開卡",
    IssuedCardState.LAPSED: "lapsed 逾期",
    IssuedCardState.PIN_LOCKED: "PIN locked 鎖卡",
    IssuedCardState.USER_CODE_LOCKED: "user code locked",
    IssuedCardState.DAMAGED: "damaged: repair",
    IssuedCardState.UNFINISHED: "unfinished: remove",
}
_LENGTHS: Final = f"{rules.USER_CODE_MIN} to {rules.USER_CODE_MAX} characters"
_STATUSES: Final = """\b
Exit status:
  0  done
  1  the environment, SoftHSM or the card store failed, or you stopped it
  2  an option or a value is wrong, or is taken
  3  no such card
"""
_FILE_WIDTH: Final = 120
_JSON: Final = f"""\b
JSON: an array of objects, one a card:
  number           card number, 16 characters
  state            {" | ".join(list(IssuedCardState)[:4])} |
                   {" | ".join(list(IssuedCardState)[4:])}
  reader           name of the reader that it sits in
  issued_on        YYYY-MM-DD, Taipei
  activate_by      YYYY-MM-DD, the last day for activation
  days_left        days until then, negative after it
  activated_at     ISO 8601 with time zone, or null
  pin_tries        wrong PINs left
  user_code_tries  wrong user codes left
"""


class _BadValue(click.ClickException):
    exit_code = 2


class _NoSuchCard(click.ClickException):
    exit_code = 3


class _Commands(click.Group):
    """A group of commands that report an expected error in one line, with a documented exit status."""

    def make_context(self, *given: Any, **more: Any) -> click.Context:
        tolerate_characters()
        with _harmless_errors():
            return super().make_context(*given, **more)

    def invoke(self, ctx: click.Context) -> Any:
        with _harmless_errors():
            try:
                return super().invoke(ctx)
            except (softhsm.BadValueError, SecretSourceError) as error:
                raise _BadValue(str(error)) from error
            except softhsm.NoSuchCardError as error:
                raise _NoSuchCard(str(error)) from error
            except (softhsm.IssuerError, StoreError, OSError) as error:
                raise click.ClickException(str(error)) from error
            except (click.ClickException, click.Abort, click.exceptions.Exit):
                raise
            except Exception as error:
                # Neither its text nor a traceback is shown: an unexpected exception may hold a secret.
                raise click.ClickException(f"unexpected problem: {place_of(error)}") from error


@contextmanager
def _harmless_errors() -> Iterator[None]:
    """Make the messages of errors harmless: they repeat names and arguments (xca_common.harmless_text)."""
    try:
        yield
    except click.ClickException as error:
        error.message = harmless(error.message)  # type: ignore[misc]  # not its type's
        raise


def _say(message: str) -> None:
    """Print a text in one line, made harmless."""
    click.echo(harmless(message))


@click.group(cls=_Commands, epilog=_STATUSES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    envvar="XCA_SOFTHSM_DIR",
    default=softhsm.default_path,
    show_default="$XCA_SOFTHSM_DIR, else $XDG_DATA_HOME/xca/softhsm",
    help="The environment: one directory; nothing outside it is touched.",
)
@click.pass_context
def main(context: click.Context, directory: Path) -> None:
    """Issue organisation IC cards of the stand-in (SoftHSM), and act as their issuer.

    First softhsm-card init and softhsm-card issue, then eval "$(softhsm-card env)" in a shell that uses them.
    """
    context.obj = directory


@main.command()
@click.option(
    "--compatibility-policy",
    is_flag=True,
    help="Certificates carry the policy OID of real cards (2.16.886.101.0.3.3), not the one for tests.",
)
@click.pass_obj
def init(directory: Path, compatibility_policy: bool) -> None:
    """Make the environment: SoftHSM's copy and configuration, an empty card store, a test PKI."""
    try:
        environment = Environment(directory)
    except softhsm.NoEnvironmentError:
        environment = Environment.create(directory, compatibility_policy=compatibility_policy)
        _say(f"Made {environment.path}. Next: softhsm-card issue")
    else:
        _say(f"{environment.path} is there already; nothing was changed.")


@main.command(epilog=f"{_JSON}\n{_STATUSES}")
@click.option(
    "--user-code",
    metavar="SOURCE",
    help=f"The user code (用戶代碼) that the holder chose, {_LENGTHS}: {FORMS()}. Asked for when left out.",
)
@click.option("--holder", default=Application.holder, show_default=True, help="Subject of the certificates.")
@click.option("--organisation-oid", default=Application.organisation_oid, show_default=True)
@click.option(
    "--rank",
    type=click.Choice(["primary", "secondary"]),
    default=Application.rank,
    show_default=True,
    help="正卡 or 附卡.",
)
@click.option("--email", help="Address for the certificates.")
@click.option("--years", type=int, default=Application.years, show_default=True, help="Validity.")
@click.option(
    "--issue-date",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Day of issue in Taipei, today by default; more than 90 days ago makes a lapsed card.",
)
@click.option("--number", help="Card number, XC and 14 digits; a free one by default.")
@click.option("--reader", help="Name of the reader that the card sits in; a new one by default.")
@click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="How many cards.")
@click.option("--json", "as_json", is_flag=True, help="Print the cards as JSON.")
@click.pass_context
def issue(
    context: click.Context,
    /,
    user_code: str | None,
    issue_date: datetime | None,
    count: int,
    as_json: bool,
    **application: Any,
) -> None:
    """Issue cards as they come to their holder: not activated (未開卡)."""
    for option in ("number", "reader"):
        if count > 1 and application[option] is not None:
            raise click.UsageError(f"--{option} is for one card; leave out --count or --{option}")
    environment = Environment(context.obj)
    code = _user_code(context, user_code, "User code (用戶代碼) that the holder chose")
    wanted = Application(issued_on=issue_date.date() if issue_date else None, **application)
    # Without a terminal there is no progress bar, and rich, which draws it, is not loaded.
    numbers: Any = range(count)
    if count > 1 and sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track

        numbers = track(numbers, description="Issuing", console=Console(stderr=True))
    issued = [softhsm.issue(environment, code, wanted) for _ in numbers]
    if as_json:
        _echo_json(issued)
    else:
        for card in issued:
            _say(
                f"Card {card.number} in {card.row.reader}: {_STATES[card.state]}, "
                f"activate by {card.row.activate_by}"
            )
        # --card is given because XCA_CARD may name another card, such as that of the demo.
        number = f" --card {issued[-1].number}" if os.environ.get("XCA_CARD") else ""
        _say(f'Next: eval "$(softhsm-card env)", then xcactl activate{number}')


@main.command("list", epilog=f"{_JSON}\n{_STATUSES}")
@click.option("--json", "as_json", is_flag=True, help="Print the cards as JSON.")
@click.pass_obj
def list_cards(directory: Path, as_json: bool) -> None:
    """List the cards of the environment."""
    cards = softhsm.cards(Environment(directory))
    if as_json:
        _echo_json(cards)
    elif not cards:
        _say("No cards yet. Next: softhsm-card issue")
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table(
            "Card",
            "State",
            "Activate by",
            "PIN tries",
            "User code tries",
            "Reader",
            box=None,
            pad_edge=False,
        )
        for card in cards:
            row = card.row
            activate_by = "" if row.activated_at else row.activate_by.isoformat()
            table.add_row(
                card.number,
                _STATES[card.state],
                activate_by,
                "" if row.activated_at is None else str(row.pin_tries),
                str(row.user_code_tries),
                harmless(row.reader),
            )
        # Lines are folded for a terminal only.
        width = None if sys.stdout.isatty() else _FILE_WIDTH
        Console(highlight=False, markup=False, emoji=False, width=width).print(table)


@main.command()
@click.pass_obj
def env(directory: Path) -> None:
    """Print the exports that let a shell's programs use the cards: eval "$(softhsm-card env)"."""
    for variable, value in Environment(directory).exports().items():
        line = f"export {variable}={shlex.quote(value)}"
        click.echo(harmless(line, longest=None) if sys.stdout.isatty() else line)


@main.command(epilog=_STATUSES)
@click.argument("number")
@click.pass_obj
def repair(directory: Path, number: str) -> None:
    """Put back the token file of a card that SoftHSM cannot read any more.

    A process that is killed inside SoftHSM may leave the file empty. Keys and certificates stay. The user
    code is the one from the application again, and the PIN must be set anew.
    """
    environment = Environment(directory)
    if not softhsm.repair(environment, number):
        _say(f"{number} can be read; there is nothing to repair.")
        return
    _say(f"{number} is repaired. Its user code (用戶代碼) is the one from the application again;")
    _say(f"is that lost: softhsm-card reset-user-code {number}")
    _say_next(softhsm.find(environment, number))


@main.command("reset-user-code", epilog=_STATUSES)
@click.argument("number")
@click.option(
    "--new-user-code",
    metavar="SOURCE",
    help=f"The new user code, {_LENGTHS}: {FORMS()}. Asked for when left out.",
)
@click.pass_context
def reset_user_code(context: click.Context, number: str, new_user_code: str | None) -> None:
    """Set a new user code on a card whose user code is lost or locked (用戶代碼重設).

    Keys and certificates stay. The PIN must be set anew with the new user code.
    """
    environment = Environment(context.obj)
    softhsm.find(environment, number)
    code = _user_code(context, new_user_code, "New user code (用戶代碼)")
    softhsm.reset_user_code(environment, number, code)
    _say(f"{number} has the new user code (用戶代碼).")
    _say_next(softhsm.find(environment, number))


@main.command(epilog=_STATUSES)
@click.argument("number")
@click.option("--reason", default="cessationOfOperation", show_default=True, help="As RFC 5280 names it.")
@click.pass_obj
def revoke(directory: Path, number: str, reason: str) -> None:
    """Revoke the certificates of a card for good (憑證廢止)."""
    from softhsm import revocation  # imported here and in the commands below because the import is slow

    _say_published(f"{number} is revoked.", revocation.revoke(Environment(directory), number, reason))


@main.command(epilog=_STATUSES)
@click.argument("number")
@click.pass_obj
def suspend(directory: Path, number: str) -> None:
    """Suspend the certificates of a card (憑證停用)."""
    from softhsm import revocation

    _say_published(f"{number} is suspended.", revocation.suspend(Environment(directory), number))


@main.command(epilog=_STATUSES)
@click.argument("number")
@click.pass_obj
def resume(directory: Path, number: str) -> None:
    """Resume the suspended certificates of a card (憑證復用)."""
    from softhsm import revocation

    _say_published(f"{number} is good.", revocation.resume(Environment(directory), number))


@main.command(epilog=_STATUSES)
@click.argument("number")
@click.pass_obj
def publish(directory: Path, number: str) -> None:
    """Write a new CRL, and new OCSP responses about the certificates of a card; they hold for seven days."""
    from softhsm import revocation

    _say_published(f"{number} is as it was.", revocation.publish(Environment(directory), number))


@main.command(epilog=_STATUSES)
@click.argument("number")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def remove(directory: Path, number: str, yes: bool) -> None:
    """Delete a card with its keys, its history and the issuer's copies. This cannot be undone."""
    environment = Environment(directory)
    softhsm.find(environment, number)
    if not yes:
        click.confirm(harmless(f"Remove {number} and its keys for good?"), abort=True, err=True)
    softhsm.remove(environment, number)
    _say(f"{number} is removed.")


def _user_code(context: click.Context, source: str | None, prompt: str) -> str:
    if source is None:
        if not sys.stdin.isatty():
            raise click.UsageError(f"no terminal to ask for the user code on; name its source: {FORMS()}")
        click.echo("Nothing is shown while you type.", err=True)
        code: str = click.prompt(prompt, hide_input=True, confirmation_prompt=True, err=True)
        return code
    return context.with_resource(SecretReader()).read(source)


def _say_published(done: str, published: "Published") -> None:
    _say(done)
    _say(f"CRL: {published.crl}")
    for label, path in published.ocsp.items():
        _say(f"OCSP response about {label}: {path}")


def _say_next(card: IssuedCard) -> None:
    if card.row.activated_at is not None:
        _say(
            f"Next, the holder: xcactl pin reset --card {card.number} (no PIN is valid until then, 重設PIN碼)"
        )
    elif card.state is IssuedCardState.LAPSED:
        _say(f"It lapsed on {card.row.activate_by}: it cannot be activated; issue another.")
    else:
        _say(f"Next, the holder: xcactl activate --card {card.number} (開卡)")


def _echo_json(cards: list[IssuedCard]) -> None:
    ascii_only = not (sys.stdout.encoding or "").lower().startswith("utf")
    click.echo(
        harmless_json(
            [
                {
                    "number": card.number,
                    "state": card.state,
                    "reader": card.row.reader,
                    "issued_on": card.row.issued_on.isoformat(),
                    "activate_by": card.row.activate_by.isoformat(),
                    "days_left": card.row.days_left,
                    "activated_at": card.row.activated_at.isoformat() if card.row.activated_at else None,
                    "pin_tries": card.row.pin_tries,
                    "user_code_tries": card.row.user_code_tries,
                }
                for card in cards
            ],
            ascii_only=ascii_only,
        )
    )


if __name__ == "__main__":
    main()
