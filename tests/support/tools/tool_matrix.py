# SPDX-License-Identifier: Apache-2.0
"""The tools that tests/tools/matrix/*.toml describe, and docs/tools.md, which shows what of them is tested.

python tests/support/tools/tool_matrix.py writes docs/tools.md again.
"""

import textwrap
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path(__file__).parents[3]
_FOLDER: Final = _ROOT / "tests" / "tools" / "matrix"
PAGE: Final = _ROOT / "docs" / "tools.md"
START: Final = (_FOLDER / "start.sh").read_text(encoding="utf-8").partition("\n")[2]
"""Shell commands that come before any tool's: variables, and the card's certificates in files."""


@dataclass(frozen=True)
class Job:
    """One thing that a tool does with a card. Commands are for sh, in a folder with contract.txt.

    Attributes:
        does: what is signed, or entered, with what part of the tool.
        sign: the commands that use the card.
        verifier: who judges the result.
        verified: what is said when the result is good.
        closed: what the tool says when the card was not activated.
        wrong: what the tool says when the PIN is wrong.
        mute: "closed" or "wrong", where these words do not tell what is the matter.
        verify: the verifier's commands; none where sign asks the verifier.
        prompt: what the tool shows, as a regular expression, when it asks for the PIN in a terminal.
        server: a command that serves, on the socket, while the others run.
        socket: the server's Unix socket.
    """

    does: str
    sign: str
    verifier: str
    verified: str
    closed: str
    wrong: str
    mute: Sequence[str] = ()
    verify: str = ""
    prompt: str = ""
    server: str = ""
    socket: str = ""


@dataclass(frozen=True)
class Tool:
    """A tool, or a family of them.

    Attributes:
        name: the file of its description.
        title: what people call it.
        packages: Debian packages that bring it.
        about: what to know before its commands.
        jobs: what it does.
        prepare: commands before those of any job.
        traps: what surprises.
        stage: commands, not shown, that make what a person has already: files to sign, a server's files.
        finish: commands, not shown, that end what the tool left running.
        crashes: it may crash when its work is done, so that its exit status says nothing.
    """

    name: str
    title: str
    packages: Sequence[str]
    about: str
    jobs: Sequence[Job]
    prepare: str = ""
    traps: Sequence[str] = ()
    stage: str = ""
    finish: str = ""
    crashes: bool = False


def _read(file: Path) -> Tool:
    description: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    jobs = [Job(**job) for job in description.pop("jobs")]
    return Tool(name=file.stem, jobs=jobs, **description)


TOOLS: Final = [_read(file) for file in sorted(_FOLDER.glob("*.toml"))]


def page() -> str:
    """Return docs/tools.md."""
    template = (_FOLDER / "page.md").read_text(encoding="utf-8")
    return template.format(table=_table(), start=_commands(START), tools="\n\n".join(map(_section, TOOLS)))


def _table() -> str:
    rows = [
        "| tool | does | verified by | says before activation | says of a wrong PIN |",
        "|---|---|---|---|---|",
    ]
    for tool in TOOLS:
        link = f"[{tool.title}](#{_anchor(tool.title)})"
        for job in tool.jobs:
            closed = _words(job.closed, mute="closed" in job.mute)
            wrong = _words(job.wrong, mute="wrong" in job.mute)
            rows.append(f"| {link} | {job.does} | {job.verifier} | {closed} | {wrong} |")
            link = ""
    return "\n".join(rows)


def _words(words: str, *, mute: bool) -> str:
    return f"`{words}`" + r" \*" * mute


def _section(tool: Tool) -> str:
    packages = ", ".join(f"`{package}`" for package in tool.packages)
    parts = [f"## {tool.title}", _text(f"Debian: {packages}. {tool.about}")]
    if tool.prepare:
        parts.append(_commands(tool.prepare))
    for job in tool.jobs:
        parts += [f"**{job.does}**", _commands(job.sign + job.verify)]
    if tool.traps:
        parts.append("\n".join(_text(f"- {trap}", indent="  ") for trap in tool.traps))
    return "\n\n".join(parts)


def _text(words: str, indent: str = "") -> str:
    return textwrap.fill(
        words, width=118, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _commands(commands: str) -> str:
    return f"```sh\n{commands}```"


def _anchor(title: str) -> str:
    """The anchor that Markdown's common renderers give a heading."""
    kept = (character for character in title.lower() if character.isalnum() or character in " -")
    return "".join(kept).replace(" ", "-")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
