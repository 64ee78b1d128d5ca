# SPDX-License-Identifier: Apache-2.0
"""The root of every error that a person can meet, and the errors that every package shares.

One class per situation. Its facts are typed keyword attributes: `FileProblem(path=…, detail=…).path`. A
missing fact is a TypeError where the error is raised. No class knows an exit status, a command or an HTTP
status: each front end has a table of those.
"""

import errno
import socket
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar, Final, Self, dataclass_transform

from xca_common.i18n import ENGLISH, LANGUAGE_TAGS, Text, text


@dataclass_transform(kw_only_default=True, eq_default=False)
class XcaError(Exception):
    """Something that a person has to know. It never holds a secret.

    A subclass declares its facts as annotated attributes; `_message` and `_next_step` may use them in braces.
    The next step names no command: each front end has a table of its own for that.
    """

    _message: ClassVar[Text]
    _next_step: ClassVar[Text]
    own_step: ClassVar[Text | None] = None
    """The next step of one error alone (with_step); None: it has that of its class."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(kw_only=True, eq=False, repr=False)(cls)

    def message(self, language: str | None = None) -> str:
        """Return what happened, in a language (zh_TW, en), by default the environment's."""
        return self._message.format(**self.facts())(language)

    def next_step(self, language: str | None = None) -> str:
        """Return what to do next, in a language (zh_TW, en), by default the environment's."""
        return (self.own_step or self._next_step).format(**self.facts())(language)

    def words(self) -> dict[str, dict[str, str]]:
        """Return `message` and `next_step`, in all languages by their tags, for the JSON of an answer."""
        said = {"message": self.message, "next_step": self.next_step}
        return {
            name: {tag: say(language) for tag, language in LANGUAGE_TAGS.items()}
            for name, say in said.items()
        }

    def with_step(self, step: Text) -> Self:
        """Return this error with a next step of its own, where that of its class would be the wrong one."""
        vars(self)["own_step"] = step
        return self

    def __str__(self) -> str:
        return f"{self.message(ENGLISH)} {self.next_step(ENGLISH)}"

    def facts(self) -> dict[str, object]:
        """Return the facts, as sentences have them in braces."""
        return {fact.name: getattr(self, fact.name) for fact in fields(self)}  # type: ignore[arg-type]  # a dataclass


_NO_ROOM: Final = (text("No space left on device"), text("Disk quota exceeded"))
_OS_REASONS: Final = {
    errno.EPERM: text("Operation not permitted"),
    errno.ENOENT: text("No such file or directory"),
    errno.EIO: text("Input/output error"),
    errno.ENXIO: text("No such device or address"),
    errno.EBADF: text("Bad file descriptor"),
    errno.EACCES: text("Permission denied"),
    errno.EBUSY: text("Device or resource busy"),
    errno.EEXIST: text("File exists"),
    errno.ENODEV: text("No such device"),
    errno.ENOTDIR: text("Not a directory"),
    errno.EISDIR: text("Is a directory"),
    errno.EINVAL: text("Invalid argument"),
    errno.EMFILE: text("Too many open files"),
    errno.ETXTBSY: text("Text file busy"),
    errno.EFBIG: text("File too large"),
    errno.ENOSPC: _NO_ROOM[0],
    errno.EROFS: text("Read-only file system"),
    errno.EPIPE: text("Broken pipe"),
    errno.ENAMETOOLONG: text("File name too long"),
    errno.ELOOP: text("Too many levels of symbolic links"),
    errno.ECONNREFUSED: text("Connection refused"),
    errno.ECONNRESET: text("Connection reset by peer"),
    errno.ENETUNREACH: text("Network is unreachable"),
    errno.EHOSTUNREACH: text("No route to host"),
    errno.ETIMEDOUT: text("Connection timed out"),
    errno.EADDRINUSE: text("Address already in use"),
    errno.EDQUOT: _NO_ROOM[1],
}
"""The system's words (strerror(3)) for the failures that a person meets, with a Chinese translation."""
_STEPS: Final[dict[Text | str, Text]] = {
    **dict.fromkeys(_NO_ROOM, text("Make room on the disk. Then do it again.")),
    _OS_REASONS[errno.ENAMETOOLONG]: text(
        "Choose a shorter name: most disks take 255 bytes, and a Chinese character takes three of them."
    ),
    _OS_REASONS[errno.EROFS]: text("Nothing can be written there: choose another place."),
    _OS_REASONS[errno.EISDIR]: text("Name a file in that folder."),
}
"""What to do next, where the reason tells it."""


_NAME_REASONS: Final = {
    socket.EAI_NONAME: text("Name or service not known"),
    socket.EAI_NODATA: text("No address associated with hostname"),
    socket.EAI_AGAIN: text("Temporary failure in name resolution"),
}
"""The system's words (gai_strerror(3)) for names that cannot be resolved."""
_NAME_REASON: Final = text("the name of the host cannot be looked up")
_UNTRUSTED_HOST: Final = text("the certificate of its TLS connection is not trusted on this computer")
_TLS_FAILED: Final = text("the TLS connection failed")


def os_reason(error: OSError) -> Text | str:
    """Return the system's words for a failed call (strerror(3)), else the name of the error's class."""
    # The numbers of these two kinds are not those of errno.
    if isinstance(error, socket.gaierror):
        return _NAME_REASONS.get(error.errno or 0, _NAME_REASON)
    if type(error).__module__ == "ssl":  # which is slow to load, and not needed here
        return _UNTRUSTED_HOST if type(error).__name__ == "SSLCertVerificationError" else _TLS_FAILED
    return _OS_REASONS.get(error.errno or 0) or error.strerror or type(error).__name__


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

    def next_step(self, language: str | None = None) -> str:
        """Return what to do next; where the reason tells it, that."""
        if self.own_step is None and (step := _STEPS.get(self.detail)):
            return step(language)
        return super().next_step(language)
