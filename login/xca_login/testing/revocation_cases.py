# SPDX-License-Identifier: Apache-2.0
"""Cases of revocation: CRLs and OCSP responses that say no, or say nothing."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from asn1crypto import crl as asn1_crl  # type: ignore[import-untyped]
from asn1crypto import ocsp as asn1_ocsp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from xca_login.challenges import Challenge
from xca_login.testing.case import OK, Attempt, Recipe, Setting
from xca_login.testing.issuer import (
    COMPLETE,
    LIST,
    Answers,
    Responder,
    addresses,
    entry,
    published_at,
    revocation_list,
)
from xca_login.testing.parties import DAY, NOW, Party, holder, party, responder
from xca_login.testing.tokens import sign

Make = Callable[[Setting, Challenge], Attempt]

_HOUR: Final = timedelta(hours=1)
_MINUTE: Final = timedelta(minutes=1)
_UNKNOWN: Final = "revocation_unknown"
_REVOKED: Final = "certificate_revoked"
_SUSPENDED: Final = "certificate_suspended"
_HTML: Final = b"<!DOCTYPE html><title>Maintenance</title>"
_HELD: Final = x509.ReasonFlags.certificate_hold
_STOLEN: Final = x509.ReasonFlags.key_compromise
_UNKNOWN_EXTENSION: Final = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True)


def _list(
    *reasons: x509.ReasonFlags,
    own: Callable[[Setting], Sequence[tuple[x509.ExtensionType, bool]]] = lambda at: (),
    paths: Sequence[str] = (LIST,),
    signer: Callable[[Setting], Party] = lambda at: at.ca,
    in_entry: Sequence[tuple[x509.ExtensionType, bool]] = (),
    **options: Any,
) -> Make:
    """Return a right login of a card that one CRL speaks of.

    Args:
        reasons: why the card is on the list, once for each; none: it is not.
        own: extensions of the list.
        paths: addresses that the certificate names; the first one has the list.
        signer: who signs the list.
        in_entry: extensions of the card's entry.
        options: those of revocation_list().
    """

    def make(at: Setting, asked: Challenge) -> Attempt:
        card = holder(at.ca, more=addresses(at.url, *paths))
        entries = [entry(card, reason, NOW - DAY, in_entry) for reason in reasons]
        made = revocation_list(signer(at), 1, *entries, more=own(at), **options)
        return Attempt(sign(card, asked.text), answers=Answers({paths[0]: made}))

    return make


def _bytes(answer: bytes | None) -> Make:
    lists = {} if answer is None else {LIST: answer}
    return lambda at, asked: Attempt(sign(at.card, asked.text), answers=Answers(lists))


def _after(*, first: tuple[int, bool], then: tuple[int, bool], is_held: bool) -> Make:
    """Return two logins of one card, eleven minutes apart, each with a list of its own.

    Args:
        first: number of the first list, which ends meanwhile, and whether it suspends the card.
        then: those of the second list.
        is_held: whether the first login is refused.
    """

    def make(at: Setting, asked: Challenge) -> Attempt:
        card = at.holder()

        def answers(number: int, held: bool, made: datetime, until: datetime) -> Answers:
            entries = [entry(card, _HELD, NOW - DAY)] if held else []
            return Answers({LIST: revocation_list(at.ca, number, *entries, at=made, until=until)})

        later = NOW + 11 * _MINUTE
        challenges = at.challenge(at=NOW), at.challenge(at=later)
        before, after = (Attempt(sign(card, one.text), one) for one in challenges)
        before = replace(before, at=NOW, answers=answers(*first, NOW - _HOUR, NOW + 10 * _MINUTE))
        after = replace(after, at=later, answers=answers(*then, NOW, NOW + DAY))
        return replace(after, before=((_SUSPENDED if is_held else OK, before),))

    return make


def _no_next(tbs: asn1_crl.TbsCertList) -> None:
    del tbs["next_update"]


def _not_its_card(at: Setting, asked: Challenge) -> Attempt:
    """Return a login of a card that is not on the list, where an entry of another is not understood."""
    other = entry(at.holder(), _STOLEN, NOW - DAY, [_UNKNOWN_EXTENSION])
    return Attempt(sign(at.card, asked.text), answers=Answers({LIST: revocation_list(at.ca, 1, other)}))


def _no_address(at: Setting, asked: Challenge) -> Attempt:
    return Attempt(sign(holder(at.ca), asked.text))


def _wrongly_signed(at: Setting, asked: Challenge) -> Attempt:
    made = revocation_list(at.ca, 1)
    return Attempt(sign(at.card, asked.text), answers=Answers({LIST: made[:-1] + bytes((made[-1] ^ 1,))}))


def _ocsp(
    answering: Callable[[Setting, Party], Callable[[bytes], bytes]],
) -> Make:
    """Return a right login of a card whose certificate names an OCSP responder alone."""

    def make(at: Setting, asked: Challenge) -> Attempt:
        card = holder(at.ca, more=addresses(at.url, responder=True))
        return Attempt(sign(card, asked.text), answers=Answers(responder=answering(at, card)))

    return make


def _ca_says(**options: Any) -> Make:
    """Return the same, where the CA itself answers, with these options of Responder."""
    return _ocsp(lambda at, card: Responder(at.ca, **options))


def _delegated(signer: Callable[[Setting], Party]) -> Make:
    return _ocsp(lambda at, card: Responder(signer(at), is_delegated=True))


def _twin(at: Setting) -> Party:
    return party("ca", at.root, ca=True, key_name="the other generation")


def _fixed(data: bytes) -> Make:
    return _ocsp(lambda at, card: lambda request: data)


def _of_another_card(at: Setting, card: Party) -> Responder:
    return Responder(at.ca, serial=at.card.certificate.serial_number)


def _padded(at: Setting, card: Party) -> Callable[[bytes], bytes]:
    answer = Responder(at.ca)
    return lambda request: answer(request) + bytes(1 << 16)


def _wrong_signature(at: Setting, card: Party) -> Callable[[bytes], bytes]:
    answer = Responder(at.ca)

    def made(request: bytes) -> bytes:
        right = answer(request)
        return right[:-1] + bytes((right[-1] ^ 1,))

    return made


def _two_answers(data: asn1_ocsp.ResponseData) -> None:
    one = data["responses"][0]
    other = one.copy()
    other["cert_status"] = asn1_ocsp.CertStatus(
        "revoked",
        asn1_ocsp.RevokedInfo({"revocation_time": NOW - DAY, "revocation_reason": "key_compromise"}),
    )
    data["responses"] = [one, other]


def _next_before(data: asn1_ocsp.ResponseData) -> None:
    data["responses"][0]["next_update"] = NOW - _HOUR


def _older_response(at: Setting, asked: Challenge) -> Attempt:
    card = holder(at.ca, more=addresses(at.url, responder=True))
    earlier, later = at.challenge(), at.challenge(at=NOW + 11 * _MINUTE)
    before = Attempt(sign(card, earlier.text), earlier, answers=Answers(responder=Responder(at.ca)), at=NOW)
    older = Answers(responder=Responder(at.ca, at=NOW - _MINUTE))
    return Attempt(
        sign(card, later.text), later, answers=older, at=NOW + 11 * _MINUTE, before=((OK, before),)
    )


def _revoked_responder(at: Setting, asked: Challenge) -> Attempt:
    card = holder(at.ca, more=addresses(at.url, LIST, responder=True))
    signer = responder(at.ca)
    listed = revocation_list(
        at.ca, 1, entry(signer, _STOLEN, NOW - DAY), more=[published_at(at.url + "/2.crl")]
    )
    answers = Answers({LIST: listed}, Responder(signer, is_delegated=True))
    return Attempt(sign(card, asked.text), answers=answers)


def _held_and_resumed(at: Setting, asked: Challenge) -> Attempt:
    card = holder(at.ca, more=addresses(at.url, LIST, responder=True))
    listed = revocation_list(at.ca, 1, entry(card, _HELD, NOW - DAY), at=NOW - _HOUR)
    return Attempt(sign(card, asked.text), answers=Answers({LIST: listed}, Responder(at.ca)))


def _held_at_the_same_time(at: Setting, asked: Challenge) -> Attempt:
    card = holder(at.ca, more=addresses(at.url, LIST, responder=True))
    listed = revocation_list(at.ca, 1, entry(card, _HELD, NOW - DAY), at=NOW - _HOUR)
    answers = Answers({LIST: listed}, Responder(at.ca, at=NOW - _HOUR))
    return Attempt(sign(card, asked.text), answers=answers)


def _published(path: str, **options: bool) -> Callable[[Setting], Sequence[tuple[x509.ExtensionType, bool]]]:
    return lambda at: [published_at(at.url + path, **options)]


_NO: Final = ocsp.OCSPCertStatus.REVOKED
_BOTH: Final = (LIST, COMPLETE)

REVOCATION_CASES: Final = {
    "right, list of its address": Recipe(
        "The list says that it is published at the address where it was fetched.",
        OK,
        _list(own=_published(LIST)),
    ),
    "revoked": Recipe("The list has the certificate: its key is stolen.", _REVOKED, _list(_STOLEN)),
    "held": Recipe(
        "The list has the certificate: it is suspended, or was not accepted yet.",
        _SUSPENDED,
        _list(_HELD),
    ),
    "held and revoked": Recipe(
        "The list has the certificate twice: suspended, and revoked.",
        _REVOKED,
        _list(_HELD, _STOLEN),
    ),
    "removed from the list": Recipe(
        "The complete list has the certificate with removeFromCRL, a reason for delta lists alone.",
        _REVOKED,
        _list(x509.ReasonFlags.remove_from_crl),
    ),
    "revoked on a list that ended": Recipe(
        "A list that has ended says that the certificate is revoked, which never ends.",
        _REVOKED,
        _list(_STOLEN, at=NOW - 2 * DAY, until=NOW - DAY),
    ),
    "revoked by a list of another address": Recipe(
        "The list is that of another address, and has the certificate.",
        _REVOKED,
        _list(_STOLEN, own=_published("/2.crl")),
    ),
    "revoked with an entry that is not understood": Recipe(
        "The certificate's entry says hold, and has a critical extension that is not understood.",
        _REVOKED,
        _list(_HELD, in_entry=[_UNKNOWN_EXTENSION]),
    ),
    "resumed": Recipe(
        "The list had the certificate as suspended; the next one does not have it.",
        OK,
        _after(first=(1, True), then=(2, False), is_held=True),
    ),
    "held meanwhile": Recipe(
        "The list did not have the certificate; the next one has it as suspended.",
        _SUSPENDED,
        _after(first=(1, False), then=(2, True), is_held=False),
    ),
    "older list after a newer that holds": Recipe(
        "List 7 has the certificate as suspended; list 6, which does not, follows.",
        _SUSPENDED,
        _after(first=(7, True), then=(6, False), is_held=True),
    ),
    "older list after a newer that ended": Recipe(
        "List 7 has ended; list 6 follows.",
        _UNKNOWN,
        _after(first=(7, False), then=(6, False), is_held=False),
    ),
    "list that ended": Recipe(
        "nextUpdate of the list is past.", _UNKNOWN, _list(at=NOW - 2 * DAY, until=NOW - DAY)
    ),
    "list without an end": Recipe("The list has no nextUpdate.", _UNKNOWN, _list(change=_no_next)),
    "list of the future": Recipe(
        "thisUpdate of the list is tomorrow.", _UNKNOWN, _list(at=NOW + DAY, until=NOW + 2 * DAY)
    ),
    "list of another generation": Recipe(
        "A CA with the name of the issuer, and another key, signed the list.",
        _UNKNOWN,
        _list(signer=_twin),
    ),
    "list of a stranger": Recipe(
        "Somebody else signed the list in the issuer's name.",
        _UNKNOWN,
        _list(signer=lambda at: Party(at.ca.certificate, party("a stranger").key)),
    ),
    "list signed wrongly": Recipe("A bit of the list's signature is another.", _UNKNOWN, _wrongly_signed),
    "list of another address": Recipe(
        "The list says that it is published elsewhere (issuingDistributionPoint).",
        _UNKNOWN,
        _list(own=_published("/2.crl")),
    ),
    "list of nobody's address": Recipe(
        "The certificate names two lists; this one does not say which it is.",
        _UNKNOWN,
        _list(paths=_BOTH),
    ),
    "list of CAs": Recipe(
        "The list says that it is one of CAs' certificates.",
        _UNKNOWN,
        _list(own=_published(LIST, ca_only=True)),
    ),
    "indirect list": Recipe(
        "The list says that it holds certificates of several issuers.",
        _UNKNOWN,
        _list(own=_published(LIST, indirect=True)),
    ),
    "delta list": Recipe(
        "The list holds only what changed.",
        _UNKNOWN,
        _list(own=lambda at: [(x509.DeltaCRLIndicator(1), True)]),
    ),
    "list with an unknown critical extension": Recipe(
        "The list has a critical extension that is not understood.",
        _UNKNOWN,
        _list(own=lambda at: [_UNKNOWN_EXTENSION]),
    ),
    "entry with an unknown critical extension": Recipe(
        "An entry of another certificate has a critical extension that is not understood.",
        _UNKNOWN,
        _not_its_card,
    ),
    "no answer": Recipe("The list's address answers 404.", _UNKNOWN, _bytes(None)),
    "empty list": Recipe("The list's address answers nothing.", _UNKNOWN, _bytes(b"")),
    "a page": Recipe("The list's address answers a web page.", _UNKNOWN, _bytes(_HTML)),
    "no address": Recipe(
        "The certificate names neither a list nor a responder: that is no proof of anything.",
        _UNKNOWN,
        _no_address,
    ),
    "right, OCSP": Recipe("A responder says good; the CA signs.", OK, _ca_says()),
    "right, OCSP of a delegate": Recipe(
        "A responder that the CA lets answer says good.", OK, _delegated(lambda at: responder(at.ca))
    ),
    "right, OCSP without nonce": Recipe(
        "The response is new, and does not repeat the nonce.", OK, _ca_says(nonce=b"")
    ),
    "right, resumed by OCSP": Recipe(
        "The list says hold; a newer response says good.", OK, _held_and_resumed
    ),
    "OCSP, held at the same time": Recipe(
        "The list says hold, a response of the same time good.",
        _SUSPENDED,
        _held_at_the_same_time,
    ),
    "OCSP, revoked": Recipe("The responder says revoked.", _REVOKED, _ca_says(status=_NO, reason=_STOLEN)),
    "OCSP, held": Recipe("The responder says hold.", _SUSPENDED, _ca_says(status=_NO, reason=_HELD)),
    "OCSP, unknown": Recipe(
        "The responder does not know the certificate.",
        _UNKNOWN,
        _ca_says(status=ocsp.OCSPCertStatus.UNKNOWN),
    ),
    "OCSP, try later": Recipe(
        "The responder answers that one should try later.",
        _UNKNOWN,
        _fixed(
            ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER).public_bytes(
                Encoding.DER
            )
        ),
    ),
    "OCSP, a page": Recipe("The responder answers a web page.", _UNKNOWN, _fixed(_HTML)),
    "OCSP, too long": Recipe("64 KiB of zeros follow the response.", _UNKNOWN, _ocsp(_padded)),
    "OCSP of another card": Recipe(
        "The response is about another serial number.", _UNKNOWN, _ocsp(_of_another_card)
    ),
    "OCSP of another generation": Recipe(
        "The response is about a certificate of a CA with the issuer's name, and another key.",
        _UNKNOWN,
        _ocsp(lambda at, card: Responder(at.ca, issuer=_twin(at))),
    ),
    "OCSP, wrong signature": Recipe(
        "A bit of the response's signature is another.", _UNKNOWN, _ocsp(_wrong_signature)
    ),
    "OCSP of another CA": Recipe(
        "A CA with the issuer's name, and another key, signed the response.",
        _UNKNOWN,
        _delegated(_twin),
    ),
    "OCSP of a stranger's delegate": Recipe(
        "The other generation of the CA lets the responder answer.",
        _UNKNOWN,
        _delegated(lambda at: responder(_twin(at))),
    ),
    "OCSP of a holder": Recipe(
        "The responder's certificate is one of a card.", _UNKNOWN, _delegated(lambda at: at.card)
    ),
    "OCSP of a delegate that expired": Recipe(
        "The certificate of the responder expired a day ago.",
        _UNKNOWN,
        _delegated(lambda at: responder(at.ca, end=NOW - DAY)),
    ),
    "OCSP of a revoked delegate": Recipe(
        "A list says that the responder's certificate is revoked.", _UNKNOWN, _revoked_responder
    ),
    "OCSP, another nonce": Recipe(
        "The response answers another question.", _UNKNOWN, _ca_says(nonce=bytes(32))
    ),
    "OCSP, old": Recipe(
        "The response is an hour old, and does not repeat the nonce.",
        _UNKNOWN,
        _ca_says(nonce=b"", at=NOW - _HOUR),
    ),
    "OCSP, ended": Recipe(
        "nextUpdate of the response is past.",
        _UNKNOWN,
        _ca_says(at=NOW - 2 * _HOUR, until=NOW - _HOUR),
    ),
    "OCSP of the future": Recipe(
        "thisUpdate of the response is in an hour.", _UNKNOWN, _ca_says(at=NOW + _HOUR)
    ),
    "OCSP, end before beginning": Recipe(
        "nextUpdate of the response is before thisUpdate.",
        _UNKNOWN,
        _ca_says(change=_next_before),
    ),
    "OCSP, two answers": Recipe(
        "The response says good and revoked of the certificate.",
        _REVOKED,
        _ca_says(change=_two_answers),
    ),
    "older OCSP after a newer": Recipe(
        "Eleven minutes later the responder gives an older response than before.",
        _UNKNOWN,
        _older_response,
    ),
}
