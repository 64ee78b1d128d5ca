# SPDX-License-Identifier: Apache-2.0
"""Asking a time-stamping authority for the time-stamp of a signature (RFC 3161, over HTTP)."""

from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from rfc3161_client import HashAlgorithm, PKIStatus, TimestampRequestBuilder, decode_timestamp_response

from xca_common.i18n import Text
from xca_common.pki import strict_certificate
from xca_common.pki.malformed import Malformed, TooMuchError
from xca_plugin import errors
from xca_plugin.exchange import SOMETHING_ELSE, Unanswered, exchange
from xca_plugin.i18n import text
from xca_plugin.signature_value import content_problem
from xca_plugin.time_stamp import digest_of, imprint_problem, info_of

_SECONDS: Final = 30.0
_MOST_BYTES: Final = 1 << 20
_NO_ADDRESS: Final = text("it is no http or https address")


def time_stamp_token(address: str, signature: bytes) -> bytes:
    """Return a time-stamp token of a signature, DER; it was checked that it is of this signature and intact.

    Whether its authority is trusted is for whoever verifies to say.

    Args:
        address: http or https URL of the authority.
        signature: the signature.

    Raises:
        NoTimeStamp: the authority gave none, or none that can be used.
    """
    request = TimestampRequestBuilder().data(signature).hash_algorithm(HashAlgorithm.SHA256).build()
    answer = _asked(address, request.as_bytes())
    try:
        response = decode_timestamp_response(answer)
        is_granted = response.status in (PKIStatus.GRANTED, PKIStatus.GRANTED_WITH_MODS)
        said = "; ".join(response.status_string) or str(response.status)
        token, nonce = (response.time_stamp_token(), response.tst_info.nonce) if is_granted else (b"", None)
    except Exception as error:  # rfc3161-client raises several kinds
        raise errors.NoTimeStamp(address=address, detail=SOMETHING_ELSE) from error
    if not is_granted:
        raise errors.NoTimeStamp(address=address, detail=text("it refuses: {said}").format(said=said))
    if nonce != request.nonce:
        raise errors.NoTimeStamp(address=address, detail=text("its answer is to another question"))
    if (problem := _problem(token, signature)) is not None:
        raise errors.NoTimeStamp(address=address, detail=problem)
    return token


def _problem(token: bytes, signature: bytes) -> Text | None:
    """Return why a token cannot be used; None: it can be."""
    unusable = text("its time-stamp cannot be used: {detail}")
    try:
        signed_data, content, info = info_of(token)
        if len(signed_data.signers) != 1 or isinstance(signer := signed_data.signers[0], Malformed):
            return SOMETHING_ELSE
        certificate = strict_certificate.load(signed_data.signer_certificate(signer)[0])
        problem = imprint_problem(info, digest_of(signature)) or content_problem(
            signed_data, signer, certificate, content
        )
    except (Malformed, TooMuchError) as error:
        return unusable.format(detail=error.detail)
    except EOFError:
        return SOMETHING_ELSE
    return None if problem is None else unusable.format(detail=problem)


def check_address(address: str) -> None:
    """Refuse what cannot be the address of a time-stamping authority; nobody is asked.

    Raises:
        NoTimeStamp: it is no http or https address.
    """
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_address = False
    if not is_address:
        problem = errors.NoTimeStamp(address=address, detail=_NO_ADDRESS)
        raise problem.with_step(text("Check the address, then sign again."))


def _asked(address: str, request: bytes) -> bytes:
    def failed(detail: Text | str) -> errors.NoTimeStamp:
        return errors.NoTimeStamp(address=address, detail=detail)

    headers = {"Content-Type": "application/timestamp-query"}
    check_address(address)
    try:
        answer = exchange(address, request, headers, most=_MOST_BYTES, seconds=_SECONDS)
    except Unanswered as error:
        raise failed(error.detail) from None
    except ValueError:
        raise failed(_NO_ADDRESS) from None
    if answer.status != HTTPStatus.OK:
        raise failed(f"HTTP {answer.status}")
    return answer.body
