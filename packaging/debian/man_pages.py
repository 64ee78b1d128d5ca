# SPDX-License-Identifier: Apache-2.0
"""Write the man pages of all commands in English and Traditional Chinese: man_pages.py FOLDER.

Each page is what the command's --help says. The date is that of the source (SOURCE_DATE_EPOCH).
"""

import os
import re
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click
from click_man.core import write_man_pages

from xca_common.command_line import speak

_CHINESE: Final = {
    r"\.SH NAME": ".SH 名稱",
    r"\.SH SYNOPSIS": ".SH 語法",
    r"\.SH DESCRIPTION": ".SH 說明",
    r"\.SH OPTIONS": ".SH 選項",
    r"\.SH COMMANDS": ".SH 指令",
    r'(\.TH .*)"(\S+)[^"]* Manual"': r'\1"\2 使用手冊"',
    r"  See (\S+)\.": r"  完整說明見 \1。",
}
"""What click-man itself writes, a line each, in Chinese; Debian's own pages have these headings."""
_SEE: Final = re.compile(
    r"^  See \\fB(.*)\(1\)\\fP for full documentation on the .* command\.$", re.MULTILINE
)
"""Where click-man leads to the page of a subcommand; it names no page that there is."""


def main(folder: Path, language: str, section: Path) -> None:
    """Write the pages in one language.

    Args:
        folder: of all man pages.
        language: zh_TW or en.
        section: the folder of this language's section 1, below `folder`.
    """
    speak(["--lang", language])
    from softhsm.commands import softhsm_card
    from xca_login.commands import xca_login
    from xca_plugin.cli.root import xcactl

    target = folder / section
    target.mkdir(parents=True, exist_ok=True)
    date = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC).date().isoformat()
    commands = {"xcactl": xcactl, "softhsm-card": softhsm_card, "xca-login": xca_login}
    for name, command in commands.items():
        _prepare(command, click.Context(command, info_name=name))
        write_man_pages(name, command, version=version("xca-plugin"), target_dir=str(target), date=date)
    for page in target.iterdir():
        said = page.read_text(encoding="utf-8")
        said = _SEE.sub(lambda found: f"  See \\fB{found[1].replace(' ', '-')}(1)\\fP.", said)
        for english, chinese in _CHINESE.items() if language == "zh_TW" else ():
            said = re.sub(f"^{english}$", chinese, said, flags=re.MULTILINE)
        page.write_text(said, encoding="utf-8")


def _prepare(command: click.Command, context: click.Context) -> None:
    """Give a command and its subcommands the whole first sentence as title, and their examples as text."""
    said = command.help or ""
    command.short_help = re.split(r"(?<=[.。])\s|\n\n|\N{FORM FEED}", said, maxsplit=1)[0].rstrip(".。")
    command.help, command.epilog = "\n\n".join(filter(None, (said, command.epilog))), None
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            each = command.get_command(context, name)
            if each is not None:
                command.commands[name] = each
                _prepare(each, click.Context(each, info_name=name, parent=context))


if __name__ == "__main__":
    if len(sys.argv) == 2:
        for language, section in {"en": "man1", "zh_TW": "zh_TW/man1"}.items():
            # Each language in a process of its own: help texts are translated when the commands are imported.
            if os.fork() == 0:
                main(Path(sys.argv[1]), language, Path(section))
                os._exit(0)
            if os.wait()[1]:
                sys.exit(f"no man pages in {language}")
