# SPDX-License-Identifier: Apache-2.0
"""xcactl module-path and xcactl --version: what is installed, and where."""

import platform
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import click

import xca_plugin
from pkcs11_shim import ConfigurationError, inner_module_path
from pkcs11_shim import module_path as installed_module
from xca_plugin import errors, hookspecs
from xca_plugin.i18n import _, text
from xca_plugin.terminal.output import say


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
    say(text("Module: {path}").format(path=_path(_module()))())
    say(text("Inner module: {path}").format(path=_path(_inner_module()))())
    for plugin in _plugins():
        say(text("Plugin: {name}").format(name=plugin)())
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


def _path(path: Path | None) -> str:
    return _("none") if path is None else str(path)


def _plugins() -> Iterator[str]:
    """Yield the plugins that are installed; none of them is loaded."""
    for entry in entry_points(group=hookspecs.PROJECT):
        found = entry.dist
        yield f"{entry.name} ({found.name} {found.version})" if found else entry.name
