# SPDX-License-Identifier: Apache-2.0
"""Removes from texts what identifies a card, a person or a computer."""

import os
import pwd
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from xca_common.base_directories import home

_CARD_NUMBER: Final = re.compile(r"\b[A-Z]{2}[0-9A-Z]{14}\b")
# Folders of the system identify nobody. Other paths are cut to their last part.
_FOLDERS: Final = re.compile(r"(?<![\w:/~.…])/(?!(?:bin|etc|lib\w*|opt|proc|sbin|usr)/)(?:[^\s:,;()'\"/]+/)+")


class Anonymiser:
    """Removes card numbers, the user's and the host's names, and folders.

    Args:
        numbers: card numbers. Each is replaced by its own word, so that cards can be told apart.
        paths: files whose folders are removed.
    """

    def __init__(self, numbers: Iterable[str], paths: Iterable[Path]) -> None:
        files = {str(path): f"…/{path.name}" for path in paths}
        files |= {str(folder): "~" for folder in (home(), home().resolve())}
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
        """Return a text or JSON document without them."""
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
    with suppress(KeyError):  # a container's user may have no account
        account = pwd.getpwuid(os.getuid())
        names += [account.pw_name, account.pw_gecos.split(",")[0]]
    return [name for name in names if name != "root"]
