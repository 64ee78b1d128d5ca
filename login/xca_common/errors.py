# SPDX-License-Identifier: Apache-2.0
"""The root of every error that a person can meet, and the errors that every package shares.

One class per situation. Its facts are typed keyword attributes: `FileProblem(path=…, detail=…).path`. A
missing fact is a TypeError where the error is raised. No class knows an exit status, a command or an HTTP
status: each front end has a table of those.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar, dataclass_transform

from xca_common.i18n import ENGLISH, Text, text


@dataclass_transform(kw_only_default=True, eq_default=False)
class XcaError(Exception):
    """Something that a person has to know. It never holds a secret.

    A subclass declares its facts as annotated attributes; `_message` and `_next_step` may use them in braces.
    The next step names no command: each front end has a table of its own for that.
    """

    _message: ClassVar[Text]
    _next_step: ClassVar[Text]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(kw_only=True, eq=False, repr=False)(cls)

    def message(self, language: str | None = None) -> str:
        """Return what happened, in a language (zh_TW, en), by default the environment's."""
        return self._message.format(**self.facts())(language)

    def next_step(self, language: str | None = None) -> str:
        """Return what to do next, in a language (zh_TW, en), by default the environment's."""
        return self._next_step.format(**self.facts())(language)

    def __str__(self) -> str:
        return f"{self.message(ENGLISH)} {self.next_step(ENGLISH)}"

    def facts(self) -> dict[str, object]:
        """Return the facts, as sentences have them in braces."""
        return {fact.name: getattr(self, fact.name) for fact in fields(self)}  # type: ignore[arg-type]  # a dataclass


def os_reason(error: OSError) -> str:
    """Return the system's own words for a failed call (strerror(3)), else the name of its class."""
    return error.strerror or type(error).__name__


def place_of(error: BaseException) -> str:
    """Return the class of an error and the line that raised it, without its text, which may hold a secret."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else "?"
    return f"{type(error).__name__}, {where}"


class FileError(XcaError):
    """Something about a file that is read or written."""


class FileProblem(FileError):
    """A file cannot be read or written."""

    path: Text | str | Path
    detail: Text | str
    _message = text("The file {path} cannot be used: {detail}.")
    _next_step = text("Check the path and your rights to it. Then do it again.")


class OutputExists(FileError):
    """A result would take the place of a file that is there, and nobody said that it may."""

    path: Text | str | Path
    _message = text("The file {path} is there already; it was left as it is.")
    _next_step = text("Choose another name, or say that it may be replaced.")


class SecretMissing(XcaError):
    """A PIN or user code is needed, and there is neither a terminal to ask at nor a usable source."""

    detail: Text | str
    option: str
    _message = text("No value for {option}: {detail}.")
    _next_step = text("Enter it, or say where it can be read.")
