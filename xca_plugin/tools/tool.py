# SPDX-License-Identifier: Apache-2.0
"""The base class of all tools."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
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
"""PKCS#11 URI of a card's key SIGN."""
ANY_CARD_URI: Final = "pkcs11:token=" + rules.CARD_LABEL.replace(" ", "%20")
"""PKCS#11 URI of any card, for probes that need no login."""


@dataclass(frozen=True)
class ProbeResult:
    """The result of a look at the card through a tool.

    Attributes:
        works: the tool loaded the module and saw a card.
        detail: the reason why not, often in the tool's own words; empty when it works.
    """

    works: bool
    detail: str


class Tool(ABC):
    """A program that can load the module.

    Attributes:
        name: its name in xcactl's commands.
        title: a description for people.
    """

    name: ClassVar[str]
    title: ClassVar[Text]

    @abstractmethod
    def missing(self) -> Text | None:
        """Say what has to be installed before the tool can be used; None: nothing."""

    @abstractmethod
    def program(self) -> Path | None:
        """Return the program that loads the module; None: it is not installed."""

    @abstractmethod
    def files(self) -> Sequence[ManagedFile]:
        """Return the files that registration writes.

        Raises:
            NoModule: the module is not installed.
            NotEditable: the module's path cannot be written into them.
        """

    @abstractmethod
    def command(self) -> str:
        """Return the command that uses the card; the person replaces the words in capitals."""

    @abstractmethod
    def check(self) -> ProbeResult:
        """Look at a card through the tool, without a login. It costs no try."""

    def traces(self) -> Sequence[ManagedFile]:
        """Return the files in which unregistering looks for the lines."""
        return self.files()

    def remarks(self) -> Sequence[Callable[[], str]]:
        """Return what a person has to know before using it on this computer."""
        wrong, problem = self._wrong_architecture(), self.problem()
        return [*([wrong] if wrong else []), *([problem.message] if problem else [])]

    def installed(self) -> bool:
        """Tell whether the tool can be used on this computer."""
        return self.missing() is None

    def state(self) -> Registration:
        """Return the state of the registration."""
        try:
            states = self._states()
        except XcaError:
            return Registration.UNREADABLE
        for state in (Registration.EDITED, Registration.OTHER, Registration.OUTDATED):
            if state in states:
                return state
        if len(states) > 1:
            return Registration.OUTDATED
        return next(iter(states), Registration.ABSENT)

    def problem(self) -> XcaError | None:
        """Return why its files cannot be read or understood; None: they can."""
        try:
            self._states()
        except XcaError as error:
            return error
        return None

    def registered(self) -> bool:
        """Tell whether the registration is complete and current."""
        return self.state() is Registration.REGISTERED

    def plan_register(self, *, take_over: bool = False) -> list[FileChange]:
        """Return the changes that register the module; none when it is registered.

        Args:
            take_over: lines of another installation are replaced too.

        Raises:
            ToolNotInstalled, WrongArchitecture, FileProblem, NotEditable, EditedByHand, OtherInstallation.
        """
        missing = self.missing()
        if missing is not None:
            raise ToolNotInstalled(name=self.name, detail=missing)
        wrong = self._wrong_architecture()
        if wrong is not None:
            raise WrongArchitecture(detail=wrong)
        return [
            change for file in _distinct(self.files()) for change in file.plan_register(take_over=take_over)
        ]

    def plan_unregister(self) -> list[FileChange]:
        """Return the changes that undo the registration.

        Raises:
            FileProblem, NotEditable, EditedByHand, OtherInstallation.
        """
        return [change for file in _distinct(self.traces()) for change in file.plan_unregister()]

    def _states(self) -> set[Registration]:
        return {file.state() for file in _distinct(self.files())}

    def _wrong_architecture(self) -> Text | None:
        program = self.program()
        ours, its = architecture(module()), architecture(program) if program else None
        if program is None or its is None or ours is None or ours == its:
            return None
        return text(
            "{program} is for {its}, the module for {ours}: one cannot load the other. "
            "Install both for the same architecture."
        ).format(program=program, its=its.shown(), ours=ours.shown())


def _distinct(files: Iterable[ManagedFile]) -> Iterable[ManagedFile]:
    """Leave out files that are named twice, such as those of a profile and of a symbolic link to it."""
    return {file.same_file(): file for file in files}.values()
