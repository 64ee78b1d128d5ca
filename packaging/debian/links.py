# SPDX-License-Identifier: Apache-2.0
"""Links of the package's documents to what it does not hold become plain words: python3 links.py FOLDER."""

import re
import sys
from pathlib import Path


def main(folder: Path) -> None:
    """Change the Markdown files of a folder and of those below it."""
    for file in folder.rglob("*.md"):

        def kept(link: re.Match[str], place: Path = file.parent) -> str:
            text, target = link.groups()
            there = not target or re.match("[a-z]+:", target) or (place / target).exists()
            return link[0] if there else text

        text = file.read_text("utf-8")
        file.write_text(re.sub(r"\[([^]\n]+)\]\(([^)#\s]*)[^)\s]*\)", kept, text), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
