# SPDX-License-Identifier: Apache-2.0
"""Secrets from where a script keeps them, named as OpenSSL names them (openssl-passphrase-options(1))."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from xca_common.errors import os_reason
from xca_common.i18n import Text, text

FORMS: Final = text("env:NAME, file:PATH, fd:N or stdin")
"""The sources, as shown to people. Without OpenSSL's `pass:`, which would put the secret in argv."""
_LONGEST: Final = 1024
_EMPTY: Final = text("empty")
_NO_DESCRIPTOR: Final = text("there is no such descriptor")


class SecretSourceError(Exception):
    """A secret cannot be had from its source.

    Attributes:
        reason: why; it names the source, and never what was found there.
    """

    def __init__(self, reason: Text) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason()


class NotASourceError(SecretSourceError):
    """What was named is no source; it may be the secret itself."""


class SecretReader:
    """Reads secrets, one line each, from the sources of one command.

    A file, a descriptor or stdin that is named again gives its next line, so that `stdin` can carry both the
    old and the new secret. Use as a context manager: it closes the files that it opened.
    """

    def __init__(self) -> None:
        self._files: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._files:
            os.close(self._files.popitem()[1])

    def read(self, source: str) -> str:
        """Return the secret that a source holds: an environment variable, or the next line without its end.

        Args:
            source: `env:NAME`, `file:PATH`, `fd:N` or `stdin`.

        Raises:
            SecretSourceError: the source is none of these, cannot be read, or holds nothing.
        """
        kind, _, name = source.partition(":")
        if source == "stdin":
            secret = _line(source, 0)
        elif kind == "fd" and name.isdecimal():
            secret = _line(source, int(name))
        elif kind == "file" and name:
            secret = _line(source, self._open(source, name))
        elif kind == "env" and name:
            secret = _variable(source, name)
        else:
            raise _no_source()
        if not secret:
            raise _problem(source, _EMPTY)
        return secret

    def check(self, source: str) -> None:
        """Find what is wrong with a source, without reading the secret from a file, a pipe or stdin.

        Raises:
            SecretSourceError: the source is none, or is not there, or must not be read.
        """
        kind, _, name = source.partition(":")
        if kind == "fd" and name.isdecimal():
            _check_open(source, int(name))
        elif kind == "file" and name:
            if not _is_fifo(name):  # opening it waits for the program that writes there
                _check_open(source, self._open(source, name))
        elif kind == "env" and name:
            if not _variable(source, name):
                raise _problem(source, _EMPTY)
        elif source != "stdin":
            raise _no_source()

    def _open(self, source: str, name: str) -> int:
        if source not in self._files:
            try:
                self._files[source] = os.open(Path(name), os.O_RDONLY)
            except OSError as error:
                raise _problem(source, os_reason(error)) from None
        return self._files[source]


def read_secret(source: str) -> str:
    """Return one secret from a source (SecretReader.read), for a command that asks for one only.

    Raises:
        SecretSourceError: the source cannot be used.
    """
    with SecretReader() as reader:
        return reader.read(source)


def _variable(source: str, name: str) -> str:
    if name not in os.environ:
        raise _problem(source, text("this variable is not set"))
    return os.environ[name]


def _is_fifo(name: str) -> bool:
    try:
        return Path(name).is_fifo()
    except OSError:  # opening it tells why
        return False


def _check_open(source: str, file: int) -> None:
    try:
        os.read(file, 0)
    except OSError as error:
        raise _problem(source, os_reason(error)) from None
    except OverflowError:
        raise _problem(source, _NO_DESCRIPTOR) from None


def _line(source: str, file: int) -> str:
    """Read a line byte by byte: what follows it is left for the next reader of the same descriptor."""
    line = bytearray()
    problem: Text | str | None = None
    try:
        while (byte := os.read(file, 1)) not in (b"", b"\n"):
            line += byte
            if len(line) > _LONGEST:
                problem = text("the line is longer than {count} bytes").format(count=_LONGEST)
                break
    except OSError as error:
        problem = os_reason(error)
    except OverflowError:
        problem = _NO_DESCRIPTOR
    if problem is None:
        with suppress(UnicodeDecodeError):
            return line.removesuffix(b"\r").decode()
        problem = text("not UTF-8 text")
    # Neither the decoder's exception, which carries the bytes, nor a variable of this call holds the secret.
    line.clear()
    raise _problem(source, problem)


def _no_source() -> NotASourceError:
    # Not repeated: it may be the secret itself, typed in the wrong place.
    return NotASourceError(text("what was given is not a source of a secret"))


def _problem(source: str, reason: Text | str) -> SecretSourceError:
    return SecretSourceError(text("{source}: {reason}").format(source=source, reason=reason))
