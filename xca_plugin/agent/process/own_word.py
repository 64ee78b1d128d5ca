# SPDX-License-Identifier: Apache-2.0
"""The word by which a person knows their own agent.

Another user of the computer can start a program at the agent's address first, and imitate its pages. That
program cannot show this word: the file is the person's alone, and the agent answers its own user only.
"""

from pathlib import Path
from typing import Final

from xca_common.atomic_file import whole_file
from xca_common.errors import FileProblem, os_reason
from xca_common.folders import make_private
from xca_common.harmless_text import harmless

LONGEST: Final = 40
"""Characters of a word."""


class OwnWord:
    """The word, in a file of mode 0600. It is read for each page.

    Args:
        file: the file.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> str | None:
        """Return the word; None: none was chosen, or the file cannot be read."""
        try:
            word = self._file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return None
        return word if is_word(word) else None

    def write(self, word: str) -> None:
        """Choose a word, for which is_word() holds.

        Raises:
            FileProblem: the file cannot be written.
        """
        try:
            make_private(self._file.parent)
        except OSError as error:
            raise FileProblem(path=self._file.parent, detail=os_reason(error)) from error
        with whole_file(self._file, 0o600) as target:
            target.write(f"{word}\n".encode())


def is_word(text: str) -> bool:
    """Tell whether a text can be the word: in one line, not too long, and all of it can be seen."""
    return 0 < len(text) <= LONGEST and harmless(text) == text == text.strip()
