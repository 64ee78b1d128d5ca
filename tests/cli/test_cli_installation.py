# SPDX-License-Identifier: Apache-2.0
"""xcactl module-path and --version: what is installed."""

import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import xca_plugin
from pkcs11_shim import module_path
from support.cli.xcactl import Workspace, install


def test_module_path_is_that_of_a_file_and_nothing_else(closed: Workspace) -> None:
    result = closed.run("module-path")
    assert (result.status, result.out, result.err) == (0, f"{module_path()}\n", "")
    assert Path(result.out.strip()).is_file()


def test_version_tells_python_both_modules_and_plugins_and_loads_none(
    closed: Workspace, tmp_path: Path
) -> None:
    workspace = install(closed, tmp_path, "house_rules", "raise SystemExit('it was loaded')")
    result = workspace.run("--version")
    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines() == [
        f"xcactl, version {version('xca-plugin')}",
        f"Python: {platform.python_version()}",
        f"Module: {version('xca-plugin')}, {module_path()}",
        f"Inner module: SoftHSM 2.6, {closed.path / 'libsofthsm2.so'}",
        "Plugin: house_rules (house_rules 1.0)",
    ]


@pytest.mark.parametrize("words", [("--version",), ("setup", "--module", "libsofthsm2.so")])
def test_program_in_a_folder_with_a_strangers_modules_runs_none(
    closed: Workspace, tmp_path: Path, words: tuple[str, ...]
) -> None:
    for name in ("ctypes", "pkcs11", "xca_plugin"):
        (tmp_path / f"{name}.py").write_text("open('was-run', 'w')")
    (tmp_path / "libsofthsm2.so").symlink_to(closed.path / "libsofthsm2.so")
    program = Path(sys.executable).with_name("xcactl")
    done = subprocess.run([program, *words], env=closed.environment, cwd=tmp_path, capture_output=True)
    assert done.stdout or b"may or may not read this card" in done.stderr
    assert not (tmp_path / "was-run").exists()


def test_version_with_a_broken_configuration_is_told_all_the_same(closed: Workspace, tmp_path: Path) -> None:
    (tmp_path / "broken.conf").write_text("path = nowhere")
    result = closed.with_variables(XCA_PKCS11_CONF=str(tmp_path / "broken.conf")).run("--version")
    assert result.status == 0
    assert "Inner module: none" in result.out


def test_version_without_plugins_names_the_built_in_ones(closed: Workspace) -> None:
    result = closed.run("--lang", "zh_TW", "--version")
    assert result.out.splitlines()[-1] == "外掛：只有內建的（hicos、weak_pin、centre）"


@pytest.mark.parametrize("module", ["xca_plugin.cli", "softhsm.cli"])
def test_interruption_while_a_program_starts_shows_no_traceback(closed: Workspace, module: str) -> None:
    # Ctrl-C comes while click is imported, which both programs need.
    start = (
        "import runpy, signal, sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *more):\n"
        "        if name == 'click':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        f"runpy.run_module('{module}', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", start], env=closed.environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_package_has_the_version_of_its_distribution() -> None:
    assert xca_plugin.__version__ == version("xca-plugin")
