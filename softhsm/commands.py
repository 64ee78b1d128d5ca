# SPDX-License-Identifier: Apache-2.0
"""The commands of softhsm-card: the issuer of cards for developers and for continuous integration."""

import os
import re
import shlex
import sys
from datetime import date
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final

import click
from click.core import ParameterSource

import softhsm
from pkcs11_shim import StoreError, rules
from softhsm import Application, Environment, IssuedCard, IssuedCardState
from softhsm.i18n import _, text
from xca_common.command_line import (
    Choice,
    ProgramCommands,
    ProgramEnded,
    QuestionEnded,
    SourceOption,
    WholeNumber,
    ask,
    complete,
    confirm,
)
from xca_common.harmless_text import harmless, harmless_json
from xca_common.i18n import Text, day
from xca_common.secret_source import FORMS, SecretReader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from softhsm.revocation import CertificateStatus, Published

_STATES: Final = {
    IssuedCardState.ISSUED: text("not activated"),
    IssuedCardState.ACTIVE: text("active"),
    IssuedCardState.LAPSED: text("lapsed"),
    IssuedCardState.PIN_LOCKED: text("PIN locked"),
    IssuedCardState.USER_CODE_LOCKED: text("user code locked"),
    IssuedCardState.DAMAGED: text("damaged: repair"),
    IssuedCardState.UNFINISHED: text("unfinished: remove"),
}
_CERTIFICATE_STATUSES: Final = {"suspended": text("suspended"), "revoked": text("revoked")}
_STATUSES: Final = "\b\n" + _(
    "Exit status:\n"
    "  0  done\n"
    "  1  the environment, SoftHSM or the card store failed, or you stopped it\n"
    "  2  an option or a value is wrong, or is taken\n"
    "  3  no such card\n"
    "  4  the card does not take the ticket"
)
_EXIT_STATUSES: Final[dict[type[Exception], int]] = {
    softhsm.BadValueError: 2,
    softhsm.TicketRefusedError: 4,
    softhsm.NoSuchCardError: 3,
    softhsm.IssuerError: 1,
    StoreError: 1,
}
"""Exit statuses; the first kind that an error is counts."""
_USER_CODE_RULE: Final = text(
    "A user code has {least} to {most} characters: letters, digits and ASCII signs, no blanks. Upper and "
    "lower case differ."
)
_FILE_WIDTH: Final = 120
_LONGEST_TICKET: Final = 1 << 20  # bytes that are read of a file
_DAY: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_OWN_COMMAND: Final = re.compile(r"softhsm-card (init|issue|list|env|repair|remove|reset-user-code)\b")
"""A command in a sentence."""
_MEMBERS: Final = text(
    "JSON: an array of objects, one a card:\n"
    "  number           card number, 16 characters\n"
    "  state            {states} |\n"
    "                   {more}\n"
    "  reader           name of the reader that it sits in\n"
    "  issued_on        YYYY-MM-DD, Taipei\n"
    "  activate_by      YYYY-MM-DD, the last day for activation\n"
    "  days_left        days until then, negative after it\n"
    "  activated_at     ISO 8601 with time zone, or null\n"
    "  pin_tries        wrong PINs left\n"
    "  user_code_tries  wrong user codes left\n"
    "  certificates     suspended | revoked, or null: neither"
)
_JSON: Final = (
    "\b\n"
    + _MEMBERS.format(
        states=" | ".join(list(IssuedCardState)[:4]), more=" | ".join(list(IssuedCardState)[4:])
    )()
)
_NUMBER: Final = "XC00000000091349"
_EXAMPLES: Final = {
    "": ("softhsm-card init", "softhsm-card issue", 'eval "$(softhsm-card env)"'),
    "init": ("softhsm-card init", "softhsm-card --dir cards init"),
    "issue": (
        "softhsm-card issue",
        "softhsm-card issue --holder C=TW,O=甲公司 --rank primary",
        "softhsm-card issue --user-code file:code --count 3 --json",
    ),
    "list": ("softhsm-card list", "softhsm-card list --json"),
    "env": ('eval "$(softhsm-card env)"',),
    "repair": (f"softhsm-card repair {_NUMBER}",),
    "reset-user-code": (
        f"softhsm-card reset-user-code {_NUMBER}",
        f"softhsm-card reset-user-code {_NUMBER} --ticket user-code.ticket",
    ),
    "revoke": (f"softhsm-card revoke {_NUMBER} --reason keyCompromise",),
    "suspend": (f"softhsm-card suspend {_NUMBER}",),
    "resume": (f"softhsm-card resume {_NUMBER}",),
    "publish": (f"softhsm-card publish {_NUMBER}",),
    "remove": (f"softhsm-card remove {_NUMBER}",),
}
"""Examples that the help shows, by the command."""
_PLACEHOLDERS: Final = {
    "ADDRESS": text("ADDRESS"),
    "COUNT": text("COUNT"),
    "FILE": text("FILE"),
    "NAME": text("NAME"),
    "NUMBER": text("NUMBER"),
    "REASON": text("REASON"),
    "SOURCE": text("SOURCE"),
    "YEARS": text("YEARS"),
}


def _source(sentence: Text) -> str:
    """Return the help of an option that names the source of a user code."""
    facts = {"least": rules.USER_CODE_MIN, "most": rules.USER_CODE_MAX, "forms": FORMS}
    asked = text("{sentence} Asked for when left out.")
    return asked.format(sentence=sentence.format(**facts))()


class _CardNumber(click.ParamType[str]):
    """Type of a card number, which may be typed in lower case and with blanks around it."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        number = str(value).strip()
        return number.upper() if re.fullmatch("[a-zA-Z]+[0-9]+", number) else number


class _Day(click.ParamType[date]):
    """Type of a day, as YYYY-MM-DD."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        try:
            if not _DAY.fullmatch(value):  # fromisoformat() takes more forms
                raise ValueError
            return date.fromisoformat(value)
        except ValueError:
            said = text("{value} is no day of the form YYYY-MM-DD.")
            raise click.BadParameter(said.format(value=value)(), ctx, param) from None


class _NotAgreed(click.ClickException):
    """The person answered no, which is no error."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, err=True)


class _Commands(ProgramCommands):
    """The commands of softhsm-card."""

    def problem(self, error: Exception) -> ProgramEnded | None:
        for kind, status in _EXIT_STATUSES.items():
            if isinstance(error, kind):
                return ProgramEnded(_in_folder(str(error)), status)
        return None


def _say(sentence: Text) -> None:
    """Print a sentence; its facts are made harmless, and its commands name the folder that was given."""
    click.echo(harmless(_in_folder(sentence()), lines=True))


def _in_folder(said: str) -> str:
    """Add --dir to the commands in a sentence, if this command found its environment by that option."""
    context = click.get_current_context().find_root()
    if context.get_parameter_source("directory") is not ParameterSource.COMMANDLINE:
        return said
    folder = shlex.quote(str(context.params["directory"]))
    return _OWN_COMMAND.sub(lambda command: f"softhsm-card --dir {folder} {command[1]}", said)


_yes_option: Final = click.option("--yes", is_flag=True, help=_("Do not ask."))


@click.group(
    cls=_Commands,
    epilog=_STATUSES,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=_(
        "Issue organisation IC cards of the stand-in (SoftHSM), and act as their issuer.\n\n"
        'First softhsm-card init and softhsm-card issue, then eval "$(softhsm-card env)" '
        "in a shell that uses them."
    ),
)
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    envvar="XCA_SOFTHSM_DIR",
    default=softhsm.default_path,
    show_default=_("$XCA_SOFTHSM_DIR, else $XDG_DATA_HOME/xca/softhsm"),
    help=_("The environment: one folder; nothing outside it is touched."),
)
@click.version_option(package_name="xca_plugin")
@click.pass_context
def softhsm_card(context: click.Context, directory: Path) -> None:
    """Group of all commands of softhsm-card."""
    context.obj = directory


@softhsm_card.command(
    help=_("Make the environment: SoftHSM's copy and configuration, an empty card store, a test PKI.")
)
@click.option(
    "--compatibility-policy",
    is_flag=True,
    help=_("Certificates carry the policy OID of real cards (2.16.886.101.0.3.3), not the one for tests."),
)
@click.pass_obj
def init(directory: Path, compatibility_policy: bool) -> None:
    """Make the environment: SoftHSM's copy and configuration, an empty card store, a test PKI."""
    try:
        environment = Environment(directory)
    except softhsm.NoEnvironmentError:
        environment = Environment.create(directory, compatibility_policy=compatibility_policy)
        _say(text("Made {path}. Next: softhsm-card issue").format(path=environment.path))
    else:
        _say(text("{path} is there already; nothing was changed.").format(path=environment.path))


@softhsm_card.command(
    epilog=f"{_JSON}\n\n{_STATUSES}",
    help=_("Issue cards as they come to their holder: not activated (未開卡)."),
)
@click.option(
    "--user-code",
    metavar="SOURCE",
    cls=SourceOption,
    help=_source(
        text("The user code (用戶代碼) that the holder chose, {least} to {most} characters: {forms}.")
    ),
)
@click.option(
    "--holder",
    metavar="NAME",
    default=Application.holder,
    show_default=True,
    help=_("Subject of the certificates."),
)
@click.option(
    "--organisation-oid",
    metavar="OID",
    default=Application.organisation_oid,
    show_default=True,
    help=_("Organisation OID in the certificates."),
)
@click.option(
    "--rank",
    type=Choice(["primary", "secondary"]),
    default=Application.rank,
    show_default=True,
    help=_("正卡 or 附卡."),
)
@click.option("--email", metavar="ADDRESS", help=_("Address for the certificates."))
@click.option(
    "--years",
    metavar="YEARS",
    type=WholeNumber(1),
    default=Application.years,
    show_default=True,
    help=_("Validity."),
)
@click.option(
    "--issue-date",
    metavar="YYYY-MM-DD",
    type=_Day(),
    help=_("Day of issue in Taipei, today by default; more than 90 days ago makes a lapsed card."),
)
@click.option(
    "--number",
    metavar="NUMBER",
    type=_CardNumber(),
    help=_("Card number, XC and 14 digits; a free one by default."),
)
@click.option(
    "--reader", metavar="NAME", help=_("Name of the reader that the card sits in; a new one by default.")
)
@click.option(
    "--count", metavar="COUNT", type=WholeNumber(1), default=1, show_default=True, help=_("How many cards.")
)
@click.option("--json", "as_json", is_flag=True, help=_("Print the cards as JSON."))
@click.pass_context
def issue(
    context: click.Context,
    /,
    user_code: str | None,
    issue_date: date | None,
    count: int,
    as_json: bool,
    **application: Any,
) -> None:
    """Issue one card or several, and print them."""
    for option in ("number", "reader"):
        if count > 1 and application[option] is not None:
            said = text("--{option} is for one card; leave out --count or --{option}")
            raise click.UsageError(said.format(option=option)())
    environment = Environment(context.obj)
    wanted = Application(issued_on=issue_date, **application)
    if user_code is None:
        softhsm.check_application(environment, wanted)  # nobody types a code for what is refused anyway
    code = _user_code(context, user_code, _("User code (用戶代碼) that the holder chose"))
    # Without a terminal there is no progress bar, and rich, which draws it, is not loaded.
    numbers: Any = range(count)
    if count > 1 and sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track

        numbers = track(numbers, description=_("Issuing"), console=Console(stderr=True))
    issued = [softhsm.issue(environment, code, wanted) for _ in numbers]
    if as_json:
        _echo_json(issued, {})
    else:
        for card in issued:
            said = text("Card {number} in {reader}: {state}, activate by {day}")
            facts = {"number": card.number, "reader": card.row.reader, "state": _STATES[card.state]}
            _say(said.format(**facts, day=card.row.activate_by))
        if issued[-1].state is IssuedCardState.LAPSED:
            _say_next(issued[-1])
            return
        # --card is given where there are several: XCA_CARD may also name another card, such as the demo's.
        several = bool(os.environ.get("XCA_CARD")) or len(softhsm.cards(environment)) > 1
        number = f" --card {issued[-1].number}" if several else ""
        _say(text('Next: eval "$(softhsm-card env)", then xcactl activate{number}').format(number=number))


@softhsm_card.command("list", epilog=f"{_JSON}\n\n{_STATUSES}", help=_("List the cards of the environment."))
@click.option("--json", "as_json", is_flag=True, help=_("Print the cards as JSON."))
@click.pass_obj
def list_cards(directory: Path, as_json: bool) -> None:
    """Print the cards."""
    environment = Environment(directory)
    cards = softhsm.cards(environment)
    statuses = _statuses(environment)
    if as_json:
        _echo_json(cards, statuses)
    elif not cards:
        _say(text("No cards yet. Next: softhsm-card issue"))
    else:
        from rich.console import Console

        from xca_common.harmless_table import HarmlessTable

        # Some have two lines, parted where the language allows it.
        tries = (_("Activate\nby"), _("PIN\ntries left"), _("User code\ntries left"))
        heads = (_("Card"), _("State"), *tries, _("Reader"))
        table = HarmlessTable((False, True, False, False, False, True), heads)
        for card in cards:
            row = card.row
            activate_by = "" if row.activated_at else day(row.activate_by)()
            table.add_row(
                card.number,
                _shown_state(card, statuses.get(card.number)),
                activate_by,
                "" if row.activated_at is None else str(row.pin_tries),
                str(row.user_code_tries),
                row.reader,
            )
        # Lines are folded for a terminal only.
        width = None if sys.stdout.isatty() else _FILE_WIDTH
        Console(highlight=False, markup=False, emoji=False, width=width).print(table)


@softhsm_card.command(
    help=_('Print the exports that let a shell\'s programs use the cards: eval "$(softhsm-card env)".')
)
@click.pass_obj
def env(directory: Path) -> None:
    """Print lines for a shell."""
    for variable, value in Environment(directory).exports().items():
        line = f"export {variable}={shlex.quote(value)}"
        click.echo(harmless(line, longest=None) if sys.stdout.isatty() else line)


@softhsm_card.command(
    epilog=_STATUSES,
    help=_(
        "Put back the token file of a card that SoftHSM cannot read any more.\n\n"
        "A process that is killed inside SoftHSM may leave the file empty. Keys and certificates stay. The "
        "user code is the one from the application again, and the PIN must be set anew."
    ),
)
@click.argument("number", type=_CardNumber())
@click.pass_obj
def repair(directory: Path, number: str) -> None:
    """Repair a card, and print what its holder does next."""
    environment = Environment(directory)
    if not softhsm.repair(environment, number):
        _say(text("{number} can be read; there is nothing to repair.").format(number=number))
        return
    said = text(
        "{number} is repaired. Its user code (用戶代碼) is the one from the application again;\n"
        "if that is lost: softhsm-card reset-user-code {number}"
    )
    _say(said.format(number=number))
    _say_next(softhsm.find(environment, number))


@softhsm_card.command(
    "reset-user-code",
    epilog=_STATUSES,
    help=_(
        "Set a new user code on a card whose user code is lost or locked (用戶代碼重設).\n\n"
        "Keys and certificates stay. The PIN must be set anew with the new user code."
    ),
)
@click.argument("number", type=_CardNumber())
@click.option(
    "--new-user-code",
    metavar="SOURCE",
    cls=SourceOption,
    help=_source(text("The new user code, {least} to {most} characters: {forms}.")),
)
@click.option(
    "--ticket",
    metavar="FILE",
    type=click.File("rb"),
    help=_("Do it as the card does with this ticket (授權票) of its centre; - is the standard input."),
)
@_yes_option
@click.pass_context
def reset_user_code(
    context: click.Context, number: str, new_user_code: str | None, ticket: BinaryIO | None, yes: bool
) -> None:
    """Give a card a new user code."""
    environment = Environment(context.obj)
    if softhsm.find(environment, number).row.activated_at is not None:
        _agree(
            text("The PIN of {number} is void afterwards. Set a new user code?").format(number=number), yes
        )
    given = None if ticket is None else ticket.read(_LONGEST_TICKET)
    code = _user_code(context, new_user_code, _("New user code (用戶代碼)"))
    if given is None:
        softhsm.reset_user_code(environment, number, code)
    else:
        softhsm.take_ticket(environment, number, given, code)
    _say(text("{number} has the new user code (用戶代碼).").format(number=number))
    _say_next(softhsm.find(environment, number))


@softhsm_card.command(epilog=_STATUSES, help=_("Revoke the certificates of a card for good (憑證廢止)."))
@click.argument("number", type=_CardNumber())
@click.option(
    "--reason",
    metavar="REASON",
    default="cessationOfOperation",
    show_default=True,
    help=_("One of cessationOfOperation, keyCompromise, affiliationChanged, superseded (RFC 5280)."),
)
@_yes_option
@click.pass_obj
def revoke(directory: Path, number: str, reason: str, yes: bool) -> None:
    """Revoke after a question, and publish it."""
    from softhsm import revocation  # imported here and in the commands below because the import is slow

    environment = Environment(directory)
    revocation.check_revocable(environment, number, reason)
    _agree(text("Revoke the certificates of {number} for good?").format(number=number), yes)
    _say_published(
        text("The certificates of {number} are revoked.").format(number=number),
        revocation.revoke(environment, number, reason),
    )


@softhsm_card.command(epilog=_STATUSES, help=_("Suspend the certificates of a card (憑證停用)."))
@click.argument("number", type=_CardNumber())
@click.pass_obj
def suspend(directory: Path, number: str) -> None:
    """Suspend, and publish it."""
    from softhsm import revocation

    published = revocation.suspend(Environment(directory), number)
    done = text("The certificates of {number} are suspended.")
    if not published.has_changed:
        unchanged = text("The certificates of {number} were suspended already: nothing was changed.")
        _say(unchanged.format(number=number))
        return
    _say_published(done.format(number=number), published)


@softhsm_card.command(epilog=_STATUSES, help=_("Resume the suspended certificates of a card (憑證復用)."))
@click.argument("number", type=_CardNumber())
@click.pass_obj
def resume(directory: Path, number: str) -> None:
    """Resume, and publish it."""
    from softhsm import revocation

    published = revocation.resume(Environment(directory), number)
    done = text("The certificates of {number} are resumed.")
    if not published.has_changed:
        unchanged = text("The certificates of {number} were not suspended: nothing was changed.")
        _say(unchanged.format(number=number))
        return
    _say_published(done.format(number=number), published)


@softhsm_card.command(
    epilog=_STATUSES,
    help=_(
        "Write a new CRL, and new OCSP responses about the certificates of a card; they hold for seven days."
    ),
)
@click.argument("number", type=_CardNumber())
@click.pass_obj
def publish(directory: Path, number: str) -> None:
    """Publish how a card stands."""
    from softhsm import revocation

    _say_published(
        text("The status of {number} did not change.").format(number=number),
        revocation.publish(Environment(directory), number),
    )


@softhsm_card.command(
    epilog=_STATUSES,
    help=_("Delete a card with its keys, its history and the issuer's copies. This cannot be undone."),
)
@click.argument("number", type=_CardNumber())
@_yes_option
@click.pass_obj
def remove(directory: Path, number: str, yes: bool) -> None:
    """Remove a card, after a question."""
    environment = Environment(directory)
    softhsm.find(environment, number)
    _agree(text("Remove {number} and its keys for good?").format(number=number), yes)
    softhsm.remove(environment, number)
    _say(text("{number} is removed.").format(number=number))


def _agree(question: Text, yes: bool) -> None:
    """Ask before what cannot be undone, unless --yes was given.

    Raises:
        _NotAgreed: the answer is no, or nobody is there to answer.
    """
    if yes:
        return
    try:
        agreed = confirm(question())
    except QuestionEnded:
        if sys.stdin.isatty():
            raise
        raise _NotAgreed(_("Nobody agreed. Nothing was changed. Scripts agree with --yes.")) from None
    if not agreed:
        raise _NotAgreed(_("You did not agree. Nothing was changed."))


def _user_code(context: click.Context, source: str | None, prompt: str) -> str:
    if source is None:
        if not sys.stdin.isatty():
            option = next(each for each in context.command.params if isinstance(each, SourceOption))
            said = text("no terminal to ask for the user code on; name its source: {option} {forms}")
            raise click.UsageError(said.format(option=option.opts[0], forms=FORMS)())
        facts = {"least": rules.USER_CODE_MIN, "most": rules.USER_CODE_MAX}
        click.echo(_USER_CODE_RULE.format(**facts)(), err=True)
        click.echo(_("Nothing is shown while you type."), err=True)
        code: str = ask(
            prompt, hide_input=True, confirmation_prompt=_("Repeat it"), value_proc=_checked_user_code
        )
        return code
    return context.with_resource(SecretReader()).read(source)


def _checked_user_code(user_code: str) -> str:
    """Return a user code of the right form; click asks again for any other."""
    try:
        softhsm.check_user_code(user_code)
    except softhsm.BadValueError as error:
        raise click.UsageError(str(error)) from error
    return user_code


def _statuses(environment: Environment) -> "Mapping[str, CertificateStatus]":
    """Return what was published against the certificates of cards, by the card number."""
    if not any(environment.copies.glob("*/*.ocsp")):
        return {}
    from softhsm import revocation  # slow to load, rarely needed

    return revocation.statuses(environment)


def _shown_state(card: IssuedCard, status: "CertificateStatus | None") -> str:
    shown = _STATES[card.state]
    if card.state is IssuedCardState.PIN_LOCKED and card.row.user_code_tries == 0:
        shown = text("PIN and user code locked")
    if status is not None:
        both = text("{state}; certificates {status}")
        shown = both.format(state=shown, status=_CERTIFICATE_STATUSES[status])
    return shown()


def _say_published(done: Text, published: "Published") -> None:
    _say(done)
    _say(text("CRL: {path}").format(path=published.crl))
    for label, path in published.ocsp.items():
        _say(text("OCSP response about {label}: {path}").format(label=label, path=path))
    verify = text(
        "To verify with the list: xcactl verify FILE FILE.p7s --ca-file {root} --crl {crl}\n"
        "or with the response: --ocsp {ocsp} instead of --crl"
    )
    facts = {
        "root": published.crl.with_name("root.pem"),
        "crl": published.crl,
        "ocsp": published.ocsp["cert1"],
    }
    _say(verify.format(**{name: shlex.quote(str(path)) for name, path in facts.items()}))


def _say_next(card: IssuedCard) -> None:
    if card.row.activated_at is not None:
        said = text(
            "Next, the holder: xcactl pin reset --card {number} (no PIN is valid until then, 重設PIN碼)"
        )
    elif card.state is IssuedCardState.LAPSED:
        said = text("It lapsed on {day}: it cannot be activated; issue another.")
    else:
        said = text("Next, the holder: xcactl activate --card {number} (開卡)")
    _say(said.format(number=card.number, day=card.row.activate_by))


def _echo_json(cards: list[IssuedCard], statuses: "Mapping[str, CertificateStatus]") -> None:
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
                    "certificates": statuses.get(card.number),
                }
                for card in cards
            ],
            ascii_only=ascii_only,
        )
    )


def _complete(command: click.Command, *, is_root: bool) -> None:
    examples = _EXAMPLES["" if is_root else command.name or ""]
    complete(command, _PLACEHOLDERS, hide_language=not is_root, examples=examples)
    if isinstance(command, click.Group):
        for each in command.commands.values():
            _complete(each, is_root=False)


_complete(softhsm_card, is_root=True)
