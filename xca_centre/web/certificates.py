# SPDX-License-Identifier: Apache-2.0
"""The query of certificates, their download, and the lists of an organisation: pages and JSON."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from xca_centre import certificate_directory, certificate_sets
from xca_centre.certificate_directory import Entry, Question
from xca_centre.errors import AddressUnknown, FormIncomplete
from xca_centre.life.certificate import CertificateState
from xca_centre.web import menu
from xca_centre.web.frame import Frame
from xca_common.i18n import LANGUAGE_TAGS

_QUERIES_OF_A_NETWORK: Final = 1200
"""Queries that a network may make within an hour; card numbers are not hard to guess."""
_FORMS: Final = {
    "cer": "application/pkix-cert",
    "pem": "application/x-pem-file",
    "p7b": "application/pkcs7-mime",
}
"""The forms that a certificate is given out in: DER, PEM, and with its issuers."""
_FIELDS: Final = ("serial", "card", "state", "issued_from", "issued_to")


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""
    return _Certificates(frame).routes()


class _Certificates:
    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        description = yaml.safe_load(Path(__file__).with_name("openapi.yaml").read_text("utf-8"))
        self._description = {**description, "servers": [{"url": frame.origin}]}

    def routes(self) -> Sequence[Route]:
        lists, soon = menu.PATHS["list_certificates"], menu.PATHS["list_expiring"]
        return [
            Route(menu.PATHS["query"], self._query),
            Route(f"{menu.PATHS['query']}/{{serial}}.{{form}}", self._download),
            Route(lists, self._list),
            Route(soon, self._soon),
            Route(f"{menu.API}{menu.PATHS['query']}", self._api_query),
            Route(f"{menu.API}{lists}", self._api_list),
            Route(f"{menu.API}{soon}", self._api_soon),
            Route(menu.API_DESCRIPTION, self._describe),
        ]

    def _query(self, request: Request) -> Response:
        fields, page = _asked(request), "certificates.html"
        known = {"fields": fields, "states": CertificateState}
        if not fields:
            return self._frame.page(request, page, 200, problems={}, entries=None, **known)
        try:
            entries = self._found(request, Question.read(fields))
        except FormIncomplete as error:
            return self._frame.refusal(request, error, page, problems=error.problems, entries=None, **known)
        return self._frame.page(request, page, 200, problems={}, entries=entries, **known)

    def _api_query(self, request: Request) -> Response:
        return self._as_json(self._found(request, Question.read(_asked(request))), is_public=True)

    def _found(self, request: Request, question: Question) -> Sequence[Entry]:
        self._frame.limit(request, "query", _QUERIES_OF_A_NETWORK)
        with self._frame.database.read() as connection:
            return certificate_directory.search(connection, question, self._frame.clock())

    def _download(self, request: Request) -> Response:
        serial, form = request.path_params["serial"], request.path_params["form"]
        if form not in _FORMS:
            raise AddressUnknown
        self._frame.limit(request, "query", _QUERIES_OF_A_NETWORK)
        with self._frame.database.read() as connection:
            entry = certificate_directory.public(connection, serial, self._frame.clock())
        disposition = f'attachment; filename="{entry.issued.serial}.{form}"'
        return Response(
            self._written(entry, form), headers={"Content-Disposition": disposition}, media_type=_FORMS[form]
        )

    def _written(self, entry: Entry, form: str) -> bytes:
        certificate = x509.load_der_x509_certificate(entry.issued.der)
        if form == "cer":
            return entry.issued.der
        if form == "pem":
            return certificate.public_bytes(Encoding.PEM)
        hierarchy = self._frame.hierarchy
        issuer = hierarchy.generations[entry.issued.generation].certificate
        return pkcs7.serialize_certificates([certificate, issuer, hierarchy.root], Encoding.DER)

    def _list(self, request: Request) -> Response:
        entries, _ = self._own(request)
        return self._frame.page(request, "organisation_certificates.html", entries=entries)

    def _soon(self, request: Request) -> Response:
        entries, now = self._own(request)
        soon = certificate_directory.expiring(entries, self._frame.rules, now)
        return self._frame.page(request, "organisation_expiring.html", entries=soon)

    def _api_list(self, request: Request) -> Response:
        entries, _ = self._own(request)
        return self._as_json(entries)

    def _api_soon(self, request: Request) -> Response:
        entries, now = self._own(request)
        return self._as_json(certificate_directory.expiring(entries, self._frame.rules, now))

    def _own(self, request: Request) -> tuple[Sequence[Entry], datetime]:
        now = self._frame.clock()
        with self._frame.database.read() as connection:
            session = self._frame.holder(connection, request)
            own = certificate_sets.find(connection, session.certificates)
            return certificate_directory.of_organisation(connection, self._frame.rules, own, now), now

    def _as_json(self, entries: Sequence[Entry], *, is_public: bool = False) -> Response:
        return JSONResponse({"certificates": [self._members(entry, is_public) for entry in entries]})

    def _members(self, entry: Entry, is_public: bool) -> dict[str, object]:
        label = self._frame.rules.labels.of(entry.standing)
        members: dict[str, object] = {
            "serial": entry.issued.serial,
            "use": entry.issued.use.value,
            "card": entry.set.card,
            "state": entry.standing.state.value,
            "label": {tag: label(language) for tag, language in LANGUAGE_TAGS.items()},
            "since": entry.set.since.isoformat(),
            "issued": entry.set.issued.isoformat(),
            "not_after": entry.set.not_after.isoformat(),
            "download": None,
        }
        if entry.is_open or not is_public:
            members |= {"rank": entry.set.rank, "organisation": entry.set.organisation}
            members["holder"] = entry.read.holder
        if entry.is_open:
            members["download"] = f"{self._frame.origin}{menu.PATHS['query']}/{entry.issued.serial}.cer"
        return members

    def _describe(self, _: Request) -> Response:
        return JSONResponse(self._description)


def _asked(request: Request) -> Mapping[str, str]:
    """Return the fields of the query that are filled in."""
    return {name: value for name in _FIELDS if (value := request.query_params.get(name, "").strip())}
