# SPDX-License-Identifier: Apache-2.0
"""xcactl setup: write the configuration for a real card."""

import os
from pathlib import Path
from typing import Final

import click

from xca_common.command_line import WholeNumber
from xca_common.i18n import Text
from xca_plugin import card_modules, errors
from xca_plugin.card_modules import CardModule
from xca_plugin.i18n import _, text
from xca_plugin.terminal.consent import agree, yes_option
from xca_plugin.terminal.output import console, grid, say, say_done
from xca_plugin.terminal.prompts import interactive, prompt

_HONEST: Final = text(
    "This is for a real card. Nobody who works on xcactl has tried one yet: it was tried with test cards "
    "alone. Look at the card first (xcactl info, xcactl cert list), then sign. Leave the activation and the "
    "PIN to the end; they are at your own risk."
)


@click.command(help=_("Set up a real card: find its PKCS#11 module and write your configuration."))
@click.option(
    "--module",
    "path",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help=_("The card's PKCS#11 module; by default it is looked for."),
)
@yes_option
def setup(path: Path | None, yes: bool) -> None:
    """Find the module, check that it loads, ask for consent, and write the configuration."""
    say(_HONEST(), err=True, fg="yellow")
    module = _named(path) if path else _chosen(card_modules.find(), yes)
    if not module.of_the_vendor:
        unsure = text(
            "{module} is not the module of the card's maker ({vendors}). Nobody has tried it with "
            "xcactl: it may or may not read this card. If it does not, install the software that the "
            "issuer gives out, and run xcactl setup again."
        )
        say(unsure.format(module=module.path, vendors=card_modules.VENDORS)(), err=True, fg="yellow")
    file = card_modules.configuration()
    if card_modules.is_configured(module):
        unchanged = text("{path} names {module} already: nothing was changed.")
        say_done(unchanged.format(path=file, module=module.path)())
    else:
        _write(module, file, yes)
    named = os.environ.get("XCA_PKCS11_CONF")
    if named and Path(named) != file:
        say(
            text(
                "It does not count here yet: XCA_PKCS11_CONF names {path}. Unset it: unset XCA_PKCS11_CONF"
            ).format(path=named)(),
            err=True,
            fg="yellow",
        )
    say_done(_("Next: insert the card and check that all is in order: xcactl doctor"))


def _write(module: CardModule, file: Path, yes: bool) -> None:
    """Write the configuration if the person agrees."""
    if file.exists():
        say(text("There is a configuration already: {path}").format(path=file)(), err=True)
        question = text("Change it to name {module}? Its other settings stay, and a copy is kept.")
    else:
        question = text("Write {path} for {module}?")
    agree(question.format(path=file, module=module.path)(), yes)
    copy = card_modules.write_configuration(module)
    say_done(text("Written: {path}").format(path=file)())
    if copy:
        say_done(text("The configuration as it was before: {path}").format(path=copy)())


def _named(path: Path) -> CardModule:
    module = card_modules.look_at(path.absolute())
    if module.problem is not None:
        detail: Text | str = module.problem
        if str(module.path) not in str(module.problem):
            detail = text("{path}: {reason}").format(path=module.path, reason=module.problem)
        raise errors.ModuleFailed(detail=detail).with_step(
            text(
                "Nothing was written. Check that this is the card's PKCS#11 module, for this computer's "
                "processor (libHicos_p11v1.so of the issuer's software). Without --module it is looked for: "
                "xcactl setup"
            )
        )
    return module


def _chosen(found: list[CardModule], yes: bool) -> CardModule:
    """Show the modules that were found, and return the one to use.

    Raises:
        NoCardModule: none of them loads.
        UsageError: several load, and --yes or the lack of a terminal forbids a question.
    """
    table = grid(False, True)
    for module in found:
        table.add_row(str(module.path), _("loads") if module.problem is None else str(_said(module)))
    if found:
        console(err=True).print(table)
    usable = [module for module in found if module.problem is None]
    if not usable:
        raise errors.NoCardModule(name=card_modules.VENDORS)
    if len(usable) == 1 or usable[0].of_the_vendor:
        return usable[0]
    if yes or not interactive():
        raise click.UsageError(_("There are several: name one with --module."))
    for position, module in enumerate(usable, 1):
        say(f"{position}) {module.path}", err=True)
    chosen: int = prompt(_("Which one"), type=WholeNumber(1, len(usable)))
    return usable[chosen - 1]


def _said(module: CardModule) -> str:
    problem = text("does not load: {reason}").format(reason=module.problem)
    return problem()
