# SPDX-License-Identifier: Apache-2.0
"""The extras of the distributions: which of their packages are missing, and how they are installed here."""

import json
import shlex
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path


def missing(name: str, extra: str) -> list[str]:
    """Return what an extra needs and this Python lacks, as pip takes it: "pillow>=10".

    Args:
        name: of the distribution.
        extra: its name in pyproject.toml.
    """
    return [needed for needed, there in _needed(distribution(name), extra) if not there]


def install_command(name: str, extra: str) -> str:
    """Return the shell command that installs what an extra lacks into the environment of this program.

    Where nothing may be installed into that environment, it makes another one with the whole extra.

    Args:
        name: of the distribution.
        extra: its name in pyproject.toml.
    """
    here = Path(sys.prefix)
    packages = missing(name, extra)
    damaged = not packages  # then all of it is installed anew
    if damaged:
        packages = list(dict.fromkeys(needed for needed, _ in _needed(distribution(name), extra)))
    if (here / "pipx_metadata.json").exists():
        return shlex.join(["pipx", "inject", *(["--force"] if damaged else []), here.name, *packages])
    if _is_closed(here):
        below = [] if name == "xca-login" else [_origin("xca-login")]
        made = shlex.join(["-m", "pip", "install", *below, _origin(name, f"[{extra}]")])
        return f"{shlex.quote(sys.executable)} -m venv ~/xca && ~/xca/bin/python {made}"
    anew = ["--force-reinstall"] if damaged else []
    return shlex.join([sys.executable, "-m", "pip", "install", *anew, *packages])


def _is_closed(here: Path) -> bool:
    """Tell whether pip installs nothing into an environment: the system's (PEP 668), or one without pip."""
    if find_spec("pip") is None:
        return True
    return here == Path(sys.base_prefix) and Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").exists()


def _needed(found: Distribution, extra: str) -> Iterator[tuple[str, bool]]:
    """Yield what an extra of a distribution needs beside what it needs anyhow, and whether it is there."""
    from packaging.requirements import Requirement  # slow to load, rarely needed

    for line in found.requires or ():
        needed = Requirement(line)
        if needed.marker is None or not needed.marker.evaluate({"extra": extra}):
            continue
        there: Distribution | None
        try:
            there = distribution(needed.name)
        except PackageNotFoundError:
            there = None
        needed.marker = None
        if there is None or not needed.extras:
            yield str(needed), there is not None
        else:
            for its in sorted(needed.extras):
                yield from _needed(there, its)


def _origin(name: str, extras: str = "") -> str:
    """Return a distribution as pip takes it: from where it was installed (PEP 610), else by its version."""
    told = distribution(name).read_text("direct_url.json")
    if told is None:
        return f"{name}{extras}=={version(name)}"
    origin = json.loads(told)
    url = origin["url"]
    if repository := origin.get("vcs_info"):
        url = f"{repository['vcs']}+{url}@{repository['commit_id']}"
    if folder := origin.get("subdirectory"):
        url = f"{url}#subdirectory={folder}"
    return f"{name}{extras} @ {url}"
