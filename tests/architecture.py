# SPDX-License-Identifier: Apache-2.0
"""Writes docs/architecture.svg, and the lists of docs/architecture.md, from the tree itself.

Usage: python tests/architecture.py [FOLDER]     by default they are written to docs/
"""

import ast
import re
import sys
from collections.abc import Iterator
from html import escape
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

import grimp

ROOT: Final = Path(__file__).parents[1]
DOCUMENT: Final = ROOT / "docs" / "architecture.md"
PACKAGES: Final = {
    "xca_plugin": ROOT / "xca_plugin",
    "xca_centre": ROOT / "xca_centre",
    "softhsm": ROOT / "softhsm",
    "pkcs11_shim": ROOT / "pkcs11_shim",
    "xca_login": ROOT / "login" / "xca_login",
    "xca_common": ROOT / "login" / "xca_common",
}


class Room(NamedTuple):
    """A box of the picture: a package or a module with all below it that has no room of its own.

    Attributes:
        column: where it begins, counted from the left.
        row: counted from the top; imports lead down.
        width: in columns.
        what: what it is, in a few words.
    """

    column: int
    row: int
    width: int
    what: str


ROOMS: Final = {
    "xca_plugin.pdf": Room(0, 0, 1, "pyHanko's command"),
    "xca_plugin.cli": Room(1, 0, 1, "the command xcactl"),
    "xca_plugin.agent": Room(2, 0, 2, "component: web sites; pages: people; process: the program"),
    "xca_plugin.terminal": Room(0, 1, 2, "showing and asking at a terminal"),
    "xca_plugin.checks": Room(2, 1, 1, "is all in order?"),
    "xca_plugin.tools": Room(2, 2, 1, "other programs' configurations"),
    "xca_plugin": Room(1, 3, 2, "hooks, cards, signing, opening, verifying, errors"),
    "xca_centre": Room(4, 2, 1, "the issuer of cards"),
    "softhsm": Room(0, 3, 1, "the stand-in and its issuer"),
    "pkcs11_shim": Room(0, 4, 1, "the module (C), its rules and store"),
    "xca_login": Room(3, 3, 2, "a site's login with the card"),
    "xca_common.pki": Room(1, 4, 2, "certificates, revocation, what is signed"),
    "xca_common.web": Room(3, 4, 2, "parts of pages"),
    "xca_common": Room(0, 5, 5, "errors, sentences in two languages, secrets, files, days"),
}
_STARTED: Final = ("xca_plugin.cli", "xca_plugin.agent")
"""The command that starts the agent: the one arrow between two front ends."""

_WIDTH, _HEIGHT, _GAP = 220, 64, 40


def main(folder: Path) -> None:
    """Write both files into a folder."""
    (folder / "architecture.svg").write_text(_picture(_arrows()), encoding="utf-8")
    document = DOCUMENT.read_text(encoding="utf-8")
    head, _, _ = document.partition("## Every room\n")
    (folder / "architecture.md").write_text(f"{head}## Every room\n{_lists()}", encoding="utf-8")


def _arrows() -> set[tuple[str, str]]:
    """Return which room imports from which, as the sources say.

    Raises:
        ValueError: an arrow leads up.
    """
    sys.path[:0] = [str(folder.parent) for folder in PACKAGES.values()]
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    arrows = {
        (_room(importer), _room(imported))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    }
    arrows = {(one, other) for one, other in arrows if one != other}
    upward = [arrow for arrow in arrows - {_STARTED} if ROOMS[arrow[0]].row >= ROOMS[arrow[1]].row]
    if upward:
        raise ValueError(f"imports that do not lead down: {sorted(upward)}")
    return arrows


def _room(module: str) -> str:
    parts = module.split(".")
    return next(name for end in range(len(parts), 0, -1) if (name := ".".join(parts[:end])) in ROOMS)


def _picture(arrows: set[tuple[str, str]]) -> str:
    """Draw the rooms, and the arrows that do not follow from others."""
    reached = arrows - {_STARTED}
    for middle, one, other in product(ROOMS, repeat=3):
        if (one, middle) in reached and (middle, other) in reached:
            reached.add((one, other))
    width = max(room.column + room.width for room in ROOMS.values()) * (_WIDTH + _GAP)
    height = (max(room.row for room in ROOMS.values()) + 1) * (_HEIGHT + _GAP)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for one, other in sorted(arrows):
        if not any((one, each) in reached and (each, other) in reached for each in ROOMS):
            lines.append(_line(ROOMS[one], ROOMS[other]))
    for name, room in ROOMS.items():
        lines += _box(name, room)
    return "\n".join([*lines, "</svg>\n"])


def _line(one: Room, other: Room) -> str:
    top, bottom = (room.row * (_HEIGHT + _GAP) + _GAP // 2 for room in (one, other))
    if one.row == other.row:
        x1, x2 = (
            (one.column + one.width) * (_WIDTH + _GAP) - _GAP // 2,
            other.column * (_WIDTH + _GAP) + _GAP // 2,
        )
        place, dashes = f'x1="{x1}" y1="{top + _HEIGHT // 2}" x2="{x2}" y2="{top + _HEIGHT // 2}"', "4"
    else:
        columns = [range(room.column, room.column + room.width) for room in (one, other)]
        shared = sorted({*columns[0]} & {*columns[1]})
        ends = [shared[0], shared[0]] if shared else [_nearest(*columns), _nearest(*reversed(columns))]
        x1, x2 = (column * (_WIDTH + _GAP) + (_WIDTH + _GAP) // 2 for column in ends)
        place, dashes = f'x1="{x1}" y1="{top + _HEIGHT}" x2="{x2}" y2="{bottom}"', "none"
    return f'<line {place} stroke="#555" stroke-dasharray="{dashes}" marker-end="url(#head)"/>'


def _nearest(columns: range, others: range) -> int:
    return min(columns, key=lambda column: min(abs(column - other) for other in others))


def _box(name: str, room: Room) -> Iterator[str]:
    x, y = room.column * (_WIDTH + _GAP) + _GAP // 2, room.row * (_HEIGHT + _GAP) + _GAP // 2
    width = room.width * (_WIDTH + _GAP) - _GAP
    colour = {"xca_common": "#e6f2e6", "softhsm": "#f2ece0"}.get(name.split(".")[0], "#e6ecf5")
    yield f'<rect x="{x}" y="{y}" width="{width}" height="{_HEIGHT}" rx="6" fill="{colour}" stroke="#555"/>'
    middle = f'x="{x + width // 2}" text-anchor="middle"'
    yield f'<text {middle} y="{y + 28}" font-size="17">{escape(name)}</text>'
    yield f'<text {middle} y="{y + 48}" font-size="12" fill="#555">{escape(room.what)}</text>'


def _lists() -> str:
    """Return a table for each folder of sources: every module, with what it says of itself first."""
    lines: list[str] = []
    for folder in PACKAGES.values():
        for inside in sorted({folder, *(file.parent for file in folder.rglob("*.py"))}):
            if rows := sorted(_modules(inside)):
                lines += [f"\n### {inside.relative_to(ROOT)}/\n", "| module | what it is |", "|---|---|"]
                lines += [f"| [{name}](../{path}) | {said} |" for name, path, said in rows]
        if folder.name == "pkcs11_shim":
            lines += [f"\n### {folder.name}/src/, in C\n", "| file | what it is |", "|---|---|"]
            lines += [f"| [{name}](../{path}) | {said} |" for name, path, said in sorted(_c_files(folder))]
    return "\n".join([*lines, ""])


def _modules(folder: Path) -> Iterator[tuple[str, Path, str]]:
    for file in folder.glob("*.py"):
        said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
        if said and file.name != "__main__.py":
            name = "(all of it)" if file.name == "__init__.py" else file.stem
            yield name, file.relative_to(ROOT), _sentence(said)


def _c_files(folder: Path) -> Iterator[tuple[str, Path, str]]:
    """Find the C files, a source together with its header: the one that says more speaks for both."""
    files = sorted([*folder.glob("*.h"), *folder.glob("src/*.def"), *folder.glob("src/*.[ch]")])
    for stem in dict.fromkeys(file.stem for file in files):
        pair = [file for file in files if file.stem == stem]
        comments = (
            re.match(r"/\* SPDX[^\n]*\n/\*(.*?)\*/", file.read_text(encoding="utf-8"), re.DOTALL)
            for file in pair
        )
        said = [re.sub(r"\n \*", "\n", comment[1]).strip() for comment in comments if comment]
        yield pair[0].name, pair[0].relative_to(ROOT), _sentence(max(said, key=len, default=""))


def _sentence(text: str) -> str:
    """Return the first paragraph, or of a long one the first sentence."""
    said = " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")
    return said if len(said) < 200 else re.split(r"(?<=[.?]) ", said)[0]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs")
