# SPDX-License-Identifier: Apache-2.0
"""A PIN or a user code on its way from a person to the card."""

import hmac
from types import TracebackType
from typing import NoReturn, Self


class Secret:
    """Holds a secret so that it cannot slip into a log, a traceback, a repr or a pickle, and can be wiped.

    Use it as a context manager: leaving the block overwrites the memory. (The str that PKCS#11 bindings ask
    for is made at the call, by reveal(), and cannot be overwritten; nothing keeps it.)
    """

    __slots__ = ("_bytes", "_wiped")

    def __init__(self, value: str) -> None:
        # Surrogates pass, so that nothing that can be typed raises an error, which would quote the secret.
        self._bytes = bytearray(value, "utf-8", "surrogatepass")
        self._wiped = False

    def reveal(self) -> str:
        """Return the secret itself, for the one call that needs it."""
        return self._bytes.decode("utf-8", "surrogatepass")

    def wipe(self) -> None:
        """Overwrite the secret; it is empty afterwards."""
        self._bytes[:] = bytes(len(self._bytes))
        self._bytes.clear()
        self._wiped = True

    @property
    def is_wiped(self) -> bool:
        """Whether wipe() has overwritten it."""
        return self._wiped

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wipe()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._bytes, other._bytes)

    __hash__ = None  # type: ignore[assignment]  # a secret is no key of a dictionary

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not serialised")


class TypedAtReader(Secret):
    """A secret that the person types at the keypad of the card reader; no program ever has it."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("")

    def reveal(self) -> NoReturn:
        """Raise TypeError: there is nothing to reveal."""
        raise TypeError("the secret is typed at the reader")

    def wipe(self) -> None:
        """Do nothing: there is nothing to wipe."""

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = None  # as of every secret
