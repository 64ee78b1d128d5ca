# SPDX-License-Identifier: Apache-2.0
"""CRLs (RFC 5280, section 5): verified once, looked up many times.

A list may have millions of entries. Other threads go on while one is read: no step holds them up for longer
than some milliseconds.

A list that its issuer's key signed counts in two ways. That it names a certificate counts always, also if
the list is partial, out of date, weakly signed or says of itself something that is not understood. That it
does not name one is proof only if all of it is understood and it is the list for this certificate.
"""

import time
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, Self, TypeVar
from zlib import crc32

from asn1crypto import crl as asn1_crl  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PSS

from xca_common.i18n import text
from xca_common.pki import text_forms
from xca_common.pki.addresses import list_addresses
from xca_common.pki.algorithms import is_strong
from xca_common.pki.asn1_stream import EXPLICIT, LONG, SEQUENCE, content_at, header
from xca_common.pki.malformed import Malformed, read_extensions, reading
from xca_common.pki.standing import SKEW, SourceStatus, Standing, Unusable
from xca_common.pki.strict_certificate import (
    UNUSABLE_KEY,
    as_asn1,
    extension,
    has_signed,
    issuer_of,
    subject_of,
)

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

# What a list may say of itself for its silence to be understood (RFC 5280, section 5.2), and an entry of
# itself (section 5.3).
_OTHER_ISSUER: Final = text("the issuer of the certificate did not sign the list")
_UNDERSTOOD: Final = (
    x509.AuthorityKeyIdentifier,
    x509.CRLNumber,
    x509.DeltaCRLIndicator,
    x509.IssuingDistributionPoint,
    x509.FreshestCRL,
    x509.IssuerAlternativeName,
    x509.AuthorityInformationAccess,
)
_UNDERSTOOD_IN_ENTRIES: Final = (x509.CRLReason, x509.InvalidityDate)
_TRUE: Final = b"\x01\x01\xff"  # the BOOLEAN that says that an extension is critical
_LABEL: Final = "X509 CRL"
_MOST_KEYS: Final = 64  # whose judgement of the signature is remembered
_TIMES: Final = frozenset({0x17, 0x18})  # UTCTime, GeneralizedTime
_PLACE_BITS: Final = 32
_PILES: Final = 1024
_AT_ONCE: Final = 1000  # entries that are read without a pause
_PAUSE: Final = 0.0001  # seconds in which another thread that waits goes on
_MOST_PARTS: Final = 5  # before the entries
_MOST_OTHER_BYTES: Final = 64 << 10  # that are signed beside the entries


class RevocationList:
    """A CRL.

    Attributes:
        der: the list, in DER.
        at: as of when it is (thisUpdate).
        until: when the next one is due (nextUpdate); None: it does not say, and its silence proves nothing.
        number: cRLNumber (RFC 5280, section 5.2.3); None: it has none.
        addresses: where it says that it is published (issuingDistributionPoint); empty: it does not say.
    """

    def __init__(self, der: bytes) -> None:
        """Read a list.

        Args:
            der: the list in DER.

        Raises:
            Malformed: it is none, or a part of it cannot be read.
        """
        with reading(text("its structure")):
            self._cut = _Cut.of(der)
            bare = self._cut.having(b"")
            own = asn1_crl.CertificateList.load(bare, strict=True)
            tbs, algorithm = own["tbs_cert_list"], own["signature_algorithm"]
            self._is_strong = is_strong(algorithm)
            self._names_one_algorithm = bool(tbs["signature"].dump() == algorithm.dump())
        with reading(text("its issuer")):
            self._issuer = bytes(tbs["issuer"].dump())
        with reading(text("the time of its issue or of the next one")):
            _ = tbs["this_update"].native, tbs["next_update"].native
        read_extensions(tbs, "crl_extensions")
        with reading(text("its version or one of its entries")):
            self._bare = x509.load_der_x509_crl(bare)
            self.at, self.until = self._bare.last_update_utc, self._bare.next_update_utc
        with reading(text("its extensions")):
            self._extensions = list(self._bare.extensions)
        self.der: Final = der
        number = self._own(x509.CRLNumber)
        self.number = number.crl_number if number else None
        self._part = self._own(x509.IssuingDistributionPoint)
        names = (self._part.full_name or ()) if self._part else ()
        self.addresses = frozenset(
            name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)
        )
        self._is_delta = self._own(x509.DeltaCRLIndicator) is not None
        self._is_indirect = self._part is not None and self._part.indirect_crl
        critical = [one for one in self._extensions if one.critical]
        self._is_understood = not self._is_indirect and all(
            isinstance(one.value, _UNDERSTOOD) for one in critical
        )
        self._signed_by: dict[bytes, bool] = {}
        with reading(text("its version or one of its entries")):
            self._index = self._read_entries()
            # Whose certificate an entry of an indirect list names may be said by one before it.
            self._whole = x509.load_der_x509_crl(der) if self._is_indirect else None

    def _read_entries(self) -> "array[int]":
        """Read all entries, and return what finds them, however many they are.

        It takes eight bytes an entry: a checksum of its serial number, and where it begins.
        """
        der = self.der
        places = [array("Q") for _ in range(_PILES)]  # to sort them all at once would stop other threads
        at, end = self._cut.entries
        while at < end:
            begin, count = at, 0
            while at < end and count < _AT_ONCE:
                length, start, number, first = der[at + 1], at + 2, der[at + 3], at + 4
                if length >= LONG:
                    length, start = content_at(der, at)
                    number, first = content_at(der, start)
                checksum = crc32(der[first : first + number])
                places[checksum * _PILES >> _PLACE_BITS].append(checksum << _PLACE_BITS | at)
                at, count = start + length, count + 1
            entries = der[begin:at]
            read = x509.load_der_x509_crl(self._cut.having(entries))
            if self._is_understood and _TRUE in entries:  # to look at each entry takes long
                self._is_understood = all(map(_is_understood, read))
            if count == _AT_ONCE:
                time.sleep(_PAUSE)
        if at != end:
            raise ValueError("the last entry is cut off")
        index = array("Q")
        for pile in places:
            index.extend(sorted(pile))
            if len(pile) > _AT_ONCE // 2:
                time.sleep(_PAUSE)
        return index

    @property
    def is_for_holders(self) -> bool:
        """Whether it may be the whole list of holders' certificates, or of a part: no delta, no CAs' list."""
        part = self._part
        return not self._is_delta and (
            part is None
            or not (
                part.only_contains_ca_certs
                or part.only_contains_attribute_certs
                or part.only_some_reasons
                or part.indirect_crl
            )
        )

    def statement(
        self, certificate: x509.Certificate, issuer: x509.Certificate, moment: datetime
    ) -> SourceStatus:
        """Return what the list says of a certificate.

        Args:
            certificate: the certificate.
            issuer: the certificate of its issuer, whose key must have signed the list.
            moment: when the statement should be current.

        Raises:
            Unusable: it says nothing.
        """
        if not self.is_by(issuer):
            raise Unusable(_OTHER_ISSUER)
        current = self.until is not None and self.at - SKEW <= moment <= self.until
        listed = [(self._standing(entry), entry.revocation_date_utc) for entry in self._entries(certificate)]
        if said := [one for one in listed if one[0] is not Standing.GOOD]:
            worst = max(standing for standing, _ in said)
            since = min(since for standing, since in said if standing is worst)
            return SourceStatus(worst, self.at, current, since)
        usage = extension(issuer, x509.KeyUsage)
        if not self._is_strong or (usage is not None and not usage.crl_sign):
            raise Unusable(_OTHER_ISSUER)
        if not self._is_understood:
            raise Unusable(text("it says something of itself that is not understood here"))
        if listed or not self._covers(certificate):
            raise Unusable(text("it is not the list for this certificate"))
        return SourceStatus(Standing.GOOD, self.at, current)

    def is_by(self, issuer: x509.Certificate) -> bool:
        """Say whether the issuer's key signed the list: one generation of a CA, of several with one name."""
        name, key = _name_and_key(issuer)
        if self._issuer != name:
            return False
        known = self._signed_by.get(key)
        if known is None:
            known = self._names_one_algorithm and _has_signed(issuer, self._bare, self._cut)
            if len(self._signed_by) >= _MOST_KEYS:  # other threads add, too
                self._signed_by.clear()
            self._signed_by[key] = known
        return known

    def _entries(self, certificate: x509.Certificate) -> Iterator[x509.RevokedCertificate]:
        """Yield the entries that name a certificate: one, but nothing keeps an issuer from writing more."""
        serial = certificate.serial_number
        if self._whole is None:
            yield from self._indexed(serial)
            return
        if self._whole.get_revoked_certificate_by_serial_number(serial) is None:
            return
        named = own = issuer_of(certificate)  # the issuer of the entries (RFC 5280, section 5.3.3)
        for entry in self._whole:
            if (other := _certificate_issuer(entry)) is not None:
                named = other
            if entry.serial_number == serial and named in (own, b""):
                yield entry

    def _indexed(self, serial: int) -> Iterator[x509.RevokedCertificate]:
        """Yield the entries with a serial number."""
        wanted, found = _content_of(serial), dict[bytes, None]()  # what is said many times counts once
        key = crc32(wanted) << _PLACE_BITS
        alike = (bisect_left(self._index, one) for one in (key, key + (1 << _PLACE_BITS)))
        for one in self._index[slice(*alike)]:
            at = one - key
            length, start = content_at(self.der, at)
            number, first = content_at(self.der, start)
            if self.der[first : first + number] == wanted:
                found[self.der[at : start + length]] = None
        if found:
            yield from x509.load_der_x509_crl(self._cut.having(b"".join(found)))

    def _standing(self, entry: x509.RevokedCertificate) -> Standing:
        try:
            extensions = list(entry.extensions)
        except Exception:  # cryptography raises many kinds
            return Standing.REVOKED  # it is on the list; only why cannot be read
        if not all(
            isinstance(one.value, (*_UNDERSTOOD_IN_ENTRIES, x509.CertificateIssuer))
            for one in extensions
            if one.critical
        ):
            return Standing.REVOKED
        reasons = [one.value.reason for one in extensions if isinstance(one.value, x509.CRLReason)]
        if self._is_delta and reasons == [x509.ReasonFlags.remove_from_crl]:
            return Standing.GOOD  # a hold that ended; in other lists there is no such reason
        return Standing.SUSPENDED if reasons == [x509.ReasonFlags.certificate_hold] else Standing.REVOKED

    def _covers(self, certificate: x509.Certificate) -> bool:
        """Say whether a certificate that is not on the list is good by it (RFC 5280, section 6.3.3)."""
        if self._is_delta:
            return False  # it holds what changed
        part = self._part
        if part is None:
            return True
        basic = extension(certificate, x509.BasicConstraints)
        is_ca = basic is not None and basic.ca
        if (
            part.only_some_reasons
            or part.only_contains_attribute_certs
            or (part.only_contains_user_certs and is_ca)
            or (part.only_contains_ca_certs and not is_ca)
            or part.relative_name
        ):
            return False
        return part.full_name is None or not self.addresses.isdisjoint(list_addresses(certificate))

    def _own(self, kind: type[_Extension]) -> _Extension | None:
        return next((one.value for one in self._extensions if isinstance(one.value, kind)), None)


@dataclass(frozen=True)
class _Cut:
    """Where the parts of a list are, found without a look at its entries.

    Attributes:
        der: the list, in DER.
        signed: begin and end of what is signed (tbsCertList).
        before: the parts that are signed before the entries.
        entries: begin and end of the entries.
        behind: the parts that are signed behind the entries.
    """

    der: bytes
    signed: tuple[int, int]
    before: bytes
    entries: tuple[int, int]
    behind: bytes

    @classmethod
    def of(cls, der: bytes) -> Self:
        """Find the parts of a list.

        Raises:
            ValueError, IndexError: it is no list in DER, or too much of it is no entry.
        """
        signed, whole = _sequence_at(der, 0, len(der))
        first, end = _sequence_at(der, signed, whole)
        at, times, parts = first, 0, 0
        while at < end and der[at] != EXPLICIT and not (times and der[at] == SEQUENCE):
            times, parts = times + (der[at] in _TIMES), parts + 1
            if parts > _MOST_PARTS:
                raise ValueError("it has more parts than a list")
            length, start = content_at(der, at)
            at = start + length
        before = at
        entries = behind = at
        if at < end and der[at] == SEQUENCE:
            entries, behind = _sequence_at(der, at, end)
        others = before - first + end - behind
        if whole != len(der) or behind > end or others > _MOST_OTHER_BYTES:
            raise ValueError("it is cut off, or too much of it is no entry")
        return cls(der, (signed, end), der[first:before], (entries, behind), der[behind:end])

    def having(self, entries: bytes) -> bytes:
        """Return the list with other entries; its signature does not fit any more."""
        listed = header(SEQUENCE, len(entries)) + entries if entries else b""
        signed = self.before + listed + self.behind
        whole = header(SEQUENCE, len(signed)) + signed + self.der[self.signed[1] :]
        return header(SEQUENCE, len(whole)) + whole


def is_signed(der: bytes, issuer: x509.Certificate) -> bool:
    """Say whether an issuer's key signed a list, before one of its entries is read.

    Args:
        der: what is to be a list, in DER.
        issuer: the certificate of its issuer.
    """
    try:
        cut = _Cut.of(der)
        bare = x509.load_der_x509_crl(cut.having(b""))
    except Exception:  # cryptography raises many kinds
        return False
    return _has_signed(issuer, bare, cut)


def _has_signed(issuer: x509.Certificate, bare: x509.CertificateRevocationList, cut: _Cut) -> bool:
    """Say whether an issuer's key signed a list.

    Args:
        issuer: the certificate of the issuer.
        bare: the list without entries.
        cut: all of it.
    """
    try:
        digest, parameters = bare.signature_hash_algorithm, bare.signature_algorithm_parameters
    except UNUSABLE_KEY:
        return False
    scheme = parameters if isinstance(parameters, PSS) else None
    signed = memoryview(cut.der)[slice(*cut.signed)]  # to copy it would stop other threads
    return has_signed(issuer, bare.signature, signed, digest, scheme)


def load_all(data: bytes) -> list[RevocationList]:
    """Read the CRLs of a file: one in DER or base64, or those in PEM.

    Raises:
        Malformed: there is none, or one that cannot be read.
    """
    found = [RevocationList(der) for label, der in text_forms.objects(data, _LABEL) if label == _LABEL]
    if not found:
        raise Malformed(text("it holds something else in PEM"))
    return found


def _sequence_at(der: bytes, at: int, end: int) -> tuple[int, int]:
    """Return where the content of a SEQUENCE begins and ends.

    Args:
        der: what it is in.
        at: where it begins.
        end: where what it is in ends.

    Raises:
        ValueError, IndexError: there is none in DER, or it goes beyond the end.
    """
    length, start = content_at(der, at)
    if der[at:start] != header(SEQUENCE, length) or start + length > end:
        raise ValueError("no SEQUENCE, or it is cut off")
    return start, start + length


def _content_of(serial: int) -> bytes:
    """Return the content of an INTEGER in DER."""
    return serial.to_bytes((serial + (serial < 0)).bit_length() // 8 + 1, signed=True)


@lru_cache(_MOST_KEYS)
def _name_and_key(issuer: x509.Certificate) -> tuple[bytes, bytes]:
    return subject_of(issuer), as_asn1(issuer).public_key.dump()


def _is_understood(entry: x509.RevokedCertificate) -> bool:
    """Say whether all that is critical in an entry is understood."""
    try:
        return all(
            isinstance(one.value, _UNDERSTOOD_IN_ENTRIES) or not one.critical for one in entry.extensions
        )
    except Exception:  # cryptography raises many kinds
        return False


def _certificate_issuer(entry: x509.RevokedCertificate) -> bytes | None:
    """Return the issuer that an entry names, as it is encoded; b"": one that cannot be read; None: none."""
    try:
        found = [one.value for one in entry.extensions if isinstance(one.value, x509.CertificateIssuer)]
        names = [name for value in found for name in value if isinstance(name, x509.DirectoryName)]
        return names[0].value.public_bytes() if names else (b"" if found else None)
    except Exception:  # cryptography raises many kinds
        return b""
