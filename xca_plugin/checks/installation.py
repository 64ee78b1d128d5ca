# SPDX-License-Identifier: Apache-2.0
"""Checks of the module, its configuration, the inner module and the card store."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pkcs11_shim import (
    ConfigurationError,
    Store,
    StoreError,
    configuration_path,
    inner_module_path,
    library_path,
    store_path,
)
from xca_common.errors import XcaError
from xca_common.i18n import Text
from xca_plugin import errors
from xca_plugin.checks.finding import CheckAnswer, failed, passed, skipped
from xca_plugin.checks.observations import Observations
from xca_plugin.i18n import plural, text
from xca_plugin.named_file import of_the_system
from xca_plugin.tools.host_environment import Architecture, architecture


def installed_files() -> list[Path]:
    """Return the files whose paths findings may contain."""
    found = []
    for file in (library_path, _inner_path, configuration_path, store_path):
        with suppress(OSError, ConfigurationError, XcaError):
            found.append(file())
    return [path for path in found if path]


def module(seen: Observations) -> Iterator[CheckAnswer]:
    """Check that the PKCS#11 module is installed and loads."""
    path = _module_path()
    try:
        ctypes.CDLL(str(path))
    except OSError as error:
        raise errors.ModuleFailed(detail=str(error)) from error
    yield passed(text("It loads: {path}").format(path=path))


def module_architecture(seen: Observations) -> Iterator[CheckAnswer]:
    """Check that the module and the inner module are for this program's architecture."""
    ours = architecture(Path("/proc/self/exe"))
    shown = _shown(ours)
    paths: list[Path | None] = [_module_path()]
    with suppress(XcaError):  # the next check reports that
        paths.append(_inner_path())
    for path in paths:
        its = architecture(path) if path and path.exists() else ours
        if its != ours:
            differs = text("{path} is for {its}, this program for {ours}.")
            yield failed(
                differs.format(path=path, its=_shown(its), ours=shown),
                text("Install the build for {ours}.").format(ours=shown),
            )
            return
    yield passed(text("{ours}, as this program").format(ours=shown))


def inner_module(seen: Observations) -> Iterator[CheckAnswer]:
    """Check that the configuration names an inner module, and that it answers."""
    try:
        path = _inner_path()
    except XcaError:
        seen.is_configuration_bad = True
        raise
    if path is None:
        raise errors.NotConfigured
    if not path.exists():
        raise errors.ModuleFailed(detail=text("{path} is not there").format(path=path))
    with suppress(errors.StoreUnreadable):  # the next check reports that
        seen.cards.readers()
    seen.works = True
    yield passed(text("It answers: {path}").format(path=path))


def store(seen: Observations) -> Iterator[CheckAnswer]:
    """Check that this user, and no other, can read and write the card store, if there is one."""
    if seen.is_configuration_bad:
        yield skipped(text("The configuration, which may name one, cannot be used."))
        return
    try:
        path = Store().path
        if not path.exists():
            yield skipped(text("There is none: only cards that SoftHSM stands in for need it."))
            return
        count = len(Store().cards())
        shared = path.stat().st_mode & 0o022
    except ConfigurationError as error:
        raise errors.StoreUnreadable(detail=errors.where(error)) from error
    except OSError as error:
        raise errors.StoreUnreadable(detail=of_the_system(error)) from error
    except StoreError as error:
        raise errors.StoreUnreadable(detail=str(error)) from error
    seen.stand_in = count > 0
    if shared:
        raise errors.StoreUnreadable(detail=text("others may write it, {path}").format(path=path))
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        raise errors.StoreNotWritable(path=path)
    yield passed(
        plural("{count} card: {path}", "{count} cards: {path}", "count").format(count=count, path=path)
    )


def _shown(found: Architecture | None) -> Text:
    return found.shown() if found else text("an unknown architecture")


def _module_path() -> Path:
    try:
        return library_path()
    except FileNotFoundError as error:
        raise errors.NoModule from error
    except ConfigurationError as error:
        raise errors.ModuleFailed(detail=errors.where(error)) from error


def _inner_path() -> Path | None:
    """Return the inner module's path, found as the module does it (README, Configuration)."""
    try:
        return inner_module_path()
    except ConfigurationError as error:
        raise errors.ModuleFailed(detail=errors.where(error)) from error
    except OSError as error:
        raise errors.ModuleFailed(detail=of_the_system(error)) from error
