# SPDX-License-Identifier: Apache-2.0
"""Workspaces with cards. Each kind is issued once and copied for every test."""

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from softhsm import ACTIVATION_DAYS, Application, Environment, issue
from support.cli.xcactl import USER_CODE, Scripted, Workspace
from xca_common import taipei


def _issued(folder: Path, days_ago: int = 0) -> Workspace:
    environment = Environment.create(folder / "workspace")
    issued_on = taipei.today() - timedelta(days=days_ago)
    issue(environment, USER_CODE, Application(issued_on=issued_on))
    return Workspace(environment.path, environment.path)


@pytest.fixture(scope="session")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return _issued(tmp_path_factory.mktemp("issued"))


@pytest.fixture(scope="session")
def activated(issued: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = issued.copy(tmp_path_factory.mktemp("activated") / "workspace")
    workspace.activate()
    return workspace


@pytest.fixture
def closed(issued: Workspace, tmp_path: Path) -> Workspace:
    """A card as it arrives: not activated."""
    return issued.copy(tmp_path / "closed")


@pytest.fixture
def active(activated: Workspace, tmp_path: Path) -> Workspace:
    """An activated card."""
    return activated.copy(tmp_path / "active")


@pytest.fixture
def late(tmp_path: Path) -> Workspace:
    """A card with ten days left to activate it."""
    return _issued(tmp_path / "late", ACTIVATION_DAYS - 10)


@pytest.fixture
def lapsed(tmp_path: Path) -> Workspace:
    """A card that was not activated in time."""
    return _issued(tmp_path / "lapsed", ACTIVATION_DAYS + 1)


@pytest.fixture(scope="session")
def issued_twice(issued: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = issued.copy(tmp_path_factory.mktemp("twice") / "workspace")
    issue(Environment(workspace.path), USER_CODE)
    return workspace


@pytest.fixture
def two_cards(issued_twice: Workspace, tmp_path: Path) -> Workspace:
    """Two cards."""
    return issued_twice.copy(tmp_path / "two")


@pytest.fixture(scope="session")
def inner_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The inner module of tests/module/inner, which fails as its script says."""
    source = Path(__file__).parents[1] / "module" / "inner" / "inner.c"
    library = tmp_path_factory.mktemp("inner") / "inner.so"
    subprocess.run(
        [
            "cc",
            "-std=c17",
            "-D_GNU_SOURCE",
            "-fPIC",
            "-shared",
            "-fvisibility=hidden",
            f"-I{source.parents[3] / 'pkcs11_shim' / 'src'}",
            str(source),
            "-o",
            str(library),
        ],
        check=True,
    )
    return library


@pytest.fixture
def scripted(inner_library: Path, tmp_path: Path) -> "Scripted":
    return Scripted(inner_library, tmp_path)


@pytest.fixture
def without_pcsc(tmp_path: Path) -> dict[str, str]:
    """Variables that hide the extra pcsc from a program: pyscard cannot be imported."""
    folder = tmp_path / "without-pcsc"
    folder.mkdir()
    (folder / "smartcard.py").write_text("raise ImportError\n")
    return {"PYTHONPATH": str(folder)}


@pytest.fixture
def real(issued: Workspace, tmp_path: Path) -> Workspace:
    """A token like a real card in the vendor's module: it has the card's label and no record in the store."""
    folder = tmp_path / "real"
    (folder / "tokens").mkdir(parents=True)
    inner = issued.path / "libsofthsm2.so"
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n")
    (folder / "pkcs11.conf").write_text(
        f"[module]\npath = {inner}\nenvironment = SOFTHSM2_CONF={configuration}\n"
        f"[store]\npath = {folder}/cards.db\n"
    )
    subprocess.run(
        [
            "pkcs11-tool",
            "--module",
            str(inner),
            "--init-token",
            "--slot-index",
            "0",
            "--label",
            "HiCOS PKI Smart Card",
            "--so-pin",
            USER_CODE,
        ],
        env={"SOFTHSM2_CONF": str(configuration), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
    )
    return Workspace(folder, folder)
