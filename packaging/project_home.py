# SPDX-License-Identifier: Apache-2.0
"""Tell the packages where the project is: python packaging/project_home.py CLONE.

packaging/home.txt has the address, if there is one. In the clone it becomes the [project.urls] of both
distributions, and the relative links of their READMEs become absolute. Without an address nothing is changed.
"""

import re
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

_LINK: Final = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)\s]+)(?=\))")
"""Target of a relative link in Markdown."""


def main(clone: Path) -> None:
    """Change the files of a clone.

    Raises:
        SystemExit: the file holds more than one address, or something else.
    """
    lines = (clone / "packaging" / "home.txt").read_text("utf-8").splitlines()
    match [line.strip() for line in lines if line.strip() and not line.startswith("#")]:
        case []:
            return
        case [home] if re.fullmatch(r'https://[^\s"\\]+/', home):
            pass
        case _:
            sys.exit('packaging/home.txt: one line is wanted, "https://…/"')
    for folder in ("", "login/"):
        project = clone / folder / "pyproject.toml"
        urls = f'[project.urls]\nHomepage = "{home}"\nChangelog = "{urljoin(home, "CHANGELOG.md")}"\n\n'
        before, heading, after = project.read_text("utf-8").partition("[project.optional-dependencies]")
        project.write_text(before + urls + heading + after, "utf-8")
        readme = clone / folder / "README.md"
        base = urljoin(home, folder)
        text = _LINK.sub(lambda link: urljoin(base, link[1]), readme.read_text("utf-8"))  # noqa: B023
        readme.write_text(text, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
