# SPDX-License-Identifier: Apache-2.0
"""The CAs of a centre: a root apart, generations of the issuing CA with one name, and who works for them.

The keys are in tokens. The certificates are files in a folder that holds no secret. A file is written when
its key and its certificate are made: begin() goes on behind the last one, wherever it was cut off.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7
from cryptography.x509.oid import NameOID, ObjectIdentifier

from xca_centre import errors
from xca_centre.authority.certificates import Generation
from xca_centre.authority.lists import revocation_list
from xca_centre.authority.ocsp import Responder
from xca_centre.authority.repository import Repository
from xca_centre.authority.token_key import Token, TokenKey, Use
from xca_common import atomic_file
from xca_common.folders import make_private
from xca_common.pki import distinguished_name, profile
from xca_common.pki.authority import ENCRYPTION, SIGNING, Issuer, certify_ca, years_later
from xca_common.pki.chain import key_identifier
from xca_common.pki.strict_certificate import UNUSABLE_KEY, as_asn1, extension

_ROOT_YEARS: Final = 30
_ISSUER_YEARS: Final = 20
_ROOT_LIST_LIFE: Final = timedelta(days=366)
_RESPONDER_LIFE: Final = timedelta(days=30)  # nobody asks whether a responder is revoked
_OFFICE_LIFE: Final = timedelta(days=366)
_OFFICE_BITS: Final = 2048
_PLAN: Final = "plan.json"
_ROOT: Final = "root"
_ROOT_LIST: Final = "root.crl"
_TICKETS: Final = "tickets"
_SEALING: Final = "sealing"


@dataclass(frozen=True)
class Plan:
    """What is begun.

    Attributes:
        root_name: the DN of the root, such as `C=TW,O=政府測試憑證總管理中心`.
        issuer_name: the DN that all generations of the issuing CA have.
        repository: where they publish.
        policy: OID of the certificate policy of what they issue.
        generations: the bits of each generation's key, by its number; the highest one issues.
        root_bits: the bits of the root's key.
    """

    root_name: str
    issuer_name: str
    repository: Repository
    policy: str = profile.TEST_POLICY
    generations: Mapping[int, int] = field(default_factory=lambda: {2: 2048, 3: 4096})
    root_bits: int = 4096


@dataclass(frozen=True)
class Office:
    """A key that works for the CA.

    Attributes:
        certificate: its certificate.
        key: its private key, in the token.
    """

    certificate: x509.Certificate
    key: TokenKey


@dataclass(frozen=True)
class Made:
    """A key that was made, and its certificate.

    Attributes:
        name: of the key in its token.
        token: label of the token.
        subject: the certificate's subject.
        serial: its serial number, in hexadecimal digits.
        not_before: when it begins.
        not_after: its last second.
        key_bits: bits of the key.
        key_sha256: SHA-256 of the public key (SubjectPublicKeyInfo), in hexadecimal digits.
        certificate_sha256: SHA-256 of the certificate, likewise.
    """

    name: str
    token: str
    subject: str
    serial: str
    not_before: datetime
    not_after: datetime
    key_bits: int
    key_sha256: str
    certificate_sha256: str


@dataclass(frozen=True)
class Record:
    """The record of a ceremony, for those who were there to sign.

    Attributes:
        begun: when it began.
        policy: OID of the certificate policy.
        present: who was there, at any of its sittings.
        made: the CAs, the root first.
    """

    begun: datetime
    policy: str
    present: tuple[str, ...]
    made: tuple[Made, ...]


def begin(
    folder: Path, plan: Plan, root: Token, centre: Token, moment: datetime, present: Sequence[str]
) -> Record:
    """Make the CAs of a centre, or what is missing of them. Afterwards the root's token may be taken away.

    Args:
        folder: for the certificates; it is made if it is missing.
        plan: what is begun; the same one each time.
        root: the token for the root's key alone.
        centre: the token for all other keys.
        moment: now, with a time zone. All CAs begin with the first sitting.
        present: who is there.

    Raises:
        HierarchyDiffers: another plan was begun in this folder, or with other tokens.
        HierarchyDamaged: a certificate in the folder is not that of its key.
        KeyTokenError: a token cannot be used.
        OSError: the folder cannot be written.
    """
    make_private(folder)
    with _locked(folder):
        ceremony = _Ceremony(folder, plan, root, centre, _sit(folder, plan, root, centre, moment, present))
        ceremony.make()
        Hierarchy(folder, centre)._fill(moment)
    return read_record(folder)


def read_record(folder: Path) -> Record:
    """Return the record of the ceremony in a folder.

    Raises:
        HierarchyMissing: the CAs were not begun there, or not to their end.
        HierarchyDamaged: a file there cannot be read.
    """
    read = _read_plan(folder)
    made = []
    for name in (_ROOT, *map(_issuer, map(int, read["generations"]))):
        certificate = _read(folder, name)
        key = _public_key(certificate)
        encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        digest = hashes.Hash(hashes.SHA256())
        digest.update(encoded)
        made.append(
            Made(
                name=name,
                token=read["root_token" if name == _ROOT else "centre_token"],
                subject=distinguished_name.as_text(as_asn1(certificate).subject),
                serial=f"{certificate.serial_number:x}",
                not_before=certificate.not_valid_before_utc,
                not_after=certificate.not_valid_after_utc,
                key_bits=key.key_size,
                key_sha256=digest.finalize().hex(),
                certificate_sha256=certificate.fingerprint(hashes.SHA256()).hex(),
            )
        )
    begun = datetime.fromisoformat(read["begun"])
    return Record(begun, read["policy"], tuple(read["present"]), tuple(made))


def renew_root_list(folder: Path, root: Token, moment: datetime) -> None:
    """Sign the root's list of revoked CAs again; it is empty, and holds for a year.

    Args:
        folder: of the certificates.
        root: the token with the root's key.
        moment: now, with a time zone.

    Raises:
        HierarchyMissing, HierarchyDamaged: as read_record.
        KeyTokenError: the token cannot be used.
        OSError: the folder cannot be written.
    """
    certificate = _read(folder, _ROOT)
    with _locked(folder):
        _sign_root_list(folder, Issuer(certificate, root.key(_ROOT)), moment)


class Hierarchy:
    """The CAs of a centre that was begun. The token is needed when something is signed, not before.

    The certificates of responders and of the other offices are short-lived. They are renewed at their use,
    by whichever process comes first, when half of their life is over.

    Attributes:
        repository: where it publishes.
        root: the certificate of the root.
        generations: the issuing CA, by number.
    """

    def __init__(self, folder: Path, centre: Token) -> None:
        """Open the CAs in a folder.

        Args:
            folder: of the certificates.
            centre: the token with the keys.

        Raises:
            HierarchyMissing: the CAs were not begun there, or not to their end.
            HierarchyDamaged: a file there cannot be read.
        """
        read = _read_plan(folder)
        self._folder, self._centre = folder, centre
        self._offices: dict[str, Office] = {}
        self.repository: Final = Repository(read["base"], read["name"])
        self.root: Final = _read(folder, _ROOT)
        self.generations: Final[Mapping[int, Generation]] = {
            number: self._generation(number) for number in sorted(map(int, read["generations"]))
        }

    def _generation(self, number: int) -> Generation:
        certificate = _read(self._folder, _issuer(number))
        key = TokenKey(self._centre, _issuer(number), _public_key(certificate))
        return Generation(certificate, key, number, self.root, self.repository)

    @property
    def current(self) -> Generation:
        """The generation that issues."""
        return self.generations[max(self.generations)]

    def issuer_of(self, certificate: x509.Certificate) -> Generation | None:
        """Return the generation that a certificate names by its key; None: it names none of them."""
        named = extension(certificate, x509.AuthorityKeyIdentifier)
        identifier = named.key_identifier if named else None
        return next(
            (each for each in self.generations.values() if key_identifier(each.certificate) == identifier),
            None,
        )

    def has_signed(self, listed: x509.CertificateRevocationList) -> bool:
        """Tell whether one of the generations signed a revocation list."""
        for each in self.generations.values():
            with suppress(*UNUSABLE_KEY):
                if listed.is_signature_valid(_public_key(each.certificate)):
                    return True
        return False

    @property
    def root_list(self) -> bytes:
        """The root's list of revoked CAs, in DER.

        Raises:
            HierarchyMissing: there is none.
        """
        try:
            return (self._folder / _ROOT_LIST).read_bytes()
        except OSError:
            raise errors.HierarchyMissing(path=self._folder) from None

    @property
    def issuers_file(self) -> bytes:
        """The certificates of all generations, PKCS #7 in DER."""
        return pkcs7.serialize_certificates(
            [each.certificate for each in self.generations.values()], Encoding.DER
        )

    @property
    def root_file(self) -> bytes:
        """The certificate of the root, likewise."""
        return pkcs7.serialize_certificates([self.root], Encoding.DER)

    def responder(self, number: int, moment: datetime) -> Responder:
        """Return the delegated OCSP responder of a generation.

        Args:
            number: of the generation.
            moment: now, with a time zone.

        Raises:
            KeyTokenError: its certificate is not valid any more, and the token cannot be used.
            OSError: likewise, and the folder cannot be written.
        """
        office = self._office(f"responder-{number}", number, moment)
        return Responder(self.generations[number].certificate, office.certificate, office.key)

    def ticket_signer(self, moment: datetime) -> Office:
        """Return who signs tickets: the purpose profile.TICKET_SIGNING is critical, so it signs nothing else.

        Raises:
            KeyTokenError, OSError: as responder.
        """
        return self._office(_TICKETS, self.current.number, moment)

    def sealing(self, moment: datetime) -> Office:
        """Return whom one encrypts to what only the centre is to read.

        Raises:
            KeyTokenError, OSError: as responder.
        """
        return self._office(_SEALING, self.current.number, moment)

    def _fill(self, moment: datetime) -> None:
        """Make the keys of the offices, and their certificates."""
        for number in self.generations:
            self._centre.make_key(f"responder-{number}", _OFFICE_BITS)
            self._appoint(f"responder-{number}", number, moment)
        self._centre.make_key(_TICKETS, _OFFICE_BITS)
        self._appoint(_TICKETS, self.current.number, moment)
        self._centre.make_key(_SEALING, _OFFICE_BITS, Use.DECRYPT)
        self._appoint(_SEALING, self.current.number, moment)

    def _office(self, name: str, number: int, moment: datetime) -> Office:
        known = self._offices.get(name)
        if known is None or not _is_fresh(known.certificate, moment):
            with _locked(self._folder):
                known = self._offices[name] = self._appoint(name, number, moment)
        return known

    def _appoint(self, name: str, number: int, moment: datetime) -> Office:
        """Return an office as its file has it, or with a new certificate in the file."""
        path = self._folder / f"{name}.cer"
        kept = _read(self._folder, name) if path.exists() else None
        if kept is not None and _is_fresh(kept, moment):
            return Office(kept, TokenKey(self._centre, name, _public_key(kept)))
        try:
            key = self._centre.key(name)
            made = self._certificate(name, self.generations[number], key.public_key(), moment)
            atomic_file.write(path, made.public_bytes(Encoding.DER))
        except (errors.KeyTokenError, OSError):
            if kept is None or not kept.not_valid_before_utc <= moment <= kept.not_valid_after_utc:
                raise
            return Office(
                kept, TokenKey(self._centre, name, _public_key(kept))
            )  # it has half of its life left
        return Office(made, key)

    @staticmethod
    def _certificate(
        name: str, issuer: Generation, key: rsa.RSAPublicKey, moment: datetime
    ) -> x509.Certificate:
        subject = x509.Name(
            [*issuer.certificate.subject.rdns, _common_name(_COMMON_NAMES.get(name, _RESPONDER_NAME))]
        )
        last = issuer.certificate.not_valid_after_utc
        end = min(moment + _OFFICE_LIFE, last)
        if name == _TICKETS:
            purpose = x509.ExtendedKeyUsage([ObjectIdentifier(profile.TICKET_SIGNING)])
            return issuer.appoint(subject, key, SIGNING, moment, end, [(purpose, True)])
        if name == _SEALING:
            return issuer.appoint(subject, key, ENCRYPTION, moment, end)
        return issuer.appoint_responder(subject, key, moment, min(moment + _RESPONDER_LIFE, last))


_COMMON_NAMES: Final = {_TICKETS: "授權票簽章", _SEALING: "資料加密"}
_RESPONDER_NAME: Final = "線上憑證狀態查詢"


class _Ceremony:
    """The steps that need the root; each is done once."""

    def __init__(self, folder: Path, plan: Plan, root: Token, centre: Token, begun: datetime) -> None:
        self._folder, self._plan, self._begun = folder, plan, begun
        self._root, self._centre = root, centre

    def make(self) -> None:
        plan, begun = self._plan, self._begun
        root_name, name = map(distinguished_name.parse, (plan.root_name, plan.issuer_name))
        is_done = (self._folder / _ROOT_LIST).exists()
        if is_done and all((self._folder / f"{_issuer(each)}.cer").exists() for each in plan.generations):
            return  # also when the root's token is away
        root_key = self._root.make_key(_ROOT, plan.root_bits)
        own = root_key.public_key()
        root = self._step(
            _ROOT,
            own,
            lambda: certify_ca(root_name, own, root_name, root_key, begun, years_later(begun, _ROOT_YEARS)),
        )
        for number, bits in sorted(plan.generations.items()):
            key = self._centre.make_key(_issuer(number), bits).public_key()
            self._step(_issuer(number), key, partial(self._issuing, name, key, root_name, root_key))
        _sign_root_list(self._folder, Issuer(root, root_key), begun)

    def _issuing(
        self, name: x509.Name, key: rsa.RSAPublicKey, root_name: x509.Name, root_key: TokenKey
    ) -> x509.Certificate:
        return certify_ca(
            name,
            key,
            root_name,
            root_key,
            self._begun,
            years_later(self._begun, _ISSUER_YEARS),
            policy=self._plan.policy,
            addresses=self._plan.repository.of_issuers(),
        )

    def _step(
        self, name: str, key: rsa.RSAPublicKey, make: Callable[[], x509.Certificate]
    ) -> x509.Certificate:
        path = self._folder / f"{name}.cer"
        if not path.exists():
            atomic_file.write(path, make().public_bytes(Encoding.DER))
        certificate = _read(self._folder, name)
        if certificate.public_key() != key:
            raise errors.HierarchyDamaged(path=path)
        return certificate


def _sit(
    folder: Path, plan: Plan, root: Token, centre: Token, moment: datetime, present: Sequence[str]
) -> datetime:
    """Write down what is begun, or who else is there. Return when it began."""
    begun = moment.astimezone(UTC).replace(microsecond=0)
    wanted: dict[str, Any] = {
        "root_name": plan.root_name,
        "issuer_name": plan.issuer_name,
        "base": plan.repository.base,
        "name": plan.repository.name,
        "policy": plan.policy,
        "generations": {str(number): bits for number, bits in sorted(plan.generations.items())},
        "root_bits": plan.root_bits,
        "root_token": root.label,
        "centre_token": centre.label,
    }
    people = list(present)
    if (folder / _PLAN).exists():
        read = _read_plan(folder)
        if any(read.get(part) != value for part, value in wanted.items()):
            raise errors.HierarchyDiffers(path=folder)
        begun = datetime.fromisoformat(read["begun"])
        people = list(dict.fromkeys([*read["present"], *people]))
        if people == read["present"]:
            return begun
    written = json.dumps(
        {**wanted, "begun": begun.isoformat(), "present": people}, ensure_ascii=False, indent=1
    )
    atomic_file.write(folder / _PLAN, written.encode())
    return begun


def _read_plan(folder: Path) -> dict[str, Any]:
    try:
        read: dict[str, Any] = json.loads((folder / _PLAN).read_bytes())
    except FileNotFoundError:
        raise errors.HierarchyMissing(path=folder) from None
    except (OSError, ValueError):
        raise errors.HierarchyDamaged(path=folder / _PLAN) from None
    return read


def _read(folder: Path, name: str) -> x509.Certificate:
    path = folder / f"{name}.cer"
    try:
        return x509.load_der_x509_certificate(path.read_bytes())
    except FileNotFoundError:
        raise errors.HierarchyMissing(path=folder) from None
    except (OSError, ValueError):
        raise errors.HierarchyDamaged(path=path) from None


def _public_key(certificate: x509.Certificate) -> rsa.RSAPublicKey:
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)  # noqa: S101  # the centre makes no other
    return key


def _sign_root_list(folder: Path, root: Issuer, moment: datetime) -> None:
    number = int(moment.timestamp())
    made = revocation_list(root, [], number, moment, moment + _ROOT_LIST_LIFE, None)
    atomic_file.write(folder / _ROOT_LIST, made)


def _is_fresh(certificate: x509.Certificate, moment: datetime) -> bool:
    """Say whether a certificate is valid, and has more than half of its life before it."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begin <= moment < begin + (end - begin) / 2


def _common_name(value: str) -> x509.RelativeDistinguishedName:
    return x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, value)])


def _issuer(number: int) -> str:
    return f"issuer-{number}"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; it ends with the process."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
