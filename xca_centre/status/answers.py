# SPDX-License-Identifier: Apache-2.0
"""OCSP answers as views of the database.

An answer to a plain request is signed at the first demand and kept with the version of the certificates that
it tells of. It is read together with that version: what was signed before a change is never served after it.
Answers with a nonce or about several certificates are signed each time.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from sqlalchemy import select

from xca_centre import network_limits
from xca_centre.authority.hierarchy import Hierarchy
from xca_centre.authority.lists import Revocation
from xca_centre.authority.ocsp import (
    TRY_LATER,
    UNAUTHORIZED,
    CertificateId,
    Request,
    Responder,
    responder_for,
)
from xca_centre.errors import StoreProblem
from xca_centre.status.renewal import renew_at
from xca_centre.store.database import Clock, Database
from xca_centre.store.tables import CERTIFICATE_SETS, CERTIFICATES, OCSP_ANSWERS

LIFE: Final = timedelta(hours=12)
"""How long an answer counts."""
UNKNOWN_OF_A_NETWORK: Final = 600
"""Answers about serial numbers that were never issued, within an hour: each is signed, and none is kept."""
_MOST_ROUNDS: Final = 5  # in which the certificates change while the answer is signed


@dataclass(frozen=True)
class _Known:
    """What the database says of a certificate."""

    version: int
    revocation: Revocation | None


class Answers:
    """The OCSP responder of a centre, for all generations."""

    def __init__(self, database: Database, hierarchy: Hierarchy, clock: Clock) -> None:
        self._database, self._hierarchy, self._clock = database, hierarchy, clock

    def answer(self, request: Request, network: str) -> bytes:
        """Return the answer to a request, in DER.

        Args:
            request: what is asked.
            network: of who asks (user_codes.network_of).

        Raises:
            TooManyRequests: the network asks too often about what was never issued.
            KeyTokenError: the token cannot be used.
            StoreProblem: as of Database.
        """
        moment = self._clock()
        responders = {
            number: self._hierarchy.responder(number, moment) for number in self._hierarchy.generations
        }
        responder = responder_for(request, responders.values())
        if responder is None:
            return UNAUTHORIZED
        (generation,) = (number for number, one in responders.items() if one is responder)
        if request.is_plain and (kept := self._kept(generation, request.certificates[0], moment)):
            return kept
        serials = [asked.serial for asked in request.certificates if responder.is_issuer_of(asked)]
        known = self._look(generation, serials)
        if len(known) < len(set(serials)):
            network_limits.limit(self._database, "ocsp_unknown", network, UNKNOWN_OF_A_NETWORK)
        return self._signed(responder, generation, request, serials, known)

    def _signed(
        self,
        responder: Responder,
        generation: int,
        request: Request,
        serials: Sequence[int],
        known: dict[int, _Known],
    ) -> bytes:
        for _ in range(_MOST_ROUNDS):
            at = self._clock()
            standings = {serial: one.revocation for serial, one in known.items()}
            der = responder.answer(request, standings, at, at + LIFE)
            before, known = known, self._look(generation, serials)
            if known == before:
                if request.is_plain and known:
                    self._keep(request.certificates[0], known[serials[0]].version, der, at)
                return der
        return TRY_LATER

    def _look(self, generation: int, serials: Sequence[int]) -> dict[int, _Known]:
        """Return what the database says of the certificates of a generation."""
        names = {_serial(serial): serial for serial in serials}
        columns = (
            CERTIFICATES.c.serial,
            *(CERTIFICATE_SETS.c[name] for name in ("version", "since", "listed")),
        )
        found = (
            select(*columns)
            .join(CERTIFICATE_SETS, CERTIFICATE_SETS.c.id == CERTIFICATES.c.set)
            .where(CERTIFICATES.c.serial.in_(names), CERTIFICATES.c.generation == generation)
        )
        with self._database.read() as connection:
            rows = connection.execute(found).all()
        known = {}
        for row in rows:
            serial = names[row.serial]
            reason = x509.ReasonFlags[row.listed] if row.listed else None
            known[serial] = _Known(row.version, Revocation(serial, row.since, reason) if reason else None)
        return known

    def _kept(self, generation: int, asked: CertificateId, moment: datetime) -> bytes | None:
        """Return a kept answer of the version that the certificates have; None: there is none that counts."""
        found = (
            select(OCSP_ANSWERS.c.der)
            .join(CERTIFICATES, CERTIFICATES.c.serial == OCSP_ANSWERS.c.serial)
            .join(CERTIFICATE_SETS, CERTIFICATE_SETS.c.id == CERTIFICATES.c.set)
            .where(
                OCSP_ANSWERS.c.serial == _serial(asked.serial),
                OCSP_ANSWERS.c.algorithm == asked.algorithm,
                OCSP_ANSWERS.c.version == CERTIFICATE_SETS.c.version,
                CERTIFICATES.c.generation == generation,
                OCSP_ANSWERS.c.at <= moment,
                OCSP_ANSWERS.c.renew > moment,
            )
        )
        with self._database.read() as connection:
            der: bytes | None = connection.execute(found).scalar()
        return der

    def _keep(self, asked: CertificateId, version: int, der: bytes, at: datetime) -> None:
        serial = _serial(asked.serial)
        key = {"serial": serial, "algorithm": asked.algorithm}
        values = {
            "version": version,
            "at": at,
            "renew": renew_at(at, at + LIFE, f"answer {serial} {asked.algorithm}"),
            "der": der,
        }
        with suppress(StoreProblem), self._database.change() as change:
            kept = change.insert(OCSP_ANSWERS).values(**key, **values)
            newer = OCSP_ANSWERS.c.version <= version
            change.connection.execute(
                kept.on_conflict_do_update(index_elements=list(key), set_=values, where=newer)
            )


def _serial(number: int) -> str:
    return f"{number:X}"
