# SPDX-License-Identifier: Apache-2.0
"""What the command lines share: languages, click's own texts, help pages, yes and no. It needs click."""

import gettext
import os
import re
import shlex
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import zip_longest
from typing import IO, Any, Final, NoReturn

import click

from xca_common.errors import XcaError, os_reason, place_of
from xca_common.folding import columns, folded
from xca_common.harmless_text import harmless
from xca_common.i18n import CATALOGUE, DOMAIN, LANGUAGES, Text, language_named, say, text
from xca_common.secret_source import NotASourceError, SecretSourceError
from xca_common.standard_streams import tolerate_characters

_ = say

SHOWN_SECRET: Final = text(
    "If the secret itself was typed there: it now stands in the history of the shell, and others may have "
    "seen it in the list of processes. Take it out of the history, and change it. A source is named like "
    "this: env:NAME, file:PATH, fd:NUMBER or stdin; without one the program asks."
)
"""The next step after something that may be a secret was found among the arguments."""

_YES: Final = frozenset({"y", "yes", "是", "好", "對"})
_NO: Final = frozenset({"", "n", "no", "否", "不", "不是"})
_UNCHANGED: Final = text("Stopped. Nothing was changed.")
_IN_BETWEEN: Final = text("Stopped. What was done until then is not undone.")
_LEAST_WIDTH: Final = 20
"""Columns of the terminal that a help page takes at least."""
_USAGE_WIDTH: Final = 20
"""Columns of the terminal that the arguments need beside the command; otherwise they stand below it."""
_USAGE_INDENT: Final = 4
_EXPLANATION_WIDTH: Final = 24
"""Columns of the terminal that are kept for the explanation of an option, where there are so many."""
_EXAMPLE_WIDTH: Final = 74
"""Columns of an example's line, without its indent and the backslash behind it."""
_LEAST_NAME_WIDTH: Final = 6
"""Columns of the terminal before the explanations; a longer name has a line of its own."""


def speak(arguments: Sequence[str]) -> None:
    """Choose the language that --lang names, and have click speak it too.

    Call it before the commands are imported: the import translates their help texts.

    Args:
        arguments: the arguments of the program. If --lang is there several times, the last one counts.
    """
    if language := language_named(_value_of_lang(arguments)):
        os.environ["LANGUAGE"] = language
    gettext.bindtextdomain(DOMAIN, CATALOGUE.locales)
    gettext.textdomain(DOMAIN)


def _value_of_lang(arguments: Sequence[str]) -> str:
    """Return the last value of --lang, or an empty string without that option."""
    found = ""
    for option, value in zip_longest(arguments, arguments[1:], fillvalue=""):
        if option == "--":
            break
        if option == "--lang":
            found = value
        elif option.startswith("--lang="):
            found = option.removeprefix("--lang=")
    return found


class _Language(click.ParamType[str]):
    """Type of --lang: any name that language_named() accepts."""

    name = "language"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return the names of the languages, for the help."""
        return f"[{'|'.join(LANGUAGES)}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name that the program uses for the language."""
        if language := language_named(value):
            return language
        known = text("{value} is no language of this program: {choices}")
        raise click.BadParameter(known.format(value=value, choices=LANGUAGES)(), ctx, param)


class QuestionEnded(click.Abort):
    """A person ended a question (Ctrl-C, Ctrl-D) before anything was done."""


class _Stopped(click.ClickException):
    """The person ended the command, which is no error."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print what was done."""
        click.echo(self.message, err=True)


class ProgramEnded(click.ClickException):
    """The program ends with a sentence and an exit status.

    Args:
        said: the sentence, or several lines.
        status: the exit status.
    """

    def __init__(self, said: str, status: int) -> None:
        super().__init__(said)
        self.exit_code = status  # type: ignore[misc]  # click reads it of the object

    @classmethod
    def of(cls, error: XcaError, status: int) -> "ProgramEnded":
        """Return the end that tells an error and its next step."""
        return cls(f"{error.message()}\n{error.next_step()}", status)


class ProgramCommands(click.Group):
    """The commands of a program. Each error is told in a few lines, with an exit status.

    A group says in problem() which errors of its program it expects.
    """

    def problem(self, error: Exception) -> click.ClickException | None:
        """Return how the program ends for an error that it expects; None: it does not."""
        return None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order in which they are used."""
        return list(self.commands)

    def make_context(self, *given: Any, **more: Any) -> click.Context:
        """Say what is wrong with the arguments without repeating what acts on a terminal."""
        tolerate_characters()
        with harmless_usage():
            return super().make_context(*given, **more)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the word help for the option."""
        return super().parse_args(ctx, help_as_option(args))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        with harmless_usage():
            try:
                return super().invoke(ctx)
            except (click.ClickException, click.Abort, click.exceptions.Exit):
                raise
            except BrokenPipeError:
                raise  # who read the output has seen enough: click ends the program without a message
            except Exception as error:
                raise self.problem(error) or _end_of(error) from error


def _end_of(error: Exception) -> click.ClickException:
    """Return how a program ends for an error of what all programs use, or for one that none expects."""
    if isinstance(error, NotASourceError):
        said = text("{problem}. {step}")
        return ProgramEnded(said.format(problem=error, step=SHOWN_SECRET)(), 2)
    if isinstance(error, SecretSourceError):
        return ProgramEnded(str(error), 2)
    if isinstance(error, OSError):
        said = text("{path}: {reason}")
        return ProgramEnded(said.format(path=error.filename or "-", reason=os_reason(error))(), 1)
    # Neither its text nor a traceback is shown: an unexpected exception may hold a secret.
    return ProgramEnded(text("Unexpected problem: {place}").format(place=place_of(error))(), 1)


class SourceOption(click.Option):
    """An option that names the source of a secret. People type the secret itself there, or beside it."""


class RecognisedOption(click.Option):
    """An option whose values have a form of their own: one is recognised where its option was left out.

    Args:
        form: regular expression of such values; no secret has that form.
    """

    def __init__(self, *given: Any, form: str, **more: Any) -> None:
        super().__init__(*given, **more)
        self.form: Final = re.compile(form)


class Choice(click.Choice[str]):
    """Type of one word of several; upper and lower case do not differ, and a slip gets a suggestion."""

    def __init__(self, choices: Iterable[str]) -> None:
        super().__init__(choices, case_sensitive=False)

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Return which words there are, and those that are similar to this one."""
        said = super().get_invalid_choice_message(value, ctx)
        similar = get_close_matches(str(value).casefold(), self.choices)
        if not similar:
            return said
        suggestion = text("{sentence} Did you mean {similar}?")
        return suggestion.format(sentence=said, similar=similar)()


class WholeNumber(click.ParamType[int]):
    """Type of a whole number.

    Args:
        least: the least one.
        most: the greatest one; None: there is none.
    """

    name = "number"

    def __init__(self, least: int, most: int | None = None) -> None:
        self._least, self._most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        try:
            number = int(value)
        except ValueError:
            number = self._least - 1
        if number >= self._least and (self._most is None or number <= self._most):
            return number
        if self._most is None:
            wrong = text("Give a whole number, {least} or more, not {value}.")
        else:
            wrong = text("Give a whole number from {least} to {most}, not {value}.")
        raise click.BadParameter(wrong.format(value=value, least=self._least, most=self._most)(), ctx, param)


def help_as_option(arguments: list[str]) -> list[str]:
    """Return the arguments of a program; the word `help` before them stands for the option behind them."""
    return [*arguments[1:], "--help"] if arguments[:1] == ["help"] else arguments


def _typed_lines(example: str) -> list[str]:
    """Break a long example where an option begins; the shell reads on after a backslash."""
    lines: list[str] = []
    for part in re.split(" (?=--)", example):
        if lines and len(f"{lines[-1]} {part}") <= _EXAMPLE_WIDTH:
            lines[-1] += f" {part}"
        else:
            lines.append(f"    {part}" if lines else part)
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]


def complete(
    command: click.Command,
    placeholders: dict[str, Text],
    *,
    hide_language: bool,
    examples: Sequence[str] = (),
) -> None:
    """Give a command the option --lang, a help page in the language, and translated placeholders.

    An option that takes one value is refused where it stands twice: the first value would be lost.

    Args:
        command: the command.
        placeholders: the translation of each placeholder of a value.
        hide_language: --lang is accepted, but the help does not show it.
        examples: command lines that the help shows.
    """
    command.context_class = _Context
    if command.help and not command.short_help:
        # Whole: click cuts it, and in Chinese, which has no blanks, in the middle of a sentence.
        command.short_help = re.split(r"(?<=。)|(?<=\.) |\n\n", command.help.strip())[0].removesuffix(".")
    _check_arguments(command)
    if examples:
        shown = "\n".join(
            ["\b", _("Examples:"), *(f"  {line}" for each in examples for line in _typed_lines(each))]
        )
        command.epilog = f"{shown}\n\n{command.epilog or ''}"
    command.options_metavar = _("[OPTIONS]")
    command.params.append(
        click.Option(
            ["--lang"],
            type=_Language(),
            expose_value=False,  # speak() reads the value before
            hidden=hide_language,
            help=_("Language; by default the locale's."),
        )
    )
    if isinstance(command, click.Group):
        command.subcommand_metavar = _("COMMAND [ARGS]...")
    for parameter in command.params:
        placeholder = parameter.metavar
        if placeholder is None and isinstance(parameter, click.Argument):
            placeholder = (parameter.name or "").upper()
        if placeholder in placeholders:
            optional = isinstance(parameter, click.Argument) and not parameter.required
            shown = placeholders[placeholder]()
            parameter.metavar = f"[{shown}]" if optional else shown


def _check_arguments(command: click.Command) -> None:
    """Have a command tell of slips in its arguments what click does not.

    An option for one value that has several is refused. A word without a place, and a file that is taken for
    an option, get a hint.
    """
    parse = command.parse_args

    def parse_args(ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:  # which completes a line that is not finished
            return parse(ctx, args)
        try:
            values, extra, order = command.make_parser(ctx).parse_args([*args])
        except click.exceptions.NoSuchOption as error:
            file = next((word for word in args if word.startswith(error.option_name)), None)
            if file is None or not os.path.lexists(file):
                raise
            said = text("{name} begins like an option. If you mean the file of that name: {path}")
            raise click.UsageError(said.format(name=file, path=shlex.quote(f"./{file}"))(), ctx) from None
        for parameter, times in Counter(order).items():
            if isinstance(parameter, click.Option) and not _may_be_repeated(parameter) and times > 1:
                twice = text("The option {option} was given more than once. Give it once.")
                raise click.UsageError(twice.format(option=parameter.get_error_hint(ctx))(), ctx)
        if extra and not ctx.allow_extra_args and (hint := _hint_at_extra(command, values, extra)):
            raise click.UsageError(hint(), ctx)
        return parse(ctx, args)

    command.parse_args = parse_args  # type: ignore[method-assign]  # commands are of several classes


def _hint_at_extra(command: click.Command, values: dict[str, Any], extra: Sequence[str]) -> Text | None:
    """Return what to do about words that have no place; None: nothing is known."""
    for option in command.params:
        if isinstance(option, RecognisedOption) and all(map(option.form.fullmatch, extra)):
            named = text("{word} stands alone. Name it with its option: {option} {word}")
            return named.format(word=extra[0], option=option.opts[0])
    for argument in [] if _takes_secrets(command) else command.params:
        if isinstance(argument, click.Argument) and argument.type is click.STRING and argument.nargs == 1:
            joined = shlex.quote(" ".join([values[argument.name or ""], *extra]))
            return text("There are too many words. Put a name with blanks in quotation marks: {name}").format(
                name=joined
            )
    return None


def _may_be_repeated(option: click.Option) -> bool:
    return option.multiple or option.is_flag or option.count  # a flag that is repeated says nothing else


@contextmanager
def harmless_usage() -> Iterator[None]:
    """Make click's error messages harmless, and tell who stops a command what was done."""
    try:
        yield
    except QuestionEnded:
        raise _Stopped(_UNCHANGED()) from None
    except click.Abort:
        raise _Stopped(_IN_BETWEEN()) from None
    except KeyboardInterrupt:
        click.echo(err=True)  # the terminal shows ^C
        raise _Stopped(_IN_BETWEEN()) from None
    except click.exceptions.NoArgsIsHelpError:
        raise  # it shows the help, and repeats nothing
    except click.exceptions.NoSuchOption as error:
        # What follows the name of an option may be a secret that was typed without a blank: --pin123456.
        options = error.ctx.command.params if error.ctx else []
        names = [name for option in options if isinstance(option, SourceOption) for name in option.opts]
        if any(error.option_name.startswith(name) for name in names):
            raise click.UsageError(_not_repeated(), error.ctx) from None
        for group in _groups_above(error.ctx):
            if error.option_name in (name for option in group.command.params for name in option.opts):
                earlier = text("{option} stands before the command: {program} {option} …")
                facts = {"option": error.option_name, "program": group.command_path}
                raise click.UsageError(earlier.format(**facts)(), error.ctx) from None
        raise click.UsageError(_with_suggestion(_with_similar(error)), error.ctx) from None
    except click.exceptions.NoSuchCommand as error:
        if error.command_name == "help" and error.ctx:
            click.echo(error.ctx.get_help())
            raise click.exceptions.Exit(0) from None
        if not (error.ctx and _takes_secrets(error.ctx.command)) or error.format_message() != error.message:
            raise click.UsageError(_with_suggestion(error), error.ctx) from None
        raise click.UsageError(_not_repeated(), error.ctx) from None
    except click.MissingParameter as error:
        name = error.param.get_error_hint(error.ctx).strip("'") if error.param and error.ctx else ""
        is_argument = isinstance(error.param, click.Argument)
        missing = text("Missing argument '{name}'.") if is_argument else text("Missing option '{name}'.")
        raise click.UsageError(missing.format(name=name)(), error.ctx) from None
    except click.BadParameter as error:
        # An argument's name, such as 'FILE [SIGNATURE] | FILE…', tells nothing: the message has the value.
        kind = error.param.type if error.param else None
        choices = kind.choices if isinstance(kind, click.Choice) else ()
        error.message = harmless(_with_commas(error.message, choices))  # type: ignore[misc]  # not its type's
        if isinstance(error.param, click.Argument):
            raise click.UsageError(error.message, error.ctx) from None
        raise
    except click.ClickException as error:
        error.message = harmless(error.message, lines=isinstance(error, ProgramEnded))  # type: ignore[misc]  # not its type's
        raise


def ask(question: str, **options: Any) -> Any:
    """Ask for a value on stderr, with the options of click.prompt.

    Raises:
        QuestionEnded: the person ended the question.
    """
    try:
        return click.prompt(question, prompt_suffix=_(": "), err=True, **options)
    except click.Abort:
        if not options.get("hide_input"):  # click ends the line itself after a hidden entry
            click.echo(err=True)
        raise QuestionEnded from None


def confirm(question: str) -> bool:
    """Ask for yes or no until the answer is one of them; the Enter key alone means no.

    Raises:
        QuestionEnded: the person ended the question.
    """
    choice = _("[y/N]")
    while True:
        said: str = ask(f"{question} {choice}", default="", show_default=False)
        # A full-width letter of an input method counts like the letter.
        answer = unicodedata.normalize("NFKC", said).strip().lower()
        if answer in _YES:
            return True
        if answer in _NO:
            return False
        click.echo(_("Answer with y or n."), err=True)


# --- help pages


class _Formatter(click.HelpFormatter):
    """Writes help pages. A Chinese character takes two columns, and a line may be broken between two."""

    def __init__(
        self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None
    ) -> None:
        # click writes for 50 columns also where there are fewer, and the terminal then breaks the words.
        shown = shutil.get_terminal_size().columns
        super().__init__(
            indent_increment, width or max(min(shown, max_width or 80) - 2, _LEAST_WIDTH), max_width
        )

    def write_heading(self, heading: str) -> None:
        """Write the heading of a section."""
        self.write(" " * self.current_indent + text("{heading}:").format(heading=heading)() + "\n")

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the line that shows how the command is called."""
        usage = prefix or _("Usage:") + " "
        before = f"{usage.replace('： ', '：')}{prog} "
        indent = columns(before)
        if self.width - indent < min(columns(args), _USAGE_WIDTH):
            self.write(f"{before.rstrip()}\n")
            before, indent = " " * _USAGE_INDENT, _USAGE_INDENT
        self._write_lines(before, folded(args, self.width - indent), indent)

    def write_text(self, text: str) -> None:
        """Write paragraphs; one whose first line is a backspace (as click has it) keeps its lines."""
        indent = " " * self.current_indent
        paragraphs = []
        for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
            lines = [line.rstrip() for line in paragraph.splitlines()]
            if lines and lines[0].strip() == "\b":
                lines = lines[1:]
            else:
                lines = folded(" ".join(line.strip() for line in lines), self.width - len(indent))
            paragraphs.append("".join(f"{indent}{line}\n" for line in lines))
        self.write("\n".join(paragraphs))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write names and their explanations in two columns."""
        rows = list(rows)
        col_max = max(min(col_max, self.width - _EXPLANATION_WIDTH), _LEAST_NAME_WIDTH)
        first = min(max(columns(name) for name, _help in rows), col_max) + col_spacing
        indent = " " * self.current_indent
        for name, explained in rows:
            before = indent + name
            if columns(name) > first - col_spacing:
                self.write(f"{before}\n")
                before = indent
            before += " " * (self.current_indent + first - columns(before))
            lines = folded(explained, max(self.width - columns(before), 10))
            self._write_lines(before, lines, self.current_indent + first)

    def _write_lines(self, before: str, lines: list[str], indent: int) -> None:
        rest = "".join(f"{'':>{indent}}{line}\n" for line in lines[1:])
        self.write(f"{before}{''.join(lines[:1])}".rstrip() + f"\n{rest}")


class _Context(click.Context):
    """The context of a command."""

    formatter_class = _Formatter

    def fail(self, message: str) -> NoReturn:
        """End the command because of its arguments. click calls it with those that have no place."""
        is_group = isinstance(self.command, click.Group)  # about a group, it has no subcommand
        super().fail(message if is_group or not _takes_secrets(self.command) else _not_repeated())


def _groups_above(context: click.Context | None) -> Iterator[click.Context]:
    """Yield the contexts of the groups that a command stands in, the nearest first."""
    while context is not None and (context := context.parent) is not None:
        yield context


def _with_similar(error: click.exceptions.NoSuchOption) -> click.exceptions.NoSuchOption:
    """Return the error with the similar options. click counts the dashes, which all of them have."""
    options = error.ctx.command.get_params(error.ctx) if error.ctx else []
    names = {name.lstrip("-"): name for option in options for name in option.opts if name.startswith("--")}
    similar = get_close_matches(error.option_name.lstrip("-").casefold(), names)
    possibilities = [names[each] for each in similar]
    return click.exceptions.NoSuchOption(error.option_name, possibilities=possibilities, ctx=error.ctx)


def _takes_secrets(command: click.Command) -> bool:
    """Tell whether a command, or every command of a group, asks for a secret."""
    if isinstance(command, click.Group) and command.commands:
        return all(_takes_secrets(each) for each in command.commands.values())
    return any(isinstance(parameter, SourceOption) for parameter in command.params)


def _with_suggestion(error: click.NoSuchOption | click.NoSuchCommand) -> str:
    """Return click's message with its suggestion; click parts the two by a blank, which Chinese has not."""
    said = _with_commas(error.format_message(), sorted(error.possibilities or ()))
    return harmless(said).replace("。 （", "。（")


def _with_commas(message: str, listed: Iterable[str]) -> str:
    """Return click's message with the commas of the language between the words that it lists."""
    shown = [repr(each) for each in listed]
    return message.replace(", ".join(shown), _(", ").join(shown))


def _not_repeated() -> str:
    said = text("A word has no place in this command. It is not repeated, because it may be a secret. {step}")
    return said.format(step=SHOWN_SECRET)()
