# SPDX-License-Identifier: Apache-2.0
"""xcactl module-path and xcactl --version: what is installed, and where."""

import platform
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

import click

import xca_plugin
from pkcs11_shim import ConfigurationError, inner_module_path, library_path
from pkcs11_shim import module_path as installed_module
from xca_plugin import errors, hookspecs
from xca_plugin.cards import BUILT_IN
from xca_plugin.i18n import _, text
from xca_plugin.terminal.output import say

_SECONDS: Final = 5
_ASK: Final = (
    "import pkcs11, sys; told = pkcs11.lib(sys.argv[1]); "
    "print(told.manufacturer_id.strip(), '.'.join(map(str, told.library_version)))"
)


@click.command("module-path", help=_("Print the path of the PKCS#11 module, for other tools."))
def module_path() -> None:
    """Print the path of the module that this installation has."""
    try:
        say(str(installed_module()))
    except FileNotFoundError as error:
        raise errors.NoModule from error


def show_versions(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    """Print the version of xcactl, its Python, its modules and the plugins, and end the command."""
    if not wanted or context.resilient_parsing:
        return
    say(text("xcactl, version {version}").format(version=xca_plugin.__version__)())
    say(text("Python: {version}").format(version=platform.python_version())())
    module, inner = _module(), _inner_module()
    if module is None:
        say(_("Module: none"))
    else:
        said = text("Module: {version}, {path}")  # it is built with this package
        say(said.format(version=xca_plugin.__version__, path=module)())
    if inner is None:
        say(_("Inner module: none"))
    else:
        said = text("Inner module: {version}, {path}")
        say(said.format(version=_inner_version() or text("its version cannot be read"), path=inner)())
    plugins = _plugins()
    for plugin in plugins:
        say(text("Plugin: {name}").format(name=plugin)())
    if not plugins:
        say(text("Plugins: none but the built-in ones ({names})").format(names=BUILT_IN)())
    context.exit()


def _module() -> Path | None:
    try:
        return installed_module()
    except FileNotFoundError:
        return None


def _inner_module() -> Path | None:
    try:
        return inner_module_path()
    except (OSError, ConfigurationError):
        return None  # xcactl doctor says what is wrong with the configuration


def _inner_version() -> str | None:
    """Return maker and version of the inner module; None: it does not tell them.

    It tells them once it is initialised: in another process, because a broken module may crash or hang. No
    session is opened.
    """
    try:
        done = subprocess.run(  # noqa: S603  # the module of the configuration
            [sys.executable, "-P", "-c", _ASK, str(library_path())],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except (OSError, ConfigurationError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _plugins() -> list[str]:
    """Return the plugins that are installed; none of them is loaded."""
    return [
        f"{entry.name} ({entry.dist.name} {entry.dist.version})" if entry.dist else entry.name
        for entry in entry_points(group=hookspecs.PROJECT)
    ]
