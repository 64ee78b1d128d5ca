# SPDX-License-Identifier: Apache-2.0
"""What a verification stands on: trusted certificates, others, revocation information, and a time."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from xca_common.i18n import Text
from xca_common.pki import revocation_list, strict_certificate
from xca_common.pki.addresses import list_addresses, responder_addresses
from xca_common.pki.chain import Chain, is_authority
from xca_common.pki.fetching import Fetcher
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_common.pki.ocsp_response import OcspResponse
from xca_common.pki.revocation import RevocationData
from xca_common.pki.standing import Judgement, Standing
from xca_common.taipei import day
from xca_plugin import errors
from xca_plugin.i18n import text
from xca_plugin.named_file import input_file
from xca_plugin.path_validation import holder_of
from xca_plugin.signature_problem import SIGN_AGAIN, SignatureProblem

_T = TypeVar("_T")

_MOST_BYTES: Final = 32 << 20  # of a CRL or OCSP response
_MOST_TRUSTED_BYTES: Final = 4 << 20

_STAMPERS_ROOT: Final = text(
    "Give the root certificate of the time-stamping authority instead: that authority publishes it."
)
_REVOKED: Final = SignatureProblem(text("its signer's certificate was revoked on {day}."), SIGN_AGAIN)
_SUSPENDED: Final = SignatureProblem(text("its signer's certificate is suspended since {day}."), SIGN_AGAIN)
_CA_REVOKED: Final = SignatureProblem(text("the certificate of its signer's CA is revoked."), SIGN_AGAIN)
_UNKNOWN: Final = SignatureProblem(
    text("it is not known whether its signer's certificate is revoked: nothing current was said about it.")
)
_UNKNOWN_BECAUSE: Final = SignatureProblem(
    text("it is not known whether its signer's certificate is revoked: {detail}.")
)
_CA_UNKNOWN: Final = SignatureProblem(
    text("it is not known whether the certificate of its signer's CA is revoked.")
)
_CA_UNKNOWN_BECAUSE: Final = SignatureProblem(
    text("it is not known whether the certificate of its signer's CA is revoked: {detail}.")
)


@dataclass(frozen=True)
class Sources:
    """The sources of revocation information; none by default.

    Attributes:
        crls: files with a CRL (RFC 5280), DER or PEM.
        responses: files with an OCSP response (RFC 6960), DER.
        fetch: fetch CRLs and OCSP responses from the addresses in the certificates.
        hosts: hosts that may be asked in addition to those of the government's issuers.
    """

    crls: Sequence[Path] = ()
    responses: Sequence[Path] = ()
    fetch: bool = False
    hosts: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.crls or self.responses or self.fetch)


NO_SOURCES: Final = Sources()
"""Revocation is not looked up."""


@dataclass(frozen=True)
class Trust:
    """What a verification stands on.

    Attributes:
        trusted: the certificates to trust.
        time_stampers: the certificates to trust for time-stamps.
        certificates: intermediate certificates that were given, as they are encoded.
        revocation: the revocation information.
        is_asked: a certificate of unknown revocation status is not good enough.
        moment: the time of the verification.
        proved: the time at which what is verified is proved to have existed: the moment, or an earlier one.
    """

    trusted: Sequence[x509.Certificate]
    time_stampers: Sequence[x509.Certificate]
    certificates: Sequence[bytes]
    revocation: RevocationData
    is_asked: bool
    moment: datetime
    proved: datetime

    @classmethod
    def read(
        cls,
        ca_file: Path,
        *,
        time_stampers_file: Path | None = None,
        certificate_files: Iterable[Path] = (),
        sources: Sources = NO_SOURCES,
    ) -> Self:
        """Read the files.

        Args:
            ca_file: the certificates to trust.
            time_stampers_file: the certificates to trust for time-stamps; None: those of ca_file.
            certificate_files: intermediate certificates; they are not trusted.
            sources: the sources of revocation information.

        Raises:
            NotAnAuthority, NotACertificate, NotRevocationData, TooMuch, FileProblem: as verification.verify.
        """
        lists = [found for file in sources.crls for found in _revocation_data(file, revocation_list.load_all)]
        responses = [_revocation_data(file, OcspResponse) for file in sources.responses]
        trusted, now = _authorities(ca_file), datetime.now(UTC)
        return cls(
            trusted,
            _time_stampers(time_stampers_file) if time_stampers_file else trusted,
            [one.public_bytes(Encoding.DER) for file in certificate_files for one in _certificates(file)],
            RevocationData(lists, responses, Fetcher(sources.hosts) if sources.fetch else None),
            bool(sources),
            now,
            now,
        )


@dataclass(frozen=True)
class Revoked:
    """What is known of the revocation of a chain.

    Attributes:
        is_checked: the status of the first certificate was determined.
        not_checked: holders of the certificates whose status was not determined.
        problem: why the chain does not hold; None: it holds.
        is_unknown: the problem is that a status which is needed was not determined.
    """

    is_checked: bool
    not_checked: tuple[str, ...]
    problem: SignatureProblem | None
    is_unknown: bool = False


def revocation(chain: Chain, trust: Trust, moment: datetime) -> Revoked:
    """Return what is known of the revocation of a chain.

    A revoked or suspended certificate is a problem whenever that became known. One that was good at the
    moment is good. An unknown status is a problem if revocation information was asked for.

    Args:
        chain: the certificates from the signer's up to the trusted one.
        trust: the revocation information.
        moment: the time at which the signature is proved to have existed, else that of the verification.
    """
    below = list(itertools.pairwise(chain))
    if not below:  # a trusted certificate of the signer's own: no issuer could revoke it
        return Revoked(False, (), _UNKNOWN, True) if trust.is_asked else Revoked(False, (), None)
    judged = [(certificate, _judge(certificate, issuer, trust, moment)) for certificate, issuer in below]
    not_checked = tuple(holder_of(one) for one, found in judged if found.standing is Standing.UNKNOWN)
    checked = judged[0][1].standing is not Standing.UNKNOWN
    # A revoked certificate is reported before one of unknown status.
    for number, (_, found) in enumerate(judged):
        if found.standing in (Standing.SUSPENDED, Standing.REVOKED):
            return Revoked(checked, not_checked, _taken_back(found, is_signer=number == 0))
    for number, (certificate, found) in enumerate(judged):
        # The status of a CA's certificate is needed only if the certificate names a CRL or a responder.
        is_needed = trust.is_asked and (number == 0 or _names_somebody(certificate))
        if is_needed and found.standing is Standing.UNKNOWN:
            problem = _unknown(found.detail, is_signer=number == 0)
            return Revoked(checked, not_checked, problem, is_unknown=True)
    return Revoked(checked, not_checked, None)


def _judge(
    certificate: x509.Certificate, issuer: x509.Certificate, trust: Trust, moment: datetime
) -> Judgement:
    """Return how a certificate stands now; if that is not known, how it stood when the signature existed."""
    first = trust.revocation.judge(certificate, issuer, trust.moment)
    found = first
    for earlier in dict.fromkeys((trust.proved, moment)):
        if found.standing is Standing.UNKNOWN and earlier != trust.moment:
            found = trust.revocation.judge(certificate, issuer, earlier)
    return found if found.standing is not Standing.UNKNOWN else first


def _taken_back(found: Judgement, *, is_signer: bool) -> SignatureProblem:
    if not is_signer:
        return _CA_REVOKED
    sentence = _SUSPENDED if found.standing is Standing.SUSPENDED else _REVOKED
    return sentence.format(day=day(found.since) if found.since else "?")


def _unknown(detail: Text | str | None, *, is_signer: bool) -> SignatureProblem:
    if detail is None:
        return _UNKNOWN if is_signer else _CA_UNKNOWN
    return (_UNKNOWN_BECAUSE if is_signer else _CA_UNKNOWN_BECAUSE).format(detail=detail)


def _names_somebody(certificate: x509.Certificate) -> bool:
    return bool(list_addresses(certificate) or responder_addresses(certificate))


def _revocation_data(path: Path, load: Callable[[bytes], _T]) -> _T:
    data = _read(path, _MOST_BYTES)
    try:
        return load(data)
    except Malformed as error:
        raise errors.NotRevocationData(path=path, detail=error.detail) from error


def _authorities(path: Path) -> list[x509.Certificate]:
    """Return the certificates of CAs in a file.

    The others are left out, as in a PKCS #7 file with a holder's certificate and its chain: to trust one
    would prove nothing about who issued it. A file with none of a CA is refused.
    """
    certificates = _certificates(path)
    authorities = list(filter(is_authority, certificates))
    if certificates and not authorities:
        raise errors.NotAnAuthority(path=path, holder=holder_of(certificates[0]))
    return authorities


def _time_stampers(path: Path) -> list[x509.Certificate]:
    try:
        return _authorities(path)
    except errors.NotAnAuthority as error:
        error.with_step(_STAMPERS_ROOT)
        raise


def _certificates(path: Path) -> list[x509.Certificate]:
    data = _read(path, _MOST_TRUSTED_BYTES)
    try:
        return strict_certificate.load_all(data)
    except TooMuchError as error:
        raise errors.TooMuch(path=path, detail=error.detail) from error
    except Malformed as error:
        raise errors.NotACertificate(path=path, detail=error.detail) from error


def _read(path: Path, most: int) -> bytes:
    with input_file(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise errors.TooMuch(path=path, detail=text("it has more than {size} MiB").format(size=most >> 20))
    return data
