# SPDX-License-Identifier: Apache-2.0
"""What is done with files: they are signed, verified, encrypted or decrypted.

A card is used in the card worker's thread, with one login for all files. What parses foreign files without a
card is in a process of its own (parser), or has limits of its own (xca_common.pki).
"""

import hashlib
import logging
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import PurePath
from typing import Any, BinaryIO, Final

from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes

from xca_common.errors import FileProblem, XcaError, place_of
from xca_common.pki.certificate import Certificate
from xca_common.pki.encrypted_data import RecipientCertificate
from xca_common.secret import Secret, TypedAtReader
from xca_common.single_flight import SingleFlight
from xca_plugin import card_text, cms, enveloped, errors, own_loop
from xca_plugin.agent.files import parser, pdf_preparation
from xca_plugin.agent.files.job import FileResult, Job, Told
from xca_plugin.agent.files.stored_file import Role, StoredFile, named
from xca_plugin.agent.files.workspace import Workspace
from xca_plugin.agent.process.card_worker import OPERATION_SECONDS, CardWorker
from xca_plugin.cards import Cards, check_pin_usable, signing_certificate
from xca_plugin.history_note import Purpose
from xca_plugin.i18n import text
from xca_plugin.last_try import allowed
from xca_plugin.model import Card, CardSession, Hash, Key
from xca_plugin.named_file import problems_of
from xca_plugin.signer import CardSigner
from xca_plugin.validity import check_now

_log = logging.getLogger(__name__)

_ENDS_THE_LOGIN: Final = (
    errors.SessionEnded,
    errors.CardRemoved,
    errors.CardFault,
    errors.PluginMisbehaved,
)
_SIGNATURES: Final = (".p7s", ".p7m", ".p7b", ".sig", ".pem")
_ENCRYPTED: Final = (".p7e", ".p7m", ".pem", ".cms")
_BYTES_A_SECOND: Final = 20 << 20
_FILE_SECONDS: Final = 10.0

Pairs = Sequence[tuple[StoredFile, StoredFile]]
"""Each file, and the place for what comes of it."""


@dataclass(frozen=True)
class PinEntry:
    """What a person entered to use a card.

    Attributes:
        number: the card's.
        pin: its PIN; it counts for nothing at a reader with a keypad: the person types there.
        agreed: the person agreed to REAL_CARD_WARNING.
        last_try: the person typed the words that spend the last try.
    """

    number: str
    pin: Secret
    agreed: bool
    last_try: bool

    def card(self, cards: Cards) -> Card:
        """Return the card as it is now, if the PIN may be tried.

        Raises:
            CardNotFound, CardLapsed, NotActivated, PinLocked, NotAgreed, LastTryNotConfirmed.
        """
        card = cards.find(self.number)
        check_pin_usable(card)
        if card.real and not self.agreed:
            raise errors.NotAgreed
        if card.pin_tries == 1 and not self.last_try:
            raise errors.LastTryNotConfirmed
        return card

    @contextmanager
    def session(self, cards: Cards, card: Card, purpose: Purpose) -> Iterator[CardSession]:
        """Log in for a purpose.

        Raises:
            As Cards.session.
        """
        with ExitStack() as stack:
            with allowed() if card.pin_tries == 1 else nullcontext():
                pin = TypedAtReader() if card.has_keypad else self.pin
                session = stack.enter_context(cards.session(card, pin, purpose))
            yield session


@dataclass(frozen=True)
class Stamp:
    """A visible signature in a PDF, in millimetres from the top left corner of the page as it is shown.

    Attributes:
        page: its number; the first is 1.
        left, top, width, height: where it is, and how big.
    """

    page: int
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class _Prepared:
    """A PDF with an empty signature.

    Attributes:
        file: the PDF that is to be signed.
        output: the one with the empty signature.
        place: the digest, and where the signature goes, as pdf_preparation.prepare returns it.
    """

    file: StoredFile
    output: StoredFile
    place: dict[str, Any]


async def sign(
    card_worker: CardWorker,
    workspace: Workspace,
    job: Job,
    login: PinEntry,
    *,
    in_pdf: bool = False,
    stamp: Stamp | None = None,
) -> None:
    """Sign each file.

    Args:
        card_worker: uses the card.
        workspace: the files.
        job: gets the results.
        login: what the person entered.
        in_pdf: sign a PDF in itself (PAdES); all other files get a detached CMS signature, FILE.p7s.
        stamp: a visible stamp in each PDF; None: none.

    Raises:
        XcaError: nothing was signed, or not all; the job has the results so far.
    """
    files = workspace.files(Role.CONTENT)
    pdfs = [file for file in files if in_pdf and file.is_pdf]
    pairs = [(file, workspace.add(f"{file.name}.p7s", Role.RESULT)) for file in files if file not in pdfs]

    def look(cards: Cards) -> tuple[Card, Sequence[Certificate]]:
        card = login.card(cards)
        check_now(signing_certificate(card), card.number)
        return card, cards.certificates(card)

    prepared = []
    try:
        if pdfs:
            _, certificates = await card_worker.run(look)
            for file in pdfs:
                if (one := await _prepare(workspace, job, file, certificates, stamp)) is not None:
                    prepared.append(one)
    except BaseException:
        login.pin.wipe()
        raise
    if not prepared and not pairs:
        login.pin.wipe()
        return  # nothing is left to sign, and no PIN is tried

    def operation(cards: Cards) -> None:
        card, certificates = look(cards)
        with login.session(cards, card, Purpose.SIGN) as session:
            if prepared:
                signer = _SessionSigner(cards, card, certificates, session)
                for one in prepared:
                    _sign_prepared(job, signer, one)
            if pairs:
                writer = cms.FileSigner(cards, card, session.sign)
                _each(job, pairs, lambda content, target: writer.sign(content, target))

    await card_worker.run(
        operation, [login.pin], _seconds([*pairs, *((one.file, one.output) for one in prepared)])
    )


async def _prepare(
    workspace: Workspace,
    job: Job,
    file: StoredFile,
    certificates: Sequence[Certificate],
    stamp: Stamp | None,
) -> _Prepared | None:
    """Have another process write a PDF with an empty signature; None: it could not, and the job has why."""
    stem = PurePath(file.name).stem
    output = workspace.add(f"{stem}-signed.pdf", Role.RESULT)
    own = [one for one in certificates if one.id == Key.SIGN]
    others = [one for one in certificates if one.id not in list(Key)]
    told = stamp and {
        **asdict(stamp),
        "lines": [
            text("Signed by: {holder}").format(holder=own[0].holder_name)(),
            text("Time: {time}").format(time=card_text.moment(datetime.now(UTC)))(),
        ],
    }
    try:
        place = await parser.ask(
            "prepare",
            file.name,
            file.size,
            file=file.as_json(),
            output=output.as_json(),
            certificates=[b64encode(one.der).decode() for one in (*own, *others)],
            stamp=told,
            font=workspace.add("font", Role.RESULT).as_json(),
        )
    except parser.Failed as error:
        job.add(FileResult(file, told=error.as_told()))
    except XcaError as error:
        job.add(FileResult(file, error=error))
    else:
        return _Prepared(file, output, place)
    workspace.remove(output)
    return None


class _SessionSigner(CardSigner):
    """Signs with a login that is there already."""

    def __init__(
        self, cards: Cards, card: Card, certificates: Sequence[Certificate], session: CardSession
    ) -> None:
        super().__init__(cards, card, certificates, _no_pin)
        self._session = session

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        """Sign data; the digest is SHA-256."""
        if dry_run:
            return await super().async_sign_raw(data, digest_algorithm, dry_run)
        return self._session.sign(hashlib.sha256(data).digest())


def _no_pin() -> Secret:
    raise RuntimeError("the login is there already")


def _sign_prepared(job: Job, signer: _SessionSigner, one: _Prepared) -> None:
    """Sign a prepared PDF and tell the result.

    Raises:
        XcaError: the login has ended.
    """
    signing = signer.async_sign(
        b64decode(one.place["digest"]),
        Hash.SHA256.value,
        use_pades=True,
        signed_attr_settings=PdfCMSSignedAttributes(),
    )
    try:
        signed = own_loop.run(signing)
        with problems_of(one.output.name), one.output.path.open("r+b") as file:
            pdf_preparation.fill(file, one.place, signed.dump())
    except _ENDS_THE_LOGIN:
        raise
    except XcaError as error:
        job.add(FileResult(one.file, error=error))
    else:
        job.add(FileResult(one.file, one.output))


async def decrypt(card_worker: CardWorker, workspace: Workspace, job: Job, login: PinEntry) -> None:
    """Decrypt each file.

    Raises:
        XcaError: as sign().
    """
    pairs = [
        (file, workspace.add(_without_ending(file.name), Role.RESULT))
        for file in workspace.files(Role.CONTENT)
    ]

    def operation(cards: Cards) -> None:
        card = login.card(cards)
        by = enveloped.RecipientCard(cards, card)
        with login.session(cards, card, Purpose.DECRYPT) as session:

            def decrypt_one(content: BinaryIO, target: BinaryIO) -> None:
                enveloped.Enveloped(content).decrypt(target, by, session.decrypt)

            _each(job, pairs, decrypt_one)

    await card_worker.run(operation, [login.pin], _seconds(pairs))


async def encrypt(workspace: Workspace, job: Job) -> None:
    """Encrypt each file to the recipients' certificates: FILE.p7e.

    Raises:
        XcaError: a certificate cannot be used.
    """
    given = workspace.files(Role.RECIPIENT)
    pairs = [(file, workspace.add(f"{file.name}.p7e", Role.RESULT)) for file in workspace.files(Role.CONTENT)]

    def operation() -> None:
        try:
            recipients = enveloped.recipients_in([file.path for file in given])
        except XcaError as error:
            raise named(error, given) from None
        _each(job, pairs, partial(_encrypt_one, recipients))

    await SingleFlight[None]().run(operation)


def _encrypt_one(recipients: list[RecipientCertificate], content: BinaryIO, target: BinaryIO) -> None:
    enveloped.encrypt(content, target, recipients)


async def verify(
    card_worker: CardWorker,
    workspace: Workspace,
    job: Job,
    *,
    card_number: str | None,
    fetch: bool,
    language: str,
) -> None:
    """Verify each file with the signature that belongs to it by name, or with those in it.

    Args:
        card_worker: reads the card's root certificate.
        workspace: the files.
        job: gets the results.
        card_number: trust the root certificate of this card; None: those that were given.
        fetch: look revocation up in the network.
        language: of the reports (zh_TW, en).

    Raises:
        XcaError: there is no root certificate to trust.
    """
    roots = workspace.files(Role.ROOT)
    if card_number:
        root = await card_worker.run(lambda cards: root_of(cards, cards.find(card_number)))
        if root is None:
            raise errors.NoSuchCertificate(number=card_number, label="ROOT CA Cert")
        file = workspace.add("ROOT CA Cert", Role.RESULT)
        with file.writing() as target:
            target.write(root.der)
        roots = [file]
    trust = {
        "roots": [file.as_json() for file in roots],
        "intermediates": [file.as_json() for file in workspace.files(Role.INTERMEDIATE)],
        "fetch": fetch,
        "language": language,
    }
    for content, signature in paired(workspace.files(Role.CONTENT)):
        report = workspace.add(f"{content.name}.html", Role.RESULT)
        try:
            told = await parser.ask(
                "verify",
                content.name,
                content.size,
                content=content.as_json(),
                signature=signature and signature.as_json(),
                report=report.as_json(),
                **trust,
            )
        except parser.Failed as error:
            job.add(FileResult(content, told=error.as_told()))
        except XcaError as error:
            job.add(FileResult(content, error=error))
        else:
            job.add(FileResult(content, report, told={each: Told(**one) for each, one in told.items()}))


def root_of(cards: Cards, card: Card) -> Certificate | None:
    """Return the root certificate that a card holds."""
    return next((one for one in cards.certificates(card) if one.issuer == one.holder), None)


def paired(files: Sequence[StoredFile]) -> list[tuple[StoredFile, StoredFile | None]]:
    """Return each file with its detached signature, if that is among them; None: the file holds its own.

    The signature of contract.pdf is contract.pdf.p7s. If there are two files and one of them looks like a
    signature, it belongs to the other, whatever its name.
    """
    by_name = {file.name: file for file in files}
    found: dict[str, StoredFile] = {}
    for file in files:
        of = by_name.get(PurePath(file.name).stem)
        if of is not None and file.name.lower().endswith(_SIGNATURES):
            found[of.id] = file
    if len(files) == 2 and not found:
        signatures = [file for file in files if file.name.lower().endswith(_SIGNATURES)]
        if len(signatures) == 1:
            (other,) = (file for file in files if file is not signatures[0])
            found[other.id] = signatures[0]
    signatures = list(found.values())
    return [(file, found.get(file.id)) for file in files if file not in signatures]


async def run(job: Job, work: Callable[[], Awaitable[None]]) -> None:
    """Do a job to its end, whatever happens."""
    error: XcaError | None
    try:
        await work()
        error = None
    except XcaError as failure:
        error = failure
    except Exception as failure:
        _log.error("unexpected problem: %s", place_of(failure))
        where = text("unexpected problem ({where})").format(where=place_of(failure))
        error = FileProblem(path=text("(your files)"), detail=where)
    job.finish(error)


def _each(job: Job, pairs: Pairs, work: Callable[[BinaryIO, BinaryIO], object]) -> None:
    """Do the work with each file and tell its result.

    Raises:
        XcaError: the login has ended; the files after this one were not tried.
    """
    for file, output in pairs:
        try:
            with file.reading() as content, output.writing() as target:
                work(content, target)
        except _ENDS_THE_LOGIN:
            raise
        except XcaError as error:
            job.add(FileResult(file, error=error))
        else:
            job.add(FileResult(file, output))


def _seconds(pairs: Pairs) -> float:
    """Return how long a card may be busy with files."""
    return OPERATION_SECONDS + sum(_FILE_SECONDS + file.size / _BYTES_A_SECOND for file, _ in pairs)


def _without_ending(name: str) -> str:
    stem = PurePath(name).stem
    return stem if name.lower().endswith(_ENCRYPTED) and stem else f"{name}.decrypted"
