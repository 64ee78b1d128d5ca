# SPDX-License-Identifier: Apache-2.0
"""Takes out of texts what tells whose card and whose computer they are about, before they go to others."""

import os
import pwd
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_CARD_NUMBER: Final = re.compile(r"\b[A-Z]{2}[0-9A-Z]{14}\b")
# The system's own folders name nobody; of any other path only the last part stays.
_FOLDERS: Final = re.compile(r"(?<![\w:/~.…])/(?!(?:bin|etc|lib\w*|opt|proc|sbin|usr)/)(?:[^\s:,;()'\"/]+/)+")


class Anonymiser:
    """Knows what to take out: numbers of cards, names of the user and the host, and folders.

    Args:
        numbers: card numbers; each becomes a word of its own, so that cards stay apart.
        paths: files in folders that may have telling names.
    """

    def __init__(self, numbers: Iterable[str], paths: Iterable[Path]) -> None:
        files = {str(path): f"…/{path.name}" for path in paths}
        files |= {str(home): "~" for home in (Path.home(), Path.home().resolve())}
        host = socket.gethostname()
        names = dict.fromkeys((host, host.split(".")[0]), "(host)")
        names |= dict.fromkeys(_users(), "(user)")
        names |= {number: f"(card {position})" for position, number in enumerate(numbers, 1)}
        # The longest first: one may be part of another.
        self._known = [
            *((re.compile(re.escape(file)), files[file]) for file in sorted(files, key=len, reverse=True)),
            *(
                (re.compile(rf"(?<!\w){re.escape(name)}(?!\w)"), names[name])
                for name in sorted(names, key=len, reverse=True)
                if name
            ),
            (_CARD_NUMBER, "(card)"),
            (_FOLDERS, "…/"),
        ]

    def clean(self, document: Any) -> Any:
        """Return a text, or a JSON document, without what is known."""
        if isinstance(document, dict):
            return {name: self.clean(value) for name, value in document.items()}
        if isinstance(document, list):
            return [self.clean(value) for value in document]
        if isinstance(document, str):
            for pattern, word in self._known:
                document = pattern.sub(word.replace("\\", "/"), document)
        return document


def _users() -> list[str]:
    names = [os.environ.get(variable, "") for variable in ("USER", "LOGNAME", "SUDO_USER")]
    with suppress(KeyError):  # in a container it may be nobody in particular
        account = pwd.getpwuid(os.getuid())
        names += [account.pw_name, account.pw_gecos.split(",")[0]]
    return [name for name in names if name != "root"]
