# SPDX-License-Identifier: Apache-2.0
"""Whether a certificate is revoked: by CRLs and OCSP responses that are given, and by those that are fetched.

This is the one place where that is decided. How a list or a response is read and verified stands in
revocation_list and ocsp_response, how several statements are weighed in standing, whom this machine asks in
fetching.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509

from xca_common.i18n import Text, text
from xca_common.pki.addresses import list_addresses, responder_addresses
from xca_common.pki.fetching import Fetcher, Unreachable
from xca_common.pki.malformed import Malformed
from xca_common.pki.ocsp_response import MOST_BYTES, OcspResponse, question
from xca_common.pki.revocation_list import RevocationList
from xca_common.pki.standing import Judgement, SourceStatus, Standing, Unusable, judge

MOST_ADDRESSES: Final = 4
"""Of one kind, in a certificate, that are asked."""


@dataclass(frozen=True)
class Answer:
    """What one address in a certificate answers about it.

    Attributes:
        address: the address.
        judgement: how the certificate stands by this answer alone; detail says why it does not say.
        source: what the answer was; None: there was none.
        not_asked: nobody was asked: the host is not a known one, or not one outside of this network.
    """

    address: str
    judgement: Judgement
    source: RevocationList | OcspResponse | None = None
    not_asked: bool = False


class RevocationData:
    """What is known of revocation, and whom to ask for more.

    Args:
        lists: CRLs, of any issuers.
        responses: OCSP responses, about any certificates.
        fetcher: asks where a certificate says; None: nobody is asked.
    """

    def __init__(
        self,
        lists: Sequence[RevocationList] = (),
        responses: Sequence[OcspResponse] = (),
        fetcher: Fetcher | None = None,
    ) -> None:
        self._lists = lists
        self._responses = responses
        self._fetcher = fetcher

    def with_more(
        self, lists: Sequence[RevocationList], responses: Sequence[OcspResponse]
    ) -> "RevocationData":
        """Return the same with more lists and responses."""
        return RevocationData([*self._lists, *lists], [*self._responses, *responses], self._fetcher)

    def judge(self, certificate: x509.Certificate, issuer: x509.Certificate, moment: datetime) -> Judgement:
        """Say how a certificate stands by all that is given and, if that is allowed, what is fetched.

        Args:
            certificate: read with strict_certificate.load.
            issuer: the certificate of its issuer, whose key signed it; likewise.
            moment: when.
        """
        lists: list[RevocationList] = []
        responses: list[OcspResponse] = []
        silent = None
        names_address = False
        for answer in self._fetched(certificate, issuer, moment):
            names_address = True
            if isinstance(answer.source, RevocationList):
                lists.append(answer.source)
            elif answer.source is not None:
                responses.append(answer.source)
            else:
                silent = answer
            if _standing(certificate, issuer, lists, responses, moment).standing is not Standing.UNKNOWN:
                break
        found = _standing(certificate, issuer, [*self._lists, *lists], [*self._responses, *responses], moment)
        if found.standing is Standing.UNKNOWN and silent is not None:
            detail = text("{address} gives no answer: {detail}")
            return Judgement(
                Standing.UNKNOWN,
                detail=detail.format(address=silent.address, detail=silent.judgement.detail),
            )
        if found.standing is Standing.UNKNOWN and self._fetcher and not names_address and not found.detail:
            return Judgement(
                Standing.UNKNOWN, detail=text("the certificate names no address, so nobody could be asked")
            )
        return found

    def _fetched(
        self, certificate: x509.Certificate, issuer: x509.Certificate, moment: datetime
    ) -> Iterator[Answer]:
        if self._fetcher:
            yield from ask_responders(self._fetcher, certificate, issuer, moment)
            yield from ask_lists(self._fetcher, certificate, issuer, moment)


def ask_responders(
    fetcher: Fetcher, certificate: x509.Certificate, issuer: x509.Certificate, moment: datetime
) -> Iterator[Answer]:
    """Ask the OCSP responders that a certificate names, one after the other.

    Args:
        fetcher: asks them.
        certificate: read with strict_certificate.load.
        issuer: the certificate of its issuer; likewise.
        moment: when their answers should be current.
    """
    request = question(certificate, issuer)
    for address in responder_addresses(certificate)[:MOST_ADDRESSES]:
        yield _asked(
            address,
            lambda to: OcspResponse(fetcher.get(to, request, MOST_BYTES)),
            certificate,
            issuer,
            moment,
        )


def ask_lists(
    fetcher: Fetcher, certificate: x509.Certificate, issuer: x509.Certificate, moment: datetime
) -> Iterator[Answer]:
    """Get the CRLs that a certificate names, one after the other.

    Args:
        fetcher: gets them.
        certificate: read with strict_certificate.load.
        issuer: the certificate of its issuer; likewise.
        moment: when the lists should be current.
    """
    for address in list_addresses(certificate)[:MOST_ADDRESSES]:
        yield _asked(address, lambda at: RevocationList(fetcher.get(at)), certificate, issuer, moment)


def _asked(
    address: str,
    ask: Callable[[str], RevocationList | OcspResponse],
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    moment: datetime,
) -> Answer:
    def unknown(detail: Text | str) -> Judgement:
        return Judgement(Standing.UNKNOWN, detail=detail)

    try:
        source = ask(address)
    except Unreachable as error:
        return Answer(address, unknown(error.detail), not_asked=error.not_asked)
    except Malformed as error:
        return Answer(
            address, unknown(text("it answers with something else: {detail}").format(detail=error.detail))
        )
    try:
        return Answer(address, judge([source.statement(certificate, issuer, moment)]), source)
    except Unusable as error:
        return Answer(address, unknown(error.detail), source)


def _standing(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    lists: Sequence[RevocationList],
    responses: Sequence[OcspResponse],
    moment: datetime,
) -> Judgement:
    """Return how a certificate stands by lists and responses; those that say nothing of it are left out."""
    said, silent = _of_lists(certificate, issuer, lists, moment)

    def is_revoked(responder: x509.Certificate) -> bool:
        about = judge(_of_lists(responder, issuer, lists, moment)[0])
        return about.standing in (Standing.SUSPENDED, Standing.REVOKED)

    for response in responses:
        try:
            said.append(response.statement(certificate, issuer, moment, is_revoked=is_revoked))
        except Unusable as error:
            silent.append(error)
    if silent and not said:
        return Judgement(Standing.UNKNOWN, detail=silent[-1].detail)
    return judge(said)


def _of_lists(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    lists: Sequence[RevocationList],
    moment: datetime,
) -> tuple[list[SourceStatus], list[Unusable]]:
    said, unusable = [], []
    for one in lists:
        try:
            said.append(one.statement(certificate, issuer, moment))
        except Unusable as error:
            unusable.append(error)
    return said, unusable
