# SPDX-License-Identifier: Apache-2.0
"""xcactl sign and xcactl verify: detached CMS signatures of files."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import click

from xca_plugin import errors
from xca_plugin.cards import Cards
from xca_plugin.cli import shapes, words
from xca_plugin.cli.common import (
    PIN,
    Asker,
    before_pin,
    card_option,
    choose,
    console,
    grid,
    json_option,
    last_try_option,
    print_json,
    source_option,
    whole_file,
    yes_option,
)
from xca_plugin.i18n import _, text

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(help=_("Sign FILE: a detached CMS signature (DER, SHA-256)."))
@click.argument("file", type=_FILE)
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    type=click.Path(dir_okay=False, path_type=Path),
    help=_("Signature file; by default FILE.p7s."),
)
@card_option
@source_option(PIN)
@yes_option
@last_try_option
def sign(
    file: Path, output: Path | None, number: str | None, pin: str | None, yes: bool, last_try: bool
) -> None:
    """Sign a file."""
    output = output or file.with_name(f"{file.name}.p7s")
    if output.exists() and output.samefile(file):
        raise errors.FileProblem(path=output, detail=text("this is the file to be signed"))
    cards = Cards()
    card = choose(cards, number)
    before_pin(card, yes=yes, last_try=last_try)
    with Asker() as ask, _opened(file) as content, whole_file(output, 0o666) as signature:
        secret = ask.get(PIN, pin)
        from xca_plugin import cms  # half a second: only when everything else is there

        signature.write(cms.sign(content, cards, card, secret))
    click.echo(text("Signed: {path}").having(path=output)())


@click.command(help=_("Verify that SIGNATURE is a valid signature of FILE."))
@click.argument("file", type=_FILE)
@click.argument("signature", type=_FILE)
@click.option(
    "--ca-file", metavar="ROOT", type=_FILE, required=True, help=_("Root certificate to trust, PEM or DER.")
)
@json_option
def verify(file: Path, signature: Path, ca_file: Path, as_json: bool) -> None:
    """Verify a signature."""
    from xca_plugin import cms

    # What pyHanko logs is in the verdict.
    for name in ("pyhanko", "pyhanko_certvalidator"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with _opened(file) as content:
        verdict = cms.verify(content, signature, ca_file)
    if as_json:
        print_json(
            {
                "valid": verdict.problem is None,
                "problem": verdict.problem() if verdict.problem else None,
                "signed_at": verdict.signed_at.isoformat() if verdict.signed_at else None,
                "digest": verdict.digest,
                "signer": shapes.certificate(verdict.signer),
            }
        )
    else:
        table = grid(False, True)
        table.add_row(_("Signer"), verdict.signer.holder)
        table.add_row(_("Issuer"), verdict.signer.issuer)
        signed = words.moment(verdict.signed_at) if verdict.signed_at else _("not said")
        table.add_row(_("Signed at"), signed)
        table.add_row(_("Digest"), verdict.digest)
        console().print(table)
    if verdict.problem:
        raise errors.SignatureNotValid(reason=verdict.problem)
    if not as_json:
        click.secho(_("The signature is valid."), fg="green", bold=True)
        click.echo(_("The time is the signer's own; revocation was not looked up."))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise errors.FileProblem(path=path, detail=error.strerror) from error
    with file:
        yield file
