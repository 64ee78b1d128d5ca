# SPDX-License-Identifier: Apache-2.0
"""xcactl cert: the certificates on a card."""

import shlex
from collections.abc import Collection
from difflib import SequenceMatcher
from pathlib import Path
from typing import Final

import click

from xca_common.command_line import Choice
from xca_common.pki.certificate import Certificate
from xca_plugin import card_text, errors
from xca_plugin.cards import Cards
from xca_plugin.cli import json_documents
from xca_plugin.cli.common import json_option
from xca_plugin.i18n import _, text
from xca_plugin.named_file import STANDARD_OUTPUT
from xca_plugin.terminal.card_choice import card_option, choose
from xca_plugin.terminal.output import console, grid, print_json
from xca_plugin.terminal.result_files import OUTPUT, force_option, result_file, say_about

_WRITTEN: Final = text("The certificate is in {path}")
_SIMILAR: Final = 0.6  # of 1

_label = click.argument("label", default="cert1")


@click.group(help=_("List, export or show the certificates."))
def cert() -> None:
    """Group of the commands xcactl cert …."""


@cert.command("list", help=_("List the certificates on the card."))
@card_option
@json_option
def list_certificates(number: str | None, as_json: bool) -> None:
    """Print the certificates of a card, and the objects that cannot be read as certificates."""
    cards = Cards()
    card = choose(cards, number)
    certificates, odd = cards.certificates(card), cards.odd_certificates(card)
    if as_json:
        print_json(
            {
                "card": card.number,
                "certificates": [json_documents.certificate(each) for each in certificates],
                "odd": [json_documents.odd_certificate(each) for each in odd],
            }
        )
        return
    from rich.text import Text

    heads = (_("Label"), _("Certificate subject"), _("Certificate validity"))
    table = grid(False, True, False, heads=heads)
    for each in certificates:
        table.add_row(each.label, each.holder_name or _("(no name)"), card_text.validity(each))
    for unreadable in odd:
        table.add_row(unreadable.label, Text(_("(the certificate cannot be read)"), style="red"), "")
    console().print(table)


@cert.command(help=_("Show one certificate; LABEL is as in the list, cert1 by default."))
@_label
@card_option
@json_option
def show(label: str, number: str | None, as_json: bool) -> None:
    """Print the fields of the certificate that has this label."""
    certificate = _named(label, number)
    if as_json:
        print_json(json_documents.certificate(certificate))
        return
    table = grid(False, True)
    table.add_row(_("Label"), certificate.label)
    table.add_row(_("Certificate subject"), certificate.holder_name or _("(no name)"))
    table.add_row(_("Distinguished name"), certificate.holder)
    table.add_row(_("Issuer"), certificate.issuer)
    table.add_row(_("Serial number"), certificate.serial)
    table.add_row(_("Certificate validity"), card_text.validity(certificate))
    table.add_row(_("Key usage"), card_text.key_usage(certificate))
    if certificate.organisation_oid:
        table.add_row(_("Organisation OID"), certificate.organisation_oid)
    if certificate.tax_id:
        table.add_row(_("Tax number"), certificate.tax_id)
    table.add_row("SHA-256", certificate.sha256)
    console().print(table)


@cert.command(help=_("Write one certificate; LABEL is as in the list, cert1 by default."))
@_label
@card_option
@click.option(
    "--format",
    "encoding",
    type=Choice(["pem", "der"]),
    default="pem",
    show_default=True,
    help=_("Encoding."),
)
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    type=OUTPUT,
    default=STANDARD_OUTPUT,
    help=_("File to write; by default the standard output."),
)
@force_option
def export(label: str, number: str | None, encoding: str, output: Path, force: bool) -> None:
    """Write the certificate that has this label, as PEM or DER."""
    certificate = _named(label, number)
    data = certificate.der if encoding == "der" else certificate.pem.encode()
    with result_file(output, force=force, binary=encoding == "der") as file:
        file.write(data)
    say_about(_WRITTEN, output)


def _named(label: str, number: str | None) -> Certificate:
    cards = Cards()
    card = choose(cards, number)
    held = {certificate.label: certificate for certificate in cards.certificates(card)}
    if label in held:
        return held[label]
    if label in [odd.label for odd in cards.odd_certificates(card)]:
        raise errors.CardFault(detail=text("the certificate {label} cannot be read").format(label=label))
    problem = errors.NoSuchCertificate(number=card.number, label=label)
    if similar := _most_similar(label, held):
        meant = text("Did you mean {similar}? This shows all of them: xcactl cert list")
        raise problem.with_step(meant.format(similar=[shlex.quote(each) for each in similar]))
    raise problem


def _most_similar(label: str, labels: Collection[str]) -> list[str]:
    """Return the labels that are as similar to this one as any, if they are similar at all."""
    likeness = {
        each: SequenceMatcher(None, label.casefold(), each.casefold()).ratio() for each in sorted(labels)
    }
    best = max(likeness.values(), default=0.0)
    return [each for each in likeness if likeness[each] == best >= _SIMILAR]
