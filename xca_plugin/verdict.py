# SPDX-License-Identifier: Apache-2.0
"""The result of a verification: a verdict for each signature of a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from xca_common.i18n import Text
from xca_common.pki.certificate import Certificate
from xca_plugin import errors
from xca_plugin.i18n import plural
from xca_plugin.signature_problem import SignatureProblem


class Outcome(StrEnum):
    """What a verification came to."""

    VALID = "valid"
    NOT_VALID = "not-valid"
    INCOMPLETE = "incomplete"
    """Content and signature are right, but a certificate of the chain is missing: nobody can say more."""
    UNKNOWN = "unknown"
    """Content, signature and chain are right, but it is not known whether a certificate is revoked."""


class Changes(StrEnum):
    """What was changed in a PDF after a signature; the later, the more."""

    NONE = "none"
    ARCHIVAL = "archival"
    """Time-stamps and revocation information were added."""
    FORMS = "forms"
    """Form fields were filled in, or further signatures added."""
    ANNOTATIONS = "annotations"
    OTHER = "other"
    """Anything else: it makes a signature not valid."""


@dataclass(frozen=True)
class InPdf:
    """A signature as a part of a PDF.

    Attributes:
        field: name of the signature's field.
        changes: what was changed after it.
        changed_fields: names of the form fields that were changed after it.
    """

    field: str
    changes: Changes
    changed_fields: Sequence[str] = ()


@dataclass(frozen=True)
class TimeStamp:
    """A time-stamp of a signature (RFC 3161).

    Attributes:
        at: when the signature existed, by the authority's clock, with its zone; None: it cannot be read.
        authority: holder of the time-stamping authority's certificate; None: it cannot be read.
        problem: why it proves nothing; None: it proves the time.
        is_without_root: it proves nothing because no trusted certificate issued its authority's.
    """

    at: datetime | None = None
    authority: str | None = None
    problem: Text | None = None
    is_without_root: bool = False


@dataclass(frozen=True)
class Verdict:
    """The verdict on one signature.

    Attributes:
        outcome: the outcome.
        problem: why the outcome is not "valid"; None: it is.
        signer: the signer's certificate; None: the signer cannot be read.
        signed_at: the signing time by the signer's own clock, with its zone; None: the signature states none.
        digest: name of the digest algorithm, such as sha256; None: the signer cannot be read.
        weak: its digest algorithms that are no longer secure, such as sha1.
        only_content: the signature has no signed attributes: it covers neither a time nor the content type.
        revocation_checked: the revocation status of the signer's certificate was determined.
        not_checked: holders of the certificates, from the signer's up to the trusted one, whose revocation
            status was not determined.
        time_stamp: its time-stamp; None: it has none.
        anchor: the trusted certificate at the end of its chain; None: no chain was found.
        in_pdf: the signature as a part of a PDF; None: the file is no PDF.
    """

    outcome: Outcome
    problem: SignatureProblem | None
    signer: Certificate | None = None
    signed_at: datetime | None = None
    digest: str | None = None
    weak: Sequence[str] = ()
    only_content: bool = False
    revocation_checked: bool = False
    not_checked: Sequence[str] = ()
    time_stamp: TimeStamp | None = None
    anchor: Certificate | None = None
    in_pdf: InPdf | None = None


@dataclass(frozen=True)
class Verification:
    """The verdicts on all signatures of a file.

    Attributes:
        verdicts: at least one, in the order of the file.
        one_is_enough: the whole is valid if one signature is; otherwise all must be.
        document_time_stamps: the time-stamps of a PDF as a whole, in the order of the file.
    """

    verdicts: tuple[Verdict, ...]
    one_is_enough: bool = False
    document_time_stamps: tuple[TimeStamp, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The outcome of the whole."""
        found = {verdict.outcome for verdict in self.verdicts}
        if self.one_is_enough:
            order = (Outcome.VALID, Outcome.INCOMPLETE, Outcome.UNKNOWN, Outcome.NOT_VALID)
        else:
            order = (Outcome.NOT_VALID, Outcome.INCOMPLETE, Outcome.UNKNOWN, Outcome.VALID)
        return next(outcome for outcome in order if outcome in found)

    @property
    def problem(self) -> Text | None:
        """Why the outcome of the whole is not "valid"; None: it is."""
        if self.outcome is Outcome.VALID:
            return None
        worst = self._deciding
        if worst.problem is None:
            return None
        if len(self.verdicts) == 1:
            return worst.problem.reason
        valid = sum(verdict.outcome is Outcome.VALID for verdict in self.verdicts)
        number = self.verdicts.index(worst) + 1
        several = plural(
            "{valid} of its {count} signatures is valid. Of signature {number}: {problem}",
            "{valid} of its {count} signatures are valid. Of signature {number}: {problem}",
            "valid",
        )
        facts = {"valid": valid, "count": len(self.verdicts), "number": number}
        return several.format(**facts, problem=worst.problem.reason)

    @property
    def error(self) -> errors.CmsError | None:
        """The error that stands for the outcome of the whole; None: it is "valid"."""
        if self.problem is None:
            return None
        if self.outcome is Outcome.INCOMPLETE:
            return errors.ChainIncomplete(reason=self.problem)
        if self.outcome is Outcome.UNKNOWN:
            return errors.RevocationUnknown(reason=self.problem)
        error, deciding = errors.SignatureNotValid(reason=self.problem), self._deciding.problem
        return error.with_step(deciding.next_step) if deciding else error

    @property
    def _deciding(self) -> Verdict:
        """The first of the verdicts whose outcome is that of the whole."""
        return next(verdict for verdict in self.verdicts if verdict.outcome is self.outcome)
