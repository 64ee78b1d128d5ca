# SPDX-License-Identifier: Apache-2.0
"""The root of every error that a person can meet, and the errors that every package shares.

One class per situation. Its facts are typed keyword attributes: `FileProblem(path=…, detail=…).path`. A
missing fact is a TypeError where the error is raised. No class knows an exit status, a command or an HTTP
status: each front end has a table of those.
"""

from dataclasses import dataclass, fields
from typing import ClassVar, dataclass_transform

from xca_common.i18n import ENGLISH, Text


@dataclass_transform(kw_only_default=True, eq_default=False)
class XcaError(Exception):
    """Something that a person has to know. It never holds a secret.

    A subclass declares its facts as annotated attributes; `_message` and `_next_step` may use them in braces.
    """

    _message: ClassVar[Text]
    _next_step: ClassVar[Text]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(kw_only=True, eq=False, repr=False)(cls)

    def message(self, language: str | None = None) -> str:
        """Return what happened, in a language (zh_TW, en), by default the environment's."""
        return self._message.format(**self._facts())(language)

    def next_step(self, language: str | None = None) -> str:
        """Return what to do next, in a language (zh_TW, en), by default the environment's."""
        return self._next_step.format(**self._facts())(language)

    def __str__(self) -> str:
        return f"{self.message(ENGLISH)} {self.next_step(ENGLISH)}"

    def _facts(self) -> dict[str, object]:
        return {fact.name: getattr(self, fact.name) for fact in fields(self)}  # type: ignore[arg-type]  # __init_subclass__
