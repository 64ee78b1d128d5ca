# SPDX-License-Identifier: Apache-2.0
"""An environment: one directory with SoftHSM, cards, their store, the issuer's files, a test PKI."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Self

from pkcs11_shim import EMPTY_STORE, Store, module_path
from softhsm.errors import IssuerError, NoEnvironmentError
from softhsm.i18n import text
from xca_common import atomic_file
from xca_common.base_directories import own_data
from xca_common.folders import make_private
from xca_common.i18n import Text
from xca_common.installed_softhsm import VARIABLE, softhsm_configuration, softhsm_library
from xca_common.pki import profile
from xca_common.scratch import scratch_folder

_LINE_MAX: Final = 198  # bytes of a configuration line before its newline: inih's INI_MAX_LINE


class Environment:
    """An environment that exists.

    Attributes:
        path: its directory, absolute.
        configuration: the module's configuration file; XCA_PKCS11_CONF names it to any program.
        inner_module: its own copy of SoftHSM, so that the system's one never shows these tokens.
        inner_configuration: SoftHSM's configuration; only the module and the issuer's worker are told of it.
        tokens: SoftHSM's tokens, one folder a card, named by the card number.
        copies: the issuer's copies, one folder a card: the token file as it came to its holder, and as it was
            before, with the SO PIN that opens the latter.
        pki: certificates and keys of the test PKI.
        orders: the certificate centre's orders of cards (softhsm.producer).
        staging: cards in the making.
        store: the card store.
    """

    def __init__(self, path: Path) -> None:
        """Open the environment in a directory.

        Raises:
            NoEnvironmentError: there is none.
            OSError: a user code that a former version kept in clear cannot be deleted.
        """
        self._at(path.expanduser().absolute())
        if self.path.exists() and not self.path.is_dir():
            raise NoEnvironmentError(_no_directory(path))
        for part in (self.configuration, self.inner_module, self.store.path):
            if not part.is_file():
                said = text("{path}: no card environment here; make one with `softhsm-card init`")
                raise NoEnvironmentError(said.format(path=path))
        # Former versions kept each card's first user code in clear.
        for kept in self.copies.glob("*/user-code"):
            with suppress(FileNotFoundError):
                kept.unlink()

    def _at(self, path: Path) -> None:
        self.path = path
        self.configuration = path / "pkcs11.conf"
        self.inner_module = path / "libsofthsm2.so"
        self.inner_configuration = path / "softhsm2.conf"
        self.tokens = path / "tokens"
        self.copies = path / "issuer"
        self.pki = path / "pki"
        self.orders = path / "orders"
        self.staging = path / "staging"
        self.store = Store(path / "cards.db")

    @classmethod
    def create(cls, path: Path, *, compatibility_policy: bool = False) -> Self:
        """Make an environment in a directory that does not exist yet or is empty. All of it appears at once.

        Args:
            path: the directory; it and what is missing above it are made with mode 0700.
            compatibility_policy: put the policy OID of real cards (2.16.886.101.0.3.3) into the certificates
                instead of the one for tests (2.16.886.101.0.3.0).

        Raises:
            IssuerError: the directory is in use or its name does not fit, or SoftHSM is missing.
            OSError: the directory cannot be written.
        """
        from xca_common.pki.authority import Authority  # slow to load, rarely needed

        library = _softhsm()
        with cls._appearing(path) as (environment, build):
            for folder in (build.path, build.tokens, build.copies, build.pki, build.staging):
                folder.mkdir(mode=0o700)
            atomic_file.write(build.inner_module, library.read_bytes())
            Authority.create(
                build.pki, profile.COMPATIBILITY_POLICY if compatibility_policy else profile.TEST_POLICY
            )
            atomic_file.write(build.store.path.with_name("cards.db.lock"), b"")
            atomic_file.write(build.store.path, EMPTY_STORE)
        return environment

    def copy(self, to: Path) -> Self:
        """Copy the environment with its cards: numbers, keys, secrets and counters.

        It is faster than issuing, which generates keys. The copy has the configuration of a new environment,
        and its cards change independently.

        Args:
            to: a directory that does not exist yet or is empty; made with mode 0700.

        Raises:
            IssuerError: the directory is in use or inside this one, or its name does not fit.
            StoreError: the card store is missing or busy.
            OSError: a file cannot be read or written.
        """
        if to.expanduser().absolute().is_relative_to(self.path):
            raise IssuerError(text("{path} is inside the environment; choose another folder").format(path=to))

        def cards_in_the_making(folder: str, names: list[str]) -> list[str]:
            return names if Path(folder) == self.staging else []

        # Under the lock nobody writes to a token or to the store.
        with self._appearing(to) as (environment, build), self.store.lock(exclusive=False):
            shutil.copytree(self.path, build.path, ignore=cards_in_the_making)
        return environment

    @classmethod
    @contextmanager
    def _appearing(cls, path: Path) -> Iterator[tuple[Self, Self]]:
        """Yield the environment that is to be, and one to build it in; configured and renamed at the end."""
        path = path.expanduser().absolute()
        if path.exists() and not path.is_dir():
            raise IssuerError(_no_directory(path))
        if path.exists() and any(path.iterdir()):
            raise IssuerError(text("{path} is not empty; choose another folder with --dir").format(path=path))
        environment = cls.__new__(cls)
        environment._at(path)
        configuration = environment._module_configuration()

        try:
            make_private(path.parent)
            with scratch_folder(path.parent) as scratch:
                build = cls.__new__(cls)
                build._at(scratch / "environment")
                yield environment, build
                atomic_file.write(build.inner_configuration, softhsm_configuration(environment.tokens))
                atomic_file.write(build.configuration, configuration)
                build.path.rename(path)
        except OSError as error:
            if not _is_below(path.parent, error.filename):
                raise
            # The person named the environment, and no scratch folder beside it.
            raise OSError(error.errno, error.strerror, str(path)) from error
        atomic_file.sync(path.parent)

    def exports(self) -> dict[str, str]:
        """Return the variables of a shell that works with this environment, for any program and tool.

        Raises:
            IssuerError: this installation has no module.
        """
        try:
            module = module_path()
        except FileNotFoundError as error:
            said = text(
                "this installation has no {name}, which the cards need; "
                "install xca-plugin with its module, on Linux"
            )
            raise IssuerError(said.format(name=error)) from None
        return {
            "XCA_SOFTHSM_DIR": str(self.path),
            "XCA_PKCS11_CONF": str(self.configuration),
            "PKCS11_MODULE": str(module),
        }

    def _module_configuration(self) -> bytes:
        lines = (
            "[module]\n"
            f"path={self.inner_module}\n"
            f"environment=SOFTHSM2_CONF={self.inner_configuration}\n"
            "[store]\n"
            f"path={self.store.path}\n"
        )
        # inih ends a value at " ;", SoftHSM a line at "#".
        if re.search(r"[\x00-\x1f\x7f#]|\s;", str(self.path)):
            said = text("{path}: a configuration file cannot hold this name; choose another with --dir")
            raise IssuerError(said.format(path=self.path))
        excess = max(len(os.fsencode(line)) for line in lines.splitlines()) - _LINE_MAX
        if excess > 0:
            said = text("{path}: {excess} bytes too long for a configuration file; choose a shorter --dir")
            raise IssuerError(said.format(path=self.path, excess=excess))
        return os.fsencode(lines)


def default_path() -> Path:
    """Return the directory of the user's own environment: $XDG_DATA_HOME/xca/softhsm."""
    return own_data() / "softhsm"


def _no_directory(path: Path) -> Text:
    return text("{path} is a file; name a folder with --dir").format(path=path)


def _softhsm() -> Path:
    found = softhsm_library()
    if found is not None:
        return found
    said = text(
        "{path} not found; install SoftHSM 2 (Debian and Ubuntu: apt install softhsm2; "
        "Fedora: dnf install softhsm), or name the library in SOFTHSM2_MODULE"
    )
    raise IssuerError(said.format(path=os.environ.get(VARIABLE) or "libsofthsm2.so"))


def _is_below(folder: Path, filename: object) -> bool:
    return isinstance(filename, (str, os.PathLike)) and Path(filename).is_relative_to(folder)
