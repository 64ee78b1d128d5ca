# SPDX-License-Identifier: Apache-2.0
"""What is done with files: they are signed, verified, encrypted or decrypted.

A card is used in the card worker's thread, with one login for all files. What parses foreign files without a
card is in a process of its own (parser), or has limits of its own (xca_common.pki).
"""

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import BinaryIO, Final

from xca_common.errors import FileProblem, XcaError, place_of
from xca_common.pki.certificate import Certificate
from xca_common.pki.encrypted_data import RecipientCertificate
from xca_common.secret import Secret
from xca_common.single_flight import SingleFlight
from xca_plugin import cms, enveloped, errors
from xca_plugin.agent.files import parser
from xca_plugin.agent.files.job import FileResult, Job, Told
from xca_plugin.agent.files.stored_file import Role, StoredFile, named
from xca_plugin.agent.files.workspace import Workspace
from xca_plugin.agent.process.card_worker import OPERATION_SECONDS, CardWorker
from xca_plugin.cards import Cards, check_pin_usable, signing_certificate
from xca_plugin.history_note import Purpose
from xca_plugin.i18n import text
from xca_plugin.last_try import allowed
from xca_plugin.model import Card, CardSession
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
class Login:
    """What a person entered to use a card.

    Attributes:
        number: the card's.
        pin: its PIN.
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
                session = stack.enter_context(cards.session(card, self.pin, purpose))
            yield session


async def sign(card_worker: CardWorker, workspace: Workspace, job: Job, login: Login) -> None:
    """Sign each file: a detached CMS signature, FILE.p7s.

    Raises:
        XcaError: nothing was signed, or not all; the job has the results so far.
    """
    pairs = [(file, workspace.add(f"{file.name}.p7s", Role.RESULT)) for file in workspace.files(Role.CONTENT)]

    def operation(cards: Cards) -> None:
        card = login.card(cards)
        check_now(signing_certificate(card), card.number)
        with login.session(cards, card, Purpose.SIGN) as session:
            signer = cms.FileSigner(cards, card, session.sign)
            _each(job, pairs, lambda content, target: signer.sign(content, target))

    await card_worker.run(operation, [login.pin], _seconds(pairs))


async def decrypt(card_worker: CardWorker, workspace: Workspace, job: Job, login: Login) -> None:
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
        with login.session(cards, card, Purpose.DECRYPT) as session:

            def decrypt_one(content: BinaryIO, target: BinaryIO) -> None:
                enveloped.Enveloped(content).decrypt(target, cards, card, session.decrypt)

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
            failed = {each: Told("bad", said, [step]) for each, (said, step) in error.told.items()}
            job.add(FileResult(content, told=failed))
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
