# SPDX-License-Identifier: Apache-2.0
"""xcactl doctor: check the installation and the card, and advise on each fault."""

import platform
import shlex
from contextlib import nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click

from xca_common.errors import XcaError
from xca_common.harmless_text import harmless_json
from xca_plugin import errors
from xca_plugin.anonymous import Anonymiser
from xca_plugin.cards import Cards
from xca_plugin.checks.finding import Advice, CheckOutcome, Finding
from xca_plugin.cli import json_documents
from xca_plugin.cli.common import allow_host_option, json_option
from xca_plugin.i18n import _, text
from xca_plugin.terminal.card_choice import card_option_with
from xca_plugin.terminal.next_steps import for_card, step_after, with_issuer
from xca_plugin.terminal.output import print_json, say
from xca_plugin.terminal.result_files import OUTPUT, force_option, result_file, say_about

_OUTCOMES: Final = {
    CheckOutcome.PASSED: (text("PASSED"), "green"),
    CheckOutcome.FAILED: (text("FAILED"), "red"),
    CheckOutcome.SKIPPED: (text("SKIPPED"), "yellow"),
}

_STEPS: Final = {
    errors.NotConfigured: text(
        "For a real card: xcactl setup. For a test card: softhsm-card init, softhsm-card issue, then "
        'eval "$(softhsm-card env)".'
    ),
    errors.ModuleFailed: text(
        "Check the configuration (XCA_PKCS11_CONF names the file) and the module in it. "
        "A new one for a real card: xcactl setup"
    ),
    errors.StoreNotWritable: text(
        "Make room on the disk if it is full, and check who may write the file and its folder."
    ),
}
"""Next steps that do not lead back to this command."""
_ADVICE: Final = {
    Advice.ACCEPT: text("Accept them, if that was not done: xcactl accept"),
    Advice.ALLOW_HOST: text("If you know that host, have it asked: xcactl doctor --allow-host {host}"),
    Advice.CHANGE_PIN: text("Change it: xcactl pin change"),
    Advice.GET_ISSUERS_CERTIFICATE: text(
        "Get it from https://grca.nat.gov.tw; xcactl verify takes it as --ca-file."
    ),
    Advice.REGISTER_TOOLS: text("Register those that are here: xcactl tools register --all"),
    Advice.SEND_REPORT: text("Report it with the file that this writes: xcactl doctor --report report.json"),
    Advice.SET_CLOCK: text("Set the computer's clock and its time zone: timedatectl set-ntp true"),
}


@click.command(help=_("Check everything, from the module to the clock, and say what to do."))
@card_option_with(_("Look at this card alone; by default at all of them."), variable=None)
@json_option
@click.option(
    "--report",
    metavar="FILE",
    type=OUTPUT,
    help=_("Write the findings to a file for support, without secrets and personal data."),
)
@allow_host_option(_("Also ask this host about revocation, beside those below nat.gov.tw; may be repeated."))
@click.option(
    "--personal", is_flag=True, help=_("Leave personal data in the report: card numbers, paths, names.")
)
@click.option(
    "--card-report",
    "card_report",
    metavar="FILE",
    type=OUTPUT,
    help=_(
        "Check nothing; write to a file what the cards and their module show without a login, for"
        " the developers of xcactl. It contains no names and no card numbers."
    ),
)
@force_option
def doctor(
    number: str | None,
    as_json: bool,
    report: Path | None,
    hosts: tuple[str, ...],
    personal: bool,
    card_report: Path | None,
    force: bool,
) -> None:
    """Run the checks, print each finding with its next step, and write the report."""
    if card_report is not None:
        if number or as_json or report or hosts or personal:
            raise click.UsageError(_("--card-report stands alone; only --force goes with it."))
        _write_card_report(card_report, force)
        return
    if personal and report is None:
        raise click.UsageError(_("--personal needs --report FILE."))
    from xca_plugin.checks.installation import installed_files
    from xca_plugin.checks.run import run  # slow to load, and not needed for the help

    with result_file(report, force=force, private=True, binary=False) if report else nullcontext() as file:
        findings = []
        for finding in run(Cards(), hosts, number.strip().upper() if number else None):
            findings.append(finding)
            if not as_json:
                _show(finding)
        document = {
            "version": version("xca-plugin"),
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "findings": [json_documents.finding(finding, _next_step(finding)) for finding in findings],
        }
        if as_json:
            print_json(document)
        if file:
            if not personal:
                numbers = dict.fromkeys(finding.card.number for finding in findings if finding.card)
                document = Anonymiser(numbers, installed_files()).clean(document)
            file.write(harmless_json(document).encode() + b"\n")
    if report:
        say_about(text("The report is in {path}"), report)
    several = len({finding.card.number for finding in findings if finding.card}) > 1
    if failed := dict.fromkeys(
        _about(finding) if several else finding.title()
        for finding in findings
        if finding.outcome is CheckOutcome.FAILED
    ):
        raise errors.NotInOrder(detail=_(", ").join(failed))


def _write_card_report(path: Path, force: bool) -> None:
    from xca_plugin.card_report import card_report

    with result_file(path, force=force, private=True, binary=False) as file:
        Cards().readers()  # a module that does not load is explained here
        file.write(harmless_json(card_report()).encode() + b"\n")
    say_about(text("The report is in {path}"), path)
    say(_("Read it before you give it away. Nobody logged in, and no try was spent."), err=True)


def _show(finding: Finding) -> None:
    from rich.cells import cell_len, set_cell_size

    width = max(cell_len(word()) for word, _colour in _OUTCOMES.values()) + 2
    word, colour = _OUTCOMES[finding.outcome]
    say(set_cell_size(word(), width), fg=colour, nl=False)
    say(text("{title}: {finding}").format(title=_about(finding), finding=finding.said())())
    if step := _next_step(finding):
        say(" " * width + step)


def _about(finding: Finding) -> str:
    """Return the name of a finding's check, with the card that it is about."""
    if finding.card is None:
        return finding.title()
    return text("{title}, {card}").format(title=finding.title, card=finding.card.number)()


def _next_step(finding: Finding) -> str | None:
    """Return what to do about a finding, with the command for it; None: nothing is to be done."""
    if finding.next_step is None:
        return None
    if isinstance(finding.next_step, XcaError):
        own = _STEPS.get(type(finding.next_step))
        step = own() if own else step_after(finding.next_step)
    elif isinstance(finding.next_step, Advice):
        said = _ADVICE.get(finding.next_step, finding.next_step.value)
        if finding.host is not None:
            said = said.format(host=shlex.quote(finding.host))
        step = said()
    else:
        step = finding.next_step()
    step = for_card(step, finding.card.number) if finding.card else step
    return with_issuer(step, finding.card) if finding.needs_issuer else step
