# SPDX-License-Identifier: Apache-2.0
"""The commands of xca-centre."""

from typing import Final

import click

from xca_centre.commands import beginning, post, register, running, sandbox, upkeep  # noqa: F401  # they add their commands
from xca_centre.commands.group import xca_centre
from xca_centre.i18n import text
from xca_common.command_line import complete

__all__ = ["xca_centre"]

_PLACEHOLDERS: Final = {
    "DAY": text("DAY"),
    "FILE": text("FILE"),
    "FOLDER": text("FOLDER"),
    "ID NAME": text("ID NAME"),
    "NAME": text("NAME"),
    "JOB": text("JOB"),
    "LISTS": text("LISTS"),
    "NUMBER": text("NUMBER"),
    "NUMBER:HASH": text("NUMBER:HASH"),
    "NUMBER…": text("NUMBER…"),
    "OID": text("OID"),
    "OFFICER": text("OFFICER"),
    "SOURCE": text("SOURCE"),
    "TEXT": text("TEXT"),
}
_EXAMPLES: Final = {
    "xca-centre": ("xca-centre sandbox", "xca-centre --dir centre init --help"),
    "xca-centre init": (
        "xca-centre init --officer lin 林小姐 --officer chen 陳先生",
        "xca-centre init --officer lin 林小姐 --officer chen 陳先生 --present 王見證",
    ),
    "xca-centre sandbox": ("xca-centre sandbox", "xca-centre sandbox --keep trial"),
    "xca-centre print": ("xca-centre print post",),
    "xca-centre mail": ("xca-centre mail XC00000000091349",),
    "xca-centre restore": ("xca-centre restore complete.crl",),
    "xca-centre organisations import": ("xca-centre organisations import organisations.csv",),
    "xca-centre organisations record-change": (
        "xca-centre organisations record-change 2.16.886.111.990001 --name 測試縣立明湖國民小學",
    ),
    "xca-centre officers record": (
        "xca-centre officers record wu 吳小姐 --role first_reviewer --counter 教育部",
    ),
}


def _complete(command: click.Command, name: str) -> None:
    complete(
        command,
        _PLACEHOLDERS,
        hide_language=command is not xca_centre,
        examples=_EXAMPLES.get(name, ()),
    )
    if isinstance(command, click.Group):
        for each, below in command.commands.items():
            _complete(below, f"{name} {each}")


_complete(xca_centre, "xca-centre")
