# SPDX-License-Identifier: Apache-2.0
"""xcactl verify: whether the signatures of a file are valid."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from xca_common.errors import XcaError
from xca_common.harmless_text import harmless_json
from xca_plugin import verdict_text
from xca_plugin.cli import json_documents
from xca_plugin.cli.common import allow_host_option, json_option, opened, output_option
from xca_plugin.cli.root import show_error
from xca_plugin.cli.several_files import check_single, each_file
from xca_plugin.i18n import _, text
from xca_plugin.named_file import input_file, is_file, is_standard_output
from xca_plugin.terminal.input_files import FILE, ISSUER_FILE, ROOT_FILE, check_there, files_argument
from xca_plugin.terminal.next_steps import next_step, note_verification
from xca_plugin.terminal.output import console, grid, print_json, say
from xca_plugin.terminal.result_files import OUTPUT, check_output, force_option, result_file, say_written
from xca_plugin.verdict import Outcome, Verification
from xca_plugin.verification_report import Report, ReportedFile, as_html, as_pdf

if TYPE_CHECKING:
    from xca_plugin.trust import Sources

_NO_ROOT: Final = text(
    "Missing option --ca-file. It names the root certificate that you trust: a signature counts if its "
    "signer's certificate was issued under that root. The government's root is at https://grca.nat.gov.tw "
    "and on every organisation card: xcactl cert export 'ROOT CA Cert' -o root.pem. "
    "A CA between the signer and the root goes with --certfile."
)

_REPORTED: Final = text("The report was written: {path}")
_BESIDE: Final = text("The signature file {path} beside it is verified.")
_WRITTEN: Final = text("The content was written: {path}")
_REPORTS: Final = (".html", ".pdf", ".json")
_SIGNATURE: Final = ".p7s"
_STANDING_ALONE: Final = (".pdf", ".p7m", _SIGNATURE)


@click.command(
    help=_(
        "Verify that SIGNATURE is a valid signature of FILE. "
        "Without SIGNATURE, FILE is a signature that holds its content, or a signed PDF. "
        "Of several FILEs, the signature is FILE.p7s, if there is one."
    )
)
@files_argument("FILE [SIGNATURE] | FILE…")
@click.option(
    "--ca-file", metavar="ROOT", type=ROOT_FILE, help=_("Root certificate to trust, PEM, DER or PKCS #7.")
)
@click.option(
    "--certfile",
    "certificate_files",
    metavar="CERT",
    type=ISSUER_FILE,
    multiple=True,
    help=_("Certificates of CAs between the signer and the root, not trusted; may be repeated."),
)
@click.option(
    "--tsa-ca-file",
    "time_stampers_file",
    metavar="ROOT",
    type=FILE,
    help=_("Root certificate to trust for time-stamps; by default that of --ca-file."),
)
@click.option(
    "--any", "one_is_enough", is_flag=True, help=_("Of several signatures, one that is valid is enough.")
)
@click.option(
    "--crl",
    "crls",
    metavar="CRL",
    type=FILE,
    multiple=True,
    help=_("CRL of the signer's CA; may be repeated."),
)
@click.option(
    "--ocsp",
    "responses",
    metavar="RESPONSE",
    type=FILE,
    multiple=True,
    help=_("OCSP response about the signer's certificate; may be repeated."),
)
@click.option(
    "--fetch",
    is_flag=True,
    help=_("Get OCSP responses and CRLs over the network, from where the certificates say."),
)
@allow_host_option(_("With --fetch: also ask this host, beside those below nat.gov.tw; may be repeated."))
@click.option(
    "--report",
    metavar="OUT",
    type=OUTPUT,
    help=_("Write a report that can be handed on: OUT ends in .html, .pdf or .json."),
)
@output_option(_("Where to write the content of FILE, if it is valid."))
@force_option
@json_option
def verify(
    files: tuple[Path, ...],
    ca_file: Path | None,
    certificate_files: tuple[Path, ...],
    time_stampers_file: Path | None,
    one_is_enough: bool,
    crls: tuple[Path, ...],
    responses: tuple[Path, ...],
    fetch: bool,
    hosts: tuple[str, ...],
    report: Path | None,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Verify the signatures of files, print each result, and write the content and the report."""
    if ca_file is None:
        raise click.UsageError(_NO_ROOT())
    note_verification(ca_file, fetched=fetch)
    signatures = _signatures_of(files)
    check_single(list(signatures), output, report)
    not_named = {file: beside for file, beside in signatures.items() if beside and beside not in files}
    if len(signatures) == 1:
        for beside in filter(None, signatures.values()):
            check_there(beside)
    if output and any(signatures.values()):
        raise click.UsageError(_("-o is for a signature that holds its content."))
    if hosts and not fetch:
        raise click.UsageError(_("--allow-host needs --fetch."))
    others = (*certificate_files, *([time_stampers_file] if time_stampers_file else []))
    if report and report.suffix.lower() not in _REPORTS:
        raise click.UsageError(_("The name of a report ends in .html, .pdf or .json."))
    others = (*others, ca_file, *crls, *responses, *(found for found in signatures.values() if found))
    # Remarks go where the result does not.
    err = any(path is not None and is_standard_output(path) for path in (output, report))
    if err and as_json:
        raise click.UsageError(_("--json and another result cannot both go to the standard output."))
    if report:
        check_output(report, *signatures, *others, *([output] if output else []))
    if output:
        check_output(output, *signatures, *others)
    # The verdict says the same as pyHanko's log.
    for name in ("pyhanko", "pyhanko_certvalidator"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    from xca_plugin.trust import Sources  # slow to load, and not needed for the help

    check = _Check(
        ca_file,
        certificate_files,
        time_stampers_file,
        Sources(crls, responses, fetch, hosts),
        one_is_enough,
    )
    for beside in not_named.values():
        say(_BESIDE.format(path=beside)(), err=True)
    if len(signatures) > 1:
        status = _verify_several(check, signatures, as_json)
        click.get_current_context().exit(status)
    ((file, signature),) = signatures.items()
    found: Verification | None = None
    unreported: XcaError | None = None
    with ExitStack() as stack:
        target = stack.enter_context(result_file(output, force=force)) if output else None
        content, progress = stack.enter_context(opened(file, twice=signature is None or report is not None))
        signed = stack.enter_context(opened(signature, twice=report is not None))[0] if signature else None
        # A report that cannot be written hides no verdict; one that may not be is told before the work. The
        # verdict is printed before content and report appear: if it cannot be, neither does.
        shown = False
        try:
            with _report_file(report, force) as reported:
                with progress:
                    found = check.verify(content, signed, target)
                if as_json:
                    print_json(json_documents.verification(found))
                else:
                    _show(found, err=err)
                    if found.error is None:
                        _say_what_holds(found, err=err)
                shown = True
                if report and reported:
                    reported.write(_report(report, found, [content, *([signed] if signed else [])]))
        except XcaError as error:
            if found is None or not (shown or found.error):
                raise
            unreported = error
        if (refused := found.error) is not None:
            if unreported:
                show_error(unreported)
            elif report:
                say_written(_REPORTED, report, err=True)
            raise refused
    if report and not unreported:
        say_written(_REPORTED, report, err=True)
    if output:
        say_written(_WRITTEN, output, err=True)
    if unreported:
        raise unreported


@dataclass(frozen=True)
class _Check:
    """How the options say that each file is verified."""

    ca_file: Path
    certificate_files: tuple[Path, ...]
    time_stampers_file: Path | None
    sources: "Sources"
    one_is_enough: bool

    def verify(self, content: BinaryIO, signed: BinaryIO | None, target: BinaryIO | None) -> Verification:
        """Verify one file.

        Args:
            content: the file.
            signed: its detached signature; None: the file is a signature that holds its content, or a PDF.
            target: takes the content that the signature holds; None: nothing does.

        Raises:
            click.UsageError: a PDF holds no content to be written.
            XcaError: as xca_plugin.verification.verify.
        """
        from xca_plugin import pdf_verification, verification

        if signed is None and pdf_verification.is_pdf(content):
            if target:
                raise click.UsageError(_("-o is for a signature that holds its content."))
            verify_it = partial(pdf_verification.verify, content, self.ca_file)
        else:
            signature, detached = (signed, content) if signed else (content, None)
            verify_it = partial(verification.verify, signature, self.ca_file, detached, output=target)
        return verify_it(
            time_stampers_file=self.time_stampers_file,
            certificate_files=self.certificate_files,
            sources=self.sources,
            one_is_enough=self.one_is_enough,
        )


def _signatures_of(files: Sequence[Path]) -> dict[Path, Path | None]:
    """Return the detached signature of each file; None: the file is a signature itself, or a signed PDF.

    Names alone decide: what strangers wrote into the files does not.
    """
    if len(files) == 2 and not _are_several(*files):
        return {files[0]: files[1]}
    if len(files) == 1:
        return {files[0]: None}
    found: dict[Path, Path | None] = {}
    for file in files:
        content = file.with_suffix("") if file.suffix == _SIGNATURE else None
        if content and is_file(content):
            found[content] = file
        elif is_file(beside := _beside(file)):
            found[file] = beside
        else:
            found.setdefault(file, None)
    return found


def _are_several(one: Path, other: Path) -> bool:
    """Tell whether two files are each to be verified; otherwise the second is the signature of the first."""
    if other == _beside(one):
        return False
    kinds = {one.suffix.lower(), other.suffix.lower()}
    return (len(kinds) == 1 and kinds <= set(_STANDING_ALONE)) or all(
        is_file(_beside(file)) for file in (one, other)
    )


def _beside(file: Path) -> Path:
    return file.with_name(f"{file.name}{_SIGNATURE}")


def _verify_several(check: _Check, signatures: Mapping[Path, Path | None], as_json: bool) -> int:
    """Verify several files and print each result; return the exit status."""
    documents: dict[Path, dict[str, Any]] = {}

    def verify_one(file: Path) -> Verification:
        signature = signatures[file]
        documents[file] = {
            "file": str(file),
            "signature": str(signature) if signature else None,
            "verification": None,
            "problem": None,
        }
        with ExitStack() as stack, _in_document(documents[file]):
            content = stack.enter_context(input_file(file, twice=signature is None))
            signed = stack.enter_context(input_file(signature)) if signature else None
            return check.verify(content, signed, None)

    def tell(file: Path, found: Verification) -> None:
        if not as_json:
            _show(found, err=False)
        with _in_document(documents[file]):
            documents[file]["verification"] = json_documents.verification(found)
            if found.error is not None:
                raise found.error
        if not as_json:
            _say_what_holds(found, err=False)

    status = each_file(list(signatures), verify_one, tell, heads=not as_json)
    if as_json:
        print_json({"files": list(documents.values())})
    return status


@contextmanager
def _in_document(document: dict[str, Any]) -> Iterator[None]:
    """Note in the document of a file why its verification failed."""
    try:
        yield
    except XcaError as error:
        document["problem"] = json_documents.problem(error)
        raise


def _report_file(path: Path | None, force: bool) -> AbstractContextManager[BinaryIO | None]:
    if path is None:
        return nullcontext()
    return result_file(path, force=force, private=True, binary=path.suffix.lower() == ".pdf")


def _report(path: Path, found: Verification, files: list[BinaryIO]) -> bytes:
    """Return the report of a verification, in the form that the name of its file says."""
    step = next_step(found.error) if found.error else None
    report = Report(found, [ReportedFile.of(one) for one in files], next_step=step)
    form = path.suffix.lower()
    if form == ".pdf":
        return as_pdf(report, path)
    if form == ".html":
        return as_html(report)
    return harmless_json(json_documents.verification_report(report)).encode() + b"\n"


def _say_what_holds(found: Verification, *, err: bool) -> None:
    """Print what is valid, and what was not checked."""
    result, *others = verdict_text.conclusion(found)
    is_good = all(one.outcome is Outcome.VALID and not one.weak for one in found.verdicts)
    say(result, fg="green" if is_good else "yellow", bold=True, err=err)
    for sentence in others:
        say(sentence, err=err)


def _show(found: Verification, *, err: bool) -> None:
    """Print each signature; if there are several, print the verdict of each."""
    count = len(found.verdicts)
    for number, verdict in enumerate(found.verdicts, 1):
        table = grid(False, True)
        if count > 1:
            table.add_row(_("Signature"), f"{number}/{count}")
        for row in verdict_text.rows(verdict):
            table.add_row(*row)
        if count > 1:
            table.add_row(_("Verdict"), verdict_text.OUTCOMES[verdict.outcome]())
            if verdict.problem:
                table.add_row(_("Reason"), verdict.problem())
        console(err=err).print(table)
        if number < count or found.document_time_stamps:
            say(err=err)
    for stamp in found.document_time_stamps:
        table = grid(False, True)
        table.add_row(_("Time-stamp of the document"), verdict_text.time_stamp(stamp))
        console(err=err).print(table)
    stamps = [*found.document_time_stamps, *(each.time_stamp for each in found.verdicts if each.time_stamp)]
    if any(stamp.is_without_root for stamp in stamps):
        say(
            _(
                "If you trust the time-stamping authority, give its root certificate, which it publishes: "
                "--tsa-ca-file FILE"
            ),
            err=err,
        )
