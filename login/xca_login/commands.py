# SPDX-License-Identifier: Apache-2.0
"""The commands of xca-login."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from xca_common.browser import open_address
from xca_common.command_line import ProgramCommands, ProgramEnded, WholeNumber, complete
from xca_common.errors import XcaError, os_reason
from xca_common.extras import install_command, missing
from xca_common.i18n import Text
from xca_common.pki import strict_certificate
from xca_common.pki.certificate_file import certificates_in
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_common.taipei import moment
from xca_login import evidence
from xca_login.errors import (
    ArchiveNotProved,
    ArchiveUnusable,
    BadTrust,
    EvidenceUnusable,
    IssuerUnknown,
    LoginRefused,
    Misconfigured,
    PolicyRefused,
    ProgramFailed,
    ProgramProblem,
)
from xca_login.i18n import say, text
from xca_login.later import verify_evidence
from xca_login.login import Binding, Login
from xca_login.policy import Policy
from xca_login.trust import Trust, TrustFolder

if TYPE_CHECKING:
    from xca_login.bids.verification import Proved

_ = say

_PLACEHOLDERS: Final = {
    "ADDRESS": text("ADDRESS"),
    "FILE": text("FILE"),
    "CERT": text("CERT"),
    "FOLDER": text("FOLDER"),
    "HEAD": text("HEAD"),
    "NUMBER": text("NUMBER"),
    "OID": text("OID"),
}
_EXAMPLES: Final = {
    "": ("xca-login demo", "xca-login verify-evidence login.json --trust cas"),
    "demo": ("xca-login demo", "xca-login demo --no-browser"),
    "oidc": (
        "xca-login oidc provider.toml",
        "xca-login oidc provider.toml --certificate site.pem --key key.pem",
    ),
    "oidc-secret": ("xca-login oidc-secret",),
    "verify-archive": (
        "xca-login verify-archive tender.archive",
        "xca-login verify-archive tender.archive --site site.pem",
    ),
    "verify-evidence": (
        "xca-login verify-evidence login.json",
        "xca-login verify-evidence login.json --trust cas",
    ),
}
"""Examples that the help shows, by the command; their files are the user's."""
_REFUSED, _NOBODY_VOUCHES, _UNUSABLE, _UNTRUSTED = 1, 3, 4, 5
_EXIT_STATUSES: Final[dict[type[XcaError], int]] = {
    ArchiveNotProved: _REFUSED,
    ArchiveUnusable: _UNUSABLE,
    EvidenceUnusable: _UNUSABLE,
    Misconfigured: _UNTRUSTED,
    ProgramProblem: 1,
}
_STATUSES: Final = "\b\n" + _(
    "Exit status:\n"
    "  0  the login is proved\n"
    "  1  it is not proved\n"
    "  2  an option or a value is wrong\n"
    "  3  it is proved if the CA certificates in the file are right (no --trust)\n"
    "  4  the file cannot be used\n"
    "  5  the CA certificates that were given cannot be used"
)
_NOT_PROVED: Final = text("The login is not proved: do not rely on this evidence.")
_AFTER_REFUSAL: Final[dict[type[LoginRefused], Text]] = {
    PolicyRefused: text(
        "The login is not proved. If the site let in cards of that policy: --policy {policies}"
    ),
    IssuerUnknown: text(
        "The login is not proved. If the site trusted that issuer, put the issuer's certificate and its "
        "root's into the folder of --trust."
    ),
}
"""Next steps of who verifies evidence. Those of the errors are for who logs in."""
_BINDINGS: Final = {
    Binding.DECLARED: text("named in the text that was signed; the holder's program did not compare it"),
    Binding.VERIFIED: text("compared by the holder's program with the page that asked"),
}


class _Commands(ProgramCommands):
    """The commands of xca-login."""

    def problem(self, error: Exception) -> ProgramEnded | None:
        if isinstance(error, LoginRefused):
            step = _AFTER_REFUSAL.get(type(error), _NOT_PROVED)
            return ProgramEnded.of(error.with_step(step), _REFUSED)
        for kind, status in _EXIT_STATUSES.items():
            if isinstance(error, kind):
                return ProgramEnded.of(error, status)
        return None


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=_("Logins with the organisation IC card, at a site."),
)
@click.version_option(package_name="xca_login")
def xca_login() -> None:
    """Group of the commands of xca-login."""


@xca_login.command(
    "verify-evidence",
    help=_(
        "Verify a login again by the evidence that the site kept, as of the time of the login. "
        "The network is not used."
    )
    + "\n\n"
    + _STATUSES,
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--trust",
    "folder",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help=_("Folder with the certificates of the trusted CAs. Without it, those in the file are used."),
)
@click.option(
    "--policy",
    "policies",
    metavar="OID",
    multiple=True,
    help=_("A certificate policy that is accepted; by default that of real cards. May be repeated."),
)
def _verify_evidence(file: Path, folder: Path | None, policies: tuple[str, ...]) -> None:
    kept = evidence.read(file)
    trust = TrustFolder(folder).current() if folder else _trust_inside(file, kept)
    policy = Policy(certificate_policies=frozenset(policies)) if policies else None
    login = verify_evidence(kept, trust, policy)
    for name, value in _facts(login):
        click.echo(text("{name}: {detail}").format(name=name, detail=value)())
    if folder is None:
        click.echo(
            _(
                "The CA certificates are those in the file: nothing proves that they are genuine. Give "
                "yours with --trust."
            ),
            err=True,
        )
        sys.exit(_NOBODY_VOUCHES)
    click.echo(_("The login is proved."))


@xca_login.command(
    "verify-archive",
    help=_(
        "Verify the archive of a tender: who bid what and when, that nothing was added or taken away after "
        "the deadline, and who opened it. The network is not used."
    )
    + "\n\n\b\n"
    + _(
        "Exit status:\n"
        "  0  it is proved\n"
        "  1  it is not proved\n"
        "  2  an option or a value is wrong\n"
        "  3  it is proved if the site's certificate in the file is right (no --site)\n"
        "  4  the file cannot be used"
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--site",
    metavar="CERT",
    type=click.Path(path_type=Path),
    help=_("The certificate with which the site signed. Without it, that in the file is used."),
)
@click.option(
    "--head",
    "heads",
    metavar="HEAD",
    multiple=True,
    help=_("A head of the chain that you kept, such as that of a receipt. May be repeated."),
)
def _verify_archive(file: Path, site: Path | None, heads: tuple[str, ...]) -> None:
    from xca_login.bids.archive import Archive
    from xca_login.bids.verification import ArchiveRefused, verify

    try:
        kept = [bytes.fromhex(head) for head in heads]
    except ValueError:
        raise click.UsageError(_("A head has 64 hexadecimal digits.")) from None
    try:
        with file.open("rb") as opened:
            archive = Archive.read(opened)
        trusted = certificates_in(site.read_bytes()) if site else None
    except OSError as error:
        raise ArchiveUnusable(path=file, detail=os_reason(error)) from error
    except (Malformed, TooMuchError) as error:
        raise ArchiveUnusable(path=file, detail=error.detail) from error
    try:
        proved = verify(archive, kept)
    except ArchiveRefused as error:
        raise ArchiveNotProved(path=file, detail=error.reason) from error
    if trusted is not None and strict_certificate.as_asn1(proved.site).dump() not in trusted:
        raise ArchiveNotProved(path=file, detail=text("another certificate than the site's signed it"))
    for name, value in _archive_facts(proved):
        click.echo(text("{name}: {detail}").format(name=name, detail=value)())
    if trusted is None:
        click.echo(
            _(
                "The site's certificate is that in the file: nothing proves that it is genuine. Give it with "
                "--site."
            ),
            err=True,
        )
        sys.exit(_NOBODY_VOUCHES)
    click.echo(_("The archive is proved: nothing was added or taken away after the deadline."))


@xca_login.command(
    "demo",
    help=_(
        "Log in on this computer, to see how it goes: with a test card, a local component and a site. "
        "They are gone when you end the command with Ctrl-C. It starts programs of xca-plugin."
    )
    + "\n\n\b\n"
    + _(
        "Exit status:\n"
        "  0  you ended it\n"
        "  1  a program that it starts is missing or failed\n"
        "  2  an option or a value is wrong"
    ),
)
@click.option("--no-browser", is_flag=True, help=_("Open no browser; only say the address."))
def _demo(no_browser: bool) -> None:
    from xca_login import demo

    def tell(words: Text) -> None:
        click.echo(text("{step} …").format(step=words)())

    def show(address: str) -> None:
        click.echo(text("The site is at {address}. End it with Ctrl-C.").format(address=f"{address}/")())
        if not no_browser and not open_address(f"{address}/"):
            click.echo(_("No browser was found. Open that address in one yourself."), err=True)

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        demo.run(tell, show)
    except KeyboardInterrupt:
        click.echo()
    except OSError as error:
        raise ProgramFailed(name="xca-login demo", detail=os_reason(error)) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _trust_inside(path: Path, kept: evidence.Evidence) -> Trust:
    try:
        return Trust.of(map(strict_certificate.load, kept.issuers))
    except (Malformed, BadTrust) as error:
        raise EvidenceUnusable(path=path, detail=error.detail) from error


def _facts(login: Login) -> list[tuple[Text, str]]:
    kept = login.evidence
    facts = [
        (text("holder"), login.holder_name),
        (text("subject of the certificate"), login.holder),
        (text("serial number of the certificate"), login.serial),
        (text("OID of the organisation"), login.organisation_oid),
        (text("tax id"), login.tax_id),
        (text("site"), kept.challenge.split(b"\n")[1].decode("ascii")),
        (text("the site's origin"), _BINDINGS[login.binding]()),
        (text("time, as the site claims"), moment(login.at)),
        (text("revocation lists"), str(len(kept.lists))),
        (text("OCSP responses"), str(len(kept.responses))),
    ]
    return [(name, value) for name, value in facts if value is not None]


_FATES: Final = {
    "OPENED": text("opened"),
    "SEALED": text("not opened"),
    "REPLACED": text("replaced by a later one"),
    "WITHDRAWN": text("withdrawn"),
    "LATE": text("too late"),
}
_OPENS: Final = {"outer": text("opened first"), "inner": text("opened then")}


def _archive_facts(proved: "Proved") -> Iterator[tuple[Text, Text | str]]:
    """Yield what an archive proves, and whose word each of it is."""
    notice = proved.notice
    yield text("tender"), f"{notice.tender} {notice.title}"
    yield text("site"), notice.origin
    yield text("deadline, as the site announced"), moment(notice.deadline)
    yield text("list of bids fixed, as the site says"), moment(proved.listed_at)
    for one in proved.bids:
        came = text("{bidder}: {fate}; came at {moment}, as the site says; {word}")
        word = text("{holder} signed what is in it, and the officers say that it came out of the envelope")
        nobody = text("that this account submitted it is the site's word alone")
        said = word.format(holder=one.bidder.holder) if one.bidder else nobody
        facts = {"bidder": one.receipt.account, "fate": _FATES[one.fate.name]}
        yield text("bid"), came.format(**facts, moment=moment(one.receipt.ended), word=said)
    for opening in proved.openings:
        signed = text("{holder}, {group}, as the officer signed; the time {moment} is the site's word")
        facts = {"holder": opening.officer.holder, "group": _OPENS[opening.group]}
        yield text("opening"), signed.format(**facts, moment=moment(opening.at))
    yield text("last head of the chain"), proved.head.hex()


def _without_oidc(error: ModuleNotFoundError) -> click.UsageError:
    """Return what to tell where packages of the extra oidc are missing."""
    lacking = missing("xca-login", "oidc") or [error.name or ""]
    needs = text(
        "It needs Python packages that are not installed: {name}. Install what is missing: {command}"
    )
    return click.UsageError(
        needs.format(name=", ".join(lacking), command=install_command("xca-login", "oidc"))()
    )


@xca_login.command(
    "oidc",
    help=_(
        "Run an OpenID Connect provider, through which programs that speak OpenID Connect let holders of "
        "cards in. FILE holds its settings and clients; it is read once. The provider listens on this "
        "machine, for a web server that has the certificate, or with a certificate of its own."
    )
    + "\n\n\b\n"
    + _(
        "Exit status:\n"
        "  0  it was told to end\n"
        "  1  it cannot listen there\n"
        "  2  an option or a value is wrong\n"
        "  5  its settings cannot be used"
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help=_("Address to listen at. Other machines are answered over https alone, with --certificate."),
)
@click.option(
    "--port",
    metavar="NUMBER",
    type=WholeNumber(1, 65535),
    default=8440,
    show_default=True,
    help=_("Port to listen at."),
)
@click.option(
    "--workers",
    metavar="NUMBER",
    type=WholeNumber(1, 256),
    default=1,
    show_default=True,
    help=_("Number of processes."),
)
@click.option(
    "--certificate",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help=_("File with the certificate and its chain, in PEM, for https."),
)
@click.option(
    "--key", metavar="FILE", type=click.Path(path_type=Path), help=_("File with its private key, in PEM.")
)
def _oidc(file: Path, host: str, port: int, workers: int, certificate: Path | None, key: Path | None) -> None:
    if (certificate is None) != (key is None):
        raise click.UsageError(_("--certificate and --key belong together."))
    try:
        from xca_login.oidc import serving
    except ModuleNotFoundError as error:
        raise _without_oidc(error) from error
    serving.serve(file, host, port, workers, (certificate, key) if certificate and key else None, click.echo)


@xca_login.command(
    "oidc-secret",
    help=_(
        "Make a secret for a client of the OpenID Connect provider. The first line is for the client; the "
        "second one stands for it in the provider's settings, and need not be kept secret."
    ),
)
def _oidc_secret() -> None:
    try:
        from xca_login.oidc.client import new_secret
    except ModuleNotFoundError as error:
        raise _without_oidc(error) from error
    for line in new_secret():
        click.echo(line)


complete(xca_login, _PLACEHOLDERS, hide_language=False, examples=_EXAMPLES[""])
for _name, _command in xca_login.commands.items():
    complete(_command, _PLACEHOLDERS, hide_language=True, examples=_EXAMPLES[_name])
