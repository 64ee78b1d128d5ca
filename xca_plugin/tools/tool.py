# SPDX-License-Identifier: Apache-2.0
"""What every tool can be asked."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from pkcs11_shim import rules
from xca_common.errors import XcaError
from xca_common.i18n import Text
from xca_plugin.errors import ToolNotInstalled, WrongArchitecture
from xca_plugin.i18n import text
from xca_plugin.tools.file_change import FileChange
from xca_plugin.tools.host_environment import architecture, module
from xca_plugin.tools.managed_file import ManagedFile, Registration

CARD_URI: Final = "pkcs11:serial=NUMBER"
"""PKCS#11 URI (RFC 7512) of a card, in commands that are shown; NUMBER stands for the card's number."""
SIGN_KEY_URI: Final = f"{CARD_URI};id=%53%49%47%4E;type=private"
"""The same of the key SIGN."""
ANY_CARD_URI: Final = "pkcs11:token=" + rules.CARD_LABEL.replace(" ", "%20")
"""The same of any card, for looks that need no login."""


@dataclass(frozen=True)
class ProbeResult:
    """What a tool saw.

    Attributes:
        works: it loaded the module and saw a card.
        detail: why not, mostly in the tool's own words; empty when it works.
    """

    works: bool
    detail: str


class Tool(ABC):
    """A tool that a person has, and that can be told of the module.

    Attributes:
        name: how it is called in commands.
        title: what it is, for people.
    """

    name: ClassVar[str]
    title: ClassVar[Text]

    @abstractmethod
    def missing(self) -> Text | None:
        """Say what it lacks to be used here, and how to get it; None: nothing."""

    @abstractmethod
    def program(self) -> Path | None:
        """Return the program that loads the module, if there is one to be looked at."""

    @abstractmethod
    def files(self) -> Sequence[ManagedFile]:
        """Return the files that registering writes.

        Raises:
            NoModule; NotEditable: the module's name cannot be written into them.
        """

    @abstractmethod
    def command(self) -> str:
        """Return the exact command to use it; words in capitals are the reader's to fill in."""

    @abstractmethod
    def check(self) -> ProbeResult:
        """Look at a card through the tool, without a login: it costs no try."""

    def traces(self) -> Sequence[ManagedFile]:
        """Return the files that may hold lines of ours."""
        return self.files()

    def remarks(self) -> Sequence[Text]:
        """Return what a person has to know of it, here and now."""
        wrong = self._wrong_architecture()
        return [] if wrong is None else [wrong]

    def installed(self) -> bool:
        """Tell whether it can be used here."""
        return self.missing() is None

    def state(self) -> Registration:
        """Tell how its registration stands."""
        try:
            states = {file.state() for file in self.files()}
        except XcaError:
            return Registration.UNREADABLE
        for state in (Registration.EDITED, Registration.OUTDATED):
            if state in states:
                return state
        if len(states) > 1:
            return Registration.OUTDATED
        return next(iter(states), Registration.ABSENT)

    def registered(self) -> bool:
        """Tell whether it finds the module."""
        return self.state() is Registration.REGISTERED

    def plan_register(self) -> list[FileChange]:
        """Return the changes that tell it of the module; none when it knows.

        Raises:
            ToolNotInstalled, WrongArchitecture, FileProblem, NotEditable, EditedByHand.
        """
        missing = self.missing()
        if missing is not None:
            raise ToolNotInstalled(name=self.name, detail=missing)
        wrong = self._wrong_architecture()
        if wrong is not None:
            raise WrongArchitecture(detail=wrong)
        return [change for file in self.files() for change in file.plan_register()]

    def plan_unregister(self) -> list[FileChange]:
        """Return the changes after which all is as it was before.

        Raises:
            FileProblem, EditedByHand.
        """
        return [change for file in self.traces() for change in file.plan_unregister()]

    def _wrong_architecture(self) -> Text | None:
        program = self.program()
        ours, its = architecture(module()), architecture(program) if program else None
        if program is None or its is None or ours == its:
            return None
        return text(
            "{program} is for {its}, the module for {ours}: one cannot load the other. "
            "Install both for the same architecture."
        ).format(program=program, its=its, ours=ours)
