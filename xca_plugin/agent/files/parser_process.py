# SPDX-License-Identifier: Apache-2.0
"""A process that reads one file that may be hostile, and ends. It uses no card.

The question is JSON on stdin, the answer JSON on stdout (parser.ask).
"""

import json
import logging
import os
import resource
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

from xca_common.errors import XcaError
from xca_common.i18n import LANGUAGES, speaking
from xca_plugin.agent.files import pdf_preparation
from xca_plugin.agent.files.stored_file import StoredFile, named

MEMORY_BYTES: Final = 3 << 30
"""Address space. Libraries and the file itself, mapped into memory, are in it too."""

_Json = dict[str, str]


def main() -> None:
    """Answer the question."""
    question = json.load(sys.stdin.buffer)
    seconds = int(question["seconds"]) + 1
    for limit, most in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CPU, seconds)):
        _, hard = resource.getrlimit(limit)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    answer = sys.stdout
    sys.stdout = sys.stderr  # libraries may print
    logging.disable()
    json.dump(answered(question), answer)
    answer.flush()
    os._exit(0)  # nothing is to be tidied up, and threads of libraries may hang


def answered(question: dict[str, Any]) -> dict[str, Any]:
    """Do the task of a question; return the answer, which can be JSON."""
    try:
        return {"answer": TASKS[question["task"]](**question["arguments"])}
    except XcaError as error:
        return {"failed": {each: (error.message(each), error.next_step(each)) for each in LANGUAGES}}


def _verify(
    content: _Json,
    signature: _Json | None,
    roots: list[_Json],
    intermediates: list[_Json],
    fetch: bool,
    report: _Json,
    language: str,
) -> dict[str, Any]:
    """Verify a file, write a report of it in a language, and return the verdict in words, by language."""
    from xca_plugin import pdf_verification, verification
    from xca_plugin.trust import Sources
    from xca_plugin.verdict import Outcome
    from xca_plugin.verification_report import Report, ReportedFile, as_html

    own = [StoredFile.from_json(one) for one in (content, signature) if one]
    given = [StoredFile.from_json(one) for one in (*roots, *intermediates)]
    trust: dict[str, Any] = {
        "certificate_files": [StoredFile.from_json(one).path for one in intermediates],
        "sources": Sources(fetch=fetch),
    }
    with ExitStack() as stack:
        files = [stack.enter_context(one.reading()) for one in own]
        root = StoredFile.from_json(roots[0]).path
        try:
            if len(files) == 1 and pdf_verification.is_pdf(files[0]):
                found = pdf_verification.verify(files[0], root, **trust)
            else:
                found = verification.verify(files[-1], root, files[0] if len(files) > 1 else None, **trust)
        except XcaError as error:
            raise named(error, given) from None
        reported = [ReportedFile.of(file) for file in files]
    told = Report(found, reported)
    with speaking(language):
        page = as_html(told)
    with StoredFile.from_json(report).writing() as target:
        target.write(page)
    words = {}
    outcome = {Outcome.VALID: "good", Outcome.NOT_VALID: "bad"}.get(found.outcome, "unclear")
    for each in LANGUAGES:
        with speaking(each):
            words[each] = {
                "outcome": outcome,
                "sentence": told.result,
                "notes": list(told.notes),
                "sections": [(heading, list(rows)) for heading, rows in told.sections()],
            }
    return words


TASKS: Final[dict[str, Callable[..., Any]]] = {
    "verify": _verify,
    "pages": pdf_preparation.pages,
    "picture": pdf_preparation.picture,
    "prepare": pdf_preparation.prepare,
}
"""By name."""

if __name__ == "__main__":
    main()
