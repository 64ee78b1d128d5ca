# SPDX-License-Identifier: Apache-2.0
"""A step of the build: it compiles the message catalogues (gettext's .po to .mo) into the wheel."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CatalogueBuildHook(BuildHookInterface[Any]):
    """Hatchling calls it before and after it writes the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile every catalogue, and add it to the files of the wheel."""
        self._compiled = TemporaryDirectory()
        for number, source in enumerate(Path(self.root).glob("xca_*/locale/*/LC_MESSAGES/*.po")):
            target = Path(self._compiled.name) / f"{number}.mo"
            with source.open("rb") as sentences, target.open("wb") as compiled:
                write_mo(compiled, read_po(sentences))
            build_data["force_include"][target] = str(source.relative_to(self.root).with_suffix(".mo"))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Take away what was compiled."""
        self._compiled.cleanup()
