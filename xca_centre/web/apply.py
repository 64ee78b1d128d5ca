# SPDX-License-Identifier: Apache-2.0
"""The application for certificates (申請憑證), step by step, up to its upload.

Whose it is, which card, and the terms of use are asked for first: their answers stand in addresses. With the
agreement a draft begins. Its address has an id that opens nothing in another browser.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from xca_centre import applications, case_access, drafts, organisations
from xca_centre.application_form import FIELDS, RANKS, Rank, caption
from xca_centre.authority.certificates import requested_key
from xca_centre.drafts import Draft, Wanted
from xca_centre.errors import (
    BadUserCode,
    CardsNotMade,
    CentreError,
    ChoiceMissing,
    FormIncomplete,
    KeyRefused,
    KeyWeak,
    NotAgreed,
    NotCertified,
    PossessionUnproved,
    RenewalUnsigned,
    RequestUnreadable,
)
from xca_centre.i18n import text
from xca_centre.organisations import Organisation
from xca_centre.reissue_blocks import require_unblocked
from xca_centre.saved_applications import SavedApplications
from xca_centre.user_codes import NewUserCode
from xca_centre.web import menu
from xca_centre.web.browsers import Browsers
from xca_centre.web.frame import UPLOADS, Fields, Files, Frame
from xca_centre.web.login import verifier_of
from xca_common.i18n import Text
from xca_common.secret import Secret
from xca_login.errors import ChallengeUnknown, LoginRefused, TokenMalformed
from xca_login.login import Login

_KIND: Final = f"{menu.APPLY}/kind"
_TERMS: Final = f"{menu.APPLY}/terms"
_DRAFTS: Final = f"{menu.APPLY}/drafts"
CASES: Final = f"{menu.APPLY}/cases"
"""Below it is each case that a browser may look at."""
APPLICATIONS_OF_A_NETWORK: Final = 100
"""Applications that a network may begin within an hour."""
_CODES_OF_A_NETWORK: Final = 600
"""Forms with a user code that a network may send within an hour: the hash of each takes long."""
_LOADS_OF_A_NETWORK: Final = 300
"""Saved files that a network may load within an hour: the centre's key opens each, one at a time."""
_GIVEN_BEFORE: Final = ("rank", "consent")
_TYPED: Final = tuple(name for name in FIELDS if name not in _GIVEN_BEFORE)
_SAVED_NAME: Final = "application.pem"
_MISSING: Final = text("the user code is missing")
_DIFFER: Final = text("the two user codes differ")
_CODE: Final = text(
    "the user code has {shortest} to {longest} characters: letters, digits and ASCII signs, no blanks"
)
_REQUESTS: Final[Mapping[type[NotCertified], Text]] = {
    RequestUnreadable: text("what was given is no certificate request (PKCS #10)"),
    KeyRefused: text("the key of the request is no RSA key of 2048 bits with exponent 65537"),
    KeyWeak: text(
        "the key of the request can be computed by others: make another one with an up-to-date program"
    ),
    PossessionUnproved: text("the request is not signed with its own key and SHA-256"),
}
KINDS: Final = {
    Wanted.CARD: text("IC card"),
    Wanted.RENEWAL: text("IC card, renewed with the signature of the old one"),
    Wanted.CERTIFICATE: text("certificate without a card"),
}


def routes(frame: Frame) -> Sequence[Route]:
    """Return the routes."""
    return _Pages(frame).routes()


@dataclass(frozen=True)
class _Asked:
    """What was chosen before a draft begins.

    Attributes:
        organisation: whom it is for.
        wanted: what is asked for.
        rank: of the card or certificate.
    """

    organisation: Organisation
    wanted: Wanted
    rank: Rank

    @property
    def query(self) -> dict[str, str]:
        """The same, as it stands in addresses."""
        return {"organisation": self.organisation.oid, "wanted": self.wanted, "rank": self.rank}


class _Pages:
    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._browsers = Browsers(frame.site)
        self._verifier = verifier_of(frame)

    def routes(self) -> Sequence[Route]:
        """Return the routes."""
        one = f"{_DRAFTS}/{{draft:uuid}}"
        posted, uploaded = self._frame.posted, self._frame.uploaded
        return [
            Route(menu.APPLY, self._search),
            Route(_KIND, self._kind),
            Route(_TERMS, self._terms),
            Route(_TERMS, posted(self._begin), methods=["POST"]),
            Route(one, self._form),
            Route(f"{one}{UPLOADS}", uploaded(self._filled), methods=["POST"]),
            Route(f"{one}/saved", self._load),
            Route(f"{one}/saved{UPLOADS}", uploaded(self._loaded), methods=["POST"]),
            Route(f"{one}/check", self._check),
            Route(f"{one}/save", posted(self._save), methods=["POST"]),
            Route(f"{one}/send", posted(self._send), methods=["POST"]),
            Route(f"{one}/statement", posted(self._statement), methods=["POST"]),
            Route(f"{one}/signed", posted(self._signed), methods=["POST"]),
        ]

    def _search(self, request: Request) -> Response:
        typed = request.query_params.get("name", "")
        found = None
        if typed:
            with self._frame.database.read() as connection:
                found = organisations.find(connection, typed)
        return self._frame.page(request, "apply_search.html", typed=typed, found=found)

    def _kind(self, request: Request) -> Response:
        query = request.query_params
        organisation = self._organisation(query.get("organisation", ""))
        return self._frame.page(request, "apply_kind.html", organisation=organisation, kinds=KINDS)

    def _terms(self, request: Request) -> Response:
        return self._terms_page(request, self._asked(request.query_params))

    def _terms_page(self, request: Request, asked: _Asked, error: CentreError | None = None) -> Response:
        context: dict[str, Any] = {"asked": asked, "kinds": KINDS, "ranks": RANKS}
        if error is not None:
            return self._frame.refusal(request, error, "apply_terms.html", **context)
        return self._frame.page(request, "apply_terms.html", **context, error=None)

    def _begin(self, request: Request, fields: Fields) -> Response:
        asked = self._asked(fields)
        if fields.get("consent") != self._frame.rules.terms.version:
            return self._terms_page(request, asked, NotAgreed())
        self._frame.limit(request, "draft", APPLICATIONS_OF_A_NETWORK)
        browser = self._browsers.known(request)
        given = {"rank": str(asked.rank), "consent": fields["consent"], "published": "yes"}
        with self._frame.database.change() as change:
            organisation = organisations.lock(change, asked.organisation.oid)
            require_unblocked(change.connection, organisation.oid, change.now)
            draft = drafts.begin(change, browser, organisation.oid, asked.wanted, given)
        answer = self._frame.see_other(f"{_DRAFTS}/{draft.id}")
        return self._browsers.remember(answer, browser)

    def _form(self, request: Request) -> Response:
        draft = self._draft(request)
        if draft.application is not None:
            return self._uploaded(request, draft.application)
        return self._form_page(request, draft, {**draft.fields})

    def _form_page(
        self, request: Request, draft: Draft, values: Mapping[str, str], error: CentreError | None = None
    ) -> Response:
        problems = error.problems if isinstance(error, FormIncomplete) else {}
        context: dict[str, Any] = {
            "draft": draft,
            "organisation": self._organisation(draft.organisation),
            "values": {name: values.get(name, "") for name in FIELDS},
            "problems": {name: reason() for name, reason in problems.items()},
            "fields": FIELDS,
            "caption": caption,
            "kinds": KINDS,
            "ranks": RANKS,
            "address": f"{_DRAFTS}/{draft.id}",
            "is_loaded": "loaded" in request.query_params,
        }
        if error is not None:
            return self._frame.refusal(request, error, "apply_form.html", **context)
        return self._frame.page(request, "apply_form.html", **context, error=None)

    def _filled(self, request: Request, fields: Fields, files: Files) -> Response:
        """Take what was filled in: to be checked, or to be saved on a disk of the applicant's."""
        draft = self._draft(request)
        if draft.application is not None:
            return self._uploaded(request, draft.application)
        if fields.get("user_code"):
            self._frame.limit(request, "draft_code", _CODES_OF_A_NETWORK)
        values = {name: fields.get(name, "") for name in _TYPED} | self._given(draft)
        problems: dict[str, Text] = {}
        code = self._chosen(draft, fields, problems)
        asked = self._request(draft, fields, files, problems)
        with self._frame.database.change() as change:
            draft = drafts.keep(change, draft.id, self._browsers.of(request), code=code, request=asked)
        is_saved = "save" in fields
        if is_saved:  # with what is there; all that the file needs is the code
            problems = {name: why for name, why in problems.items() if name.startswith("user_code")}
        else:
            try:
                replace(draft, fields=values).form(self._frame.rules)
            except FormIncomplete as error:
                problems = _merged(error.problems, problems)
        if problems:
            told = FormIncomplete(count=len(problems), problems=problems, reasons=[*problems.values()])
            return self._form_page(request, draft, values, told)
        with self._frame.database.change() as change:
            kept = drafts.keep(change, draft.id, self._browsers.of(request), fields=values)
        if is_saved:
            return self._file(kept)
        return self._frame.see_other(f"{_DRAFTS}/{draft.id}/check")

    def _chosen(self, draft: Draft, fields: Fields, problems: dict[str, Text]) -> NewUserCode | None:
        """Return the user code that was typed twice; None: the draft has one, or it is among the problems."""
        with Secret(fields.get("user_code", "")) as code, Secret(fields.get("user_code_again", "")) as again:
            if not code.reveal() and not again.reveal() and draft.code is not None:
                return None
            if not code.reveal():
                problems["user_code"] = _MISSING
                return None
            if code != again:
                problems["user_code_again"] = _DIFFER
                return None
            return self._choose(draft, code, problems)

    def _choose(self, draft: Draft, code: Secret, problems: dict[str, Text]) -> NewUserCode | None:
        try:
            return self._frame.codes.choose(code, self._key_of_producer(draft))
        except BadUserCode as error:
            problems["user_code"] = _CODE.format(shortest=error.shortest, longest=error.longest)
            return None

    def _request(self, draft: Draft, fields: Fields, files: Files, problems: dict[str, Text]) -> bytes | None:
        """Return the certificate request that was given; None: none was, or it is among the problems."""
        if draft.wanted is not Wanted.CERTIFICATE:
            return None
        asked = files.get("request") or fields.get("request_text", "").encode("utf-8", "replace")
        if not asked.strip():
            return None
        try:
            requested_key(asked)
        except NotCertified as error:
            problems["request"] = _REQUESTS[type(error)]
            return None
        return asked

    def _key_of_producer(self, draft: Draft) -> RSAPublicKey | None:
        if draft.wanted is Wanted.CERTIFICATE:
            return None
        if self._frame.producer is None:
            raise CardsNotMade
        return self._frame.producer.public_key()

    def _load(self, request: Request) -> Response:
        draft = self._draft(request)
        return self._frame.page(request, "apply_load.html", address=f"{_DRAFTS}/{draft.id}", error=None)

    def _loaded(self, request: Request, fields: Fields, files: Files) -> Response:
        """Take the fields of a saved file, and its user code for this application as well."""
        draft = self._draft(request)
        self._frame.limit(request, "load", _LOADS_OF_A_NETWORK)
        address = f"{_DRAFTS}/{draft.id}"
        with Secret(fields.get("user_code", "")) as code:
            try:
                loaded = self._saved().load(files.get("file", b""), code, self._frame.network(request))
                chosen = self._frame.codes.choose(code, self._key_of_producer(draft))
            except CentreError as error:
                return self._frame.refusal(request, error, "apply_load.html", address=address)
        with self._frame.database.change() as change:
            values = {**loaded, **self._given(draft)}
            drafts.keep(change, draft.id, self._browsers.of(request), fields=values, code=chosen)
        return self._frame.see_other(address, loaded="yes")

    def _check(self, request: Request) -> Response:
        draft = self._draft(request)
        if draft.application is not None:
            return self._uploaded(request, draft.application)
        return self._check_page(request, draft)

    def _check_page(self, request: Request, draft: Draft, error: CentreError | None = None) -> Response:
        """Show what was filled in; the form, as long as something is missing."""
        try:
            values = draft.form(self._frame.rules).fields()
        except FormIncomplete as missing:
            return self._form_page(request, draft, draft.fields, error or missing)
        fees = self._frame.rules.fees
        context: dict[str, Any] = {
            "draft": draft,
            "organisation": self._organisation(draft.organisation),
            "values": values,
            "shown": _TYPED,
            "caption": caption,
            "kinds": KINDS,
            "ranks": RANKS,
            "address": f"{_DRAFTS}/{draft.id}",
            "fee": (fees.certificate if draft.wanted is Wanted.CERTIFICATE else fees.card).ntd,
        }
        if error is not None:
            return self._frame.refusal(request, error, "apply_check.html", **context)
        return self._frame.page(request, "apply_check.html", **context, error=None)

    def _save(self, request: Request, fields: Fields) -> Response:
        draft = self._draft(request)
        if draft.code is None:  # it was uploaded meanwhile, or is not filled in
            return self._frame.see_other(f"{_DRAFTS}/{draft.id}")
        return self._file(draft)

    def _file(self, draft: Draft) -> Response:
        """Return what was filled in as a file that the centre alone reads."""
        assert draft.code is not None  # noqa: S101  # nothing is filled in without one
        content = self._saved().save({**draft.fields, "organisation": draft.organisation}, draft.code)
        headers = {"Content-Disposition": f'attachment; filename="{_SAVED_NAME}"'}
        return Response(content, headers=headers, media_type="application/x-pem-file")

    def _send(self, request: Request, fields: Fields) -> Response:
        """Upload a draft. Sent twice, it is one application."""
        return self._send_with(request, self._draft(request), None)

    def _statement(self, request: Request, fields: Fields) -> Response:
        """Return what the old card signs to be renewed: a statement about what was filled in."""
        draft, rules = self._draft(request), self._frame.rules
        form, now = draft.form(rules), self._frame.clock()
        asked = applications.renewal_challenge(self._frame.origin, draft.organisation, form, now)
        with self._frame.database.change() as change:
            drafts.keep(change, draft.id, self._browsers.of(request), challenge=asked)
        return JSONResponse({"statement": asked.text.decode("ascii")})

    def _signed(self, request: Request, fields: Fields) -> Response:
        """Upload a draft with what the old card signed."""
        draft = self._draft(request)
        if draft.application is not None:
            return self._uploaded(request, draft.application)
        try:
            if draft.challenge is None:
                raise ChallengeUnknown
            signed = base64.b64decode(fields.get("token", ""), validate=True)
            login = self._verifier.verify(signed, draft.challenge)
        except (LoginRefused, ValueError) as error:
            told = error if isinstance(error, LoginRefused) else TokenMalformed()
            reason = type(told)._message.format(**told.facts())
            return self._check_page(request, draft, RenewalUnsigned(reason=reason))
        return self._send_with(request, draft, login)

    def _send_with(self, request: Request, draft: Draft, renewal: Login | None) -> Response:
        browser = self._browsers.of(request)
        try:
            with self._frame.database.change() as change:
                is_first = drafts.lock(change, draft.id, browser).application is None
                made = drafts.upload(change, self._frame.rules, draft.id, browser, renewal=renewal)
                if is_first:
                    case_access.grant(change, made.id, browser)
        except FormIncomplete as error:
            return self._form_page(request, draft, draft.fields, error)
        except CentreError as error:
            return self._check_page(request, draft, error)
        return self._uploaded(request, made.id)

    def _uploaded(self, request: Request, application: UUID) -> Response:
        """Lead to the case that a draft became: whoever went back is not told that it is gone.

        It opens nothing: after half an hour, and once the case was left, number and code are asked for.
        """
        browser, clock = self._browsers.of(request), self._frame.clock
        with self._frame.database.read() as connection:
            access = case_access.find(connection, application, browser, clock)
        return self._frame.see_other(f"{CASES}/{access}", uploaded="yes")

    def _draft(self, request: Request) -> Draft:
        identity: UUID = request.path_params["draft"]
        with self._frame.database.read() as connection:
            return drafts.read(connection, identity, self._browsers.of(request), self._frame.clock)

    def _asked(self, fields: Mapping[str, str]) -> _Asked:
        """Return what was chosen.

        Raises:
            OrganisationUnknown: the register has no such organisation.
            ChoiceMissing: kind or rank is none.
        """
        organisation = self._organisation(fields.get("organisation", ""))
        try:
            wanted, rank = Wanted(fields.get("wanted", "")), Rank(fields.get("rank", ""))
        except ValueError:
            raise ChoiceMissing from None
        return _Asked(organisation, wanted, rank)

    def _organisation(self, oid: str) -> Organisation:
        with self._frame.database.read() as connection:
            return organisations.organisation(connection, oid)

    def _saved(self) -> SavedApplications:
        office = self._frame.hierarchy.sealing(self._frame.clock())
        der = office.certificate.public_bytes(Encoding.DER)
        return SavedApplications(self._frame.codes, office.key, der)

    @staticmethod
    def _given(draft: Draft) -> dict[str, str]:
        return {name: draft.fields[name] for name in _GIVEN_BEFORE}


def _merged(missing: Mapping[str, Text], wrong: Mapping[str, Text]) -> dict[str, Text]:
    """Return all problems of a form: what was given wrongly is not called missing as well."""
    told = {**missing, **wrong}
    if "user_code_again" in wrong:
        told.pop("user_code", None)
    return told
